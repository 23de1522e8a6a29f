"""Ids of the library and of the platform are found both ways, whatever batch they stand in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from known_library import fill, rows

from aion_dagster import schemas
from aion_dagster.pipelines.remote_ids import NamedThere, RemoteIds
from aion_dagster.pipelines.results import Item
from aion_dagster.storage.store import Store

LATER = "office-20260102-000000000000"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Four pictures and two documents at the platform; one of the pictures came there anew with a later batch."""
    with Store.open(tmp_path / "store") as opened:
        fill(opened, remote=True)
        again = [
            {"image_id": "tree-1", "remote_id": "anew-tree-1", "status": "completed"},
            {"image_id": "tree-9", "remote_id": None, "status": "failed"},
        ]
        opened.tables.write("uploads", rows(schemas.UPLOADS, again), batch=LATER)
        yield opened


def test_things_of_the_library_have_the_ids_that_the_platform_gave_last(store: Store) -> None:
    things = [
        Item("image", "pole-1"),
        Item("image", "tree-1"),
        Item("document", "lease"),
        Item("image", "tree-9"),
        Item("document", "pole-1"),
        Item("image", None, "elsewhere"),
        Item("chunk", "lease-0"),
    ]
    assert RemoteIds(store).remotes(things) == [
        "remote-pole-1",
        "anew-tree-1",
        "remote-lease",
        None,
        None,
        "elsewhere",
        None,
    ]


def test_what_the_platform_names_has_the_library_s_id_where_that_knows_it(store: Store) -> None:
    found = RemoteIds(store).items(
        [
            NamedThere("document", "remote-lease", facts={"name": "0f3a-Lease.pdf"}),
            NamedThere("image", "anew-tree-1"),
            NamedThere("image", "stranger"),
            NamedThere("chunk", "c1", "remote-records", {"score": 0.5}),
            NamedThere("chunk", "c2", "unknown"),
            NamedThere("link", "l1"),
        ]
    )
    assert found == [
        Item("document", "lease", "remote-lease", "Lease.pdf"),
        Item("image", "tree-1", "anew-tree-1", "a/tree.jpg", text="An old oak stands in a field."),
        Item("image", None, "stranger"),
        Item("chunk", "c1", "c1", "records.txt", score=0.5, part_of="records"),
        Item("chunk", "c2", "c2", part_of="unknown"),
        Item("link", "l1", "l1"),
    ]


def test_ids_are_found_by_how_they_begin(store: Store) -> None:
    ids = RemoteIds(store)
    assert ids.beginning("image", ["remote-po", "anew"]) == [
        "remote-pole-1",
        "remote-pole-2",
        "anew-tree-1",
    ]
    assert ids.beginning("document", ["remote-po"]) == []
    assert ids.beginning("image", []) == []


def test_nothing_is_known_before_anything_was_sent(tmp_path: Path) -> None:
    with Store.open(tmp_path / "empty") as empty:
        ids = RemoteIds(empty)
        assert ids.remotes([Item("image", "a"), Item("document", "b")]) == [None, None]
        assert ids.owns("image", ["r"]) == {}
        assert ids.beginning("image", ["r"]) == []
