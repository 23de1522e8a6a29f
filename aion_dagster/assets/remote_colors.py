"""color_analyses from the platform, where the library wants them from there."""

from functools import partial
from typing import Any

import dagster as dg

from aion_dagster.assets.remote import platform
from aion_dagster.assets.workbench import Workbench, final_failures, table_output
from aion_dagster.backends.aionvision_colors import (
    OPERATION,
    RemoteColors,
    colors_parameters,
    remote_colors,
)
from aion_dagster.resources.metadata import call_metadata
from aion_dagster.resources.outputs import Built


def remote_color_asset(bench: Workbench) -> dg.AssetsDefinition:
    """A row per uploaded picture whose colors the platform knows."""
    names = bench.names

    @dg.asset(
        key=names.key("color_analyses"),
        deps=[names.key("uploads")],
        io_manager_key=names.tables,
        description="Dominant colors of each picture as the platform measures them, in the columns of local ones.",
        kinds={"parquet"},
        pool=names.pool("colors"),
        **bench.partitioned,
    )
    def color_analyses(context: dg.AssetExecutionContext) -> Any:
        store, n_colors = bench.store(context), bench.config.colors
        built: dict[str, Built] = {}
        found: dict[str, RemoteColors] = {}
        with final_failures():
            backend, calls = platform(bench, context)
            planner = bench.planner(context)
            for batch in context.partition_keys:
                uploads = store.tables.read("uploads", batch=batch)
                advance = partial(bench.advance, "color_analyses")
                result = remote_colors(batch, uploads, store, backend, calls, n_colors, advance)
                left = [*result.unfinished, *planner.unfinished(batch, "uploads")]
                fingerprint, info = planner.made(batch, "color_analyses", left)
                facts = {
                    "pictures_without_colors": result.missing,
                    "pictures_reused": result.reused,
                    **call_metadata(calls),
                }
                built[batch] = Built(result.table, fingerprint, facts, info)
                found[batch] = result
        yield table_output("result", built)
        parameters = colors_parameters(backend.engine, n_colors)
        for batch, result in found.items():
            store.ledger.record_results(OPERATION, parameters, batch, result.finished)

    return color_analyses
