"""Rows of the table `uploads`: what became of a picture that was to be stored by the Aionvision platform."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from aion_dagster.backends.aionvision_begin import not_made
from aion_dagster.backends.aionvision_errors import told
from aion_dagster.backends.calls import Begun, Standing
from aion_dagster.backends.protocol import Original
from aion_dagster.client.limits import STREAMED_BYTES
from aion_dagster.client.models.upload_sessions import UploadSessionItem
from aion_dagster.client.models.uploads import ItemStatus, StreamBatchFileResult

FORMATS: Final = frozenset({"image/jpeg", "image/png", "image/webp", "image/gif"})
_LONGEST_NAME: Final = 120
_LONGEST_SUFFIX: Final = 20

Row = dict[str, Any]
Item = UploadSessionItem | StreamBatchFileResult


def sent_name(original: Original) -> str:
    """The SHA-256, by which answers are told apart, and the person's name behind it."""
    base = original.name.rpartition("/")[2]
    stem, dot, suffix = base.rpartition(".")
    suffix = suffix[:_LONGEST_SUFFIX] if dot else ""
    kept = (stem if dot else base)[: _LONGEST_NAME - len(suffix)]
    return f"{original.sha256}-{kept}{dot}{suffix}"


def stored_row(original: Original, payload: Mapping[str, Any]) -> Row:
    """The row of a picture that the platform has."""
    return {
        "image_id": original.image_id,
        "sha256": original.sha256,
        "remote_id": payload["remote_id"],
        "object_key": payload.get("object_key"),
        "session_id": payload.get("session_id"),
        "status": "completed",
        "was_there": bool(payload.get("was_there")),
        "uploaded_at": _moment(payload.get("uploaded_at")),
    }


def failed_row(original: Original, kind: str, reason: str, *, retryable: bool) -> Row:
    """The row of a picture that the platform does not have, or of which that is not known."""
    return {
        "image_id": original.image_id,
        "sha256": original.sha256,
        "status": "failed",
        "was_there": False,
        "error": reason,
        "error_type": kind,
        "is_retryable": retryable,
    }


def known_row(original: Original, begun: Begun) -> Row | None:
    """The row of what is not sent now; None of what is."""
    if begun.standing is Standing.SETTLED and begun.payload is not None:
        return stored_row(original, begun.payload)
    bad = not_made(begun)
    return None if bad is None else failed_row(original, bad[0], bad[1], retryable=bad[2])


def unsendable_row(original: Original) -> Row | None:
    """The row of a picture that the platform does not take; None of any other."""
    if original.media_type not in FORMATS:
        reason = f"{original.media_type}: the platform takes JPEG, PNG, WebP and GIF"
        return failed_row(original, "unsupported", reason, retryable=False)
    if original.size_bytes > STREAMED_BYTES:
        reason = f"{original.size_bytes} bytes: the platform takes {STREAMED_BYTES} at most"
        return failed_row(original, "too_large", reason, retryable=False)
    return None


def payload_of(item: Item, session_id: str, *, ours: bool) -> dict[str, Any]:
    """What the journal keeps of a stored picture; `was_there` where the platform had it and not from us."""
    return {
        "remote_id": item.stored_id,
        "object_key": item.object_key or None,
        "session_id": session_id,
        "was_there": is_skipped(item) and not ours,
        "uploaded_at": datetime.now(UTC).isoformat(),
    }


def is_skipped(item: Item) -> bool:
    """Whether the platform had the content and stored nothing."""
    return item.skipped_existing_image_id is not None or item.status is ItemStatus.SKIPPED


def reason_of(item: Item) -> str:
    """Why nothing was stored."""
    said = item.error_message if isinstance(item, UploadSessionItem) else item.error
    return told(said, "the server stored nothing and does not say why")


def _moment(text: Any) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) else None
