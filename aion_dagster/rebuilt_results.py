"""Results of heavy steps that tables hold, as the ledger finds them again by content."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from aion_dagster import schemas
from aion_dagster.backends.protocol import UploadingBackend
from aion_dagster.config import LibraryConfig
from aion_dagster.planning import (
    PICTURE_TABLES,
    Planner,
    decoded_tables,
    detection_tables,
    document_settings,
    has_remote_colors,
    has_remote_documents,
    pass_settings,
)
from aion_dagster.storage.store import Store

Recorded = tuple[str, str, str, list[str]]
"""Operation, parameters, batch, contents."""


def recorded_results(config: LibraryConfig, store: Store, planner: Planner) -> Iterator[Recorded]:
    """What the tables of each batch hold results of; only of what was made as it is made now."""
    operations = _operations(config, planner)
    for batch in planner.records:
        prints = planner.batch(batch)
        made = {
            table
            for table in prints
            if (build := store.ledger.build(table, batch)) is not None
            and build.fingerprint == prints[table]
        }
        if made.issuperset(decoded_tables(config)):
            images = store.tables.read("images", batch=batch, columns=["sha256", "status"])
            yield *_decoded(config), batch, _hashes(images, "status", schemas.STATUS_OK)
        ids = None
        for table, (operation, parameters) in operations.items():
            if table in made:
                ids = _contents(store, batch) if ids is None else ids
                yield operation, parameters, batch, _finished(store, table, batch, ids)
        if "documents" in made:
            yield *_documents(config, planner), batch, _read_documents(store, batch)


def _decoded(config: LibraryConfig) -> tuple[str, str]:
    settings = replace(pass_settings(config), parts=frozenset(decoded_tables(config)))
    return settings.operation(), settings.parameters()


def _operations(config: LibraryConfig, planner: Planner) -> dict[str, tuple[str, str]]:
    """Table with a row per picture → operation and parameters."""
    backend = planner.backend
    found: dict[str, tuple[str, str]] = {
        table: (operation, backend.identity(operation))
        for operation, table in detection_tables(config).items()
    }
    if config.models.joint is not None:
        found["image_embeddings"] = ("embed_images", backend.identity("embed_images"))
    if has_remote_colors(config) and isinstance(backend, UploadingBackend):
        from aion_dagster.backends.aionvision_colors import OPERATION, colors_parameters

        found["color_analyses"] = (OPERATION, colors_parameters(backend.engine, config.colors))
    return found


def _documents(config: LibraryConfig, planner: Planner) -> tuple[str, str]:
    from aion_dagster.backends.document_settings import (
        REMOTE_OPERATION,
        document_parameters,
        remote_document_parameters,
    )

    backend = planner.backend
    if has_remote_documents(config) and isinstance(backend, UploadingBackend):
        return REMOTE_OPERATION, remote_document_parameters(backend.engine, backend)
    settings = document_settings(config)
    return settings.operation(), document_parameters(settings, backend)


def _read_documents(store: Store, batch: str) -> list[str]:
    """Contents whose text is not missing for a time only."""
    rows = store.tables.read("documents", batch=batch)
    again = pc.fill_null(rows["is_retryable"], False)
    rows = rows.filter(pc.and_(pc.invert(again), pc.is_valid(rows["sha256"])))
    return _hashes(rows, "text_extraction_status", "completed")


def _contents(store: Store, batch: str) -> pa.Table:
    images = store.tables.read("images", batch=batch, columns=["image_id", "sha256", "status"])
    return images.filter(pc.equal(images["status"], schemas.STATUS_OK))


def _finished(store: Store, table: str, batch: str, contents: pa.Table) -> list[str]:
    """Contents that a table has an answer for."""
    rows = store.tables.read(table, batch=batch)
    if table not in PICTURE_TABLES:
        rows = rows.filter(pc.equal(rows["status"], "ok"))
    answered = pc.is_in(contents["image_id"], rows["image_id"].combine_chunks())
    return sorted(set(contents.filter(answered)["sha256"].to_pylist()))


def _hashes(rows: pa.Table, column: str, value: str) -> list[str]:
    return sorted(set(rows.filter(pc.equal(rows[column], value))["sha256"].to_pylist()))
