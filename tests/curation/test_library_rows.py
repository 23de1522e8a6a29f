"""The library: each content once, in use where a file holds it now, else superseded or deleted."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from aion_dagster import identity, schemas
from aion_dagster.curation.library import DELETED_FILE, FILE_VERSION, build_library, live_rows

MOMENT = dt.datetime(2026, 5, 6, tzinfo=dt.UTC)


def row(uri: str, version: int, content: str, batch: str, status: str = "ok") -> dict[str, Any]:
    sha = identity.digest(content)
    return dict.fromkeys(schemas.IMAGES.names) | {
        "source": "s",
        "uri": uri,
        "name": uri,
        "version": str(version),
        "image_id": identity.image_id(sha),
        "sha256": sha,
        "status": status,
        "batch": batch,
    }


def library(
    rows: list[dict[str, Any]], current: dict[str, int], deleted: tuple[str, ...] = ()
) -> dict[str, dict[str, Any]]:
    """The library's rows by image id; each row of `rows` is in a batch `b<n>` recorded as the n-th."""
    batches = sorted({r["batch"] for r in rows}, key=lambda b: int(b[1:]))
    images = pa.Table.from_pylist(
        rows, schema=schemas.IMAGES.append(pa.field("batch", pa.string()))
    )
    seen = [{"source": "s", "uri": u, "version": str(v)} for u, v in current.items()]
    gone = [{"source": "s", "uri": u, "deleted_at": MOMENT} for u in deleted]
    made = build_library(
        images,
        {b: int(b[1:]) for b in batches},
        pa.Table.from_pylist(seen, schema=FILE_VERSION),
        pa.Table.from_pylist(gone, schema=DELETED_FILE),
    )
    assert made.table.schema == schemas.LIBRARY
    assert made.deleted == made.table.num_rows - made.table["deleted_at"].null_count
    return {r["image_id"]: r for r in made.table.to_pylist()}


def test_a_content_whose_only_file_is_gone_is_deleted() -> None:
    rows = [row("a", 1, "one", "b1"), row("b", 1, "two", "b1")]
    made = library(rows, {"b": 1}, ("a",))
    assert [r["deleted_at"] for r in made.values() if r["name"] == "a"] == [MOMENT]
    assert [r["superseded_by"] for r in made.values()] == [None, None]


def test_a_content_with_another_file_left_is_in_use_there() -> None:
    made = library([row("a", 1, "one", "b1"), row("b", 1, "one", "b2")], {"b": 1}, ("a",))
    (only,) = made.values()
    assert (only["deleted_at"], only["name"], len(only["locations"])) == (None, "b", 1)


def test_a_content_that_was_overwritten_before_its_file_went_is_deleted_too() -> None:
    made = library([row("a", 1, "one", "b1"), row("a", 2, "two", "b2")], {}, ("a",))
    assert [r["deleted_at"] for r in made.values()] == [MOMENT, MOMENT]


def test_a_content_that_lost_one_place_and_was_overwritten_at_another_is_superseded() -> None:
    rows = [row("a", 1, "one", "b1"), row("z", 1, "one", "b1"), row("z", 2, "two", "b2")]
    made = library(rows, {"z": 2}, ("a",))
    one = made[identity.image_id(identity.digest("one"))]
    assert one["superseded_by"] == identity.image_id(identity.digest("two"))
    assert one["deleted_at"] is None


VERSIONS = st.dictionaries(
    st.sampled_from("abcd"), st.lists(st.sampled_from("vwxyz"), min_size=1, max_size=4), max_size=4
)


@given(VERSIONS, st.data())
def test_exactly_the_contents_of_files_that_are_there_are_in_use(
    versions: dict[str, list[str]], data: st.DataObject
) -> None:
    rows, number = [], 0
    for uri, contents in versions.items():
        for version, content in enumerate(contents):
            number += 1
            rows.append(row(uri, version, content, f"b{number}"))
    deleted = tuple(uri for uri in versions if data.draw(st.booleans()))
    current = {
        uri: data.draw(st.integers(0, len(contents) - 1))
        for uri, contents in versions.items()
        if uri not in deleted
    }
    made = library(rows, current, deleted)
    assert len(made) == len({r["image_id"] for r in rows})
    table = pa.Table.from_pylist(list(made.values()), schema=schemas.LIBRARY)
    live = {r["image_id"] for r in live_rows(table).to_pylist()}
    there = {versions[uri][v] for uri, v in current.items()}
    assert live == {identity.image_id(identity.digest(content)) for content in there}
    for found in made.values():
        assert not (found["superseded_by"] and found["deleted_at"])
        if found["image_id"] in live:
            places = {(p["uri"], int(p["version"])) for p in found["locations"]}
            assert places <= set(current.items())
