"""Erasing from what a store holds beside its own tables: a team's tables, results of pipelines, labels, old versions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from aion_dagster import schemas
from aion_dagster.identity import image_id
from aion_dagster.storage.erasing import erase
from aion_dagster.storage.erasure_found import Found, find
from aion_dagster.storage.erasure_target import Target
from aion_dagster.storage.ledger_erasure import FileVersion
from aion_dagster.storage.originals import OriginalStore
from aion_dagster.storage.store import Store
from aion_dagster.values import LabelSet, Loss, losses_table

SHA, OTHER = "ab" * 32, "cd" * 32
ID, KEPT = image_id(SHA), image_id(OTHER)
URI = "file:///x/the%20bride.jpg"
BATCH = "pics-20260101-0123456789ab"
TARGET = Target(
    sha256s=frozenset({SHA}),
    ids=frozenset({ID}),
    files=frozenset({FileVersion("pics", URI, "1")}),
    uris=frozenset({URI}),
    names=frozenset({"the bride.jpg"}),
    label_images=frozenset({7}),
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as opened:
        yield opened


def rows(schema: pa.Schema, *given: Mapping[str, object]) -> pa.Table:
    return pa.Table.from_pylist([{**dict.fromkeys(schema.names), **row} for row in given], schema)


def erased(store: Store) -> Found:
    """What was found, after it was erased and nothing is found any more."""
    found = find(store, TARGET)
    erase(store, TARGET, found)
    erase(store, TARGET, found)  # as after a kill
    assert not find(store, TARGET)
    return found


def test_a_team_s_own_tables_lose_their_rows(store: Store) -> None:
    dictionary = pa.array([ID, KEPT]).dictionary_encode()
    whole = pa.table({"image_id": dictionary, "grade": [1, 2]})
    parted = pa.table({"sha256": [OTHER, SHA], "note": ["a", "b"]})
    unrelated = pa.table({"n": [1, 2]})
    store.tables.write("team/grades", whole, schema=whole.schema)
    store.tables.write("team/notes", parted, batch=BATCH, schema=parted.schema)
    store.tables.write("team/sums", unrelated, schema=unrelated.schema)
    assert erased(store).tables == {("team/grades", ""), ("team/notes", BATCH)}
    assert store.tables.read("team/grades")["grade"].to_pylist() == [2]
    assert store.tables.read("team/notes", batch=BATCH)["note"].to_pylist() == ["a"]
    assert store.tables.read("team/sums").num_rows == 2


def test_a_version_at_a_place_goes_and_another_one_stays(store: Store) -> None:
    versions = [
        {"source": "pics", "uri": URI, "version": v, "image_id": i}
        for v, i in (("1", None), ("2", KEPT))
    ]
    store.tables.write("images", rows(schemas.IMAGES, *versions), batch=BATCH)
    target = Target(TARGET.sha256s, TARGET.ids, TARGET.files)
    found = find(store, target)
    erase(store, target, found)
    assert store.tables.read("images", batch=BATCH)["version"].to_pylist() == ["2"]


def test_results_of_pipelines_and_their_reports_go_as_a_whole(store: Store) -> None:
    items = pa.table({"id": [KEPT, ID]})
    others = pa.table({"id": [KEPT]})
    words = pa.table({"text": ["A veil."], "sources": [[{"kind": "image", "id": ID}]]})
    store.sets.write("pipeline/weddings/find", "v1", {"items": items}, {})
    store.sets.write("pipeline/weddings/find", "v2", {"items": others}, {})
    store.sets.write("pipeline/weddings/tell", "v1", {"items": others, "sentences": words}, {})
    reports = store.local / "reports" / "pipeline" / "weddings"
    reports.mkdir(parents=True)
    (reports / "tell.md").write_text("A veil.")
    (reports / "plan.md").write_text("Move the bride.jpg to album 3")
    (reports / "other.md").write_text("Move the bridegroom.jpg to album 3")
    found = erased(store)
    assert found.derived == {("pipeline/weddings/find", "v1"), ("pipeline/weddings/tell", "v1")}
    assert sorted(p.name for p in reports.iterdir()) == ["other.md"]
    assert store.sets.current("pipeline/weddings/find") == "v2"
    assert store.sets.names() == ["pipeline/weddings/find"]


def test_labels_lose_the_entries_that_name_it(store: Store) -> None:
    entries = rows(
        schemas.LABEL_IMAGES,
        {"label_image": 1, "file_name": "train\\THE bride.jpg"},
        {"label_image": 2, "file_name": "the bridegroom.jpg"},
        {"label_image": 3, "file_name": "7741.jpg", "sha256": SHA},
        {"label_image": 7, "file_name": "matched by hand"},
    )
    boxes = rows(schemas.LABEL_ANNOTATIONS, *({"label_image": n} for n in (1, 2, 3, 7, 7)))
    losses = (Loss("clipped", "train/the bride.jpg", "box 3"), Loss("clipped", "b.jpg", "box 1"))
    labels = LabelSet(entries, boxes, (), losses)
    store.sets.write("labels", "old", labels.tables(), labels.info())
    store.sets.write("labels", "new", labels.tables(), labels.info())
    erased(store)
    assert store.sets.versions("labels") == ["new"]
    left = LabelSet.from_tables(*store.sets.read("labels"))
    assert left.images["label_image"].to_pylist() == [2]
    assert left.annotations["label_image"].to_pylist() == [2]
    assert [loss.subject for loss in left.losses] == ["b.jpg"]


def test_of_datasets_the_current_version_is_shortened_and_older_ones_go(store: Store) -> None:
    images = rows(
        schemas.DATASET_IMAGES,
        {"image_id": ID, "split": "train", "group_id": ID},
        {"image_id": KEPT, "split": "val", "group_id": ID},
    )
    tables = {"images": images, "losses": losses_table([Loss("dropped", ID, "too small")])}
    for version in ("v1", "v2"):
        store.sets.write("dataset/main", version, tables, {"name": "main"})
    store.sets.write("dataset/other", "v1", {"images": images.slice(1).drop(["group_id"])}, {})
    for dataset in ("main", "other"):
        staging = store.exports.staging(dataset, "csv")
        (staging / "images.csv").write_text(dataset)
        store.exports.publish(staging, dataset, "csv")
        build = {"version": {"main": "v2", "other": "v1"}[dataset]}
        store.ledger.record_build(f"dataset/{dataset}/csv", "", "f", 1, build)
    found = erased(store)
    assert found.sets == {("dataset/main", "v1"), ("dataset/main", "v2")}
    assert found.exports == {("main", "csv")}
    left, info = store.sets.read("dataset/main")
    (row,) = left["images"].to_pylist()
    assert (row["image_id"], row["split"], row["group_id"]) == (KEPT, "val", None)
    assert left["losses"].num_rows == 0
    assert info == {"name": "main", "erased": 1}
    assert store.sets.versions("dataset/main") == ["v2"]
    assert store.exports.read("other", "csv", "images.csv") == b"other"


def test_the_original_goes_that_was_kept(store: Store) -> None:
    data = b"the bride"
    sha = hashlib.sha256(data).hexdigest()
    kept = OriginalStore(store.root / "media")
    assert kept.keep(sha, lambda: data)
    target = replace(TARGET, sha256s=frozenset({sha}))
    found = find(store, target)
    assert found.originals == {sha}
    erase(store, target, found)
    assert list(kept.kept()) == []
    assert not find(store, target)


def test_an_export_of_a_version_that_is_gone_is_not_trusted(store: Store) -> None:
    images = rows(schemas.DATASET_IMAGES, {"image_id": KEPT})
    store.sets.write("dataset/main", "v9", {"images": images}, {})
    staging = store.exports.staging("main", "csv")
    store.exports.publish(staging, "main", "csv")
    store.ledger.record_build("dataset/main/csv", "", "f", 1, {"version": "v3"})
    assert erased(store).exports == {("main", "csv")}
