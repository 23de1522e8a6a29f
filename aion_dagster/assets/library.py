"""library, near_duplicates and search_index: what all batches are together."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import fields
from functools import partial
from itertools import islice
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from aion_dagster.assets.automation import after, after_batches
from aion_dagster.assets.workbench import Workbench, final_failures, keys
from aion_dagster.curation.library import (
    DELETED_FILE,
    FILE_VERSION,
    build_library,
)
from aion_dagster.descriptions_made import words_by_batch
from aion_dagster.near_duplicates_made import made_near_duplicates
from aion_dagster.planning import REVISION, partitioned_assets
from aion_dagster.resources.outputs import Built
from aion_dagster.search.index_update import (
    CHUNK_COLUMNS,
    WORD_COLUMNS,
    IndexUpdate,
    update_index,
)
from aion_dagster.search.library_tables import shared_index
from aion_dagster.storage.store import Store

_ROWS_AT_ONCE = 50_000


def library_asset(bench: Workbench) -> dg.AssetsDefinition:
    """One row per content, over all batches."""
    names = bench.names

    @dg.asset(
        key=names.key("library"),
        ins={"images": dg.AssetIn(names.key("images"))},
        # Not read here, but a batch counts only when it is whole, and the library waits for all of it.
        deps=keys(names, [a for a in partitioned_assets(bench.config) if a != "images"]),
        io_manager_key=names.tables,
        description="Every usable picture once, with all its locations; old versions are marked as superseded, lost ones as deleted.",
        kinds={"parquet"},
        automation_condition=after_batches(),
        **bench.whole,
    )
    def library(context: dg.AssetExecutionContext, images: ds.Dataset) -> Any:
        store = bench.store(context)
        planner = bench.planner(context)
        fingerprint, usable = planner.whole("library"), planner.usable_batches()
        records = planner.records.values()
        revision = store.ledger.revision()  # before what it counts is read
        current = _table(store.ledger.current_versions(), FILE_VERSION)
        deleted = _table(store.ledger.deletions(), DELETED_FILE)
        # Chosen afterwards: the scanner would look through the list of batches once for each of them.
        # In one piece each column: what follows would take its time for each file.
        rows = _of_batches(images.to_table().combine_chunks(), usable)
        result = build_library(rows, {b.key: b.seq for b in records}, current, deleted)
        bench.advance("library", result.files)
        left_out = sorted({b.key for b in records} - usable)
        facts = {
            "files": result.files,
            "superseded": result.superseded,
            "deleted": result.deleted,
            "batches": len(records),
            "batches_left_out": len(left_out),
            **({"left_out": ", ".join(left_out[:20])} if left_out else {}),
            **{f"files_{status}": n for status, n in result.files_left_out.items()},
        }
        yield dg.Output(
            Built(result.table, fingerprint, facts, {REVISION: revision}),
            data_version=dg.DataVersion(fingerprint[:16]),
        )

    return library


def _of_batches(rows: pa.Table, batches: Collection[str]) -> pa.Table:
    return rows.filter(pc.is_in(rows["batch"], value_set=pa.array(sorted(batches), pa.string())))


def _table(rows: Iterable[Any], schema: pa.Schema) -> pa.Table:
    """What the ledger hands out row by row, as columns; of ten million files the rows would not all fit into memory."""
    left = iter(rows)
    parts = []
    while some := list(islice(left, _ROWS_AT_ONCE)):
        columns = [pa.array([getattr(row, f.name) for row in some], f.type) for f in schema]
        parts.append(pa.record_batch(columns, schema))
    return pa.Table.from_batches(parts, schema)


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
        with final_failures():
            found = made_near_duplicates(
                bench.store(context), library, bench.config.near_duplicate_distance
            )
        table = found.table
        bench.advance("near_duplicates", found.index.num_rows)
        facts = {
            "groups": len(table["group_id"].unique()),
            "pictures": table.num_rows,
            "compared": found.compared,
        }
        yield dg.Output(
            Built(table, fingerprint, facts), data_version=dg.DataVersion(fingerprint[:16])
        )

    return near_duplicates


def search_index_asset(bench: Workbench) -> dg.AssetsDefinition:
    """Words of the library and of its documents, ready to be searched."""
    names = bench.names
    chunks = ["document_chunks"] if bench.config.documents else []

    @dg.asset(
        key=names.key("search_index"),
        ins={"library": dg.AssetIn(names.key("library"))},
        deps=keys(names, ["descriptions", *chunks]),
        description="Full-text index over titles, descriptions, tags, visible text, file names and documents.",
        kinds={"sqlite"},
        automation_condition=after(names.key("library")),
        **bench.whole,
    )
    def search_index(context: dg.AssetExecutionContext, library: pa.Table) -> Iterator[Any]:
        store = bench.store(context)
        fingerprint = bench.planner(context).whole("search_index")
        with final_failures():
            update = update_search_index(store, library, documents=bool(chunks))
        bench.advance("search_index", update.rows)
        facts = {f.name: getattr(update, f.name) for f in fields(update) if f.name != "rows"}
        store.ledger.record_build(
            "search_index", "", fingerprint, update.rows, {"run_id": context.run.run_id}
        )
        yield dg.MaterializeResult(
            metadata={
                "dagster/row_count": update.rows,
                "dagster/uri": str(shared_index(store).place),
                **facts,
            },
            data_version=dg.DataVersion(fingerprint[:16]),
        )

    return search_index


def update_search_index(store: Store, library: pa.Table, *, documents: bool) -> IndexUpdate:
    """Bring the index up to date with the tables; batches that did not change are not read."""

    def fingerprints(table: str) -> dict[str, str]:
        return {b: build.fingerprint for b, build in store.ledger.builds(table).items()}

    def read(table: str, columns: Sequence[str], batch: str) -> pa.Table:
        return store.tables.read(table, batch=batch, columns=list(columns))

    index = shared_index(store)
    done = update_index(
        index.fetch(),
        library=library,
        batches=words_by_batch(store),
        read_descriptions=partial(read, "descriptions", ["image_id", *WORD_COLUMNS]),
        documents=_current_documents(store) if documents else None,
        document_batches=fingerprints("document_chunks") if documents else None,
        read_chunks=partial(read, "document_chunks", CHUNK_COLUMNS),
    )
    index.share()
    return done


def _current_documents(store: Store) -> pa.Table:
    """document_id, name, uri and batch of the documents with text whose files are the latest of their place."""
    columns = ["document_id", "name", "uri", "batch", "source", "version"]
    rows = store.tables.dataset("documents").to_table(
        columns=columns, filter=ds.field("text_extraction_status") == "completed"
    )
    current = {(v.source, v.uri, v.version) for v in store.ledger.current_versions()}
    places = zip(*(rows[c].to_pylist() for c in ("source", "uri", "version")), strict=True)
    kept = rows.filter(pa.array([place in current for place in places], pa.bool_()))
    return kept.select(columns[:4])
