"""Rows of the table `descriptions`: what the Aionvision platform says of a picture that it has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aion_dagster.backends.aionvision_begin import not_made
from aion_dagster.backends.aionvision_credits import told_credits
from aion_dagster.backends.aionvision_errors import told
from aion_dagster.backends.calls import Begun, Standing
from aion_dagster.client.models.batch import BatchItemResult
from aion_dagster.client.models.files import UserFile
from aion_dagster.client.models.upload_results import classified

_UNDER_WAY: Final = frozenset({"pending", "queued", "processing"})

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Stored:
    """A picture in the remote library."""

    image_id: str
    sha256: str
    remote_id: str
    object_key: str | None
    is_ours: bool = False
    """Whether we sent it; what was there before is never deleted."""


def is_under_way(file: UserFile | None) -> bool:
    """Whether the platform still describes a picture."""
    if file is None or file.upload_description:
        return False
    return file.description_status in _UNDER_WAY


def file_row(stored: Stored, file: UserFile | None) -> Row:
    """A row of what the remote library says of a picture."""
    if file is None:
        reason = "the remote library does not list this picture; it may have been deleted there"
        return failed_row(stored, "not_found", reason, retryable=False)
    status = file.description_status
    if file.upload_description and status not in ("failed",):
        return {
            **_empty(stored),
            "title": file.title,
            "description": file.upload_description,
            "tags": list(file.tags),
            "visible_text": file.visible_text,
            "confidence_score": file.confidence_score,
            "description_status": "completed",
        }
    if status in _UNDER_WAY:
        return failed_row(stored, "timeout", f"still {status}; look again later", retryable=True)
    if status == "failed":
        reason = told(file.description_error, "the platform could not describe it")
        kind, _ = classified(reason)
        return failed_row(stored, kind.value, reason, retryable=True)
    reason = "the platform has the picture and no description of it (stored without auto_describe)"
    return {
        **failed_row(stored, "not_described", reason, retryable=False),
        "description_status": "skipped",
    }


def failed_row(stored: Stored, kind: str, reason: str, *, retryable: bool) -> Row:
    """The row of a picture without a description."""
    return {
        **_empty(stored),
        "description_status": "failed",
        "description_error": reason,
        "description_error_type": kind,
        "description_is_retryable": retryable,
    }


def known_row(stored: Stored, begun: Begun) -> Row | None:
    """The row of what is not described anew now; None of what is."""
    if begun.standing is Standing.SETTLED and begun.payload is not None:
        return described_row(stored, begun.payload)
    bad = not_made(begun)
    return None if bad is None else failed_row(stored, bad[0], bad[1], retryable=bad[2])


def described_row(stored: Stored, payload: Mapping[str, Any]) -> Row:
    """The row of a picture that was described anew."""
    return {**_empty(stored), **payload, "description_status": "completed"}


def with_file(row: Row, file: UserFile | None) -> Row:
    """Title, and tags where the job named none, from the remote file."""
    if file is None or row["description_status"] != "completed":
        return row
    tags = row.get("tags") or list(file.tags)
    return {**row, "title": file.title, "tags": tags}


def payload_of(item: BatchItemResult) -> dict[str, Any]:
    """What the journal keeps of a description that was made anew."""
    data = item.output_data or {}
    tags, text = data.get("tags"), data.get("visible_text")
    cost = told_credits(item.model_extra)
    return {
        "description": item.description,
        "tags": [t for t in tags if isinstance(t, str)] if isinstance(tags, list) else [],
        "visible_text": text if isinstance(text, str) else None,
        "confidence_score": item.confidence_score,
        "processing_time_ms": item.processing_time_ms,
        "credits": told_credits(data) if cost is None else cost,
    }


def _empty(stored: Stored) -> Row:
    return {
        "image_id": stored.image_id,
        "remote_id": stored.remote_id,
        "description_is_retryable": None,
    }
