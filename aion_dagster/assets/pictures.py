"""images, variants, color_analyses and visual_features: four assets, one decode."""

import base64
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import dagster as dg

from aion_dagster.assets.workbench import Workbench, final_failures, table_output
from aion_dagster.backends.pictures import PictureTables, compute_pictures
from aion_dagster.checks.batches import (
    manifest_check,
    manifest_problem,
    picture_check_specs,
    unreadable_check,
)
from aion_dagster.compute.picture_workers import PictureWorkers
from aion_dagster.config import LibraryConfig
from aion_dagster.document_names import document_type
from aion_dagster.planning import decoded_tables, pass_settings
from aion_dagster.resources.outputs import Built
from aion_dagster.storage.store import Store
from aion_dagster.values import FileRef

_IN_FLIGHT = 128
"""Pictures held at once where processes decode them: the thread that feeds them may have to wait while Dagster is at work."""

DESCRIPTIONS = {
    "images": "One row per file: what it is, how large, when and where taken, and why it is not usable if so.",
    "variants": "JPEG renditions of each picture with longest sides of 64, 256, 750 and 1024 pixels.",
    "color_analyses": "Dominant colors of each picture with names and families, temperature, brightness, saturation.",
    "visual_features": "Sharpness, contrast, exposure and a descriptor of the looks of each picture.",
}


def picture_assets(bench: Workbench) -> dg.AssetsDefinition:
    """The decode pass as a multi-asset that can run any subset of its outputs."""
    names = bench.names
    images = names.key("images")
    tables = decoded_tables(bench.config)

    @dg.multi_asset(
        name=names.op("pictures"),
        outs=bench.outs(
            "pictures", {table: DESCRIPTIONS[table] for table in tables}, is_required=False
        ),
        internal_asset_deps={t: ({images} if t != "images" else set()) for t in tables},
        can_subset=True,
        partitions_def=names.partitions,
        retry_policy=bench.partitioned["retry_policy"],
        required_resource_keys=bench.resource_keys,
        pool=names.pool("decode"),
        check_specs=picture_check_specs(names),
    )
    def pictures(context: dg.AssetExecutionContext) -> Iterator[Any]:
        selected = {names.asset(key) for key in context.selected_asset_keys}
        with final_failures():
            passes = {
                batch: _run(bench, context, batch, selected) for batch in context.partition_keys
            }
            prints = {batch: bench.planner(context).batch(batch)["images"] for batch in passes}
        with discarding_uncommitted(passes.values()):
            if "images" in selected:
                built = {
                    b: Built(p.images, prints[b], _picture_metadata(p)) for b, p in passes.items()
                }
                yield table_output("images", built)
                yield from _checks(bench, context, passes)
            for table in tables[1:]:
                if table in selected:
                    yield table_output(
                        table, {b: Built(getattr(p, table), prints[b]) for b, p in passes.items()}
                    )
        if selected >= set(tables):
            _remember(bench, context, passes)

    return pictures


@contextmanager
def discarding_uncommitted(passes: Iterable[PictureTables]) -> Iterator[None]:
    """Remove variants that were staged and are not committed when the step ends, however it ends."""
    try:
        yield
    finally:
        for result in passes:
            result.discard()


def _run(
    bench: Workbench, context: dg.AssetExecutionContext, batch: str, selected: set[str]
) -> PictureTables:
    """The pass over one batch, which may have been computed ahead."""
    store = bench.store(context)
    store.ledger.mark_started(batch)
    if bench.ahead is not None and selected >= set(decoded_tables(bench.config)):
        return bench.ahead.take(batch)
    parts = frozenset(selected | {"images"})
    advance = partial(bench.advance, "images")
    return picture_tables(
        bench.config, store, bench.sources(context).read, batch, parts, advance=advance
    )


def picture_tables(
    config: LibraryConfig,
    store: Store,
    read: Callable[[FileRef], bytes],
    batch: str,
    parts: frozenset[str],
    *,
    advance: Callable[[int], None],
    before_asking: Callable[[Collection[str]], None] = lambda _hashes: None,
    workers: PictureWorkers | None = None,
) -> PictureTables:
    """The pass over the pictures of one batch, as configured; the last three as `compute_pictures` has them."""
    files = [f for f in store.manifests.read(batch) if not _is_document(config, f)]
    settings = replace(pass_settings(config), parts=parts)
    if workers is not None:
        settings = replace(settings, in_flight=_IN_FLIGHT)
    return compute_pictures(batch, files, read, store, settings, advance, before_asking, workers)


def _is_document(config: LibraryConfig, file: FileRef) -> bool:
    """Documents have their rows in `documents`."""
    return document_type(file.name, config.documents) is not None


def _picture_metadata(result: PictureTables) -> dict[str, Any]:
    """Counts of failures by status, reuse, and a contact sheet."""
    counts: dict[str, int] = {}
    for status in result.images["status"].to_pylist():
        counts[status] = counts.get(status, 0) + 1
    facts: dict[str, Any] = {f"files_{s}": n for s, n in sorted(counts.items())}
    facts["files_reused"] = result.reused
    if result.contact_sheet is not None:
        sheet = base64.b64encode(result.contact_sheet).decode()
        facts["contact_sheet"] = dg.MetadataValue.md(
            f"![contact sheet](data:image/jpeg;base64,{sheet})"
        )
    return facts


def _checks(
    bench: Workbench, context: dg.AssetExecutionContext, passes: dict[str, PictureTables]
) -> Iterator[dg.AssetCheckResult]:
    """Evaluate the checks; a batch whose rows do not cover its manifest is kept out of the library."""
    store = bench.store(context)
    files = rows = 0
    problems: dict[str, str | None] = {}
    for batch, result in passes.items():
        record = store.ledger.batch(batch)
        if record is None:
            raise dg.Failure(f"The ledger knows no batch {batch!r}.", allow_retries=False)
        made = result.images.num_rows
        if bench.config.documents:
            manifest_files = store.manifests.read(batch)
            made += sum(_is_document(bench.config, f) for f in manifest_files)
        files, rows = files + record.file_count, rows + made
        manifest = store.manifests.digest(batch)
        problems[batch] = manifest_problem(record, manifest, made)
        store.ledger.mark_blocked(batch, problems[batch])
    yield manifest_check(bench.names, problems, files=files, rows=rows)
    images = [p.images for p in passes.values()]
    yield unreadable_check(bench.names, _concat(images), limit=bench.config.max_unreadable_share)


def _concat(tables: list[Any]) -> Any:
    import pyarrow as pa

    return pa.concat_tables(tables)


def _remember(
    bench: Workbench, context: dg.AssetExecutionContext, passes: dict[str, PictureTables]
) -> None:
    """Let later batches find these results by content, now that they are written."""
    parts = frozenset(decoded_tables(bench.config))
    settings = replace(pass_settings(bench.config), parts=parts)
    for batch, result in passes.items():
        bench.store(context).ledger.record_results(
            settings.operation(), settings.parameters(), batch, result.content_hashes()
        )
