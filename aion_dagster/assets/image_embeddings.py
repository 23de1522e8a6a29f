"""image_embeddings: what each picture shows, as a vector that texts can be compared with."""

from collections import Counter
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from aion_dagster.assets.workbench import Workbench, final_failures, table_output
from aion_dagster.backends.image_vectors import embed_pictures
from aion_dagster.errors import UnavailableError
from aion_dagster.resources.outputs import Built


def image_embedding_asset(bench: Workbench) -> dg.AssetsDefinition:
    """A vector per distinct content of a batch, by the joint model that is configured."""
    names = bench.names

    @dg.asset(
        key=names.key("image_embeddings"),
        deps=[names.key("images")],
        io_manager_key=names.tables,
        description="Vectors of pictures by the configured joint model (SigLIP, CLIP).",
        kinds={"parquet"},
        pool=names.pool("embed_images"),
        **bench.partitioned,
    )
    def image_embeddings(context: dg.AssetExecutionContext) -> Any:
        store, backend = bench.store(context), bench.backend(context)
        built: dict[str, Built] = {}
        finished: dict[str, list[str]] = {}
        with final_failures():
            reason = backend.unavailable("embed_images")
            if reason:
                raise UnavailableError(reason)
            for batch in context.partition_keys:
                table, finished[batch] = embed_pictures(
                    batch,
                    store.tables.read("images", batch=batch),
                    store,
                    backend,
                    bench.sources(context).read,
                    lambda n: bench.advance("image_embeddings", n),
                )
                fingerprint = bench.planner(context).batch(batch)["image_embeddings"]
                built[batch] = Built(table, fingerprint, _metadata(table))
        yield table_output("result", built)
        for batch, hashes in finished.items():
            parameters = backend.identity("embed_images")
            store.ledger.record_results("embed_images", parameters, batch, hashes)

    return image_embeddings


def _metadata(table: pa.Table) -> dict[str, Any]:
    models = Counter(table["model"].drop_null().to_pylist())
    failed = pc.sum(pc.not_equal(table["status"], "ok")).as_py()
    return {"pictures_failed": failed or 0, "model": ", ".join(sorted(models))}
