"""Files as their sources have them: found by URI, path or name, whatever became of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote_from_bytes

import pyarrow.compute as pc
import pyarrow.dataset as ds

from aion_dagster.storage.store import Store

_STATUS: Final = {"images": "status", "documents": "text_extraction_status"}
"""Tables with a row per file → the column that says what became of it."""


@dataclass(frozen=True)
class SourceFile:
    """The current version of a file, or the last one of a file that is gone; `image_id` None where no bytes were taken for a picture."""

    source: str
    uri: str
    name: str
    version: str
    batch: str
    status: str
    error: str | None
    image_id: str | None

    def plain(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)


def uri_of(what: str) -> str:
    """A path of this machine as sources name it; a URI as it is."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", what):
        return what
    path = Path(what).expanduser().absolute()
    return "file://" + quote_from_bytes(bytes(path))


def files_called(store: Store, asked: str) -> list[SourceFile]:
    """The files at a URI or path; else those with this name in their source; else those whose name ends with it."""
    name = ds.field("name")
    for test in (
        ds.field("uri") == uri_of(asked),
        name == asked,
        pc.ends_with(name, pattern=f"/{asked}"),
    ):
        versions: dict[tuple[str, str], list[SourceFile]] = {}
        for file in _rows(store, test):
            versions.setdefault((file.source, file.uri), []).append(file)
        if versions:
            return [_latest(store, each) for _, each in sorted(versions.items())]
    return []


def _rows(store: Store, test: pc.Expression) -> Iterator[SourceFile]:
    for table, status in _STATUS.items():
        if not store.tables.exists(table):
            continue
        columns = ["source", "uri", "name", "version", "batch", "error", status]
        columns += ["image_id"] if table == "images" else []
        rows = store.tables.dataset(table).to_table(columns=columns, filter=test)
        for row in rows.to_pylist():
            told = row.pop(status) or "unknown"
            yield SourceFile(**{"image_id": None, **row, "status": told})


def _latest(store: Store, versions: list[SourceFile]) -> SourceFile:
    first = versions[0]
    known = store.ledger.known_files(first.source, [first.uri]).get(first.uri, [])
    order = {k.version: (k.is_current, k.id) for k in known}
    return max(versions, key=lambda file: order.get(file.version, (False, -1)))
