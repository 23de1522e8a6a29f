"""Tables: what is written is read, completely or not at all, and the same rows give the same bytes."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aion_dagster import schemas
from aion_dagster.errors import StorageError
from aion_dagster.storage.tables import TableStore

COLORS = schemas.TABLES["visual_features"]
BATCHES = [
    "pics-20240101-aaaaaaaaaaaa",
    "pics-20240102-bbbbbbbbbbbb",
    "scans-20240101-cccccccccccc",
]


def features(ids: list[str]) -> pa.Table:
    count = len(ids)
    columns: dict[str, object] = {"image_id": ids}
    for field in list(COLORS)[1:-1]:
        columns[field.name] = [i / 7 for i in range(count)]
    columns["descriptor"] = [[float(i)] * schemas.DESCRIPTOR_DIMENSIONS for i in range(count)]
    return pa.table(columns, schema=COLORS)


def pictures(count: int, size: int = 1000) -> pa.Table:
    blob = bytes(range(256)) * (size // 256 + 1)
    return pa.table(
        {"image_id": [f"id-{i:05}" for i in range(count)]}
        | {name: [blob[:size]] * count for name in schemas.VARIANTS},
        schema=schemas.VARIANT_ROWS,
    )


def leftovers(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if p.name.startswith(".")]


@pytest.fixture
def tables(tmp_path: Path) -> TableStore:
    return TableStore(tmp_path / "tables")


def test_a_batch_is_read_back_as_it_was_written(tables: TableStore) -> None:
    data = features(["a", "b"])
    written = tables.write("visual_features", data, batch=BATCHES[0])
    assert tables.read("visual_features", batch=BATCHES[0]).equals(data)
    path = tables.root / "visual_features" / f"batch={BATCHES[0]}" / "part.parquet"
    assert (written.uri, written.rows, written.size_bytes) == (
        path.as_uri(),
        2,
        path.stat().st_size,
    )
    assert "batch" not in pq.ParquetFile(path).schema_arrow.names


def test_all_batches_together_name_their_batch_and_can_be_left_out(tables: TableStore) -> None:
    for number, batch in enumerate(BATCHES):
        tables.write("visual_features", features([f"{number}"]), batch=batch)
    whole = tables.read("visual_features")
    assert whole.schema.names[-1] == "batch"
    assert whole.schema.field("batch").type == pa.string()
    assert dict(zip(whole["batch"].to_pylist(), whole["image_id"].to_pylist(), strict=True)) == {
        batch: f"{number}" for number, batch in enumerate(BATCHES)
    }
    rest = tables.dataset("visual_features", exclude=BATCHES[:2])
    assert rest.to_table(columns=["batch"])["batch"].to_pylist() == BATCHES[2:]
    one = tables.dataset("visual_features").count_rows(filter=ds.field("batch") == BATCHES[1])
    assert one == 1


def test_columns_and_pictures_can_be_chosen(tables: TableStore) -> None:
    tables.write("visual_features", features(["a", "b", "c"]), batch=BATCHES[0])
    some = tables.read("visual_features", columns=["batch", "image_id"], image_ids={"c", "a", "z"})
    assert some.to_pylist() == [
        {"batch": BATCHES[0], "image_id": "a"},
        {"batch": BATCHES[0], "image_id": "c"},
    ]


@pytest.mark.parametrize("table", sorted(schemas.TABLES))
def test_every_table_can_be_empty_and_not_written_at_all(tables: TableStore, table: str) -> None:
    partitioned = tables.is_partitioned(table)
    before = tables.dataset(table)
    assert before.count_rows() == 0
    batch = BATCHES[0] if partitioned else None
    tables.write(table, schemas.TABLES[table].empty_table(), batch=batch)
    assert tables.read(table, batch=batch).schema.equals(schemas.TABLES[table])
    assert tables.dataset(table).to_table().schema.equals(before.schema)
    expected = [*schemas.TABLES[table].names, *(["batch"] if partitioned else [])]
    assert before.schema.names == expected


def test_nulls_survive_in_every_table(tables: TableStore) -> None:
    for table, schema in schemas.TABLES.items():
        nulls = pa.table([pa.nulls(3, f.type) for f in schema], schema=schema)
        batch = BATCHES[0] if tables.is_partitioned(table) else None
        tables.write(table, nulls, batch=batch)
        assert tables.read(table, batch=batch).equals(nulls)


def test_what_pandas_makes_of_a_table_is_cast(tables: TableStore) -> None:
    frame = features(["a", "b"]).to_pandas()
    large = pa.Table.from_pandas(frame).set_column(
        0, "image_id", pa.array(["a", "b"], pa.large_string())
    )
    shuffled = large.select(list(reversed(large.column_names)))
    tables.write("visual_features", shuffled, batch=BATCHES[0])
    assert tables.read("visual_features", batch=BATCHES[0]).equals(features(["a", "b"]))
    assert isinstance(frame, pd.DataFrame)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop_columns(["contrast"]), "lacks the column 'contrast'"),
        (lambda t: t.append_column("mood", pa.array(["x"])), "no column 'mood'"),
        (lambda t: t.append_column("batch", pa.array(["x"])), "in the path only"),
        (lambda t: t.append_column("contrast", t["contrast"]), "'contrast' twice"),
        (
            lambda t: t.set_column(1, "sharpness", pa.array(["very"])),
            "'visual_features', column 'sharpness'",
        ),
    ],
)
def test_columns_that_do_not_fit_are_refused(tables: TableStore, change, message: str) -> None:
    with pytest.raises(StorageError, match=message):
        tables.write("visual_features", change(features(["a"])), batch=BATCHES[0])
    assert not tables.exists("visual_features")
    assert leftovers(tables.root) == []


def test_names_that_are_no_table_or_batch_are_refused(tables: TableStore) -> None:
    with pytest.raises(StorageError, match="no table 'nope'"):
        tables.read("nope")
    with pytest.raises(StorageError, match="no batch key"):
        tables.path("images", "../../etc")
    with pytest.raises(StorageError, match="per batch: name the batch"):
        tables.write("images", schemas.IMAGES.empty_table())
    with pytest.raises(StorageError, match="as a whole"):
        tables.write("library", schemas.LIBRARY.empty_table(), batch=BATCHES[0])
    with pytest.raises(StorageError, match="has not been written"):
        tables.read("images", batch=BATCHES[0])
    with pytest.raises(StorageError, match="no column 'color'"):
        tables.read("images", columns=["color"])


def test_a_damaged_file_is_named(tables: TableStore) -> None:
    tables.write("images", schemas.IMAGES.empty_table(), batch=BATCHES[0])
    path = tables.path("images", BATCHES[0])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(StorageError, match="delete it and compute its batch again") as caught:
        tables.read("images", batch=BATCHES[0])
    assert BATCHES[0] in str(caught.value)


@given(pieces=st.lists(st.integers(0, 90), max_size=5))
def test_the_same_rows_give_the_same_bytes_however_they_come(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[int]
) -> None:
    tables = TableStore(tmp_path_factory.mktemp("tables"))
    data = pictures(sum(pieces), size=300)
    whole = tables.write("variants", data, batch=BATCHES[0])
    with tables.writer("variants", batch=BATCHES[1]) as writer:
        start = 0
        for piece in pieces:
            writer.append(data.slice(start, piece))
            start += piece
    assert writer.written.rows == whole.rows == data.num_rows
    one, two = (tables.path("variants", batch) for batch in BATCHES[:2])
    assert one.read_bytes() == two.read_bytes()
    sizes = [
        pq.ParquetFile(one).metadata.row_group(i).num_rows
        for i in range(pq.ParquetFile(one).num_row_groups)
    ]
    assert all(size == 64 for size in sizes[:-1])


def test_a_reader_of_batches_can_be_written(tables: TableStore) -> None:
    data = features([f"{i}" for i in range(100)])
    reader = pa.RecordBatchReader.from_batches(COLORS, data.to_batches(max_chunksize=7))
    assert tables.write("visual_features", reader, batch=BATCHES[0]).rows == 100
    assert tables.read("visual_features", batch=BATCHES[0]).equals(data)


def test_a_failed_writer_leaves_the_old_rows_and_nothing_else(tables: TableStore) -> None:
    tables.write("visual_features", features(["old"]), batch=BATCHES[0])
    with (  # noqa: PT012 - the second piece is what fails
        pytest.raises(StorageError),
        tables.writer("visual_features", batch=BATCHES[0]) as writer,
    ):
        writer.append(features(["new"]))
        writer.append(pictures(1))
    assert tables.read("visual_features", batch=BATCHES[0])["image_id"].to_pylist() == ["old"]
    assert leftovers(tables.root) == []


def test_a_staged_table_appears_with_its_commit(tables: TableStore) -> None:
    with tables.stage("visual_features", batch=BATCHES[0]) as staged:
        staged.append(features(["a"]))
    assert not tables.exists("visual_features", BATCHES[0])
    with pytest.raises(StorageError, match="finished"):
        staged.append(features(["b"]))
    assert staged.commit() == staged.commit() == staged.written
    assert tables.batches("visual_features") == [BATCHES[0]]

    dropped = tables.stage("visual_features", batch=BATCHES[1])
    dropped.append(features(["a"]))
    dropped.discard()
    with pytest.raises(StorageError, match="was discarded"):
        dropped.commit()
    assert tables.batches("visual_features") == [BATCHES[0]]
    assert leftovers(tables.root) == []


def test_deleting_a_batch_removes_its_folder(tables: TableStore) -> None:
    tables.write("visual_features", features(["a"]), batch=BATCHES[0])
    assert tables.delete("visual_features", BATCHES[0])
    assert not tables.delete("visual_features", BATCHES[0])
    assert list((tables.root / "visual_features").iterdir()) == []


def test_batches_without_a_file_are_absent_whatever_their_folder(tables: TableStore) -> None:
    assert tables.absent("visual_features", BATCHES) == set(BATCHES)
    tables.write("visual_features", features(["a"]), batch=BATCHES[0])
    (tables.root / "visual_features" / f"batch={BATCHES[1]}").mkdir()
    assert tables.absent("visual_features", BATCHES[:2]) == {BATCHES[1]}
    assert tables.absent("visual_features", []) == set()


def test_rows_are_taken_by_id_across_batches(tables: TableStore) -> None:
    tables.write("variants", pictures(200), batch=BATCHES[0])
    tables.write("variants", pictures(3), batch=BATCHES[1])
    wanted = {
        BATCHES[1]: {"id-00002"},
        BATCHES[0]: ["id-00199", "id-00064", "id-00000", "nobody"],
        BATCHES[2]: {"id-00000"},
    }
    taken = tables.take_by_id("variants", wanted, ["tiny_64", "batch", "image_id"])
    assert taken.column_names == ["tiny_64", "batch", "image_id"]
    assert list(zip(taken["batch"].to_pylist(), taken["image_id"].to_pylist(), strict=True)) == [
        (BATCHES[0], "id-00000"),
        (BATCHES[0], "id-00064"),
        (BATCHES[0], "id-00199"),
        (BATCHES[1], "id-00002"),
    ]
    assert tables.take_by_id("variants", {}, ["image_id"]).num_rows == 0


def test_a_reader_sees_old_rows_or_new_ones_while_they_are_replaced(tables: TableStore) -> None:
    versions = [features(["old"] * 50), features(["new"] * 70)]
    tables.write("visual_features", versions[0], batch=BATCHES[0])
    seen, done = [], threading.Event()

    def look() -> None:
        while not done.is_set():
            seen.append(tables.read("visual_features", batch=BATCHES[0])["image_id"].to_pylist())

    reader = threading.Thread(target=look)
    reader.start()
    for turn in range(60):
        tables.write("visual_features", versions[turn % 2], batch=BATCHES[0])
    done.set()
    reader.join()
    assert seen
    assert all(ids in (["old"] * 50, ["new"] * 70) for ids in seen)


def test_a_disk_that_is_full_leaves_the_old_rows_and_nothing_half_written(tmp_path: Path) -> None:
    tables = TableStore(tmp_path / "tables")
    tables.write("variants", pictures(2), batch=BATCHES[0])
    code = f"""
import resource, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from test_table_store import BATCHES, pictures
from aion_dagster.errors import StorageError
from aion_dagster.storage.tables import TableStore
tables = TableStore(Path({str(tmp_path / "tables")!r}))
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
for count in (1_000, 60):  # fails while rows are appended, and when the file is finished
    try:
        tables.write("variants", pictures(count), batch=BATCHES[0])
    except StorageError as error:
        print(error)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.count("would exceed the largest size") == 2, ran.stdout
    assert tables.read("variants", batch=BATCHES[0]).equals(pictures(2))
    assert leftovers(tmp_path) == []


def test_a_place_that_is_no_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "tables").write_text("a file")
    with pytest.raises(StorageError, match="tables"):
        TableStore(tmp_path / "tables").write("library", schemas.LIBRARY.empty_table())


def test_other_tools_read_the_layout(tables: TableStore) -> None:
    tables.write("visual_features", features(["a"]), batch=BATCHES[0])
    frame = pd.read_parquet(tables.root / "visual_features")
    assert frame["batch"].astype(str).tolist() == [BATCHES[0]]
