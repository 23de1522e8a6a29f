"""text_regions, codes and objects: steps of their own, there only when `detect` asks for them."""

from typing import Any

import dagster as dg

from aion_dagster.assets.workbench import Workbench, final_failures, table_output
from aion_dagster.backends.detections import DETECTION_TABLES, Detection, Detections, detect
from aion_dagster.errors import UnavailableError
from aion_dagster.resources.outputs import Built

DESCRIPTIONS: dict[Detection, str] = {
    "text": "Text in each picture: lines in reading order with their boxes.",
    "codes": "QR codes and barcodes in each picture with their content and boxes.",
    "objects": "Objects that the configured model found in each picture, with scores and boxes.",
}


def detection_asset(bench: Workbench, operation: Detection) -> dg.AssetsDefinition:
    """One detector over the batch's pictures."""
    names = bench.names
    table = DETECTION_TABLES[operation]

    @dg.asset(
        key=names.key(table),
        deps=[names.key("images")],
        io_manager_key=names.tables,
        description=DESCRIPTIONS[operation],
        kinds={"parquet"},
        pool=names.pool("detect"),
        output_required=True,
        **bench.partitioned,
    )
    def detections(context: dg.AssetExecutionContext) -> Any:
        store, backend = bench.store(context), bench.backend(context)
        built: dict[str, Built] = {}
        found: dict[str, Detections] = {}
        with final_failures():
            reason = backend.unavailable(operation)
            if reason:
                raise UnavailableError(reason)
            for batch in context.partition_keys:
                found[batch] = detect(
                    operation,
                    batch,
                    store.tables.read("images", batch=batch),
                    store,
                    backend,
                    bench.sources(context).read,
                    lambda n: bench.advance(table, n),
                )
                fingerprint = bench.planner(context).batch(batch)[table]
                built[batch] = Built(found[batch].table, fingerprint, _metadata(found[batch]))
        yield table_output("result", built)
        for batch, result in found.items():
            store.ledger.record_results(
                operation, backend.identity(operation), batch, result.finished
            )

    return detections


def _metadata(found: Detections) -> dict[str, Any]:
    return {
        "regions": found.regions,
        "pictures_reused": found.reused,
        "pictures_failed": found.failed,
    }
