"""The IO managers: tables in and out of the store, as the consumer's annotation asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from pydantic import PrivateAttr

from aion_dagster.errors import StorageError
from aion_dagster.resources.access import hold_store, open_store
from aion_dagster.resources.lineage import table_lineage
from aion_dagster.resources.metadata import table_metadata
from aion_dagster.resources.naming import Names
from aion_dagster.resources.outputs import Built, PerBatch
from aion_dagster.storage.staged import StagedTable, Written
from aion_dagster.storage.store import Store
from aion_dagster.values import Dataset, LabelSet


class _StoreIOManager(dg.ConfigurableIOManager):
    """An IO manager over one library's store; holds the store while a run uses it."""

    uri: str
    library: str = "default"
    _store: Store = PrivateAttr()

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[_StoreIOManager]:
        """Open the store, and keep commands that need it for themselves out while the run lasts."""
        self._store = open_store(self.uri, self.library)
        with hold_store(self._store, context.run.run_id if context.run else None):
            yield self

    def _name(self, key: dg.AssetKey) -> str:
        return Names(self.library).asset(key)


class TableIOManager(_StoreIOManager):
    """Reads and writes the store's Parquet tables, ours and a team's own.

    A consumer annotated `pa.Table` or `pd.DataFrame` gets rows in memory: its own partitions, or all of them where
    it has none. One annotated `ds.Dataset` gets a lazy dataset. Rows of several batches have a column `batch`.

    A producer may return either kind of table, a record batch reader or a dataset. In a run over several partitions
    its rows are split by their column `batch`, which is not stored. An asset that is none of the library's makes a
    table of its key's name with whatever columns it returns.
    """

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Write one table, once per partition, and record what it was built from."""
        table = self._name(context.asset_key)
        keys: list[str | None] = [None]
        if context.has_asset_partitions:
            keys = list(context.asset_partition_keys)
        for batch, built in _by_batch(context, obj, keys).items():
            written, schema = self._write(table, batch, built)
            facts = {
                **table_metadata(schema, written.rows, written.uri, written.size_bytes),
                **table_lineage(Names(self.library), table),
                **built.metadata,
            }
            if len(keys) > 1:
                context.step_context.add_asset_metadata(
                    facts, asset_key=context.asset_key, partition_key=batch
                )
            else:
                context.add_output_metadata(facts)
            self._store.ledger.record_build(
                table,
                batch or "",
                built.fingerprint,
                written.rows,
                {"run_id": context.run_id, **built.info},
            )

    def load_input(self, context: dg.InputContext) -> Any:
        """Rows or a lazy dataset of the upstream table."""
        upstream = context.upstream_output
        key = upstream.asset_key if upstream is not None else context.asset_key
        table = self._name(key)
        wanted = context.dagster_type.typing_type
        step = context.step_context
        own = step.has_partition_key or step.has_partition_key_range
        batches = (
            list(context.asset_partition_keys) if own and context.has_asset_partitions else None
        )
        if wanted is ds.Dataset:
            return self._lazy(table, batches)
        if not context.has_asset_partitions:
            rows = self._store.tables.read(table)
        elif batches is not None and len(batches) == 1:
            rows = self._store.tables.read(table, batch=batches[0])
        else:
            rows = self._lazy(table, batches).to_table()
        return rows.to_pandas() if wanted is pd.DataFrame else rows

    def _lazy(self, table: str, batches: list[str] | None) -> ds.Dataset:
        """`batches` of a table, which must all be there; or everything but batches whose blocking check failed."""
        tables = self._store.tables
        if batches is None:
            blocked = {b.key for b in self._store.ledger.batches("blocked")}
            # A millisecond for each file, though nothing is in it: most batches have no labels.
            return tables.dataset(table, exclude=blocked | self._store.ledger.empty_builds(table))
        missing = sorted(set(batches) - set(tables.batches(table)))
        if missing:
            raise StorageError(
                f"Table {table!r} of batch {missing[0]} ({len(missing)} in all) has not been written:"
                " materialize it first."
            )
        return tables.dataset(table).filter(ds.field("batch").isin(batches))

    def _write(self, table: str, batch: str | None, built: Built) -> tuple[Written, pa.Schema]:
        """Write a table, whose file says what it was made from: a lost ledger is made anew from that."""
        value, facts = built.value, {"fingerprint": built.fingerprint, "info": dict(built.info)}
        if isinstance(value, StagedTable):
            value.note(**facts)
            with value:
                return value.commit(), value.schema
        tables = self._store.tables
        rows = _rows(table, value)
        schema = tables.schema(table) if tables.has_fixed_schema(table) else rows.schema
        parts = rows if isinstance(rows, pa.RecordBatchReader) else [rows]
        with tables.writer(table, batch=batch, schema=schema) as writer:
            writer.note(**facts)
            for part in parts:
                writer.append(
                    pa.Table.from_batches([part]) if isinstance(part, pa.RecordBatch) else part
                )
        return writer.written, schema


def _rows(table: str, value: Any) -> pa.Table | pa.RecordBatchReader:
    """What a producer returned, as Arrow."""
    if isinstance(value, pd.DataFrame):
        return pa.Table.from_pandas(value, preserve_index=False)
    if isinstance(value, ds.Dataset):
        return value.scanner().to_reader()
    if isinstance(value, pa.Table | pa.RecordBatchReader):
        return value
    raise dg.Failure(
        f"{table} returned {type(value).__name__}; a table is returned as pyarrow.Table, pandas.DataFrame,"
        " pyarrow.RecordBatchReader or pyarrow.dataset.Dataset",
        allow_retries=False,
    )


def _by_batch(
    context: dg.OutputContext, obj: Any, keys: list[str | None]
) -> dict[str | None, Built]:
    """What to write for each partition."""
    if isinstance(obj, PerBatch):
        return {batch: built for batch, built in obj.batches.items()}  # noqa: C416 - keys widen to None
    built = obj if isinstance(obj, Built) else Built(obj)
    if keys == [None] or isinstance(built.value, StagedTable):
        return {keys[0]: built}
    name = context.asset_key.to_user_string()
    rows = _rows(name, built.value)
    if "batch" not in rows.schema.names:
        if len(keys) == 1:
            return {keys[0]: replace(built, value=rows)}
        raise dg.Failure(
            f"{name}: a run over several partitions must return a table with a column 'batch', so that its rows can"
            " be split",
            allow_retries=False,
        )
    if isinstance(rows, pa.RecordBatchReader):
        rows = rows.read_all()
    batch = rows["batch"].cast(pa.string())
    strangers = set(batch.unique().to_pylist()) - set(keys)
    if strangers:
        raise dg.Failure(
            f"{name}: returned rows of batch {min(map(str, strangers))}, which this run is not about",
            allow_retries=False,
        )
    rest = rows.drop_columns("batch")
    return {key: replace(built, value=rest.filter(pc.equal(batch, key))) for key in keys}


class TableSetIOManager(_StoreIOManager):
    """Reads and writes sets of tables that belong together: label sets and dataset versions."""

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Write one version and make it the current one."""
        name = self._name(context.asset_key)
        built: Built = obj
        version = built.value.version if isinstance(built.value, Dataset) else built.fingerprint
        # A lost ledger is made anew from what the store tells.
        told = {"fingerprint": built.fingerprint, "run_id": context.run_id}
        info = {**built.value.info(), **told}
        written = self._store.sets.write(name, version, built.value.tables(), info, renew=True)
        context.add_output_metadata({"dagster/uri": str(written), **built.metadata})
        rows = built.value.images.num_rows
        self._store.ledger.record_build(
            name, "", built.fingerprint, rows, {"version": version, "run_id": context.run_id}
        )

    def load_input(self, context: dg.InputContext) -> Any:
        """The current version; an empty label set where no labels were ever imported."""
        upstream = context.upstream_output
        name = self._name(upstream.asset_key if upstream is not None else context.asset_key)
        wanted = context.dagster_type.typing_type
        if wanted is LabelSet and self._store.sets.current(name) is None:
            return LabelSet.empty()
        tables, info = self._store.sets.read(name)
        return (LabelSet if wanted is LabelSet else Dataset).from_tables(tables, info)
