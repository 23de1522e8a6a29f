"""The contradictions between the vendor's documents: which side the server takes in each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Side:
    """One contradiction; the first value is what the specification says, or what is most usual."""

    values: tuple[str, ...]
    topic: str


SIDES: Final[Mapping[str, Side]] = {
    "color_status": Side(("plain", "queued"), "color status: also queued"),
    "color_extracted_at": Side(
        ("top", "inside"), "extracted_at: at the top, inside color_analysis"
    ),
    "color_score": Side(("higher", "lower"), "color score: higher or lower is better"),
    "document_score": Side(
        ("similarity_score", "null", "score"), "document search score: name, or null"
    ),
    "chunk_fields": Side(
        ("content", "text"), "chunk: content, chunk_id, metadata.token_count; text, id, token_count"
    ),
    "chunk_embeddings": Side(("hidden", "given"), "chunk embeddings: not exposed; exposed"),
    "document_quota": Side(
        ("requested", "counts"), "document quota: like uploads; document_count and storage"
    ),
    "document_status": Side(
        ("spec", "text_extraction_status", "extraction_status"),
        "document status: each operation as the specification says; one name everywhere",
    ),
    "list_envelope": Side(
        ("named", "items", "total"),
        "lists: files, total_count, has_more; items …; named with total and no has_more",
    ),
    "pipeline_result": Side(("nodes", "steps"), "pipeline result: nodes or steps"),
    "batch_prepare": Side(("presigned_urls", "files"), "batch prepare: presigned_urls or files"),
    "timestamps": Side(("utc", "naive"), "timestamps: with Z or without a zone"),
    "upload_status": Side(("200", "201"), "success code of an upload"),
    "session_end": Side(
        ("completed", "partial", "partially_completed"),
        "end of an upload session with failures; the others also know rejected",
    ),
    "item_success": Side(("completed", "success"), "success word of an item"),
    "cloud_import": Side(("job", "sync"), "cloud import: always a job; small ones at once"),
    "presigned": Side(
        ("absent", "user-files", "uploads", "both"), "presigned upload of images: which endpoints"
    ),
    "storage_quota": Side(("413", "507"), "status of a full storage"),
    "error_body": Side(
        ("spec", "envelope", "text", "detail"),
        "errors: as each operation declares; {error: {…}}; {error: text, message}; {detail}",
    ),
    "too_many": Side(
        ("rate", "quota", "usage", "memory", "concurrency"), "what a 429 on demand means"
    ),
    "upload_intent": Side(("known", "unknown"), "intent, verification_level of uploads"),
    "presigned_limit": Side(("up_to_50mb", "above_100mb"), "presigned uploads: which sizes"),
    "progress": Side(("channel", "polling"), "websocket_channel: named or left out"),
    "datasets": Side(("absent", "present"), "the datasets API of older servers"),
    "batch_size": Side(("smaller", "larger"), "files per batch upload"),
    "quota_batch_size": Side(("given", "missing"), "max_batch_size in quota-check"),
}
"""`upload_one(title=, tags=)` in an example and not in the signature is a matter of the client alone."""


class Sides:
    """The sides taken."""

    def __init__(self) -> None:
        self._taken = {name: side.values[0] for name, side in SIDES.items()}

    def __getitem__(self, name: str) -> str:
        return self._taken[name]

    def take(self, name: str, value: str) -> None:
        """Raises ValueError for a name or value that there is not."""
        if name not in SIDES:
            raise ValueError(f"no side {name!r}; there are {', '.join(SIDES)}")
        if value not in SIDES[name].values:
            raise ValueError(f"{name}: {value!r} is none of {', '.join(SIDES[name].values)}")
        self._taken[name] = value

    def as_dict(self) -> dict[str, str]:
        return dict(self._taken)


_LISTS: Final = {
    "GET /user-files": "files",
    "GET /documents": "documents",
    "GET /uploads/sessions": "sessions",
    "GET /uploads/sessions/{session_id}/results": "results",
    "GET /chat/sessions": "sessions",
    "GET /datasets": "datasets",
    "GET /tenant/audit-logs": "entries",
}
_UPLOADS: Final = ("POST /user-files/upload/stream", "POST /user-files/upload/stream-batch")
_ITEMS: Final = {
    "POST /user-files/upload/stream-batch": ("immediate_results",),
    "GET /uploads/sessions/{session_id}/results": ("results",),
    "GET /uploads/sessions/{session_id}/status": ("recent_completions",),
    "GET /batch/{batch_id}/results": ("results",),
}
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def adapt(operation: str, status: int, body: Any, sides: Sides) -> tuple[int, Any]:
    """Status and body of a good answer as the sides have it; the given ones are as the specification says.

    Only what does not depend on the server's state is done here; operations ask for the rest themselves.
    """
    if operation in _UPLOADS and status == 200:
        status = int(sides["upload_status"])
    if isinstance(body, dict):
        body = dict(body)
        _sessions(operation, body, sides["session_end"])
        _documents(operation, body, sides)
        if operation == "POST /agents/pipeline" and sides["pipeline_result"] == "steps":
            body["steps"] = body.pop("nodes", [])
        if operation.endswith("/batch-prepare") and sides["batch_prepare"] == "files":
            body["files"] = body.pop("presigned_urls", [])
        if sides["item_success"] == "success":
            for name in _ITEMS.get(operation, ()):
                body[name] = [_success(item) for item in body.get(name) or ()] or body.get(name)
        if sides["progress"] == "polling":
            body.pop("websocket_channel", None)
        if operation.startswith(("GET /colors/images/", "POST /colors/images/")):
            _colors(body, sides["color_extracted_at"])
        _lists(operation, body, sides["list_envelope"])
    if sides["timestamps"] == "naive":
        body = _naive(body)
    return status, body


def _lists(operation: str, body: dict[str, Any], envelope: str) -> None:
    name = _LISTS.get(operation)
    if name is None or name not in body or envelope == "named":
        return
    if envelope == "items":
        body["items"] = body.pop(name)
    else:
        body["total"] = body.pop("total_count", 0)
        body.pop("has_more", None)


def _sessions(operation: str, body: dict[str, Any], word: str) -> None:
    if not operation.startswith(("GET /uploads/sessions", "POST /uploads/sessions")):
        return
    if "sessions" in body:
        body["sessions"] = [dict(session) for session in body["sessions"]]
    for record in body.get("sessions", [body]):
        if word != "completed" and record.get("failed_files") and record["status"] == "completed":
            record["status"] = word
        elif (
            word != "completed" and record.get("status") == "failed" and not record["failed_files"]
        ):
            record["status"] = "rejected"


def _documents(operation: str, body: dict[str, Any], sides: Sides) -> None:
    if operation == "POST /documents/search":
        body["results"] = [_scored(_chunk(c, sides), sides) for c in body["results"]]
    elif operation == "GET /documents/{document_id}/chunks":
        body["chunks"] = [_chunk(c, sides) for c in body["chunks"]]
    wanted = sides["document_status"]
    if wanted != "spec" and operation.partition(" ")[2].startswith(("/document", "/user-files")):
        for record in _records(body):
            for name in ("extraction_status", "text_extraction_status"):
                if name in record and name != wanted:
                    record[wanted] = record.pop(name)


def _records(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield body
    for name in ("documents", "files", "items"):
        if isinstance(body.get(name), list):
            body[name] = [dict(item) for item in body[name]]
            yield from body[name]


def _chunk(chunk: dict[str, Any], sides: Sides) -> dict[str, Any]:
    if sides["chunk_fields"] == "content":
        return chunk
    chunk = dict(chunk)
    chunk["text"], chunk["id"] = chunk.pop("content"), chunk.pop("chunk_id")
    metadata = dict(chunk.pop("metadata", None) or {})
    chunk["token_count"] = metadata.pop("token_count", None)
    return {**chunk, "metadata": metadata}


def _scored(chunk: dict[str, Any], sides: Sides) -> dict[str, Any]:
    score = chunk.pop("similarity_score", None)
    match sides["document_score"]:
        case "score":
            return {**chunk, "score": score}
        case "null":
            return {**chunk, "similarity_score": None}
    return {**chunk, "similarity_score": score}


def _success(item: dict[str, Any]) -> dict[str, Any]:
    return {**item, "status": "success"} if item["status"] == "completed" else item


def _colors(body: dict[str, Any], where: str) -> None:
    analysis = body.get("color_analysis")
    if not isinstance(analysis, dict):
        return
    if where == "inside":
        body["color_analysis"] = {**analysis, "extracted_at": body.pop("extracted_at", None)}


def _naive(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _naive(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_naive(v) for v in value]
    if isinstance(value, str) and _MOMENT.fullmatch(value):
        return value[:-1]
    return value
