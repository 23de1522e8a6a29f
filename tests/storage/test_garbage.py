"""Garbage of a store: whatever is referred to stays, whatever nothing refers to and is old goes."""

from __future__ import annotations

import hashlib
import os
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import boto3
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aion_dagster import schemas
from aion_dagster.identity import batch_key, manifest_digest
from aion_dagster.storage import process
from aion_dagster.storage.garbage import Garbage, find_garbage, remove_garbage
from aion_dagster.storage.ledger_records import BatchRecord
from aion_dagster.storage.originals import OriginalStore
from aion_dagster.storage.places import Place
from aion_dagster.storage.store import Store
from aion_dagster.values import FileRef

DAY = timedelta(days=1)
LONG_AGO = 1_600_000_000
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
DEAD = "999999-1"
"""The identity of a process that is not there."""


@dataclass(frozen=True)
class Batch:
    """A batch of one file, and who knows of it."""

    tables: frozenset[str]
    recorded: bool
    has_manifest: bool
    in_library: bool
    in_dataset: bool
    is_old: bool

    @property
    def is_referred(self) -> bool:
        return self.recorded or self.has_manifest or self.in_library or self.in_dataset


OURS = ("images", "variants", "descriptions")
BATCHES = st.lists(
    st.builds(
        Batch,
        tables=st.frozensets(st.sampled_from([*OURS, "team/own"]), min_size=1),
        recorded=st.booleans(),
        has_manifest=st.booleans(),
        in_library=st.booleans(),
        in_dataset=st.booleans(),
        is_old=st.booleans(),
    ),
    max_size=6,
)


def file_of(number: int) -> FileRef:
    return FileRef("s", f"file:///x/{number}.jpg", f"{number}.jpg", "1", 9, MOMENT)


def rows(table: str, number: int) -> pa.Table:
    schema = schemas.TABLES.get(table, pa.schema([("n", pa.int64())]))
    row = dict.fromkeys(schema.names) | {"image_id": f"id {number}"}
    return pa.Table.from_pylist([{k: v for k, v in row.items() if k in schema.names}], schema)


def located(schema: pa.Schema, batches: list[str]) -> pa.Table:
    place = dict.fromkeys((f.name for f in schemas.LOCATION), None)
    made = [
        dict.fromkeys(schema.names, None)
        | {"image_id": batch, "locations": [place | {"batch": batch}]}
        for batch in batches
    ]
    return pa.Table.from_pylist(made, schema)


def make(store: Store, batches: list[Batch]) -> dict[str, Batch]:
    """The store that these batches stand for; by key."""
    assert store.ledger.batches() == []  # opened before there is anything, as a first run does
    keys = {batch_key("s", [file_of(n)]): batch for n, batch in enumerate(batches)}
    for number, (key, batch) in enumerate(keys.items()):
        files = [file_of(number)]
        for table in batch.tables:
            data = rows(table, number)
            store.tables.write(table, data, batch=key, schema=data.schema)
        if batch.has_manifest:
            store.manifests.write(key, files)
        if batch.recorded:
            store.ledger.record_batch(BatchRecord(key, "s", manifest_digest(files), 1, 9), files)
        store.ledger.record_results("pass", "p", key, [f"{number:064}"])
    library = [key for key, batch in keys.items() if batch.in_library]
    store.tables.write("library", located(schemas.LIBRARY, library))
    chosen = [key for key, batch in keys.items() if batch.in_dataset]
    images = located(schemas.DATASET_IMAGES, chosen)
    store.sets.write("dataset/main", "v0", {"images": images}, {})
    store.sets.write("dataset/main", "v1", {"images": images.slice(0, 0)}, {})
    return keys


def age(place: Path) -> None:
    """Have a file, or everything below a folder, be from long ago."""
    for path in [place, *place.rglob("*")]:
        os.utime(path, (LONG_AGO, LONG_AGO))


def folders(store: Store) -> set[tuple[str, str]]:
    root = store.tables.root
    assert isinstance(root, Path)
    found = (p.relative_to(root).parts for p in root.glob("*/batch=*/part.parquet"))
    return {(table.replace(".", "/"), name.removeprefix("batch=")) for table, name, _ in found}


@given(batches=BATCHES, interrupted=st.integers(0, 8))
def test_what_is_referred_to_or_young_stays_and_everything_else_goes(
    tmp_path_factory: pytest.TempPathFactory, batches: list[Batch], interrupted: int
) -> None:
    with Store.open(tmp_path_factory.mktemp("store")) as store:
        keys = make(store, batches)
        before = folders(store)
        for key, batch in keys.items():
            for table in batch.tables if batch.is_old else ():
                place = store.tables.path(table, key).parent
                assert isinstance(place, Path)
                age(place)
        # A killed collection leaves the rest to the next one.
        remove_garbage(store, find_garbage(store)[:interrupted])
        found = find_garbage(store)
        remove_garbage(store, found)
        gone = {
            (table, key)
            for key, batch in keys.items()
            if batch.is_old and not batch.is_referred and batch.tables & set(OURS)
            for table in batch.tables
        }
        # A team's own table may be the last that is left of a batch after a killed collection: it is the team's.
        left = {place for place in before - folders(store) if place[0] in OURS}
        assert left == {place for place in gone if place[0] in OURS}
        assert before - folders(store) <= gone
        assert find_garbage(store) == []
        assert set(store.ledger.find_results("pass", "p", [f"{n:064}" for n in range(9)])) >= {
            f"{n:064}" for n, batch in enumerate(batches) if batch.is_referred or not batch.is_old
        }


def test_a_team_s_own_partitions_are_left_alone(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        data = rows("team/own", 1)
        store.tables.write("team/own", data, batch="2026-01-01", schema=data.schema)
        age(tmp_path)
        assert find_garbage(store) == []


@given(
    ages=st.permutations([1, 2, 3, 4, 5]),
    exported=st.sampled_from([None, "v1", "v3"]),
    kept=st.sampled_from([None, 1, 2]),
)
def test_versions_go_only_when_asked_and_never_those_in_use(
    tmp_path_factory: pytest.TempPathFactory,
    ages: list[int],
    exported: str | None,
    kept: int | None,
) -> None:
    with Store.open(tmp_path_factory.mktemp("store")) as store:
        images = located(schemas.DATASET_IMAGES, [])
        for number, days in enumerate(ages):
            place = store.sets.write("dataset/main", f"v{number}", {"images": images}, {})
            assert isinstance(place, Path)
            for path in place.iterdir():
                os.utime(path, (LONG_AGO - days * 86400, LONG_AGO - days * 86400))
        if exported is not None:
            staging = store.exports.staging("main", "coco")
            store.exports.publish(staging, "main", "coco")
            store.ledger.record_build("dataset/main/coco", "", "f", 0, {"version": exported})
        remove_garbage(store, find_garbage(store, keep_versions=kept))
        in_use = {"v4", *([exported] if exported else [])}
        others = sorted((days, f"v{n}") for n, days in enumerate(ages) if f"v{n}" not in in_use)
        stay = in_use | {name for _, name in others[:kept]}
        assert set(store.sets.versions("dataset/main")) == stay
        assert store.sets.current("dataset/main") == "v4"


def test_files_of_dead_processes_go_and_those_of_living_ones_stay(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store") as store:
        make(store, [])
        token = secrets.token_hex(4)
        places = {
            "dead file": tmp_path / f"store/tables/images/.images.{DEAD}.{token}.tmp",
            "dead folder": tmp_path / f"store/exports/main/.coco.{DEAD}.{token}.staging",
            "dead, young": tmp_path / f"store/manifests/.b.{DEAD}.{token}.tmp",
            "living": tmp_path / f"store/tables/images/.images.{process.identity()}.{token}.tmp",
            "another program's": tmp_path / f"store/mine/.images.{DEAD}.{token}.tmp",
        }
        for name, place in places.items():
            place.parent.mkdir(parents=True, exist_ok=True)
            if "folder" in name:
                place.mkdir()
                (place / "picture.jpg").write_bytes(b"x" * 100)
            else:
                place.write_bytes(b"x" * 10)
            if "young" not in name:
                age(place)
        found = find_garbage(store)
        assert {(g.kind, g.files, g.size_bytes) for g in found} == {
            ("leftover", 1, 10),
            ("leftover", 1, 100),
        }
        remove_garbage(store, found)
        assert {name for name, place in places.items() if not place.exists()} == {
            "dead file",
            "dead folder",
        }


def test_originals_stay_as_long_as_a_version_or_the_library_has_them(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        kept = OriginalStore(tmp_path / "media")
        hashes = {}
        for name in ("in the library", "in an old version", "nowhere", "nowhere, young"):
            data = name.encode()
            hashes[name] = hashlib.sha256(data).hexdigest()
            assert kept.keep(hashes[name], partial(bytes, data))
        library = pa.Table.from_pylist(
            [dict.fromkeys(schemas.LIBRARY.names) | {"sha256": hashes["in the library"]}],
            schemas.LIBRARY,
        )
        store.tables.write("library", library)
        for version, name in (("v1", "in an old version"), ("v2", "in the library")):
            store.sets.write(
                "dataset/main", version, {"images": pa.table({"sha256": [hashes[name]]})}, {}
            )
        age(tmp_path / "media")
        os.utime(str(kept.path(hashes["nowhere, young"])))
        remove_garbage(store, found := find_garbage(store))
        assert [(g.kind, g.size_bytes) for g in found] == [("original", len(b"nowhere"))]
        assert set(kept.kept()) == set(hashes.values()) - {hashes["nowhere"]}


def test_manifests_that_others_have_overtaken_go(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        recorded, unknown = [file_of(1), file_of(2)], [file_of(1), file_of(3)]
        batch = BatchRecord("b-1", "s", manifest_digest(recorded), 2, 18)
        store.ledger.record_batch(batch, recorded)
        for key, files in {"b-1": recorded, "b-2": recorded[:1], "b-3": unknown}.items():
            store.manifests.write(key, files)
        age(tmp_path / "manifests")
        remove_garbage(store, find_garbage(store))
        assert store.manifests.batches() == ["b-1", "b-3"]


def by_kind(store: Store, found: list[Garbage]) -> dict[str, list[str]]:
    def below(place: Place) -> str:
        return str(place).removeprefix(f"{store.root}/")

    kinds = sorted({g.kind for g in found})
    return {kind: sorted(below(g.place) for g in found if g.kind == kind) for kind in kinds}


def test_a_store_in_a_bucket(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AION_LOCAL", str(tmp_path / "local"))
    client = boto3.client("s3")
    with Store.open(f"s3://{bucket}/library") as store:
        known = Batch(frozenset(OURS), True, True, False, False, True)
        lost = Batch(frozenset({"variants", "team/own"}), False, False, False, False, True)
        keys = list(make(store, [known, lost]))
        for content in (b"old", b"before", b"now"):
            staging = store.exports.staging("main", "csv")
            (staging / "a.csv").write_bytes(content)
            place = store.exports.publish(staging, "main", "csv")
        (store.exports.root / "main" / "coco" / "half" / "a.json").write_bytes(b"{}")
        (store.sets.root / "dataset" / "main" / "v2" / "images.parquet").write_bytes(b"half")
        original = hashlib.sha256(b"nowhere").hexdigest()
        assert OriginalStore(store.root / "media").keep(original, lambda: b"nowhere")
        client.create_multipart_upload(Bucket=bucket, Key="library/tables/images/x.parquet")
        client.create_multipart_upload(Bucket=bucket, Key="elsewhere")

        # moto dates uploads in parts from 2010, whatever day it is.
        assert {g.kind for g in find_garbage(store)} == {"upload"}
        later = datetime.now(UTC) + 2 * DAY
        found = find_garbage(store, now=later)
        told = by_kind(store, found)
        exports = told.pop("export")
        assert told == {
            "original": [f"media/{original[:2]}/{original}"],
            "set version": ["sets/dataset/main/v2"],
            "table": [f"tables/team.own/batch={keys[1]}", f"tables/variants/batch={keys[1]}"],
            "upload": ["tables/images/x.parquet"],
        }
        assert "exports/main/coco/half" in exports
        assert len(exports) == 2
        assert place.name not in "".join(exports)
        sizes = sorted(g.size_bytes for g in found if g.kind == "export")
        assert sizes in ([len(b"{}"), len(b"old")], [len(b"{}"), len(b"before")])

        remove_garbage(store, found)
        assert find_garbage(store, now=later) == []
        assert store.exports.read("main", "csv", "a.csv") == b"now"
        assert store.tables.exists("variants", keys[0])
        assert store.sets.versions("dataset/main") == ["v0", "v1"]
        left = client.list_multipart_uploads(Bucket=bucket)["Uploads"]
        assert [u["Key"] for u in left] == ["elsewhere"]
