"""Originals that a library keeps: the bytes of pictures under their SHA-256, whatever becomes of their files."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from aion_dagster.errors import FileChangedError, StorageError
from aion_dagster.storage.bucket import BucketPath
from aion_dagster.storage.durable import storage_errors
from aion_dagster.storage.places import Place, write_bytes

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


class OriginalStore:
    """`<root>/<first two digits>/<SHA-256>`: files that are written once and never change."""

    def __init__(self, root: Place) -> None:
        """Originals below `root`, which is made when the first is kept."""
        self.root = root

    def path(self, sha256: str) -> Place:
        """Where the bytes are, or would be.

        Raises:
            StorageError: that is no SHA-256 in hexadecimal digits.
        """
        if _DIGEST.fullmatch(sha256) is None:
            raise StorageError(f"{sha256!r} is no SHA-256 in 64 lower-case hexadecimal digits.")
        return self.root / sha256[:2] / sha256

    def has(self, sha256: str) -> bool:
        """Whether the bytes are kept."""
        return self.path(sha256).is_file()

    def keep(self, sha256: str, read: Callable[[], bytes]) -> bool:
        """Keep the bytes that `read` returns; False where they are kept already.

        Raises:
            FileChangedError: the bytes are others.
            StorageError: they cannot be written.
        """
        place = self.path(sha256)
        if place.is_file():
            return False
        data = read()
        if hashlib.sha256(data).hexdigest() != sha256:
            raise FileChangedError(f"{sha256}: the file has other bytes now; they are not kept")
        with storage_errors("write", place):
            if not isinstance(place, BucketPath):
                place.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(place, data)
        return True

    def read(self, sha256: str) -> bytes:
        """The bytes.

        Raises:
            StorageError: they are not kept, or cannot be read.
        """
        with storage_errors("read", self.path(sha256)):
            return self.path(sha256).read_bytes()

    def kept(self) -> Iterator[str]:
        """The SHA-256 of everything that is kept."""
        if isinstance(self.root, BucketPath):
            yield from (f.name for f in self.root.files() if _DIGEST.fullmatch(f.name))
        elif self.root.is_dir():
            for place in sorted(self.root.glob("[0-9a-f][0-9a-f]/*")):
                if _DIGEST.fullmatch(place.name):
                    yield place.name

    def remove_others(self, wanted: Iterable[str]) -> int:
        """Remove what is kept and not among `wanted`; how many that were."""
        gone = sorted(set(self.kept()) - set(wanted))
        for sha256 in gone:
            with storage_errors("remove", self.path(sha256)):
                self.path(sha256).unlink()
        return len(gone)
