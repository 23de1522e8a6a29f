"""Tables that a team's own assets write: any name and any columns, which are read from the files."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.dataset as ds

from aion_dagster.errors import StorageError
from aion_dagster.storage.places import Place, address, filesystem

_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}(/[A-Za-z0-9_-]{1,100})*")


def folder_name(table: str) -> str:
    """The folder of a table: its name with a dot for each slash, so that no table lies in another one's folder.

    Raises:
        StorageError: the name has other characters than letters, digits, `_`, `-` and `/`.
    """
    if _NAME.fullmatch(table) is None:
        raise StorageError(
            f"{table!r} cannot be the name of a table: letters, digits, _, - and / are allowed."
        )
    return table.replace("/", ".")


def common_schema(table: str, paths: Sequence[Place]) -> pa.Schema:
    """All columns of some Parquet files, each with a type that holds all of its values; missing ones read as null.

    Raises:
        StorageError: a column's types have nothing in common, or a file is damaged.
    """
    factory = ds.FileSystemDatasetFactory(
        filesystem(paths[0]),
        [address(path) for path in paths],
        ds.ParquetFileFormat(),
        ds.FileSystemFactoryOptions(),
    )
    try:
        # Footers only: 3,000 files in 0.1 s.
        schema: pa.Schema = factory.inspect(promote_options="permissive", fragments=None)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OSError) as error:
        raise StorageError(
            f"The files of table {table!r} in {paths[0].parent.parent} do not fit together: {error}."
            " Write the batches with other columns again."
        ) from error
    return schema.remove_metadata()
