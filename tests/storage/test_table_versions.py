"""Tables of other versions of the schemas: older ones become today's, whatever dies meanwhile; newer ones are refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aion_dagster import schemas
from aion_dagster.errors import StorageError
from aion_dagster.storage import Store
from aion_dagster.storage.parquet import read_footer
from aion_dagster.storage.store import MARKER
from aion_dagster.storage.table_versions import bring_up_to_date

TABLE = "visual_features"
BATCHES = ("pics-20260101-aaaaaaaaaaaa", "pics-20260102-bbbbbbbbbbbb")

LATER = """
import sys
import pyarrow as pa
from aion_dagster import schemas
schemas.VERSION = 2
from aion_dagster.storage import Store, table_versions

def doubled(rows):
    return rows.set_column(1, "sharpness", pa.compute.multiply(rows["sharpness"], pa.scalar(2.0, pa.float32())))

table_versions.STEPS[2] = {"visual_features": doubled}
Store.open(sys.argv[1], create=sys.argv[2] == "create")
"""


def rows(names: list[str]) -> pa.Table:
    vector = np.zeros(schemas.DESCRIPTOR_DIMENSIONS, np.float32)
    return pa.Table.from_pylist(
        [{"image_id": n, "sharpness": 1.5, "descriptor": vector} for n in names],
        schemas.VISUAL_FEATURES,
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with the features of two batches."""
    opened = Store.open(tmp_path / "store")
    for number, batch in enumerate(BATCHES):
        with opened.tables.writer(TABLE, batch=batch) as writer:
            writer.note(fingerprint=f"print {number}")
            writer.append(rows([f"{batch}/{i}" for i in range(3)]))
    return opened


def sharpness(store: Store) -> list[float]:
    found: list[float] = store.tables.read(TABLE)["sharpness"].to_pylist()
    return found


def later(store: Store, how: str) -> subprocess.CompletedProcess[str]:
    """Open the store with a version of the package that is not there yet."""
    command = [sys.executable, "-c", LATER, str(store.root), how]
    return subprocess.run(command, capture_output=True, text=True)


def test_a_later_version_writes_older_tables_anew_and_this_one_refuses_them(store: Store) -> None:
    assert "bring them up to date with" in later(store, "read").stderr
    assert sharpness(store) == [1.5] * 6
    for _ in range(2):
        assert later(store, "create").returncode == 0
        assert sharpness(store) == [3.0] * 6
    footer = read_footer(store.tables.path(TABLE, BATCHES[1]))
    assert footer.facts == {"schema": 2, "fingerprint": "print 1"}
    assert json.loads((store.root / MARKER).read_bytes()) == {"format": 1, "tables": 2}
    for create in (True, False):
        with pytest.raises(
            StorageError, match=r"format 2 of its tables, this version knows 1.*newer"
        ):
            Store.open(str(store.root), create=create)


def test_a_store_without_a_version_of_its_tables_has_the_first(store: Store) -> None:
    (store.root / MARKER).write_text('{"format": 1}')
    assert sharpness(Store.open(str(store.root), create=False)) == [1.5] * 6


def test_a_migration_that_died_is_finished_and_nothing_is_changed_twice(store: Store) -> None:
    died: list[int] = []

    def dying(found: pa.Table) -> pa.Table:
        if len(died) == 1:
            raise KeyboardInterrupt
        died.append(1)
        return doubled(found)

    with pytest.raises(KeyboardInterrupt):
        bring_up_to_date(store.tables, steps={2: {TABLE: dying}}, version=2)
    assert sharpness(store) == [3.0] * 3 + [1.5] * 3
    assert bring_up_to_date(store.tables, steps={2: {TABLE: doubled}}, version=2) == 1
    assert sharpness(store) == [3.0] * 6


def doubled(found: pa.Table) -> pa.Table:
    twice = [2 * value for value in found["sharpness"].to_pylist()]
    return found.set_column(1, "sharpness", pa.array(twice, pa.float32()))


def test_columns_that_came_later_and_wider_types_need_no_migration(store: Store) -> None:
    path = store.tables.path(TABLE, BATCHES[0])
    narrow = pq.read_table(path).drop_columns(["contrast", "descriptor"])
    older = narrow.set_column(1, "sharpness", pa.array([1, 2, 3], pa.int8()))
    pq.write_table(older.replace_schema_metadata(None), path)
    found = store.tables.read(TABLE, batch=BATCHES[0])
    assert found.schema == schemas.VISUAL_FEATURES
    assert found["sharpness"].to_pylist() == [1.0, 2.0, 3.0]
    assert found["descriptor"].null_count == 3
    ids = {BATCHES[0]: {f"{BATCHES[0]}/1"}}
    taken = store.tables.take_by_id(TABLE, ids, schemas.VISUAL_FEATURES.names)
    assert taken.schema == schemas.VISUAL_FEATURES
    assert taken["sharpness"].to_pylist() == [2.0]
