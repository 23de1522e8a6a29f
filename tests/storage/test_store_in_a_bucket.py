"""A store in a bucket: the same tables, sets, manifests and exports as on disk, over real HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import boto3
import pyarrow as pa
import pytest

from aion_dagster import identity, schemas
from aion_dagster.errors import StorageError
from aion_dagster.storage.bucket import BucketPath
from aion_dagster.storage.store import Store
from aion_dagster.values import FileRef

BATCHES = ("pics-20260101-0123456789ab", "pics-20260102-0123456789ab")


@pytest.fixture
def store(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("AION_LOCAL", str(tmp_path / "local"))
    return Store.open(f"s3://{bucket}/some/library")


def keys(bucket: str) -> list[str]:
    found = boto3.client("s3").list_objects_v2(Bucket=bucket).get("Contents", [])
    return [item["Key"] for item in found]


def features(*image_ids: str) -> pa.Table:
    rows = [dict.fromkeys(schemas.VISUAL_FEATURES.names) | {"image_id": i} for i in image_ids]
    return pa.Table.from_pylist(rows, schema=schemas.VISUAL_FEATURES)


def test_what_is_absent_is_looked_for_what_was_there_is_believed_for_a_while(
    store: Store, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = BATCHES
    store.tables.write("visual_features", features("a"), batch=first)
    assert store.tables.absent("visual_features", BATCHES) == {second}
    store.tables.write("visual_features", features("b"), batch=second)
    assert store.tables.absent("visual_features", BATCHES) == set()
    place = store.tables.path("visual_features", first)
    assert isinstance(place, BucketPath)
    place.unlink()  # as somebody else would
    assert store.tables.absent("visual_features", BATCHES) == set()
    monkeypatch.setattr("aion_dagster.storage.table_files.LISTED_SECONDS", 0.0)
    assert store.tables.absent("visual_features", BATCHES) == {first}
    monkeypatch.setattr("aion_dagster.storage.table_files.LISTED_SECONDS", 600.0)
    store.tables.delete("visual_features", second)
    assert store.tables.absent("visual_features", BATCHES) == set(BATCHES)


def test_tables_are_written_whole_and_read_lazily_across_batches(store: Store, bucket: str) -> None:
    for batch, ids in zip(BATCHES, (("a", "b"), ("c",)), strict=True):
        written = store.tables.write("visual_features", features(*ids), batch=batch)
        assert (
            written.uri
            == f"s3://{bucket}/some/library/tables/visual_features/batch%3D{batch}/part.parquet"
        )
    assert store.tables.batches("visual_features") == list(BATCHES)
    assert store.tables.exists("visual_features", BATCHES[0])
    assert not store.tables.exists("images", BATCHES[0])
    rows = store.tables.dataset("visual_features").to_table(columns=["image_id", "batch"])
    assert sorted(zip(*rows.to_pydict().values(), strict=True)) == [
        ("a", BATCHES[0]),
        ("b", BATCHES[0]),
        ("c", BATCHES[1]),
    ]
    one = store.tables.read("visual_features", batch=BATCHES[1])
    assert one.schema == schemas.VISUAL_FEATURES
    taken = store.tables.take_by_id("visual_features", {BATCHES[0]: ["b"]}, ["image_id", "batch"])
    assert taken.to_pylist() == [{"image_id": "b", "batch": BATCHES[0]}]
    assert store.tables.delete("visual_features", BATCHES[0])
    assert store.tables.batches("visual_features") == [BATCHES[1]]
    assert list((store.local / "scratch").iterdir()) == []


def test_a_table_that_is_discarded_is_never_seen(store: Store, bucket: str) -> None:
    before = keys(bucket)
    staged = store.tables.stage("visual_features", batch=BATCHES[0])
    staged.append(features("a"))
    staged.finish()
    assert keys(bucket) == before
    staged.discard()
    assert keys(bucket) == before
    assert list((store.local / "scratch").iterdir()) == []


def test_manifests_and_sets_keep_their_versions(store: Store) -> None:
    files = [FileRef("s", "file:///a", "a", "1", 3, datetime(2026, 1, 2, tzinfo=UTC))]
    key = identity.batch_key("s", files)
    store.manifests.write(key, files)
    store.manifests.write(key, files)
    assert store.manifests.read(key) == files
    assert store.manifests.batches() == [key]
    table = pa.table({"x": [1, 2]})
    for version in ("one", "two"):
        store.sets.write("dataset/main", version, {"rows": table}, {"version": version})
    assert store.sets.current("dataset/main") == "two"
    assert store.sets.versions("dataset/main") == ["one", "two"]
    assert store.sets.names() == ["dataset/main"]
    tables, info = store.sets.read("dataset/main", "one")
    assert (tables["rows"], info) == (table, {"version": "one"})
    assert store.manifests.delete(key)
    assert not store.manifests.delete(key)


def test_an_export_is_replaced_by_a_pointer_that_is_written_last(store: Store, bucket: str) -> None:
    for number in range(4):
        staging = store.exports.staging("main", "coco")
        (staging / "images").mkdir()
        (staging / "export.json").write_text(str(number))
        (staging / "images" / "ü 1.jpg").write_bytes(b"picture")
        place = store.exports.publish(staging, "main", "coco")
        assert not staging.exists()
        assert store.exports.place("main", "coco") == place
        assert store.exports.read("main", "coco", "export.json") == str(number).encode()
    assert store.exports.names("main") == ["coco"]
    assert store.exports.place("main", "yolo") is None
    assert store.exports.read("main", "coco", "nothing") is None
    # The one before stays for those who still read it.
    exports = [k for k in keys(bucket) if k.endswith("export.json")]
    assert len(exports) == 2


def test_a_file_that_is_worked_on_locally_reaches_the_other_machine(
    store: Store, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = store.shared_file("index", "words.sqlite")
    assert not here.exists()
    here.path.write_bytes(b"one")
    here.share()
    monkeypatch.setenv("AION_LOCAL", str(tmp_path / "another machine"))
    there = Store.open(store.root.as_uri()).shared_file("index", "words.sqlite")
    assert there.path != here.path
    assert there.fetch().read_bytes() == b"one"
    there.path.write_bytes(b"two")
    there.share()
    assert here.fetch().read_bytes() == b"two"
    assert here.fetch().read_bytes() == b"two"


def test_a_bucket_that_is_not_there_and_keys_that_may_not_are_told(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AION_LOCAL", str(tmp_path))
    with pytest.raises(StorageError, match="no such bucket"):
        Store.open("s3://nobody-has-this-bucket/x")
    with pytest.raises(StorageError, match="There is no store at s3://"):
        Store.open(f"s3://{bucket}/nothing", create=False)
    for wrong in (
        "s3://",
        "s3:///x",
        "s3://key@bucket/x",
        f"s3://{bucket}/a/../b",
        f"s3://{bucket}/a//b",
    ):
        with pytest.raises(StorageError, match="s3://"):
            Store.open(wrong)


def test_paths_of_a_bucket_behave_like_those_of_a_folder(bucket: str) -> None:
    root = BucketPath(bucket, "top")
    (root / "a" / "one.txt").write_bytes(b"1")
    (root / "a" / "b" / "two.txt").write_bytes(b"2")
    (root / "ab.txt").write_bytes(b"3")
    assert [p.name for p in root.iterdir()] == ["a", "ab.txt"]
    assert [p.key for p in (root / "a").files()] == ["top/a/b/two.txt", "top/a/one.txt"]
    assert ((root / "a").is_dir(), (root / "a").is_file(), (root / "c").exists()) == (
        True,
        False,
        False,
    )
    assert ((root / "ab.txt").suffix, (root / "ab.txt").stem) == (".txt", "ab")
    with pytest.raises(FileNotFoundError):
        (root / "none").read_bytes()
    with pytest.raises(FileNotFoundError):
        (root / "none").unlink()
    (root / "none").unlink(missing_ok=True)
    (root / "a").remove_tree()
    assert [p.name for p in root.iterdir()] == ["ab.txt"]


def test_credentials_that_come_later_are_used(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    marker = BucketPath(bucket, "marker")
    with monkeypatch.context() as before:
        before.delenv("AWS_ACCESS_KEY_ID")
        before.delenv("AWS_SECRET_ACCESS_KEY")
        with pytest.raises(StorageError, match="credentials"):
            marker.write_bytes(b"a")
    marker.write_bytes(b"a")
    assert marker.read_bytes() == b"a"
