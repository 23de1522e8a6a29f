"""Places of a store's files: folders of this machine, or what keys in a bucket begin with."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import unquote_to_bytes, urlsplit

from pyarrow import fs

from aion_dagster.errors import StorageError
from aion_dagster.identity import digest
from aion_dagster.storage import bucket, durable
from aion_dagster.storage.bucket import BucketPath
from aion_dagster.storage.durable import make_folder

Place: TypeAlias = Path | BucketPath

LOCAL_VARIABLE: Final = "AION_LOCAL"
"""Environment variable: the folder for what a store in a bucket keeps on this machine."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def place_of(uri: str) -> Place:
    """The place that a folder's path, a `file://` or an `s3://` URI names.

    Raises:
        StorageError: another kind of URI, or none of a place.
    """
    scheme = _SCHEME.match(uri)
    if scheme is None:
        return Path(os.path.abspath(Path(uri).expanduser()))  # noqa: PTH100 - links stay as the user wrote them
    if scheme[1].lower() == bucket.SCHEME:
        return BucketPath.parse(uri)
    if scheme[1].lower() != "file":
        raise StorageError(
            f"The store {uri!r} is not supported: {scheme[1]}:// is not; give a folder or s3://bucket/prefix."
        )
    parts = urlsplit(uri, allow_fragments=False)
    if parts.netloc not in ("", "localhost") or not parts.path:
        raise StorageError(f"The store {uri!r} is no local folder: write file:///path/to/folder.")
    return Path(os.fsdecode(unquote_to_bytes(parts.path)))


def local_folder(place: Place) -> Path:
    """Where this machine keeps what must be local: a folder itself; of a bucket, temporary files, indexes and locks.

    `AION_LOCAL`, else `$XDG_CACHE_HOME/aion_dagster`, else `~/.cache/aion_dagster`, with a folder for each place.
    """
    if isinstance(place, Path):
        return place
    cache = os.environ.get("XDG_CACHE_HOME")
    default = (Path(cache) if cache else Path.home() / ".cache") / "aion_dagster"
    top = Path(os.environ.get(LOCAL_VARIABLE) or default)
    return top / f"{place.name or place.bucket}-{digest(str(place))[:12]}"


def filesystem(place: Place) -> fs.FileSystem:
    """Arrow's file system of a place."""
    return fs.LocalFileSystem() if isinstance(place, Path) else place.filesystem


def address(place: Place) -> str:
    """How that file system names it."""
    return str(place) if isinstance(place, Path) else place.address


def write_bytes(place: Place, data: bytes) -> None:
    """Replace the file at `place`, durably: a reader sees the old or the new bytes.

    Raises:
        StorageError: it cannot be written; the old file is untouched and nothing is left over.
    """
    if isinstance(place, Path):
        make_folder(place.parent)
        durable.write_file(place, data)
    else:
        place.write_bytes(data)


def publish(file: Path, place: Place) -> None:
    """Put a finished, synced temporary file in its place; a temporary of a bucket is removed afterwards.

    Raises:
        StorageError: it cannot be put there.
    """
    if isinstance(place, BucketPath):
        place.upload(file)
        file.unlink()
        return
    folder = place.parent
    with durable.storage_errors("write", place):
        if not folder.is_dir():
            folder.mkdir(exist_ok=True)
            durable.fsync_folder(folder.parent)
        durable.replace_file(file, place)
