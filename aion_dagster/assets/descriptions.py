"""descriptions: what each picture shows, as far as the backend can tell, and text vectors of it."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from aion_dagster import schemas
from aion_dagster.assets.workbench import Workbench, final_failures, keys, table_output
from aion_dagster.backends.detections import DetectionTable
from aion_dagster.backends.embeddings import embed_descriptions
from aion_dagster.backends.protocol import RESEND, DescribeRequest
from aion_dagster.checks.batches import description_check_specs, undescribed_check
from aion_dagster.descriptions_made import words_note
from aion_dagster.planning import detection_tables
from aion_dagster.resources.metadata import call_metadata
from aion_dagster.resources.outputs import Built
from aion_dagster.storage.store import Store

LARGE: Final = "large_1024"


def description_asset(bench: Workbench) -> dg.AssetsDefinition:
    """A description per distinct content of a batch."""
    names = bench.names
    detected = list(detection_tables(bench.config).values())
    # Measured facts need no pixels; whoever looks at pictures looks at their large variant.
    looks = bench.config.endpoint is not None or bench.config.models.captions is not None
    seen = ["variants"] if looks else []
    if bench.config.backend == "aionvision":
        seen = ["uploads"]

    @dg.asset(
        key=names.key("descriptions"),
        deps=keys(names, ["images", "color_analyses", "visual_features", *seen, *detected]),
        io_manager_key=names.tables,
        description="Title, description, tags and visible text of each picture; `provider` says who wrote them.",
        kinds={"parquet"},
        pool=names.pool("describe"),
        check_specs=description_check_specs(names),
        **bench.partitioned,
    )
    def descriptions(context: dg.AssetExecutionContext) -> Any:
        store = bench.store(context)
        backend, calls = bench.paying(context)
        built: dict[str, Built] = {}
        with final_failures():
            for batch in context.partition_keys:
                table = backend.describe(describe_request(store, batch, detected))
                bench.advance("descriptions", table.num_rows)
                failed = pc.sum(pc.not_equal(table["description_status"], "completed")).as_py()
                again = table.filter(table["description_is_retryable"])["image_id"].to_pylist()
                if pc.any(pc.equal(table["description_error_type"], RESEND)).as_py():
                    store.ledger.forget_build("uploads", batch)
                planner = bench.planner(context)
                fingerprint, info = planner.made(batch, "descriptions", again)
                info |= words_note(store, batch, table)
                facts = {"provider": backend.provider, "failed": failed or 0}
                if again:
                    facts["retryable"] = len(again)
                facts |= call_metadata(calls)
                built[batch] = Built(table, fingerprint, facts, info)
        yield table_output("result", built)
        everything = pa.concat_tables([b.value for b in built.values()])
        yield undescribed_check(names, everything, limit=bench.config.max_undescribed_share)

    return descriptions


def describe_request(
    store: Store, batch: str, detected: Sequence[DetectionTable]
) -> DescribeRequest:
    """Everything that the store knows about a batch's pictures, a row per content."""
    images = store.tables.read("images", batch=batch)
    images = images.filter(pc.is_valid(images["image_id"]))
    first = pa.table(
        {"image_id": images["image_id"], "row": pa.array(range(images.num_rows), pa.int64())}
    ).group_by("image_id", use_threads=False)
    images = images.take(first.aggregate([("row", "min")])["row_min"])
    read = {
        t: store.tables.read(t, batch=batch)
        for t in ("color_analyses", "visual_features", *detected)
    }
    uploads = (
        store.tables.read("uploads", batch=batch) if store.tables.exists("uploads", batch) else None
    )
    return DescribeRequest(
        images,
        read["color_analyses"],
        read["visual_features"],
        read.get("text_regions"),
        read.get("codes"),
        read.get("objects"),
        uploads,
        partial(_large_variants, store, batch),
    )


def _large_variants(store: Store, batch: str, image_ids: Sequence[str]) -> dict[str, bytes]:
    """Image id → JPEG of the large variant, of those that have one."""
    rows = store.tables.take_by_id("variants", {batch: set(image_ids)}, ["image_id", LARGE])
    return dict(zip(rows["image_id"].to_pylist(), rows[LARGE].to_pylist(), strict=True))


def embedding_asset(bench: Workbench) -> dg.AssetsDefinition:
    """A text vector per description; no rows, and a reason, where no text model is there."""
    names = bench.names

    @dg.asset(
        key=names.key("embeddings"),
        deps=[names.key("descriptions")],
        io_manager_key=names.tables,
        description="Text vectors of description, tags and visible text, computed on this machine.",
        kinds={"parquet"},
        pool=names.pool("embed"),
        **bench.partitioned,
    )
    def embeddings(context: dg.AssetExecutionContext) -> Any:
        store, backend = bench.store(context), bench.backend(context)
        built: dict[str, Built] = {}
        reason = backend.unavailable("embed_text")
        with final_failures():
            for batch in context.partition_keys:
                described = store.tables.read("descriptions", batch=batch)
                table = (
                    schemas.EMBEDDINGS.empty_table()
                    if reason
                    else embed_descriptions(described, backend)
                )
                bench.advance("embeddings", described.num_rows)
                facts = (
                    {"unavailable": reason} if reason else {"model": backend.identity("embed_text")}
                )
                planner = bench.planner(context)
                left = planner.unfinished(batch, "descriptions")
                fingerprint, info = planner.made(batch, "embeddings", left)
                built[batch] = Built(table, fingerprint, facts, info)
        yield table_output("result", built)

    return embeddings
