"""Documents by presigned upload: one, or a batch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from ..clock import stamp
from ..contents import stored
from ..exchange import Answer, Asked, Refusal, not_found
from ..plans import NO_LIMIT
from ..registry import answers
from ..world import TENANT, Storage, World
from .documents_intake import DOCUMENT_TYPES, document_type_of, new_document
from .library import Library, RemoteFile, refreshed
from .uploads import admit

MOST_BYTES: Final = 50 * 1024 * 1024


@dataclass(slots=True)
class Promise:
    """A document that is to be sent to the storage host."""

    file_id: str
    object_key: str
    filename: str
    content_type: str
    size: int
    target: str
    created: float
    document_id: str | None = None


@dataclass(slots=True)
class Batch:
    """Documents that were announced together."""

    id: str
    created: float
    keys: list[str]
    document_ids: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


class Promises:
    """All announced uploads of documents."""

    def __init__(self) -> None:
        self.by_key: dict[str, Promise] = {}
        self.by_idempotency: dict[str, Promise] = {}
        self.batches: dict[str, Batch] = {}


def _promise(world: World, told: dict[str, Any]) -> Promise:
    """A new promise, or the one that was given for the same idempotency key."""
    room = world.room(Promises)
    idempotency = told.get("idempotency_key")
    if idempotency in room.by_idempotency:
        return room.by_idempotency[idempotency]
    if document_type_of(told["filename"], told["content_type"]) not in DOCUMENT_TYPES:
        raise Refusal(400, "UNSUPPORTED_FORMAT", f"{told['filename']}: unsupported document type")
    if told["size_bytes"] > MOST_BYTES:
        raise Refusal(400, "FILE_TOO_LARGE", "Documents have at most 50 MB")
    file_id = world.new_id("file")
    promise = Promise(
        file_id,
        f"documents/{TENANT}/{file_id}/{told['filename']}",
        told["filename"],
        told["content_type"],
        told["size_bytes"],
        told.get("storage_target") or "default",
        world.now(),
    )
    room.by_key[promise.object_key] = promise
    if idempotency:
        room.by_idempotency[idempotency] = promise
    return promise


def _presigned(world: World, promise: Promise) -> dict[str, Any]:
    return {
        "upload_url": world.room(Storage).expect(world, promise.object_key),
        "upload_method": "PUT",
        "upload_fields": None,
        "upload_headers": {"Content-Type": promise.content_type},
        "object_key": promise.object_key,
        "expires_at": stamp(world.now() + 3600),
    }


@answers("POST /document-uploads/request-presigned-url", needs="filename content_type size_bytes")
def request_url(world: World, asked: Asked) -> Answer:
    admit(world, 1, asked.given("size_bytes"))
    promise = _promise(world, asked.body)
    return Answer(
        {
            **_presigned(world, promise),
            "max_size_bytes": MOST_BYTES,
            "storage_target": promise.target,
            "bucket_name": None,
        }
    )


@answers("POST /document-uploads/confirm", needs="object_key size_bytes content_type")
def confirm(world: World, asked: Asked) -> Answer:
    promise = world.room(Promises).by_key.get(asked.given("object_key"))
    if promise is None:
        raise not_found("Upload")
    again = promise.document_id is not None
    file, same = _confirmed(world, asked, promise, asked.given("size_bytes"))
    return Answer(
        {
            "document_id": file.id,
            "object_key": file.object_key,
            "filename": file.filename,
            "document_type": file.extra["document_type"],
            "status": refreshed(world, file).extra["text_extraction_status"],
            "confirmed": True,
            "deduplicated": same and not again,
            "is_idempotent_retry": again,
        },
        201,
    )


def _confirmed(world: World, asked: Asked, promise: Promise, size: int) -> tuple[RemoteFile, bool]:
    """The document of a promise, and whether it was there before."""
    library = world.room(Library)
    if promise.document_id is not None:
        return library.get(promise.document_id), True
    item = world.room(Storage).objects.get(promise.object_key)
    if item is None:
        raise Refusal(400, "UPLOAD_NOT_FOUND", "Nothing was sent to the upload URL")
    if item.size != size:
        raise Refusal(400, "SIZE_MISMATCH", f"{item.size} bytes were sent, not {size}")
    asked.entry.hashes.append(item.sha256)
    same = library.with_hash(item.sha256, "document")
    file = same or new_document(
        world,
        asked,
        item,
        promise.filename,
        content_type=promise.content_type,
        file_id=promise.file_id,
        object_key=promise.object_key,
        storage_target=promise.target,
        upload_method="PUT",
    )
    promise.document_id = file.id
    return file, same is not None


@answers("GET /document-uploads/{document_id}/status")
def status(world: World, asked: Asked) -> Answer:
    file = refreshed(world, world.room(Library).get(asked.ids["document_id"], "document"))
    state = file.extra["text_extraction_status"]
    failure = file.work.failure if file.work and state == "failed" else None
    body = {
        "document_id": file.id,
        "filename": file.filename,
        "document_type": file.extra["document_type"],
        "text_extraction_status": state,
        "page_count": file.extra["page_count"],
        "chunk_count": file.extra["chunk_count"],
        "created_at": stamp(file.created),
        "processing_started_at": stamp(file.created),
        "completed_at": stamp(world.now()) if state in ("completed", "failed") else None,
        "error_message": failure.message if failure else None,
    }
    file.look()
    return Answer(body)


@answers("GET /document-uploads/quota-check", asks="file_count")
def quota_check(world: World, asked: Asked) -> Answer:
    count, library = asked.number("file_count", 1), world.room(Library)
    limit = world.plan.monthly or NO_LIMIT
    if world.sides["document_quota"] == "counts":
        stored_now = sum(f.media_type == "document" for f in library.live())
        return Answer(
            {
                "can_proceed": stored_now + count <= limit,
                "document_count": stored_now,
                "document_limit": limit,
                "storage_used_bytes": library.bytes_stored,
                "storage_limit_bytes": world.settings.storage_limit or 10 * 2**30,
                "message": "Quota available",
            }
        )
    left = max(limit - library.uploaded_this_month, 0)
    return Answer(
        {
            "can_proceed": count <= left,
            "requested": count,
            "available": left,
            "monthly_limit": limit,
            "current_usage": library.uploaded_this_month,
            "message": None if count <= left else "Upgrade your plan",
        }
    )


@answers("POST /document-uploads/batch-prepare", needs="files")
def prepare(world: World, asked: Asked) -> Answer:
    files = asked.given("files")
    size = sum(told["size_bytes"] for told in files)
    admit(world, len(files), size)
    promises = [_promise(world, told) for told in files]
    batch = Batch(world.new_id("batch"), world.now(), [p.object_key for p in promises])
    world.room(Promises).batches[batch.id] = batch
    return Answer(
        {
            "batch_id": batch.id,
            "upload_plan": upload_plan(),
            "presigned_urls": [
                {
                    "file_index": index,
                    "filename": promise.filename,
                    **_presigned(world, promise),
                    "upload_intent_id": promise.file_id,
                }
                for index, promise in enumerate(promises)
            ],
            "total_size_bytes": size,
            "estimated_time_seconds": len(files),
            "expires_at": stamp(world.now() + 3600),
        }
    )


def upload_plan() -> dict[str, Any]:
    return {
        "strategy": "parallel",
        "max_concurrent": 4,
        "retry_policy": {"max_retries": 3, "backoff_seconds": 1},
        "timeout_per_upload": 300,
    }


@answers("POST /document-uploads/batch-confirm", needs="batch_id confirmations")
def confirm_batch(world: World, asked: Asked) -> Answer:
    room = world.room(Promises)
    batch = _batch(world, asked.given("batch_id"))
    files: list[RemoteFile] = []
    for told in asked.given("confirmations"):
        promise = room.by_key.get(told["object_key"])
        if promise is None or not told["success"]:
            batch.failed.append(promise.filename if promise else told["object_key"])
            continue
        try:
            file, _ = _confirmed(world, asked, promise, told["file_size"])
        except Refusal:
            batch.failed.append(promise.filename)
            continue
        files.append(file)
    batch.document_ids += [f.id for f in files if f.id not in batch.document_ids]
    return Answer(
        {
            "batch_id": batch.id,
            "successful_uploads": len(files),
            "failed_uploads": len(batch.failed),
            "processing_status": "processing" if files else "failed",
            "failed_files": batch.failed or None,
            "message": f"{len(files)} documents are being processed",
            "documents": [_listed(world, f) for f in files],
        }
    )


@answers("GET /document-uploads/batch/{batch_id}/status")
def batch_status(world: World, asked: Asked) -> Answer:
    batch = _batch(world, asked.ids["batch_id"])
    library = world.room(Library)
    files = [refreshed(world, library.files[i]) for i in batch.document_ids]
    states = [f.extra["text_extraction_status"] for f in files]
    done, failed = states.count("completed"), states.count("failed")
    over = bool(files) and done + failed == len(files)
    body = {
        "batch_id": batch.id,
        "status": ("completed" if done else "failed") if over else "processing",
        "total_documents": len(batch.keys),
        "confirmed_documents": len(files),
        "processed_documents": done,
        "failed_documents": failed,
        "created_at": stamp(batch.created),
        "updated_at": stamp(world.now()),
        "documents": [_listed(world, f) for f in files],
    }
    for file in files:
        file.look()
    return Answer(body)


def _batch(world: World, batch_id: str) -> Batch:
    batch = world.room(Promises).batches.get(batch_id)
    if batch is None:
        raise not_found("Batch")
    return batch


def _listed(world: World, file: RemoteFile) -> dict[str, Any]:
    return {
        "document_id": file.id,
        "object_key": file.object_key,
        "filename": file.filename,
        "document_type": file.extra["document_type"],
        "text_extraction_status": refreshed(world, file).extra["text_extraction_status"],
        "created_at": stamp(file.created),
    }


def saved_text(world: World, asked: Asked, text: str, filename: str) -> RemoteFile:
    """A document that the server writes itself."""
    return new_document(world, asked, stored(text.encode()), filename)
