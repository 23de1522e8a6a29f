"""Manifests and table sets: written once, read as written, versions never change."""

from __future__ import annotations

from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aion_dagster import identity
from aion_dagster.errors import StorageError
from aion_dagster.storage.manifests import ManifestStore
from aion_dagster.storage.tablesets import TableSetStore
from aion_dagster.values import Category, FileRef, LabelSet, Loss

REFS = st.lists(
    st.builds(
        FileRef,
        source=st.just("pics"),
        uri=st.text(st.characters(codec="utf-8"), max_size=20),
        name=st.text(st.characters(codec="utf-8"), max_size=20),
        version=st.text(st.characters(codec="ascii"), max_size=5),
        size_bytes=st.integers(0, 2**62),
        modified_at=st.datetimes(
            min_value=datetime(1, 1, 2), max_value=datetime(9999, 1, 1), timezones=st.just(UTC)
        ),
    ),
    max_size=8,
)


@given(refs=REFS)
def test_a_manifest_is_read_back_in_any_order_of_writing(
    tmp_path_factory: pytest.TempPathFactory, refs: list[FileRef]
) -> None:
    store = ManifestStore(tmp_path_factory.mktemp("manifests"))
    key = identity.batch_key("pics", refs)
    store.write(key, refs)
    first = store.path(key).read_bytes()
    store.write(key, list(reversed(refs)))
    assert store.path(key).read_bytes() == first
    order = attrgetter("uri", "version", "name", "size_bytes", "modified_at")
    assert sorted(store.read(key), key=order) == sorted(refs, key=order)
    assert store.digest(key) == identity.manifest_digest(refs)
    assert store.batches() == [key]


def test_a_manifest_never_changes(tmp_path: Path) -> None:
    store = ManifestStore(tmp_path)
    moment = datetime(2024, 1, 1, tzinfo=UTC)
    store.write("k", [FileRef("s", "file:///a", "a", "1", 1, moment)])
    with pytest.raises(StorageError, match="holds other files"):
        store.write("k", [FileRef("s", "file:///b", "b", "1", 1, moment)])
    with pytest.raises(StorageError, match="no manifest"):
        store.read("other")
    store.path("k").write_bytes(b"PAR1")
    with pytest.raises(StorageError, match="cannot be read"):
        store.read("k")
    assert store.delete("k")
    assert not store.delete("k")


def labels(category: str) -> LabelSet:
    empty = LabelSet.empty()
    return LabelSet(
        empty.images, empty.annotations, (Category(category, ""),), (Loss("dropped", "x", "why"),)
    )


def test_a_set_is_read_back_and_its_current_version_is_the_last_written(tmp_path: Path) -> None:
    store = TableSetStore(tmp_path)
    assert store.current("labels/demo") is None
    assert store.versions("labels/demo") == []
    for version in ("v1", "v2"):
        store.write("labels/demo", version, labels(version).tables(), {"n": version})
        tables, info = store.read("labels/demo")
        assert LabelSet.from_tables(tables, info) == labels(version)
        assert info == {"n": version}
    assert store.versions("labels/demo") == ["v1", "v2"]
    store.write("labels/demo", "v1", {}, {})  # known: only becomes current again
    assert store.current("labels/demo") == "v1"
    tables, info = store.read("labels/demo", "v1")
    assert LabelSet.from_tables(tables, info) == labels("v1")
    assert store.names() == ["labels/demo"]


def test_sets_inside_sets_do_not_overwrite_each_other(tmp_path: Path) -> None:
    store = TableSetStore(tmp_path)
    store.write("a/b", "v1", {}, {})
    store.write("a", "v1", {}, {})
    with pytest.raises(StorageError, match="is another set"):
        store.write("a", "b", {}, {})
    assert store.names() == ["a", "a/b"]


@pytest.mark.parametrize("name", ["", "../x", "a//b", ".a", "a/..", "a\nb", "current.json"])
def test_names_that_are_no_names_are_refused(tmp_path: Path, name: str) -> None:
    store = TableSetStore(tmp_path)
    with pytest.raises(StorageError, match="cannot name a set"):
        store.write(name, "v", {}, {})
    with pytest.raises(StorageError, match="cannot name a set"):
        store.write("a", name, {}, {})


def test_a_set_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    store = TableSetStore(tmp_path)
    store.write("a", "v1", {}, {})
    with pytest.raises(StorageError, match="not JSON"):
        store.write("a", "v2", {}, {"x": object()})
    with pytest.raises(StorageError, match="cannot name a table"):
        store.write("a", "v2", {"../x": pa.table({})}, {})
    assert store.current("a") == "v1"
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["current.json", "v1"]


def test_missing_and_damaged_sets_are_named(tmp_path: Path) -> None:
    store = TableSetStore(tmp_path)
    with pytest.raises(StorageError, match="has not been written"):
        store.read("a")
    place = store.write("a", "v1", {"t": pa.table({"x": [1]})}, {})
    with pytest.raises(StorageError, match="no version 'v9'"):
        store.read("a", "v9")
    (place / "t.parquet").write_bytes(b"")
    with pytest.raises(StorageError, match="cannot be read"):
        store.read("a")
    (place.parent / "current.json").write_text("{")
    with pytest.raises(StorageError, match="damaged"):
        store.current("a")
