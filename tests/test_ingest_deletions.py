"""Files that are gone from a source: a tombstone at the end of a pass that saw everything, and never otherwise."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from shelf import Shelf, Thing

from aion_dagster.errors import CursorExpiredError, SourceUnavailableError
from aion_dagster.ingest import Ingested, ingest
from aion_dagster.sources import FolderSource, ScanPage
from aion_dagster.storage import Store


def make(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store")


def present(store: Store) -> set[str]:
    return {v.uri.rpartition("/")[2] for v in store.ledger.current_versions()}


def to_the_end(source: Any, store: Store, **limits: Any) -> list[Ingested]:
    done = [ingest(source, store, **limits)]
    while not done[-1].complete:
        done.append(ingest(source, store, cursor=done[-1].cursor, **limits))
    return done


def test_deleted_and_renamed_files_are_gone_and_return_without_a_new_batch(
    tmp_path: Path, store: Store
) -> None:
    pics = tmp_path / "pics"
    make(pics, "a.jpg", "b.jpg", "c.jpg")
    source = FolderSource("pics", pics)
    ingest(source, store)
    (pics / "a.jpg").rename(tmp_path / "aside")
    (pics / "b.jpg").rename(pics / "d.jpg")
    done = ingest(source, store)
    assert (done.files, done.deleted) == (1, 2)
    assert present(store) == {"c.jpg", "d.jpg"}
    (tmp_path / "aside").rename(pics / "a.jpg")
    done = ingest(source, store)
    assert (done.files, done.deleted, done.batches) == (0, 0, ())
    assert present(store) == {"a.jpg", "c.jpg", "d.jpg"}


@pytest.mark.parametrize("limits", [{"deadline": 0.0}, {"max_batches": 1, "batch_files": 2}])
def test_a_pass_in_parts_deletes_at_its_end(
    tmp_path: Path, store: Store, limits: dict[str, Any]
) -> None:
    pics = tmp_path / "pics"
    make(pics, *(f"{i}.jpg" for i in range(9)))
    source = FolderSource("pics", pics, page_files=2)
    to_the_end(source, store, **limits)
    for name in ("0.jpg", "8.jpg"):
        (pics / name).unlink()
    make(pics, "4b.jpg", "4c.jpg", "4d.jpg")
    parts = to_the_end(source, store, **limits)
    assert len(parts) > 1
    assert [part.deleted for part in parts] == [0] * (len(parts) - 1) + [2]
    assert len(present(store)) == 10


def test_what_lies_in_a_folder_that_cannot_be_listed_is_not_deleted(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    pics = tmp_path / "pics"
    make(pics, "a.jpg", "locked/b.jpg", "locked/deep/c.jpg", "lockedtoo/d.jpg")
    source = FolderSource("pics", pics)
    ingest(source, store)
    (pics / "a.jpg").unlink()
    (pics / "lockedtoo" / "d.jpg").unlink()
    scandir = os.scandir

    def refusing(folder: Any) -> Any:
        if os.fsdecode(folder).rstrip("/").endswith("/locked"):
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    make(pics, "new.jpg")
    monkeypatch.setattr(os, "scandir", refusing)
    done = ingest(source, store)
    assert (done.deleted, [p.subject for p in done.problems]) == (2, ["locked"])
    assert present(store) == {"b.jpg", "c.jpg", "new.jpg"}


def test_a_folder_that_is_suddenly_empty_is_reported_and_nothing_is_deleted(
    tmp_path: Path, store: Store
) -> None:
    pics = tmp_path / "pics"
    make(pics, "a.jpg")
    source = FolderSource("pics", pics)
    ingest(source, store)
    (pics / "a.jpg").unlink()
    done = ingest(source, store)
    assert done.deleted == 0
    assert "set may_be_empty" in done.problems[0].detail
    assert present(store) == {"a.jpg"}
    assert ingest(source, store, may_be_empty=True).deleted == 1
    assert ingest(source, store).problems == ()


def shelf(*keys: str, follows: bool = False) -> Shelf:
    made = Shelf("shelf", follows=follows)
    for number, key in enumerate(keys):
        made.put(key, Thing(number, 1, 0))
    return made


def test_an_outage_in_the_middle_of_a_pass_deletes_nothing_and_the_pass_goes_on(
    store: Store,
) -> None:
    source = shelf(*(f"{i}" for i in range(8)))
    to_the_end(source, store)
    source.remove("7")
    first = ingest(source, store, deadline=0.0)
    source.outages = 1
    with pytest.raises(SourceUnavailableError):
        ingest(source, store, cursor=first.cursor)
    assert len(present(store)) == 8
    assert ingest(source, store, cursor=first.cursor).deleted == 1


def test_objects_that_are_there_and_cannot_be_taken_in_are_not_deleted(store: Store) -> None:
    source = shelf("a", "b", "c")
    to_the_end(source, store)
    files = source.scan().files
    source.scan = lambda *_: ScanPage(files[:1], None, present=(files[1].uri, "shelf://new"))
    done = ingest(source, store)
    assert (done.deleted, done.files) == (1, 0)
    assert present(store) == {"a", "b"}


def test_changes_are_followed_after_one_listing(store: Store) -> None:
    source = shelf("a", "b", "c", follows=True)
    to_the_end(source, store)
    source.remove("a")
    source.put("d", Thing(9, 1, 0))
    source.put("b", Thing(10, 1, 0))
    done = ingest(source, store)
    assert (done.scanned, done.files, done.deleted) == (2, 2, 1)
    assert present(store) == {"b", "c", "d"}
    assert ingest(source, store).scanned == 0


def test_a_log_that_was_cut_leads_to_a_full_listing_and_nothing_twice(store: Store) -> None:
    source = shelf("a", "b", "c", follows=True)
    to_the_end(source, store)
    source.remove("a")
    source.put("d", Thing(9, 1, 0))
    source.forgotten = len(source.log)
    with pytest.raises(CursorExpiredError):
        source.scan("log:0")
    done = ingest(source, store)
    assert (done.files, done.deleted, done.complete) == (1, 1, True)
    assert present(store) == {"b", "c", "d"}


def test_a_file_that_a_later_page_says_to_be_gone_is_not_recorded(store: Store) -> None:
    source = shelf(follows=True)
    to_the_end(source, store)
    source.page_files = 1
    source.put("a", Thing(1, 1, 0))
    source.put("b", Thing(2, 1, 0))
    source.before_return = lambda: source.remove("a")
    done = ingest(source, store)
    assert (done.scanned, done.files, done.complete) == (2, 1, True)
    assert present(store) == {"b"}
