"""library, near_duplicates and search_index: what all batches are together."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.dataset as ds

from aion_dagster.assets.automation import after, after_batches
from aion_dagster.assets.workbench import Workbench, final_failures, keys
from aion_dagster.curation.library import FILE_VERSION, build_library
from aion_dagster.curation.near_duplicates import near_duplicate_groups
from aion_dagster.planning import partitioned_assets, word_index
from aion_dagster.resources.outputs import Built
from aion_dagster.search.documents import search_documents
from aion_dagster.search.index import build_index


def library_asset(bench: Workbench) -> dg.AssetsDefinition:
    """One row per content, over all batches."""
    names = bench.names

    @dg.asset(
        key=names.key("library"),
        ins={"images": dg.AssetIn(names.key("images"))},
        # Not read here, but a batch counts only when it is whole, and the library waits for all of it.
        deps=keys(names, [a for a in partitioned_assets(bench.config) if a != "images"]),
        io_manager_key=names.tables,
        description="Every usable picture once, with all its locations; old versions are marked as superseded.",
        kinds={"parquet"},
        automation_condition=after_batches(),
        **bench.whole,
    )
    def library(context: dg.AssetExecutionContext, images: ds.Dataset) -> Any:
        store = bench.store(context)
        planner = bench.planner(context)
        fingerprint, usable = planner.whole("library"), planner.usable_batches()
        records = store.ledger.batches()
        current = pa.Table.from_pylist(
            [
                {"source": v.source, "uri": v.uri, "version": v.version}
                for v in store.ledger.current_versions()
            ],
            schema=FILE_VERSION,
        )
        rows = images.to_table(filter=ds.field("batch").isin(pa.array(sorted(usable), pa.string())))
        result = build_library(rows, {b.key: b.seq for b in records}, current)
        bench.advance("library", result.files)
        left_out = sorted({b.key for b in records} - usable)
        facts = {
            "files": result.files,
            "superseded": result.superseded,
            "batches": len(records),
            "batches_left_out": len(left_out),
            **({"left_out": ", ".join(left_out[:20])} if left_out else {}),
            **{f"files_{status}": n for status, n in result.files_left_out.items()},
        }
        yield dg.Output(
            Built(result.table, fingerprint, facts), data_version=dg.DataVersion(fingerprint[:16])
        )

    return library


def near_duplicate_asset(bench: Workbench) -> dg.AssetsDefinition:
    """Groups of pictures that look alike."""
    names = bench.names

    @dg.asset(
        key=names.key("near_duplicates"),
        ins={"library": dg.AssetIn(names.key("library"))},
        io_manager_key=names.tables,
        description="Groups of pictures whose perceptual hashes differ in few bits.",
        kinds={"parquet"},
        automation_condition=after(names.key("library")),
        **bench.whole,
    )
    def near_duplicates(context: dg.AssetExecutionContext, library: pa.Table) -> Any:
        fingerprint = bench.planner(context).whole("near_duplicates")
        live = library.filter(ds.field("superseded_by").is_null())
        areas = [
            w * h
            for w, h in zip(live["width"].to_pylist(), live["height"].to_pylist(), strict=True)
        ]
        table = near_duplicate_groups(
            live["image_id"].to_pylist(),
            live["phash"].to_pylist(),
            areas,
            distance=bench.config.near_duplicate_distance,
        )
        bench.advance("near_duplicates", live.num_rows)
        facts = {"groups": len(table["group_id"].unique()), "pictures": table.num_rows}
        yield dg.Output(
            Built(table, fingerprint, facts), data_version=dg.DataVersion(fingerprint[:16])
        )

    return near_duplicates


def search_index_asset(bench: Workbench) -> dg.AssetsDefinition:
    """Words of the library, ready to be searched."""
    names = bench.names

    @dg.asset(
        key=names.key("search_index"),
        ins={
            "library": dg.AssetIn(names.key("library")),
            "descriptions": dg.AssetIn(names.key("descriptions")),
        },
        description="Full-text index over titles, descriptions, tags, visible text and file names.",
        kinds={"sqlite"},
        automation_condition=after(names.key("library")),
        **bench.whole,
    )
    def search_index(
        context: dg.AssetExecutionContext, library: pa.Table, descriptions: ds.Dataset
    ) -> Iterator[Any]:
        store = bench.store(context)
        fingerprint = bench.planner(context).whole("search_index")
        with final_failures():
            rows = build_index(word_index(store), search_documents(library, descriptions))
        bench.advance("search_index", rows)
        store.ledger.record_build(
            "search_index", "", fingerprint, rows, {"run_id": context.run.run_id}
        )
        yield dg.MaterializeResult(
            metadata={"dagster/row_count": rows, "dagster/uri": str(word_index(store))},
            data_version=dg.DataVersion(fingerprint[:16]),
        )

    return search_index
