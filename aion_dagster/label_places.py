"""Where label files are: on this machine, or in a bucket, from which they are fetched to be read."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from aion_dagster.errors import ConfigError, LabelError, StorageError
from aion_dagster.formats.archives import SUFFIXES
from aion_dagster.storage.bucket import SCHEME, BucketPath
from aion_dagster.storage.places import place_of

LABEL_SUFFIXES: Final = (
    ".json",
    ".txt",
    ".xml",
    ".yaml",
    ".yml",
    ".csv",
    ".tsv",
    ".names",
    ".labels",
    *SUFFIXES,
)
"""How the names of files end that labels are read from, where a whole folder is named."""
_AT_ONCE: Final = 16


def label_entries(path: str) -> Iterator[list[object]]:
    """Name, size and time (in a bucket: version) of every file that a label path stands for.

    Raises:
        ConfigError: there is none, or it cannot be looked at.
    """
    if is_in_bucket(path):
        yield from _objects(path)
        return
    place = Path(path)
    files = sorted(p for p in place.rglob("*") if p.is_file()) if place.is_dir() else [place]
    for file in files:
        if place.is_dir() and not file.name.lower().endswith(LABEL_SUFFIXES):
            continue
        try:
            status = file.stat()
        except OSError as error:
            raise ConfigError(
                f"labels: {file} cannot be read ({error.strerror}); bring it back, or name others with --labels"
            ) from error
        yield [str(file), status.st_size, status.st_mtime_ns]


def is_in_bucket(path: str) -> bool:
    """Whether a label path is an `s3://` URI."""
    return path.lower().startswith(f"{SCHEME}://")


def label_folder(path: str) -> str:
    """What the names of the label files at a label path are relative to: itself, or the folder of a file."""
    plain = path.rstrip("/")
    name = plain.rpartition("/")[2].lower()
    is_file = name.endswith(LABEL_SUFFIXES) and not name.endswith(SUFFIXES)
    return plain.rpartition("/")[0] if is_file else plain


def label_place_exists(path: str) -> bool:
    """Whether there is anything at a label path.

    Raises:
        ConfigError: the bucket cannot be looked into.
    """
    try:
        return place_of(path).exists()
    except StorageError as error:
        raise ConfigError(f"labels: {error}") from error


@contextmanager
def fetched(path: str) -> Iterator[Path]:
    """Label files as files of this machine; those of a bucket are temporary.

    Of a folder only what labels are read from is fetched; pictures beside them are there as empty files, since their names
    belong to the labels of a YOLO tree.

    Raises:
        LabelError: there is nothing, or a key cannot be a file's name.
        StorageError: an object cannot be read.
    """
    if not is_in_bucket(path):
        yield Path(path)
        return
    place = BucketPath.parse(path)
    with tempfile.TemporaryDirectory(prefix="aion-labels-") as scratch:
        target = Path(scratch, place.name or place.bucket)
        if place.key and place.is_file():
            place.download(target)
        else:
            _download(place, target)
        try:
            yield target
        except LabelError as error:
            raise LabelError(str(error).replace(str(target), path)) from error


def _objects(path: str) -> Iterator[list[object]]:
    place = BucketPath.parse(path)
    try:
        own = place.version() if place.key else None
        if own is not None:
            yield [path, own]
            return
        found = [
            [f"{path}/{name}", size, version]
            for name, size, version in place.versions()
            if name.lower().endswith(LABEL_SUFFIXES)
        ]
    except StorageError as error:
        raise ConfigError(f"labels: {error}") from error
    if not found:
        raise ConfigError(f"labels: {path}: there is nothing; name others with --labels")
    yield from found


def _download(place: BucketPath, folder: Path) -> None:
    wanted: list[tuple[BucketPath, Path]] = []
    for name, _, _ in place.versions():
        parts = name.split("/")
        if any(part in ("", ".", "..") for part in parts) or "\0" in name:
            raise LabelError(f"{place}/{name}: an object whose key is no path; rename it")
        target = folder.joinpath(*parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        if name.lower().endswith(LABEL_SUFFIXES):
            wanted.append((place / name, target))
        else:
            target.touch()
    if not wanted:
        raise LabelError(f"{place}: no labels there")
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(lambda pair: pair[0].download(pair[1]), wanted))
