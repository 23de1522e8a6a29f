"""What is to be erased, and which rows of a table are about it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from aion_dagster.storage.ledger_erasure import FileVersion, content_mark, file_mark
from aion_dagster.storage.ledger_files import fold_name

ID_COLUMNS: Final = ("image_id", "document_id")
_TEXT_COLUMNS: Final = ("subject", "detail")
"""Of loss reports: sentences that name files."""


@dataclass(frozen=True)
class Target:
    """A picture or document with all that may tell of it.

    Attributes:
        sha256s: its contents.
        ids: ids made of these contents, of pictures and documents.
        files: the versions of files that hold them.
        uris: those of their URIs at which nothing else was ever found.
        names: relative and base names that no other file has.
        label_images: numbers of the entries in the current label set that name it.
    """

    sha256s: frozenset[str]
    ids: frozenset[str]
    files: frozenset[FileVersion]
    uris: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    label_images: frozenset[int] = field(default_factory=frozenset)

    @property
    def marks(self) -> set[bytes]:
        """What stands for it when it is gone."""
        return {*map(file_mark, self.files), *map(content_mark, self.sha256s)}

    @property
    def mentions(self) -> frozenset[str]:
        """Texts that tell of it wherever they stand."""
        return self.sha256s | self.ids | self.uris | self.names

    def is_told_by(self, text: str | None) -> bool:
        """Whether a sentence names it."""
        return bool(text) and self._pattern is not None and bool(self._pattern.search(text or ""))

    def filter(self, schema: pa.Schema) -> ds.Expression | None:
        """Which rows of a table may be about it; None where its columns cannot tell. `rows_about` says it exactly."""
        wanted = {
            **dict.fromkeys(ID_COLUMNS, self.ids),
            "sha256": self.sha256s,
            "uri": {f.uri for f in self.files},
        }
        tests = [
            _as_text(column, schema).isin(pa.array(sorted(values), pa.string()))
            for column, values in wanted.items()
            if column in schema.names and values and _is_text(schema.field(column).type)
        ]
        found: ds.Expression | None = None
        for test in tests:
            found = test if found is None else found | test
        return found

    def rows_about(self, table: pa.Table) -> pa.Array:
        """Per row, whether it is about the target."""
        about = pa.array([False] * table.num_rows, pa.bool_())
        wanted = {**dict.fromkeys(ID_COLUMNS, self.ids), "sha256": self.sha256s, "uri": self.uris}
        for column, values in wanted.items():
            if column in table.column_names and _is_text(table.schema.field(column).type):
                texts = table[column].cast(pa.string())
                hit = pc.is_in(texts, pa.array(sorted(values), pa.string()))
                about = pc.or_(about, hit.combine_chunks())
        if {"source", "uri", "version"} <= set(table.column_names):
            places = zip(*(table[c].to_pylist() for c in FileVersion._fields), strict=True)
            about = pc.or_(about, pa.array([place in self.files for place in places], pa.bool_()))
        if set(_TEXT_COLUMNS) <= set(table.column_names):
            texts = zip(*(table[c].to_pylist() for c in _TEXT_COLUMNS), strict=True)
            told = [any(map(self.is_told_by, pair)) for pair in texts]
            about = pc.or_(about, pa.array(told, pa.bool_()))
        return about

    def without(self, table: pa.Table) -> pa.Table | None:
        """The table without it; None where nothing in it is about it."""
        about = self.rows_about(table)
        left = table.filter(pc.invert(about)) if pc.any(about).as_py() else table
        if "group_id" in left.column_names:  # named after a picture of the group
            groups = left["group_id"]
            named = pc.is_in(groups.cast(pa.string()), pa.array(sorted(self.ids), pa.string()))
            if pc.any(named).as_py():
                place = left.schema.get_field_index("group_id")
                blank = pa.scalar(None, groups.type)
                left = left.set_column(
                    place, left.schema.field(place), pc.if_else(named, blank, groups)
                )
        return None if left is table else left

    def without_labels(
        self, tables: Mapping[str, pa.Table], *, is_current: bool
    ) -> dict[str, pa.Table] | None:
        """A label set without what it says of the target; None where it says nothing."""
        entries = tables["images"]
        names = {fold_name(name) for name in self.names}
        columns = (entries[name].to_pylist() for name in ("label_image", "file_name"))
        gone = {
            number
            for number, file, is_named in zip(*columns, self.rows_about(entries), strict=True)
            if is_named.as_py()
            or (is_current and number in self.label_images)
            or fold_name((file or "").replace("\\", "/").rpartition("/")[2]) in names
        }
        result = dict(tables)
        for name in ("images", "annotations"):
            numbers = tables[name]["label_image"]
            kept = pc.invert(pc.is_in(numbers, pa.array(sorted(gone), numbers.type)))
            result[name] = tables[name].filter(kept)
        losses = self.without(tables["losses"]) if "losses" in tables else None
        if losses is not None:
            result["losses"] = losses
        return result if gone or losses is not None else None

    def to_json(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "sha256s": sorted(self.sha256s),
            "ids": sorted(self.ids),
            "files": [list(file) for file in sorted(self.files)],
            "uris": sorted(self.uris),
            "names": sorted(self.names),
            "label_images": sorted(self.label_images),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Target:
        """The reverse of `to_json`."""
        files = frozenset(FileVersion(*each) for each in data["files"])
        rest = {k: frozenset(v) for k, v in data.items() if k != "files"}
        return cls(files=files, **rest)

    @cached_property
    def _pattern(self) -> re.Pattern[str] | None:
        """Finds any of `mentions` as a whole word."""
        words = sorted(self.mentions, key=len, reverse=True)
        if not words:
            return None
        return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, words))})(?!\w)", re.IGNORECASE)


def _as_text(column: str, schema: pa.Schema) -> ds.Expression:
    """A column of texts; row groups are passed over by their statistics only where nothing is cast."""
    field = ds.field(column)
    return field if pa.types.is_string(schema.field(column).type) else field.cast(pa.string())


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )
