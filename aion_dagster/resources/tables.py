"""The IO managers: tables in and out of the store, as the consumer's annotation asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from pydantic import PrivateAttr

from aion_dagster.resources.access import hold_store, open_store
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
        with hold_store(self._store, context.run_id):
            yield self

    def _name(self, key: dg.AssetKey) -> str:
        return Names(self.library).asset(key)


class TableIOManager(_StoreIOManager):
    """Reads and writes the store's Parquet tables.

    A consumer annotated `pa.Table` or `pd.DataFrame` gets rows in memory: its own partitions, or all of them where
    it has none. One annotated `ds.Dataset` gets a lazy dataset with the partition column `batch`. A producer may
    return either kind of table, or a record batch reader; in a run over several partitions the rows are split by
    their column `batch`.
    """

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Write one table, once per partition, and record what it was built from."""
        table = self._name(context.asset_key)
        keys: list[str | None] = [None]
        if context.has_asset_partitions:
            keys = list(context.asset_partition_keys)
        for batch, built in self._by_batch(context, obj, keys).items():
            written = self._write(table, batch, built.value)
            facts = {
                **table_metadata(
                    self._store.tables.schema(table), written.rows, written.uri, written.size_bytes
                ),
                **built.metadata,
            }
            if len(keys) > 1:
                context.step_context.add_asset_metadata(
                    facts, asset_key=context.asset_key, partition_key=batch
                )
            else:
                context.add_output_metadata(facts)
            self._store.ledger.record_build(
                table, batch or "", built.fingerprint, written.rows, {"run_id": context.run_id}
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
            lazy = self._store.tables.dataset(table, exclude=self._blocked())
            return lazy if batches is None else lazy.filter(ds.field("batch").isin(batches))
        rows = self._rows(table, batches, partitioned=context.has_asset_partitions)
        return rows.to_pandas() if wanted is pd.DataFrame else rows

    def _rows(self, table: str, batches: list[str] | None, *, partitioned: bool) -> pa.Table:
        """The rows of `batches`; of everything where it is None."""
        if not partitioned:
            return self._store.tables.read(table)
        if batches is None:
            return self._store.tables.dataset(table, exclude=self._blocked()).to_table()
        return pa.concat_tables([self._store.tables.read(table, batch=b) for b in batches])

    def _blocked(self) -> set[str]:
        """Batches whose blocking check failed: they stay out of what is made of all batches."""
        return {b.key for b in self._store.ledger.batches("blocked")}

    def _write(self, table: str, batch: str | None, value: Any) -> Written:
        if isinstance(value, StagedTable):
            with value:
                return value.commit()
        if isinstance(value, pd.DataFrame):
            value = pa.Table.from_pandas(value, preserve_index=False)
        return self._store.tables.write(table, value, batch=batch)

    def _by_batch(
        self, context: dg.OutputContext, obj: Any, keys: list[str | None]
    ) -> dict[str | None, Built]:
        """What to write for each partition."""
        if isinstance(obj, PerBatch):
            return {batch: built for batch, built in obj.batches.items()}  # noqa: C416 - keys widen to None
        built = obj if isinstance(obj, Built) else Built(obj)
        if len(keys) == 1:
            return {keys[0]: built}
        value = built.value
        rows = (
            pa.Table.from_pandas(value, preserve_index=False)
            if isinstance(value, pd.DataFrame)
            else value
        )
        if not isinstance(rows, pa.Table) or "batch" not in rows.column_names:
            raise dg.Failure(
                f"{context.asset_key.to_user_string()}: a run over several partitions must return a table with a "
                "column 'batch', so that its rows can be split",
                allow_retries=False,
            )
        return {
            key: Built(
                rows.filter(pc.equal(rows["batch"], key)).drop_columns("batch"),
                built.fingerprint,
                built.metadata,
            )
            for key in keys
        }


class TableSetIOManager(_StoreIOManager):
    """Reads and writes sets of tables that belong together: label sets and dataset versions."""

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Write one version and make it the current one."""
        name = self._name(context.asset_key)
        built: Built = obj
        version = built.value.version if isinstance(built.value, Dataset) else built.fingerprint
        written = self._store.sets.write(
            name, version, built.value.tables(), built.value.info(), renew=True
        )
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
