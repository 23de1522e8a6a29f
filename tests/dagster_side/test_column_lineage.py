"""Column lineage names columns that there are, in assets that there are."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from aion_dagster import schemas
from aion_dagster.config import DatasetConfig, LibraryConfig
from aion_dagster.definitions import build_definitions
from aion_dagster.near_duplicates_made import INDEX_TABLE, made_near_duplicates
from aion_dagster.resources.lineage import (
    COLUMN_LINEAGE,
    TABLES,
    dataset_lineage,
    export_lineage,
    table_lineage,
)
from aion_dagster.resources.naming import Names
from aion_dagster.storage.store import Store

DATASET = {*schemas.DATASET_IMAGES.names, *schemas.ANNOTATIONS.names}
COLUMNS = {
    **{table: set(schema.names) for table, schema in schemas.TABLES.items()},
    "labels": {*schemas.LABEL_IMAGES.names, *schemas.LABEL_ANNOTATIONS.names},
    "dataset/main": DATASET,
}


@pytest.mark.parametrize("library", ["default", "beach"])
def test_every_column_and_asset_that_lineage_names_is_there(library: str, tmp_path: Path) -> None:
    names = Names(library)
    config = LibraryConfig(
        store=str(tmp_path), name=library, detect=("text", "codes"), datasets=(DatasetConfig(),)
    )
    assets = set(build_definitions(config).resolve_asset_graph().get_all_asset_keys())
    found = {
        **{table: table_lineage(names, table) for table in TABLES},
        "dataset/main": dataset_lineage(names, ["labels", "text", "codes"]),
        "export": export_lineage(names, "main"),
    }
    for table, metadata in found.items():
        for column, deps in metadata[COLUMN_LINEAGE].deps_by_column.items():
            assert table == "export" or column in COLUMNS[table]
            for dep in deps:
                assert dep.asset_key in assets
                assert dep.column_name in COLUMNS[names.asset(dep.asset_key)]
    assert table_lineage(names, "images") == {}


def library_of(hashes: dict[str, str]) -> pa.Table:
    rows = [
        dict.fromkeys(schemas.LIBRARY.names) | {"image_id": i, "phash": h, "width": 2, "height": 3}
        for i, h in hashes.items()
    ]
    return pa.Table.from_pylist(rows, schema=schemas.LIBRARY)


def test_a_store_keeps_the_index_that_spares_comparisons(tmp_path: Path) -> None:
    first = {f"{i:03}": f"{i * 0x0101_0101_0101_0101:016x}" for i in range(1, 200)}
    with Store.open(tmp_path) as store:
        assert made_near_duplicates(store, library_of(first), 4).compared == 199
        grown = first | {"new": first["007"]}
        assert made_near_duplicates(store, library_of(grown), 4).compared == 1
        assert made_near_duplicates(store, library_of(grown), 3).compared == 200
        store.tables.path(INDEX_TABLE).write_bytes(b"damaged")
        assert made_near_duplicates(store, library_of(grown), 3).compared == 200
