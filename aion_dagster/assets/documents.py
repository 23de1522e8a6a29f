"""documents and document_chunks: what the document files of a batch say, in one reading."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from aion_dagster.assets.workbench import Workbench, final_failures, table_output
from aion_dagster.backends.documents import DocumentTables, compute_documents, document_parameters
from aion_dagster.document_names import document_type
from aion_dagster.planning import DOCUMENT_TABLES, document_settings
from aion_dagster.resources.outputs import Built

DESCRIPTIONS = {
    "documents": "One row per document file: type, pages, title, and why there is no text if so.",
    "document_chunks": "The text of each document in pieces with page numbers, headings, offsets and vectors.",
}


def document_assets(bench: Workbench) -> dg.AssetsDefinition:
    """The reading of documents as a multi-asset; documents may be had without their chunks' being written again."""
    names = bench.names
    documents = names.key("documents")

    @dg.multi_asset(
        name=names.op("read_documents"),
        outs={
            table: dg.AssetOut(
                key=names.key(table),
                io_manager_key=names.tables,
                description=DESCRIPTIONS[table],
                kinds={"parquet"},
                group_name=names.group("documents"),
            )
            for table in DOCUMENT_TABLES
        },
        internal_asset_deps={"documents": set(), "document_chunks": {documents}},
        partitions_def=names.partitions,
        retry_policy=bench.partitioned["retry_policy"],
        required_resource_keys=bench.resource_keys,
        pool=names.pool("documents"),
    )
    def read_documents(context: dg.AssetExecutionContext) -> Iterator[Any]:
        store, backend = bench.store(context), bench.backend(context)
        settings = document_settings(bench.config)
        with final_failures():
            read = {batch: _read(bench, context, batch) for batch in context.partition_keys}
            prints = {batch: bench.planner(context).batch(batch)["documents"] for batch in read}
        try:
            yield table_output(
                "documents",
                {b: Built(r.documents, prints[b], _metadata(r)) for b, r in read.items()},
            )
            yield table_output(
                "document_chunks", {b: Built(r.chunks, prints[b]) for b, r in read.items()}
            )
        finally:
            for result in read.values():
                result.chunks.discard()
        parameters = document_parameters(settings, backend)
        for batch, result in read.items():
            store.ledger.record_results(settings.operation(), parameters, batch, result.finished)

    return read_documents


def _read(bench: Workbench, context: dg.AssetExecutionContext, batch: str) -> DocumentTables:
    store, backend = bench.store(context), bench.backend(context)
    formats = bench.config.documents
    files = [f for f in store.manifests.read(batch) if document_type(f.name, formats)]
    return compute_documents(
        batch,
        files,
        bench.sources(context).read,
        store,
        document_settings(bench.config),
        backend,
        lambda n: bench.advance("documents", n),
    )


def _metadata(result: DocumentTables) -> dict[str, Any]:
    """Documents by status, chunks, reuse."""
    counts: dict[str, int] = {}
    for status in result.documents["text_extraction_status"].to_pylist():
        counts[status] = counts.get(status, 0) + 1
    return {
        **{f"documents_{status}": n for status, n in sorted(counts.items())},
        "documents_reused": result.reused,
        "chunks": result.chunks.rows,
    }
