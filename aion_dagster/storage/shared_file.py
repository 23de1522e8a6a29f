"""A file that is worked on locally and, where the store is in a bucket, shared through it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aion_dagster.storage.bucket import BucketPath
from aion_dagster.storage.durable import hidden_sibling, make_folder, replace_file, write_file
from aion_dagster.storage.places import Place


@dataclass(frozen=True, slots=True)
class SharedFile:
    """A file with its copy on this machine; on disk both are one.

    Attributes:
        path: the copy on this machine.
        place: where it is shared.
    """

    path: Path
    place: Place

    def exists(self) -> bool:
        """Whether it has been written, by whichever machine."""
        return self.place.is_file()

    def fetch(self) -> Path:
        """Bring this machine's copy up to date; where nothing is shared yet, it stays what it is. Its path."""
        if not isinstance(self.place, BucketPath):
            return self.path
        version = self.place.version()
        if version is None or (self.path.is_file() and self._known() == version):
            return self.path
        make_folder(self.path.parent)
        beside = hidden_sibling(self.path, "tmp")
        try:
            self.place.download(beside)
            replace_file(beside, self.path)
        finally:
            beside.unlink(missing_ok=True)
        self._note(version)
        return self.path

    def share(self) -> None:
        """Give this machine's copy to the others."""
        if isinstance(self.place, BucketPath):
            self.place.upload(self.path)
            self._note(self.place.version() or "")

    def _known(self) -> str | None:
        mark = self._mark()
        return mark.read_text() if mark.is_file() else None

    def _note(self, version: str) -> None:
        write_file(self._mark(), version.encode())

    def _mark(self) -> Path:
        return self.path.with_name(f"{self.path.name}.version")
