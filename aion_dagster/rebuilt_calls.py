"""Answers of paid calls that tables hold, so that a new journal knows them and none is paid again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from aion_dagster.backends.endpoint import PROVIDER
from aion_dagster.backends.endpoint_answers import PROMPT_VERSION
from aion_dagster.backends.protocol import UploadingBackend
from aion_dagster.config import LibraryConfig
from aion_dagster.engines import AionvisionConfig
from aion_dagster.planning import configured_backend
from aion_dagster.storage.call_records import CallKey, Settlement
from aion_dagster.storage.store import Store

Answered = tuple[CallKey, Settlement, datetime]


def answered_calls(config: LibraryConfig, store: Store) -> Iterator[Answered]:
    """Descriptions of an endpoint, and uploads to the platform and the descriptions that were asked of it anew."""
    for batch in store.tables.batches("descriptions"):
        yield from _endpoint(store, batch)
    backend = configured_backend(config)
    if isinstance(backend, UploadingBackend):
        for batch in store.tables.batches("uploads"):
            uploads = store.tables.read("uploads", batch=batch).to_pylist()
            stored = [row for row in uploads if row["status"] == "completed"]
            yield from _uploads(stored, backend.engine)
            if store.tables.exists("descriptions", batch):
                yield from _anew(store, batch, stored, backend.engine, config.aionvision)


def _endpoint(store: Store, batch: str) -> Iterator[Answered]:
    rows = store.tables.read("descriptions", batch=batch)
    wanted = [
        row
        for row in rows.to_pylist()
        if row["provider"] == PROVIDER and row["description_status"] == "completed"
    ]
    if not wanted:
        return
    images = store.tables.read("images", batch=batch, columns=["image_id", "sha256"])
    contents = dict(zip(images["image_id"].to_pylist(), images["sha256"].to_pylist(), strict=True))
    for row in wanted:
        if (sha256 := contents.get(row["image_id"])) is None:
            continue
        names = ("title", "description", "tags", "visible_text", "remote_id", "processing_time_ms")
        payload = {name: row[name] for name in names}
        moment = row["generated_at"] or datetime.now(UTC)
        payload["generated_at"] = moment.isoformat()
        key = CallKey(sha256, "describe", str(PROMPT_VERSION), row["model"])
        yield key, _settlement(payload, row), moment


def _uploads(stored: list[dict[str, Any]], engine: str) -> Iterator[Answered]:
    from aion_dagster.backends.aionvision_uploads import OPERATION, PARAMETERS

    for row in stored:
        moment = row["uploaded_at"] or datetime.now(UTC)
        names = ("remote_id", "object_key", "session_id", "was_there")
        payload = {**{name: row[name] for name in names}, "uploaded_at": moment.isoformat()}
        key = CallKey(row["sha256"], OPERATION, PARAMETERS, engine)
        yield key, Settlement(payload, row["remote_id"]), moment


def _anew(
    store: Store,
    batch: str,
    stored: list[dict[str, Any]],
    engine: str,
    config: AionvisionConfig,
) -> Iterator[Answered]:
    """Descriptions by a prompt or providers of one's own: those are asked for beside the upload, and paid."""
    if not config.prompt and not config.providers:
        return
    from aion_dagster.backends.aionvision_describing_anew import OPERATION
    from aion_dagster.backends.aionvision_descriptions import description_parameters

    contents = {row["image_id"]: row["sha256"] for row in stored}
    for row in store.tables.read("descriptions", batch=batch).to_pylist():
        sha256 = contents.get(row["image_id"])
        if sha256 is None or row["description_status"] != "completed":
            continue
        names = ("description", "tags", "visible_text", "confidence_score", "processing_time_ms")
        payload = {name: row[name] for name in (*names, "credits")}
        key = CallKey(sha256, OPERATION, description_parameters(config), engine)
        yield key, _settlement(payload, row), row["generated_at"] or datetime.now(UTC)


def _settlement(payload: dict[str, Any], row: dict[str, Any]) -> Settlement:
    spent = row["credits"] or 0.0
    return Settlement(payload, row["remote_id"], spent, milliseconds=row["processing_time_ms"])
