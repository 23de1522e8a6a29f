"""CSV tables of boxes into label sets: our own exports, and the usual layouts, told apart by their header."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from aion_dagster import schemas
from aion_dagster.errors import LabelError
from aion_dagster.formats.csv_layout import CsvLayout, header_of, layout_of
from aion_dagster.formats.label_rows import LabelRows, as_json, positive_size, split_named
from aion_dagster.values import Category, LabelSet

_NUMBER: Final = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_NEUTRALISED: Final = r"^'([=+\-@\t\r])"
"""Cells of our own exports before which an apostrophe was put, so that no spreadsheet runs them."""
_BLOCK: Final = 1 << 23
_TRUE: Final = ("1", "true", "True", "TRUE", "yes")

Columns = dict[str, pa.Array]
Mask = npt.NDArray[np.bool_]


def read_csv(path: Path, label_file: str) -> LabelSet:
    """One CSV file with a header as a label set.

    A row is a box: `filename,xmin,ymin,xmax,ymax,class`, or `x,y,width,height`, under any of their usual names and in any
    order; a row without numbers names a picture without objects. Beside our own `annotations.csv` its `images.csv` and
    `categories.csv` are read too. Where all numbers of a file lie between 0 and 1, they are fractions of the picture's size,
    and a loss says so. Columns that are not known are kept as attributes.

    Raises:
        LabelError: the file has no header that says where boxes are, or is not CSV in UTF-8.
    """
    layout = layout_of(header_of(path), path)
    reader = _Reader(path, label_file, layout)
    for table in _batches(path, layout, reader):
        reader.add(table)
    return reader.label_set()


def _batches(path: Path, layout: CsvLayout, reader: _Reader) -> Iterator[pa.Table]:
    options = arrow_csv.ConvertOptions(
        column_types=dict.fromkeys(layout.header, pa.string()), strings_can_be_null=False
    )
    parse = arrow_csv.ParseOptions(
        delimiter=layout.delimiter, newlines_in_values=True, invalid_row_handler=reader.wrong_length
    )
    read = arrow_csv.ReadOptions(
        use_threads=False, block_size=_BLOCK, column_names=layout.header, skip_rows=1
    )
    try:
        with arrow_csv.open_csv(path, read, parse, options) as batches:
            for batch in batches:
                yield pa.Table.from_batches([batch])
    except (pa.ArrowInvalid, OSError) as error:
        if "Empty CSV file" not in str(error):
            raise LabelError(f"{path}: not a CSV file in UTF-8 ({error})") from error


@dataclass(frozen=True)
class _Picture:
    number: int
    size: tuple[int | None, int | None]


class _Reader:
    def __init__(self, path: Path, label_file: str, layout: CsvLayout) -> None:
        self._path, self._file, self._layout = path, label_file, layout
        self._rows = LabelRows()
        self._pictures: dict[str, _Picture] = {}
        self._found: dict[str, None] = {}
        self._tables: list[pa.Table] = []
        self._line = 2  # of the next row; the header is the first
        self._fractions = True
        self._is_own = layout.is_own
        self._ids: dict[str, str] = {}
        if self._is_own:
            self._own_pictures()

    def wrong_length(self, row: Any) -> str:
        """Told by the parser of a row that has too few or too many cells."""
        detail = (
            f"{row.actual_columns} cells, the header has {row.expected_columns}: {row.text[:60]}"
        )
        self._rows.lose("invalid", f"{self._file}: a row", detail)
        return "skip"

    def add(self, table: pa.Table) -> None:
        """The next rows of the file."""
        lines = np.arange(self._line, self._line + len(table))
        self._line += len(table)
        cells: Columns = {
            role: self._cells(table, name) for role, name in self._layout.columns.items()
        }
        numbers = {k: _numbers(cells[k]) for k in self._layout.sides}
        sides = np.stack([numbers[k] for k in self._layout.sides], axis=1)
        bare = np.logical_and.reduce([_empty(cells[k]) for k in self._layout.sides])
        boxes = self._layout.boxes(sides)
        named = ~_empty(cells["name"])
        classed = ~_empty(cells["class"])
        good = named & classed & ~bare & np.isfinite(boxes).all(axis=1)
        good &= (boxes[:, 2] > 0) & (boxes[:, 3] > 0)
        images = self._numbers_of(cells, named)
        for row in np.flatnonzero(~good & ~(bare & named)).tolist():
            self._lose(int(lines[row]), bool(named[row]), bool(classed[row]), table.slice(row, 1))
        kept = pa.array(good)
        if good.any():
            self._fractions &= bool((np.abs(sides[good]) <= 1).all())
            self._tables.append(self._rows_of(cells, table, images, boxes, lines).filter(kept))
            for name in pc.unique(cells["class"].filter(kept)).to_pylist():
                self._found.setdefault(name)

    def label_set(self) -> LabelSet:
        """Everything that was read."""
        normalized = self._fractions and bool(self._tables) and not self._is_own
        if normalized:
            detail = "all numbers lie between 0 and 1: read as fractions of the picture's size"
            self._rows.lose("converted", self._file, detail)
        for table in self._tables:
            column = pa.array(np.full(len(table), normalized))
            index = table.schema.get_field_index("normalized")
            self._rows.add_table(table.set_column(index, table.schema.field(index), column))
        return self._rows.label_set(self._categories())

    def _cells(self, table: pa.Table, name: str) -> pa.Array:
        column = pc.utf8_trim_whitespace(table[name].combine_chunks())
        if self._is_own:
            return pc.replace_substring_regex(column, pattern=_NEUTRALISED, replacement=r"\1")
        return column

    def _numbers_of(self, cells: Columns, named: Mask) -> npt.NDArray[np.int64]:
        """The number of each row's picture; -1 where it names none."""
        coded = cells["name"].dictionary_encode()
        codes = coded.indices.to_numpy(zero_copy_only=False)
        _, first = np.unique(codes, return_index=True)
        numbers = np.full(len(coded.dictionary), -1, dtype=np.int64)
        for row in sorted(first.tolist()):
            if named[row]:
                name = coded.dictionary[int(codes[row])].as_py()
                numbers[codes[row]] = self._picture(name, cells, row)
        found: npt.NDArray[np.int64] = numbers[codes]
        return found

    def _picture(self, name: str, cells: Columns, row: int) -> int:
        name = name.replace("\\", "/")
        if name not in self._pictures:
            given = [cells[k][row].as_py() if k in cells else None for k in ("image_width", "image_height")]  # fmt: skip
            size = positive_size(*given)
            split = split_named(cells["split"][row].as_py()) if "split" in cells else None
            number = self._rows.add_image(name, self._file, size=size, split=split)
            self._pictures[name] = _Picture(number, size)
        return self._pictures[name].number

    def _rows_of(
        self,
        cells: Columns,
        table: pa.Table,
        images: npt.NDArray[np.int64],
        boxes: npt.NDArray[np.float64],
        lines: npt.NDArray[np.int64],
    ) -> pa.Table:
        count = len(table)
        columns: dict[str, Any] = {
            "label_image": pa.array(images),
            "category": cells["class"],
            "bbox": pa.StructArray.from_arrays([pa.array(s) for s in boxes.T], fields=list(schemas.BBOX)),
            "iscrowd": pc.is_in(cells["iscrowd"], value_set=pa.array(_TRUE)) if "iscrowd" in cells else pa.array(np.zeros(count, dtype=bool)),
            "origin_ref": pc.binary_join_element_wise(f"{self._file}:", pa.array(lines).cast(pa.string()), ""),
        }  # fmt: skip
        if "score" in cells:
            scores = pa.array(_numbers(cells["score"]), from_pandas=True)
            columns["score"] = scores.cast(pa.float32())
        if "text" in cells:
            columns["text"] = pc.if_else(pc.equal(cells["text"], ""), None, cells["text"])
        if self._layout.rest:
            columns["attributes"] = _attributes(table.select(self._layout.rest))
        schema = schemas.LABEL_ANNOTATIONS
        arrays = [columns.get(f.name) for f in schema]
        filled = [pa.nulls(count, f.type) if a is None else a for a, f in zip(arrays, schema, strict=True)]  # fmt: skip
        return pa.table(filled, schema=schema)

    def _lose(self, line: int, named: bool, classed: bool, row: pa.Table) -> None:
        cells = ",".join(str(c) for c in next(iter(row.to_pylist())).values())
        why = "its box is not four numbers with a width and a height (decimals take a point)"
        if not named or not classed:
            why = "it names no class" if named else "it names no picture"
        self._rows.lose("invalid", f"{self._file}:{line}", f"{why}: {cells[:60]}")

    def _own_pictures(self) -> None:
        """Pictures of our own export: those that were not labelled there are not without objects here."""
        for row in _own_rows(self._path.with_name("images.csv"), ("file_name", "labelled")):
            name = row["file_name"]
            if row["labelled"] in ("false", "False"):
                continue
            number = self._rows.add_image(
                name,
                self._file,
                size=positive_size(row.get("width"), row.get("height")),
                split=row.get("split") or None,
                sha256=row.get("sha256") or None,
            )
            self._pictures[name] = _Picture(number, (None, None))

    def _categories(self) -> list[Category]:
        declared: dict[str, Category] = {}
        if self._is_own:
            for row in _own_rows(self._path.with_name("categories.csv"), ("name",)):
                declared.setdefault(row["name"], Category(row["name"], row.get("supercategory") or ""))  # fmt: skip
        return [*declared.values(), *(Category(n, "") for n in self._found if n not in declared)]


def _own_rows(path: Path, needed: Sequence[str]) -> Iterator[Mapping[str, str]]:
    """Rows of another table of our own export; none where it is not there."""
    if not path.is_file():
        return
    try:
        table = arrow_csv.read_csv(
            path,
            parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(header_of(path), pa.string())
            ),
        )
    except (pa.ArrowInvalid, OSError) as error:
        raise LabelError(f"{path}: not a CSV file in UTF-8 ({error})") from error
    if not {*needed} <= {*table.column_names}:
        return
    for name in table.column_names:
        cells = pc.replace_substring_regex(table[name], pattern=_NEUTRALISED, replacement=r"\1")
        table = table.set_column(table.column_names.index(name), name, cells)
    yield from table.to_pylist()


def _numbers(cells: pa.Array) -> npt.NDArray[np.float64]:
    """Cells as numbers; NaN for what is none."""
    usable = pc.match_substring_regex(cells, _NUMBER)
    return np.asarray(
        pc.if_else(usable, cells, None).cast(pa.float64()).to_numpy(zero_copy_only=False),
        dtype=np.float64,
    )


def _empty(cells: pa.Array) -> Mask:
    return np.asarray(pc.equal(pc.fill_null(cells, ""), "").to_numpy(zero_copy_only=False))


def _attributes(table: pa.Table) -> pa.Array:
    found = [{k: v for k, v in row.items() if v} for row in table.to_pylist()]
    return pa.array([as_json(f) if f else None for f in found], pa.string())
