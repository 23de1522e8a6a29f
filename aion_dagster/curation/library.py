"""One row per content from the rows per file: locations gathered, old versions marked as superseded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc

from aion_dagster import schemas

FILE_VERSION = pa.schema([(name, pa.string()) for name in ("source", "uri", "version")])
DELETED_FILE = pa.schema(
    [("source", pa.string()), ("uri", pa.string()), schemas.LIBRARY.field("deleted_at")]
)
_SEEN_LAST = 2**40
"""Higher than any number of batches."""


@dataclass(frozen=True)
class LibraryRows:
    """The library, and how many files and contents are not in it."""

    table: pa.Table
    files: int
    files_left_out: Mapping[str, int]
    superseded: int
    deleted: int


def live_rows(library: pa.Table) -> pa.Table:
    """The rows of a library that are in use: neither superseded nor deleted."""
    is_live = pc.and_(pc.is_null(library["superseded_by"]), pc.is_null(library["deleted_at"]))
    return library.filter(is_live)


def build_library(
    images: pa.Table, batch_order: Mapping[str, int], current: pa.Table, deleted: pa.Table
) -> LibraryRows:
    """Gather the files of each content.

    Args:
        images: rows of schema `IMAGES` with a column `batch`, of all batches that may be used.
        batch_order: batch → number that grows with the time it was recorded.
        current: schema `FILE_VERSION`, the version of each file that was seen last. Where its batch has no rows (yet),
            the version in the latest batch counts.
        deleted: schema `DELETED_FILE`, the files that are gone.

    Returns:
        Rows of schema `LIBRARY`, sorted by image_id. A content without a current file is superseded by the content
        that took its place, or deleted where nothing did.
    """
    counts = {row["values"]: row["counts"] for row in pc.value_counts(images["status"]).to_pylist()}
    left_out = {s: n for s, n in sorted(counts.items()) if s != schemas.STATUS_OK}
    rows = images.append_column("order", _orders(images, batch_order, current))
    rows = _with_fate(rows.append_column("newest", _newest(rows)), deleted)
    usable = rows.filter(pc.equal(rows["status"], schemas.STATUS_OK))
    ranked = usable.sort_by(
        [
            ("image_id", "ascending"),
            ("current", "descending"),
            ("is_gone", "ascending"),
            ("source", "ascending"),
            ("name", "ascending"),
            ("order", "descending"),
        ]
    )
    table = _one_per_content(ranked, rows)
    superseded, gone = (
        table.num_rows - table[column].null_count for column in ("superseded_by", "deleted_at")
    )
    return LibraryRows(table, images.num_rows, left_out, superseded, gone)


def _orders(images: pa.Table, batch_order: Mapping[str, int], current: pa.Table) -> pa.Array:
    """Per row the number of its batch, raised above all others for the version that was seen last."""
    keys = pa.array(batch_order.keys(), pa.string())
    numbers = pa.array(batch_order.values(), pa.int64())
    order = numbers.take(pc.index_in(images["batch"].cast(pa.string()), keys))
    mark = current.append_column("raise", pa.array([_SEEN_LAST] * current.num_rows, pa.int64()))
    joined = _in_order(images.select(FILE_VERSION.names), mark, FILE_VERSION.names)
    return pc.add(order, pc.fill_null(joined["raise"], 0))


def _with_fate(rows: pa.Table, deleted: pa.Table) -> pa.Table:
    """Rows with `is_gone` (0 or 1) and `deleted_at` of their file, and `current`: the newest of a file that is there."""
    moments = _in_order(rows.select(["source", "uri"]), deleted, ["source", "uri"])["deleted_at"]
    is_gone = pc.is_valid(moments)
    current = pc.and_(pc.equal(rows["newest"], 1), pc.invert(is_gone))
    return (
        rows.append_column("deleted_at", moments)
        .append_column("is_gone", is_gone.cast(pa.int8()))
        .append_column("current", current.cast(pa.int8()))
    )


def _newest(rows: pa.Table) -> pa.Array:
    """Whether a row has the highest order among the rows of its file (0 or 1)."""
    newest = rows.group_by(["source", "uri"]).aggregate([("order", "max")])
    joined = _in_order(rows.select(["source", "uri", "order"]), newest, ["source", "uri"])
    return pc.equal(joined["order"], joined["order_max"]).cast(pa.int8())


def _in_order(left: pa.Table, right: pa.Table, on: Sequence[str]) -> pa.Table:
    """A left outer join whose rows keep the order of `left`."""
    numbered = left.append_column("row", pa.array(range(left.num_rows), pa.int64()))
    return numbered.join(right, list(on)).sort_by("row")


def _one_per_content(ranked: pa.Table, rows: pa.Table) -> pa.Table:
    """The first row of each content with its current locations; `ranked` has equal contents side by side."""
    ids = ranked["image_id"].combine_chunks()
    first = _run_starts(ids)
    heads = ranked.take(first)
    locations = _locations(ranked, first)
    columns: dict[str, pa.Array | pa.ChunkedArray] = {
        f.name: heads[f.name].cast(f.type) for f in schemas.LIBRARY if f.name in heads.column_names
    }
    columns["locations"] = locations
    columns["superseded_by"] = _successors(heads, rows)
    columns["deleted_at"] = heads["deleted_at"]
    return pa.table({f.name: columns[f.name] for f in schemas.LIBRARY}, schema=schemas.LIBRARY)


def _run_starts(ids: pa.Array) -> pa.Array:
    """Positions where a value differs from the one before."""
    if not len(ids):
        return pa.array([], pa.int64())
    changed = pc.not_equal(ids[1:], ids[:-1])
    mask = pa.concat_arrays([pa.array([True]), changed])
    return pc.indices_nonzero(mask).cast(pa.int64())


def _locations(ranked: pa.Table, first: pa.Array) -> pa.Array:
    """Per content, its current files; all of its old ones where none is current."""
    starts = [*first.to_pylist(), ranked.num_rows]
    current = ranked["current"].to_pylist()
    keep: list[int] = []
    offsets = [0]
    for begin, end in pairwise(starts):
        live = [i for i in range(begin, end) if current[i]]
        keep += live or range(begin, end)
        offsets.append(len(keep))
    chosen = ranked.take(pa.array(keep, pa.int64()))
    place = schemas.LIBRARY.field("locations").type.value_type
    structs = pa.StructArray.from_arrays(
        [chosen[f.name].combine_chunks().cast(f.type) for f in place], fields=list(place)
    )
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), structs)


def _successors(heads: pa.Table, rows: pa.Table) -> pa.Array:
    """For contents whose place holds another one now: which one, if it is a picture."""
    flags = pc.or_(pc.equal(heads["current"], 1), pc.equal(heads["is_gone"], 1)).to_pylist()
    if all(flags):
        return pa.nulls(heads.num_rows, pa.string())
    live = rows.filter(pc.equal(rows["current"], 1))
    places = zip(live["source"].to_pylist(), live["uri"].to_pylist(), strict=True)
    now = dict(zip(places, live["image_id"].to_pylist(), strict=True))
    old = zip(heads["source"].to_pylist(), heads["uri"].to_pylist(), strict=True)
    return pa.array(
        [
            None if flag else (now.get(place) or "unreadable")
            for flag, place in zip(flags, old, strict=True)
        ],
        pa.string(),
    )
