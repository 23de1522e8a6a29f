"""pictures.csv: which picture is which file of an export; what the next export takes over by."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv as arrow_csv

from aion_dagster.formats.annotation_rows import Lookup
from aion_dagster.formats.frame import Frame
from aion_dagster.formats.neutral import neutral_table, plain
from aion_dagster.formats.options import Options

LISTED: Final = "pictures.csv"

FORMAT_VERSION: Final = 4
"""Raised whenever the same dataset would give other bytes."""

_SAME: Final = ("keep_exif", "link_pictures", "picture_format", "longest_side")
"""Options that decide what becomes of a picture."""


@dataclass(frozen=True)
class Listed:
    """A picture in an export: its file below the export's folder, the file's size, and what was done to it."""

    file: str
    size_bytes: int
    changes: tuple[str, ...]


@dataclass(frozen=True)
class Original:
    """The bytes that a picture is made from, and the versions of the files that are known to hold them.

    The version of a file in a folder is its time of modification in nanoseconds, a hyphen, and its size.
    """

    sha256: str
    versions: tuple[str, ...]


def write_picture_list(folder: Path, frame: Frame, listed: Sequence[Listed]) -> None:
    """Write pictures.csv: a row per picture, in the order of the dataset."""
    columns = {
        "file": pa.array([x.file for x in listed], pa.string()),
        "split": pa.array(frame.splits, pa.string()),
        "image_id": frame.images.column("image_id"),
        "sha256": frame.images.column("sha256"),
        "own_names": _own_names(frame.images),
        "width": pa.array(frame.widths),
        "height": pa.array(frame.heights),
        "size_bytes": pa.array([x.size_bytes for x in listed], pa.int64()),
        "changes": pa.array([orjson.dumps(x.changes).decode() for x in listed], pa.string()),
    }
    table, _ = neutral_table(pa.table(columns))
    with (folder / LISTED).open("xb") as file:
        arrow_csv.write_csv(table, file)


def _own_names(images: pa.Table) -> pa.Array:
    """The names of a picture in its sources, a line each, in order of name."""
    found = [
        "\n".join(sorted({place["name"] for place in locations or () if place["name"]}))
        for locations in images.column("locations").to_pylist()
    ]
    return pa.array(found, pa.string())


class PreviousPictures:
    """The pictures of an earlier export of the same format, to be taken over instead of made again.

    A picture is taken over if its file has the size that the list names and was not touched after the list was
    written, so what somebody changed in place is made again. A file that may be one with the original (it has several
    names, and the original's size) must also have the time that the original is known by, or else its SHA-256: who
    changes the original in place and sets back the time changes the export, too.
    """

    def __init__(self, folder: Path, table: pa.Table) -> None:
        """The pictures that `table` lists in `folder`."""
        self._folder = folder
        self._ids = Lookup(table.column("image_id").to_pylist())
        self._files = table.column("file")
        self._sizes = table.column("size_bytes")
        self._changes = table.column("changes")
        self._written = (folder / LISTED).stat().st_mtime_ns

    def rows(self, image_ids: pa.ChunkedArray) -> NDArray[np.int32]:
        """The row of each picture here, -1 where it is not in the earlier export."""
        return self._ids.places(image_ids)

    def take(self, row: int, original: Original) -> tuple[str, Listed] | None:
        """The file of a row, None where there is none or it was changed."""
        if row < 0:
            return None
        listed = Listed(
            plain(self._files[row].as_py()),
            self._sizes[row].as_py(),
            tuple(orjson.loads(self._changes[row].as_py())),
        )
        path = f"{self._folder}/{listed.file}"
        try:
            found = os.lstat(path)
        except OSError:
            return None
        unchanged = found.st_size == listed.size_bytes and found.st_mtime_ns <= self._written
        return (path, listed) if unchanged and _holds(path, found, original) else None


def _holds(path: str, found: os.stat_result, original: Original) -> bool:
    """Whether a file that may be one with the original still has its bytes."""
    size = f"-{found.st_size}"
    if found.st_nlink < 2 or f"{found.st_mtime_ns}{size}" in original.versions:
        return True
    if not any(version.endswith(size) for version in original.versions if version):
        return True
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - as above
            return hashlib.file_digest(file, "sha256").hexdigest() == original.sha256
    except OSError:
        return False


def previous_pictures(
    folder: Path | None, format_name: str, options: Options
) -> PreviousPictures | None:
    """The pictures of the export in `folder`, if it is one that this export would make the same of the same pictures."""
    if folder is None:
        return None
    try:
        facts: dict[str, Any] = orjson.loads((folder / "export.json").read_bytes())
        mine = {name: getattr(options, name) for name in _SAME}
        theirs = {name: facts["options"].get(name) for name in _SAME}
        same = (facts["format"], facts["format_version"], theirs) == (
            format_name,
            FORMAT_VERSION,
            mine,
        )
        return PreviousPictures(folder, _read(folder / LISTED)) if same else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # no export, or one that was damaged: nothing is taken over


def _read(path: Path) -> pa.Table:
    types = {
        "file": pa.string(),
        "image_id": pa.string(),
        "size_bytes": pa.int64(),
        "changes": pa.string(),
    }
    table = arrow_csv.read_csv(
        path,
        parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
        convert_options=arrow_csv.ConvertOptions(include_columns=list(types), column_types=types),
    )
    if any(table.column(name).null_count for name in types):
        raise ValueError(f"{path} has empty cells")
    inside = pc.match_substring_regex(table.column("file"), r"(^|/)\.\.(/|$)|^/")
    if pc.any(inside).as_py():
        raise ValueError(f"{path} names files outside of its folder")
    return table.combine_chunks()
