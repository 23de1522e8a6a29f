"""write_back: tags and titles of a batch's pictures in the remote library, where the library asks for that."""

from typing import Any

import dagster as dg

from aion_dagster.assets.remote import counted, platform
from aion_dagster.assets.workbench import Workbench, final_failures, keys, table_output
from aion_dagster.backends.aionvision_write_back import wanted_of, write_back
from aion_dagster.resources.outputs import Built
from aion_dagster.storage.store import Store


def write_back_asset(bench: Workbench) -> dg.AssetsDefinition:
    """A row per stored picture: what was brought to it."""
    names = bench.names
    config = bench.config.aionvision

    @dg.asset(
        key=names.key("write_back"),
        deps=keys(names, _INPUTS),
        io_manager_key=names.tables,
        description="Tags and titles that were brought into the remote library: only what it lacked.",
        kinds={"parquet"},
        pool=names.pool("write_back"),
        **bench.partitioned,
    )
    def written(context: dg.AssetExecutionContext) -> Any:
        store = bench.store(context)
        built: dict[str, Built] = {}
        with final_failures():
            backend, calls = platform(bench, context)
            planner = bench.planner(context)
            for batch in context.partition_keys:
                wanted = wanted_of(config, *_inputs(store, batch))
                table = write_back(backend, calls, wanted)
                left = table.filter(table["is_retryable"])["image_id"].to_pylist()
                for asset in ("uploads", "descriptions"):
                    left += planner.unfinished(batch, asset)
                fingerprint, info = planner.made(batch, "write_back", left)
                facts = counted(table["status"].to_pylist(), "pictures_")
                built[batch] = Built(table, fingerprint, facts, info)
        yield table_output("result", built)

    return written


_INPUTS = ("images", "uploads", "descriptions", "annotations")


def _inputs(store: Store, batch: str) -> list[Any]:
    return [store.tables.read(table, batch=batch) for table in _INPUTS]
