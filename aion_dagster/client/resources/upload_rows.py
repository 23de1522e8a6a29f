"""Results of single files, from what the server says about them in its several answers."""

from __future__ import annotations

from typing import Any, TypeAlias

from aion_dagster.client.models.descriptions import DescriptionStatus
from aion_dagster.client.models.upload_results import classified
from aion_dagster.client.models.upload_sessions import UploadSessionItem
from aion_dagster.client.models.uploads import DescriptionStatus as DescriptionState
from aion_dagster.client.models.uploads import (
    ItemStatus,
    StreamBatchFileResult,
    StreamingUploadResult,
    UploadResult,
)

Item: TypeAlias = StreamBatchFileResult | UploadSessionItem
"""What became of one file of several."""


def row_of(
    name: str,
    item: Item | StreamingUploadResult,
    session_id: str | None,
    awaited: bool,
    retryable: bool | None = None,
) -> UploadResult:
    """The result of a file.

    Args:
        name: the file's own name.
        item: what the server says.
        session_id: the session it belongs to.
        awaited: whether it is to be described.
        retryable: whether the server says that a failure may pass.
    """
    error = _error_of(item)
    text = item.description if isinstance(item, UploadSessionItem) else None
    if text:
        state = DescriptionState.COMPLETED
    else:
        state = DescriptionState.PENDING if awaited else DescriptionState.SKIPPED
    told: dict[str, Any] = {
        "image_id": item.stored_id,
        "object_key": item.object_key,
        "skipped": item.status is ItemStatus.SKIPPED
        or bool(item.skipped_existing_image_id)
        or getattr(item, "skipped", False),
    }
    if isinstance(item, UploadSessionItem):
        told |= {key: getattr(item, key) for key in ("visible_text", "thumbnail_url", "created_at")}
        told["tags"] = item.tags or None
    if item.status is ItemStatus.FAILED or (error and not item.stored_id):
        return refused(name, error or "", session_id, retryable).model_copy(update=told)
    return UploadResult(
        filename=name, description=text, description_status=state, session_id=session_id, **told
    )


def refused(
    name: str,
    reason: str,
    session_id: str | None,
    retryable: bool | None,
) -> UploadResult:
    """The result of a file that the server did not take, or could not work on."""
    kind, may_pass = classified(reason)
    return UploadResult(
        image_id="",
        filename=name,
        description_status=DescriptionState.FAILED,
        description_error=reason or "no reason given",
        description_error_type=kind.value,
        description_is_retryable=may_pass if retryable is None else retryable,
        session_id=session_id,
    )


def pending(name: str, session_id: str) -> UploadResult:
    """The result of a file of which a session that has not ended says nothing yet."""
    return UploadResult(image_id="", filename=name, session_id=session_id)


def unanswered(name: str, session_id: str, state: str) -> UploadResult:
    """The result of a file that a session ended without a word about."""
    reason = (
        f"the upload session ended as {state or 'unknown'} and says nothing of this file; "
        "sent again with skip_duplicates it is found, should it be stored"
    )
    return refused(name, reason, session_id, retryable=True)


def described(row: UploadResult, state: DescriptionStatus) -> UploadResult:
    """The result with what is known about its description."""
    told = {
        "description": state.description or row.description,
        "tags": state.tags or row.tags,
        "visible_text": state.visible_text or row.visible_text,
        "confidence_score": state.confidence_score,
        "description_status": state.status,
        "thumbnail_url": state.thumbnail_url or row.thumbnail_url,
        "created_at": state.created_at or row.created_at,
        "title": state.title or row.title,
    }
    if state.status is DescriptionState.FAILED:
        reason = state.error_message or "no reason given"
        kind, may_pass = classified(reason)
        told |= {
            "description_error": reason,
            "description_error_type": kind.value,
            "description_is_retryable": may_pass,
        }
    return row.model_copy(update=told)


def _error_of(item: Item | StreamingUploadResult) -> str | None:
    if isinstance(item, UploadSessionItem):
        return item.error_message
    return item.error if isinstance(item, StreamBatchFileResult) else None
