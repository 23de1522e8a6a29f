"""An instance with connections that are kept answers as one without them."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from aion_dagster.resources.instance import embedded_instance

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
