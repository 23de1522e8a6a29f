"""Opening a store: where it lies, what it refuses, what it cleans up."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from aion_dagster import identity, schemas
from aion_dagster.errors import ConfigError, StorageError
from aion_dagster.sources import walk
from aion_dagster.storage import BatchRecord, Store
from aion_dagster.storage.store import FOLDERS, MARKER
from aion_dagster.values import FileRef

NOBODY = 65534


@pytest.fixture
def as_ordinary_user() -> Iterator[Path]:
    """A folder that everybody may enter, with the rights of an ordinary user."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        root = os.geteuid() == 0
        if root:
            os.seteuid(NOBODY)
        else:
            Path(name).chmod(0o555)
        try:
            yield Path(name)
        finally:
            if root:
                os.seteuid(0)
            Path(name).chmod(0o755)


def files(*names: str) -> list[FileRef]:
    moment = datetime(2024, 5, 6, tzinfo=UTC)
    return [FileRef("pics", f"file:///p/{n}", n, "1-1", 1, moment) for n in names]


def test_a_store_is_created_and_opened_again(tmp_path: Path) -> None:
    with Store.open(str(tmp_path / "a b")) as store:
        assert store.root == store.home == tmp_path / "a b"
        assert all((store.root / name).is_dir() for name in FOLDERS)
        store.ledger.record_batch(BatchRecord("k", "pics", "d", 0, 0), [])
    with Store.open((tmp_path / "a b").as_uri(), create=False) as again:
        assert [b.key for b in again.ledger.batches()] == ["k"]


def test_libraries_have_places_of_their_own(tmp_path: Path) -> None:
    with Store.open(tmp_path) as one, Store.open(tmp_path, library="archive") as two:
        assert two.root == tmp_path / "archive"
        one.tables.write("library", schemas.LIBRARY.empty_table())
        assert not two.tables.exists("library")


@pytest.mark.parametrize(
    "name", ["tables", "dagster", "../x", "", ".hidden", "a/b", "ledger.sqlite"]
)
def test_names_that_clash_with_the_store_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="library: "):
        Store.open(tmp_path, library=name)


@pytest.mark.parametrize(
    "uri", ["s3://bucket/prefix", "gs://bucket", "file://elsewhere/x", "file://"]
)
def test_places_that_are_not_supported_are_refused(uri: str) -> None:
    with pytest.raises(StorageError, match=uri.split(":")[0]):
        Store.open(uri)


def test_a_missing_store_is_not_created_by_those_who_read(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="There is no store"):
        Store.open(tmp_path / "nothing", create=False)
    assert not (tmp_path / "nothing").exists()


def test_a_newer_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / MARKER).write_text('{"format": 2}')
    for library in ("default", "other"):
        with pytest.raises(StorageError, match="install a newer aion_dagster"):
            Store.open(tmp_path, library=library)


@pytest.mark.parametrize("text", ["", "[]", "{}", "nonsense"])
def test_a_damaged_format_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / MARKER).write_text(text)
    with pytest.raises(StorageError, match=MARKER):
        Store.open(tmp_path)


def test_a_folder_that_cannot_be_written_is_named(as_ordinary_user: Path) -> None:
    with pytest.raises(StorageError, match=f"{as_ordinary_user}.*permission denied"):
        Store.open(as_ordinary_user / "store")


def test_a_store_that_became_read_only_is_named_and_can_be_read(as_ordinary_user: Path) -> None:
    effective = os.geteuid()
    if effective == NOBODY:
        os.seteuid(0)
    else:
        as_ordinary_user.chmod(0o755)
    Store.open(as_ordinary_user).tables.write("library", schemas.LIBRARY.empty_table())
    as_ordinary_user.chmod(0o555)
    os.seteuid(effective)
    with pytest.raises(StorageError, match=f"{as_ordinary_user} cannot be written"):
        Store.open(as_ordinary_user)
    store = Store.open(as_ordinary_user, create=False)
    assert store.tables.read("library").num_rows == 0
    with store.lock(exclusive=False, wait=False):
        pass


def test_leftovers_of_killed_processes_are_swept(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        (store.root / "tables" / "images").mkdir()
        (store.exports.root / "demo").mkdir()
        dead = "999999999-1.0123abcd"
        for place in (
            store.root / "tables" / "images" / f".images.{dead}.tmp",
            store.root / "manifests" / f".b.parquet.{dead}.tmp",
            store.root / f".{MARKER}.{dead}.tmp",
        ):
            place.write_bytes(b"half")
        (store.exports.root / "demo" / f".coco.{dead}.staging").mkdir()
        with store.lock():
            assert store.sweep() == 4
            assert store.sweep() == 0


def test_manifests_that_were_overtaken_are_swept_and_others_stay(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        for group in (files("a"), files("a", "b"), files("b", "c")):
            store.manifests.write(identity.batch_key("pics", group), group)
        group = files("a", "b")
        key = identity.batch_key("pics", group)
        store.ledger.record_batch(
            BatchRecord(key, "pics", identity.manifest_digest(group), 2, 2), group
        )
        assert store.sweep() == 1  # the one of `a` alone; nobody else knows of `c`
        left = {
            frozenset(f.name for f in store.manifests.read(k)) for k in store.manifests.batches()
        }
        assert left == {frozenset("ab"), frozenset("bc")}


def test_sources_know_a_store_by_its_marker() -> None:
    assert walk.STORE_MARKER == MARKER
