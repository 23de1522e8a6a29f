"""Libraries of many batches that were not computed: real ledger rows, partitions, tables and materializations.

One batch is computed; the others are its copies, with names, contents and ids of their own.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from aion_dagster import identity
from aion_dagster.config import LibraryConfig
from aion_dagster.definitions import BATCH_JOB, LIBRARY_JOB, build_definitions
from aion_dagster.planning import Planner, configured_backend, partitioned_assets
from aion_dagster.resources.access import open_store
from aion_dagster.resources.instance import embedded_instance
from aion_dagster.resources.kept_connections import kept_connections
from aion_dagster.resources.naming import Names
from aion_dagster.storage.ledger_tables import BATCHES, BUILDS

SETTINGS = {
    "python_logs": {"python_log_level": "CRITICAL"},
    "telemetry": {"enabled": False},
    "concurrency": {"pools": {"granularity": "run", "default_limit": 4}},
}


@contextmanager
def instance_at(folder: Path, *, postgres: bool) -> Iterator[dg.DagsterInstance]:
    """The embedded instance of the store in a folder, or one on a PostgreSQL server of our own; as the command line has them.

    The server has the store's ledger, too: `AION_LEDGER_URL` is set.
    """
    if not postgres:
        with embedded_instance(str(folder / "store")) as instance:
            yield instance
        return
    import sqlalchemy as sa

    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from postgres_server import postgres_server

    with postgres_server() as url:
        engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for name in ("ledger", "dagster"):
                connection.execute(sa.text(f"CREATE DATABASE {name}"))
        engine.dispose()
        os.environ["AION_LEDGER_URL"] = url.replace("/postgres", "/ledger")
        home = folder / "home"
        home.mkdir(parents=True)
        place = {"postgres_url": url.replace("/postgres", "/dagster")}
        settings = {**SETTINGS, "storage": {"postgres": place}}
        (home / "dagster.yaml").write_text(yaml.safe_dump(settings))
        with dg.DagsterInstance.from_config(str(home)) as instance, kept_connections(instance):
            yield instance


class GrownLibrary:
    """A library with its Dagster instance, whose ticks and runs are made in this process, one after the other."""

    def __init__(
        self, folder: Path, config: Mapping[str, Any], instance: dg.DagsterInstance
    ) -> None:
        """A library whose store is in `folder`; `config` is all about it but the store."""
        self.config = LibraryConfig.parse({"store": str(folder / "store"), **config})
        self.instance = instance
        self.definitions = build_definitions(self.config, quiet=True)
        self.store = open_store(self.config.store, "default")
        self.names = Names()
        self.assets = partitioned_assets(self.config)
        self.cursor: str | None = None
        self._sensor = self.definitions.resolve_sensor_def("new_files")

    def tick(self) -> tuple[float, dg.SensorResult]:
        """Seconds of a tick as the daemon has it evaluated, and its result; partitions and events are stored as asked."""
        begun = time.perf_counter()
        context = dg.build_sensor_context(
            instance_ref=self.instance.get_ref(), definitions=self.definitions, cursor=self.cursor
        )
        result: Any = self._sensor.evaluate_tick(context)
        seconds = time.perf_counter() - begun
        for request in result.dynamic_partitions_requests:
            self.add_partitions(list(request.partition_keys))
        for event in result.asset_events:
            self.instance.report_runless_asset_event(event)
        self.cursor = result.cursor
        return seconds, result

    def add_partitions(self, keys: Iterable[str]) -> None:
        """Let the instance know batches."""
        wanted = list(keys)
        for start in range(0, len(wanted), 1000):
            self.instance.add_dynamic_partitions(
                self.names.partitions_name, wanted[start : start + 1000]
            )

    def run_batch(self, batch: str) -> float:
        """Seconds of a run that makes everything about a batch."""
        return self._run(BATCH_JOB, self.assets, batch)

    def run_whole(self, assets: Iterable[str]) -> float:
        """Seconds of a run of assets over all batches."""
        return self._run(LIBRARY_JOB, assets, None)

    def _run(self, job: str, assets: Iterable[str], batch: str | None) -> float:
        resolved = self.definitions.resolve_job_def(job)
        begun = time.perf_counter()
        result = resolved.execute_in_process(
            instance=self.instance,
            partition_key=batch,
            asset_selection=[self.names.key(a) for a in assets],
        )
        assert result.success
        return time.perf_counter() - begun

    def copy_batch(self, template: str, *, linked: bool = False) -> int:
        """Make every recorded batch without tables a copy of one that was computed; how many there were.

        Tables have the rows of the template, with ids of their own. With `linked` they are the template's files under
        other names: enough where nobody reads them.
        """
        planner = Planner(self.config, self.store, configured_backend(self.config))
        known = self.store.ledger.builds(self.assets[-1])
        fresh = [b.key for b in self.store.ledger.batches() if b.key not in known]
        rows = {asset: self.store.tables.read(asset, batch=template) for asset in self.assets}
        for batch in fresh:
            for asset in self.assets:
                place = Path(str(self.store.tables.path(asset, batch)))
                place.parent.mkdir(parents=True, exist_ok=True)
                if linked and batch != template:
                    place.hardlink_to(Path(str(self.store.tables.path(asset, template))))
                elif not linked:
                    pq.write_table(self._copied(rows[asset], batch), place, compression="zstd")
        self._record(fresh, planner, {a: t.num_rows for a, t in rows.items()})
        self.add_partitions(fresh)
        return len(fresh)

    def pretend(self) -> int:
        """Make every batch without tables one whose tables have no rows; how many there were."""
        template = self.store.ledger.batches()[0].key
        for asset in self.assets:
            empty = self.store.tables.schema(asset).empty_table()
            self.store.tables.write(asset, empty, batch=template)
        return self.copy_batch(template, linked=True)

    def _copied(self, rows: pa.Table, batch: str) -> pa.Table:
        """Rows with the names and contents of another batch, which has one file."""
        names = rows.column_names
        if "image_id" not in names:
            return rows
        sha256 = hashlib.sha256(batch.encode()).hexdigest()
        new = {"image_id": identity.image_id(sha256), "sha256": sha256}
        if {"uri", "version"} <= set(names):
            (file,) = self.store.manifests.read(batch)
            new |= {"source": file.source, "uri": file.uri, "name": file.name}
            new |= {"version": file.version}
        for name, value in new.items():
            if name in names:
                field = rows.schema.field(name)
                column = pa.array([value] * rows.num_rows, field.type)
                rows = rows.set_column(names.index(name), field, column)
        return rows

    def _record(self, batches: list[str], planner: Planner, counts: Mapping[str, int]) -> None:
        """Builds as a run would note them, and the ends of runs."""
        moment = datetime.now(UTC)
        rows = [
            {
                "asset": asset,
                "partition": batch,
                "fingerprint": fingerprint,
                "rows": counts[asset],
                "info": '{"run_id":"0"}',
                "built_at": moment,
            }
            for batch in batches
            for asset, fingerprint in planner.expected(batch).items()
            if asset in self.assets
        ]
        ended = BATCHES.update().where(BATCHES.c.finished_at.is_(None))
        with self.store.ledger._database.write() as connection:
            for start in range(0, len(rows), 5000):
                connection.execute(BUILDS.insert(), rows[start : start + 5000])
            connection.execute(ended.values(started_at=moment, finished_at=moment))

    def materialized(self, assets: Iterable[str] | None = None) -> int:
        """Tell the instance of the tables of every batch, by default of all assets; how many events that took.

        Stored as by `report_runless_asset_event`, which the sensor uses for stores that an instance does not know.
        """
        events = 0
        for asset in self.assets if assets is None else assets:
            key = self.names.key(asset)
            known = self.instance.get_materialized_partitions(key)
            for batch in self.store.ledger.batches():
                if batch.key not in known:
                    event = dg.AssetMaterialization(key, partition=batch.key)
                    self.instance.report_runless_asset_event(event)
                    events += 1
        return events
