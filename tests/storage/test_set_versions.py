"""Versions of table sets have a history, refer to pictures, and can be removed; originals are kept by their bytes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa
import pytest

from aion_dagster.errors import FileChangedError, StorageError
from aion_dagster.storage.originals import OriginalStore
from aion_dagster.storage.tablesets import TableSetStore


def pictures(*names: str) -> dict[str, pa.Table]:
    columns = {"image_id": list(names), "sha256": [f"sha-{n}" for n in names]}
    schema = pa.schema([(c, pa.string()) for c in columns])
    return {"images": pa.table(columns, schema=schema)}


def test_a_history_tells_what_was_written_first_and_after_what(tmp_path: Path) -> None:
    sets = TableSetStore(tmp_path)
    sets.write("dataset/main", "b", pictures("one"), {"run_id": "1"})
    sets.write("dataset/main", "a", pictures("one", "two"), {"run_id": "2"})
    sets.write("dataset/main", "b", pictures("one"), {"run_id": "3"}, renew=True)
    history = sets.history("dataset/main")
    assert [(v.version, v.after, v.is_current) for v in history] == [
        ("b", None, True),
        ("a", "b", False),
    ]
    assert history[0].written_at is not None
    assert sets.facts("dataset/main", "b") == {"run_id": "3"}
    assert sets.read_table("dataset/main", "a", "images", ["sha256"]).num_rows == 2
    with pytest.raises(StorageError, match="no table 'boxes'"):
        sets.read_table("dataset/main", "a", "boxes")


def test_pictures_of_every_kept_version_are_referred_to_until_it_is_removed(tmp_path: Path) -> None:
    sets = TableSetStore(tmp_path)
    sets.write("dataset/main", "v1", pictures("one", "two"), {})
    sets.write("dataset/main", "v2", pictures("two", "three"), {})
    sets.write("dataset/other", "v1", pictures("four"), {})
    sets.write("labels", "v1", pictures("five"), {})

    def referred() -> list[str]:
        ids: list[str] = sets.referenced_pictures()["image_id"].to_pylist()
        return sorted(ids)

    assert referred() == ["four", "one", "three", "two"]
    sets.remove("dataset/main", "v1")
    assert referred() == ["four", "three", "two"]
    assert sets.versions("dataset/main") == ["v2"]
    for version in ("v2", "v1"):
        with pytest.raises(StorageError, match="current one, or none"):
            sets.remove("dataset/main", version)
    assert TableSetStore(tmp_path / "empty").referenced_pictures().num_rows == 0


def test_originals_are_kept_once_and_only_if_their_bytes_are_right(tmp_path: Path) -> None:
    kept = OriginalStore(tmp_path / "media")
    one, two = (hashlib.sha256(b).hexdigest() for b in (b"one", b"two"))
    assert list(kept.kept()) == []
    assert kept.keep(one, lambda: b"one")
    assert not kept.keep(one, lambda: b"never read")
    assert kept.keep(two, lambda: b"two")
    assert kept.read(one) == b"one"
    assert sorted(kept.kept()) == sorted([one, two])
    with pytest.raises(FileChangedError):
        kept.keep("0" * 64, lambda: b"other bytes")
    assert not kept.has("0" * 64)
    assert kept.remove_others([two]) == 1
    assert list(kept.kept()) == [two]
    with pytest.raises(StorageError):
        kept.read(one)
    with pytest.raises(StorageError, match="no SHA-256"):
        kept.path("../../etc/passwd")
