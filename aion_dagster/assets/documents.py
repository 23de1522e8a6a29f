"""documents and document_chunks: what the document files of a batch say, in one reading."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import dagster as dg

from aion_dagster.assets.remote import platform
from aion_dagster.assets.workbench import Workbench, final_failures, table_output
from aion_dagster.backends.aionvision import AionvisionBackend
from aion_dagster.backends.aionvision_storage import prepare_storage
from aion_dagster.backends.document_settings import (
    REMOTE_OPERATION,
    document_parameters,
    remote_document_parameters,
)
from aion_dagster.backends.documents import DocumentTables, compute_documents
from aion_dagster.document_names import document_type
from aion_dagster.planning import DOCUMENT_TABLES, document_settings, has_remote_documents
from aion_dagster.resources.metadata import call_metadata
from aion_dagster.resources.outputs import Built
from aion_dagster.storage.ledger_calls import PaidCalls

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
        outs=bench.outs("documents", {table: DESCRIPTIONS[table] for table in DOCUMENT_TABLES}),
        internal_asset_deps={"documents": set(), "document_chunks": {documents}},
        partitions_def=names.partitions,
        retry_policy=bench.partitioned["retry_policy"],
        required_resource_keys=bench.resource_keys,
        pool=names.pool("documents"),
    )
    def read_documents(context: dg.AssetExecutionContext) -> Iterator[Any]:
        store = bench.store(context)
        reading = platform(bench, context) if has_remote_documents(bench.config) else None
        with final_failures():
            read = {
                batch: _read(bench, context, batch, reading) for batch in context.partition_keys
            }
            planner = bench.planner(context)
            made = {b: planner.made(b, "documents", r.unfinished) for b, r in read.items()}
        try:
            documents = {
                b: Built(r.documents, made[b][0], _metadata(r, reading), made[b][1])
                for b, r in read.items()
            }
            yield table_output("documents", documents)
            chunks = {b: Built(r.chunks, made[b][0], info=made[b][1]) for b, r in read.items()}
            yield table_output("document_chunks", chunks)
        finally:
            for result in read.values():
                result.chunks.discard()
        operation, parameters = _known_as(bench, context, reading)
        for batch, result in read.items():
            store.ledger.record_results(operation, parameters, batch, result.finished)

    return read_documents


Reading = tuple[AionvisionBackend, PaidCalls]
"""The platform and the journal, where it is the one that reads."""


def _known_as(
    bench: Workbench, context: dg.AssetExecutionContext, reading: Reading | None
) -> tuple[str, str]:
    """Operation and parameters by which results are found again."""
    if reading is not None:
        return REMOTE_OPERATION, remote_document_parameters(reading[0].engine, reading[0])
    settings = document_settings(bench.config)
    return settings.operation(), document_parameters(settings, bench.backend(context))


def _read(
    bench: Workbench, context: dg.AssetExecutionContext, batch: str, reading: Reading | None
) -> DocumentTables:
    store, backend = bench.store(context), bench.backend(context)
    formats = bench.config.documents
    files = [f for f in store.manifests.read(batch) if document_type(f.name, formats)]
    if reading is not None:
        from aion_dagster.backends.aionvision_document_tables import read_remotely

        prepare_storage(reading[0])
        sources, advance = bench.sources(context), partial(bench.advance, "documents")
        return read_remotely(batch, files, sources, store, *reading, advance)
    return compute_documents(
        batch,
        files,
        bench.sources(context).read,
        store,
        document_settings(bench.config),
        backend,
        lambda n: bench.advance("documents", n),
    )


def _metadata(result: DocumentTables, reading: Reading | None) -> dict[str, Any]:
    """Documents by status, chunks, reuse; what was paid, where the platform reads."""
    counts: dict[str, int] = {}
    for status in result.documents["text_extraction_status"].to_pylist():
        counts[status] = counts.get(status, 0) + 1
    return {
        **{f"documents_{status}": n for status, n in sorted(counts.items())},
        "documents_reused": result.reused,
        "chunks": result.chunks.rows,
        **(call_metadata(reading[1]) if reading is not None else {}),
    }
