"""An instance with connections that are kept answers as one without them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml
from postgres_server import PostgresServer, missing

from aion_dagster.resources.instance import embedded_instance
from aion_dagster.resources.kept_connections import kept_connections
from aion_dagster.resources.store import StoreResource

PARTITIONS = "batches"


@dg.asset
def thing() -> int:
    return 1


def test_a_partition_is_found_as_soon_as_it_is_there_and_only_under_its_name(
    tmp_path: Path,
) -> None:
    with embedded_instance(str(tmp_path)) as instance:
        assert not instance.has_dynamic_partition(PARTITIONS, "one")
        instance.add_dynamic_partitions(PARTITIONS, ["one"])
        assert instance.has_dynamic_partition(PARTITIONS, "one")
        assert instance.has_dynamic_partition(PARTITIONS, "one")
        assert not instance.has_dynamic_partition("others", "one")
        assert not instance.has_dynamic_partition(PARTITIONS, "two")


def test_runs_are_there_for_stock_storages_afterwards(tmp_path: Path) -> None:
    with embedded_instance(str(tmp_path)) as instance:
        # More than databases are kept open.
        ids = [dg.materialize([thing], instance=instance).run_id for _ in range(6)]
    stock = dg.DagsterInstance.from_config(str(tmp_path / "dagster"))
    with stock:
        assert {run.run_id for run in stock.get_runs()} == set(ids)
        for run_id in ids:
            kinds = {
                log.dagster_event.event_type for log in stock.all_logs(run_id) if log.dagster_event
            }
            assert dg.DagsterEventType.ASSET_MATERIALIZATION in kinds
            assert dg.DagsterEventType.RUN_SUCCESS in kinds


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A PostgreSQL server that a test may restart."""
    if (reason := missing()) is not None:
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="aion-kept-"))
    try:
        made = PostgresServer(folder)
        made.start()
        yield made
        made.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_postgres_is_connected_once_and_its_restart_costs_nothing(
    server: PostgresServer, tmp_path: Path
) -> None:
    settings = {"storage": {"postgres": {"postgres_url": server.url}}}
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(settings))
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        stock = instance.event_log_storage._engine
        with kept_connections(instance), kept_connections(instance):
            assert dg.materialize([thing], instance=instance).success
            assert instance.event_log_storage._engine.pool.checkedin() == 1
            server.stop()
            server.start()
            assert dg.materialize([thing], instance=instance).success
        assert instance.event_log_storage._engine is stock
        assert len(instance.get_runs()) == 2


def test_a_run_keeps_its_connections_and_gives_them_back(tmp_path: Path) -> None:
    seen = []

    @dg.asset(required_resource_keys={"store"})
    def watched(context) -> None:
        seen.append("_connect" in vars(context.instance.event_log_storage))

    (tmp_path / "home").mkdir()
    with dg.DagsterInstance.from_config(str(tmp_path / "home")) as instance:
        store = StoreResource(uri=str(tmp_path / "store"))
        for _ in range(2):
            dg.materialize([watched], instance=instance, resources={"store": store})
            seen.append("_connect" in vars(instance.event_log_storage))
    assert seen == [True, False, True, False]
