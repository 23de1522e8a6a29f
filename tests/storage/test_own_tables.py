"""Tables of a team's own: any name and columns, beside the store's."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from aion_dagster.errors import StorageError
from aion_dagster.storage.tables import TableStore

ONE, TWO = "pics-20240101-aaaaaaaaaaaa", "pics-20240102-bbbbbbbbbbbb"


@pytest.fixture
def tables(tmp_path: Path) -> TableStore:
    return TableStore(tmp_path / "tables")


def write(tables: TableStore, name: str, data: pa.Table, batch: str | None = None) -> None:
    tables.write(name, data, batch=batch, schema=data.schema)


def test_a_whole_table_is_read_back_as_it_was_written(tables: TableStore) -> None:
    data = pa.table({"image_id": ["a", "b"], "score": [0.5, None], "tags": [["x"], []]})
    write(tables, "scores", data)
    assert tables.read("scores").equals(data)
    assert tables.dataset("scores").to_table().equals(data)
    assert tables.schema("scores").equals(data.schema)
    assert not tables.is_partitioned("scores")


def test_batches_whose_columns_grew_are_read_together(tables: TableStore) -> None:
    first = pa.table({"score": pa.array([1], pa.int32()), "note": pa.array([None], pa.null())})
    write(tables, "scores", first, ONE)
    write(tables, "scores", pa.table({"score": [2.5], "note": ["good"], "more": [True]}), TWO)
    assert tables.read("scores").to_pylist() == [
        {"score": 1.0, "note": None, "more": None, "batch": ONE},
        {"score": 2.5, "note": "good", "more": True, "batch": TWO},
    ]
    assert tables.read("scores", batch=ONE).equals(first)
    assert tables.batches("scores") == [ONE, TWO]


def test_batches_whose_columns_contradict_each_other_are_an_error_that_names_them(
    tables: TableStore,
) -> None:
    write(tables, "scores", pa.table({"score": [1]}), ONE)
    write(tables, "scores", pa.table({"score": ["high"]}), TWO)
    with pytest.raises(StorageError, match=r"'scores'.*score has incompatible types"):
        tables.read("scores")
    assert tables.read("scores", batch=TWO)["score"].to_pylist() == ["high"]


def test_tables_below_each_other_in_name_do_not_mix(tables: TableStore) -> None:
    write(tables, "team", pa.table({"a": [1]}))
    write(tables, "team/scores", pa.table({"b": [2]}))
    assert tables.read("team").to_pylist() == [{"a": 1}]
    assert tables.read("team/scores").to_pylist() == [{"b": 2}]
    assert tables.delete("team")
    assert not tables.exists("team")
    assert tables.exists("team/scores")


def test_a_table_is_written_whole_or_per_batch_but_not_both(tables: TableStore) -> None:
    write(tables, "scores", pa.table({"a": [1]}))
    with pytest.raises(StorageError, match="was written as a whole until now; delete"):
        write(tables, "scores", pa.table({"a": [1]}), ONE)
    write(tables, "marks", pa.table({"a": [1]}), ONE)
    with pytest.raises(StorageError, match="was written per batch until now; delete"):
        write(tables, "marks", pa.table({"a": [1]}))


@pytest.mark.parametrize("name", ["../out", "a//b", ".hidden", "batch=x", "", "a b", "/a"])
def test_names_that_would_leave_the_store_are_refused(tables: TableStore, name: str) -> None:
    with pytest.raises(StorageError, match="cannot be the name of a table"):
        write(tables, name, pa.table({"a": [1]}))
    assert not tables.root.exists() or list(tables.root.rglob("*")) == []


def test_a_table_that_was_never_written_is_no_table(tables: TableStore) -> None:
    assert not tables.exists("scores")
    assert not tables.exists("scores", ONE)
    assert tables.batches("scores") == []
    for attempt in (tables.read, tables.dataset, tables.schema, tables.stage):
        with pytest.raises(StorageError, match="no table 'scores'"):
            attempt("scores")


def test_the_sweep_finds_what_a_killed_writer_of_them_left(tables: TableStore) -> None:
    write(tables, "team/scores", pa.table({"a": [1]}), ONE)
    left = tables.root / "team.scores" / ".team.scores.999999999-1.00c0ffee.tmp"
    left.write_bytes(b"half")
    assert tables.sweep() == 1
    assert not left.exists()
