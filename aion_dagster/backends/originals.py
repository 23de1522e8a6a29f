"""Original files by image id: what exports link or copy."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from aion_dagster.errors import FileVanishedError, SourceError
from aion_dagster.formats.pictures import PictureFile
from aion_dagster.values import FileRef

_UNKNOWN = datetime.fromtimestamp(0, UTC)
"""Locations do not keep a file's time: its version tells whether it changed."""


class Reader(Protocol):
    """Reads files of sources; raises SourceError where bytes are gone or changed."""

    def read(self, ref: FileRef) -> bytes:
        """The bytes of `ref`."""
        ...

    def local_path(self, ref: FileRef) -> Path | None:
        """Where `ref` lies unchanged on this machine, or None."""
        ...


class OriginalFiles:
    """Opens the first location of a picture that still holds the bytes it was known by."""

    def __init__(self, images: pa.Table, reader: Reader) -> None:
        """`images` has the columns image_id, sha256 and locations."""
        self._reader = reader
        self._locations: Mapping[str, list[dict[str, Any]]] = dict(
            zip(images["image_id"].to_pylist(), images["locations"].to_pylist(), strict=True)
        )

    def open(self, image_id: str) -> PictureFile:
        """Path and bytes of a picture.

        Raises:
            SourceError: no location holds its bytes any more; the message names the last one tried.
        """
        problem: SourceError = FileVanishedError(f"{image_id}: no location is known")
        for place in self._locations.get(image_id, ()):
            ref = _reference(place)
            try:
                path = self._reader.local_path(ref)
                data = None if path is not None else self._reader.read(ref)
            except SourceError as error:
                problem = error
                continue
            return PictureFile(path=path, data=partial(_bytes, self._reader, ref, data))
        raise problem


def _bytes(reader: Reader, ref: FileRef, data: bytes | None) -> bytes:
    return reader.read(ref) if data is None else data


def _reference(place: Mapping[str, Any]) -> FileRef:
    """A location as a file reference."""
    return FileRef(
        source=place["source"],
        uri=place["uri"],
        name=place["name"],
        version=place["version"],
        size_bytes=place["size_bytes"],
        modified_at=_UNKNOWN,
    )
