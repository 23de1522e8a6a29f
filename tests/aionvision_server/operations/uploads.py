"""Uploads in one request: a single file, or a batch with its session."""

from __future__ import annotations

from typing import Any, Final

from ..clock import stamp
from ..contents import media_type_of
from ..exchange import Answer, Asked, Refusal, invalid
from ..multipart import Upload
from ..plans import NO_LIMIT
from ..registry import answers
from ..world import TENANT, World
from .documents_intake import DOCUMENT_TYPES, document_type_of, new_document
from .library import Library, RemoteFile, new_picture
from .upload_sessions import Item, Sessions, UploadSession, cost

MOST_BYTES: Final = 100 * 1024 * 1024


@answers("POST /user-files/upload/stream", needs="file")
def upload_one(world: World, asked: Asked) -> Answer:
    upload = _only(asked)
    kind = _kind(upload)
    if kind is None or any(f.concerns(upload.filename) for f in asked.rejecting):
        raise Refusal(400, "UNSUPPORTED_FORMAT", f"{upload.filename}: unsupported file type")
    if upload.stored.size > MOST_BYTES:
        raise Refusal(413, "FILE_TOO_LARGE", "File exceeds 100MB")
    admit(world, 1, upload.stored.size)
    file, is_new = take(world, asked, upload, kind, asked.field("title"))
    document = kind == "document"
    return Answer(
        {
            "image_id": file.id,
            "object_key": file.object_key,
            "upload_method": "STREAMING",
            "status": "completed" if is_new else "skipped",
            "processing_time_ms": 12.5,
            "s3_upload_completed": True,
            "variants_queued": is_new and not document,
            "description_queued": is_new and file.description is not None,
            "skipped": not is_new,
            "skipped_existing_image_id": None if is_new else file.id,
            "storage_target": file.storage_target,
            "media_type": kind,
            "document_type": file.extra.get("document_type"),
            "text_extraction_status": file.extra.get("text_extraction_status"),
        }
    )


@answers("POST /user-files/upload/stream-batch", needs="files")
def upload_batch(world: World, asked: Asked) -> Answer:
    uploads = [u for u in asked.uploads if u.field == "files"]
    if not uploads:
        raise invalid("files", "Field required")
    most = batch_size(world)
    if len(uploads) > most:
        raise Refusal(
            413, "BATCH_TOO_LARGE", f"Too many files: {len(uploads)}, your plan allows {most}"
        )
    rejections = [r for i, u in enumerate(uploads) if (r := _rejection(asked, i, u)) is not None]
    refused = {r["index"] for r in rejections}
    accepted = [u for i, u in enumerate(uploads) if i not in refused]
    admit(world, len(accepted), sum(u.stored.size for u in accepted))
    session = world.room(Sessions).open(world, asked, len(accepted))
    for upload in accepted:
        file, is_new = take(world, asked, upload, _kind(upload) or "image", None)
        session.items.append(Item(upload.filename, file, skipped=not is_new))
    now = world.now()
    small = len(uploads) <= world.settings.immediate
    return Answer(
        {
            "session_id": session.id,
            "total_files": len(uploads),
            "accepted_files": len(accepted),
            "rejected_files": len(rejections),
            "status": _status(world, session, rejections, small, now),
            "immediate_results": [_immediate(world, i) for i in session.items] if small else None,
            "status_url": f"/api/v2/uploads/sessions/{session.id}/status",
            "websocket_channel": f"batch.{session.id}",
            "rejections": rejections or None,
        }
    )


@answers("GET /uploads/quota-check", asks="file_count")
def quota_check(world: World, asked: Asked) -> Answer:
    count = asked.number("file_count", 1)
    limit = world.plan.monthly or NO_LIMIT
    used = world.room(Library).uploaded_this_month
    left = max(limit - used, 0)
    body: dict[str, Any] = {
        "can_proceed": count <= left,
        "requested": count,
        "available": left,
        "monthly_limit": limit,
        "current_usage": used,
        "message": None
        if count <= left
        else f"Only {left} uploads left this month; upgrade your plan",
    }
    if world.sides["quota_batch_size"] == "given":
        body |= {"max_batch_size": batch_size(world), "max_concurrent_uploads": world.plan.at_once}
    return Answer(body)


@answers("POST /uploads/check-duplicates", needs="hashes")
def check_duplicates(world: World, asked: Asked) -> Answer:
    library = world.room(Library)
    hashes = asked.given("hashes", [])
    if not 1 <= len(hashes) <= 250:
        raise invalid("hashes", "1 to 250 hashes expected")
    for value in hashes:
        if len(value) != 64 or value.strip("0123456789abcdef"):
            raise invalid("hashes", "not a SHA-256 in lower-case hexadecimal digits")
    known = {value for value in hashes if library.with_hash(value)}
    return Answer(
        {
            "duplicates": [h for h in dict.fromkeys(hashes) if h in known],
            "unique": [h for h in dict.fromkeys(hashes) if h not in known],
        }
    )


def batch_size(world: World) -> int:
    return world.plan.larger_batch if world.sides["batch_size"] == "larger" else world.plan.batch


def admit(world: World, count: int, size: int) -> None:
    """Whether the plan has room for so many files and bytes.

    Raises:
        Refusal: it has not; nothing has been taken in then.
    """
    library = world.room(Library)
    limit = world.plan.monthly
    if limit is not None and library.uploaded_this_month + count > limit:
        raise Refusal(
            429,
            "USAGE_LIMIT_EXCEEDED",
            f"Monthly upload limit of {limit} reached",
            details={"limit": limit, "used": library.uploaded_this_month},
            headers={"retry-after": "86400"},
        )
    most = world.settings.storage_limit
    if most is not None and library.bytes_stored + size > most:
        status = int(world.sides["storage_quota"])
        raise Refusal(status, "STORAGE_QUOTA_EXCEEDED", "Account storage limit reached")


def take(
    world: World, asked: Asked, upload: Upload, kind: str, title: str | None
) -> tuple[RemoteFile, bool]:
    """The file that an upload becomes, and whether it is a new one."""
    library = world.room(Library)
    if asked.field_flag("skip_duplicates", False):
        existing = library.with_hash(upload.stored.sha256)
        if existing is not None:
            world.books.skipped_uploads += 1
            return existing, False
    tags = [t.strip() for t in (asked.field("tags") or "").split(",") if t.strip()]
    target = asked.field("storage_target", "default") or "default"
    if kind == "document":
        return new_document(
            world, asked, upload.stored, upload.filename, title=title, tags=tags
        ), True
    describe = asked.field_flag("auto_describe", True)
    return (
        new_picture(
            world,
            asked,
            upload.stored,
            upload.filename,
            upload.content_type,
            title=title,
            tags=tags,
            storage_target=target,
            describe=describe,
        ),
        True,
    )


def _only(asked: Asked) -> Upload:
    uploads = [u for u in asked.uploads if u.field == "file"]
    if len(uploads) != 1:
        raise invalid("file", "exactly one file expected")
    return uploads[0]


def _kind(upload: Upload) -> str | None:
    """image or document; None for what the API does not take."""
    if document_type_of(upload.filename, upload.content_type) in DOCUMENT_TYPES:
        return "document"
    if media_type_of(upload.stored.head) or upload.content_type.startswith("image/"):
        return "image"
    return None


def _rejection(asked: Asked, index: int, upload: Upload) -> dict[str, Any] | None:
    reason, retryable = None, False
    if _kind(upload) is None:
        reason = "Unsupported file type"
    elif upload.stored.size > MOST_BYTES:
        reason = "File exceeds 100MB"
    else:
        fault = next((f for f in asked.rejecting if f.concerns(upload.filename)), None)
        if fault is not None:
            reason = fault.options.get("message", "Rejected on demand")
            retryable = bool(fault.options.get("retryable", False))
    if reason is None:
        return None
    return {"filename": upload.filename, "index": index, "reason": reason, "retryable": retryable}


def _immediate(world: World, item: Item) -> dict[str, Any]:
    file = item.file
    return {
        "image_id": file.id,
        "filename": item.filename,
        "object_key": file.object_key,
        "status": "skipped" if item.skipped else "completed",
        "processing_time_ms": 8.5,
        "skipped": item.skipped,
        "skipped_existing_image_id": file.id if item.skipped else None,
        "error": None,
        "storage_target": file.storage_target,
        "media_type": file.media_type,
        "document_type": file.extra.get("document_type"),
        "text_extraction_status": file.extra.get("text_extraction_status"),
        **cost(world, item),
    }


def _status(
    world: World, session: UploadSession, rejections: list[Any], small: bool, now: float
) -> str:
    if rejections and not session.items:
        return "rejected" if world.sides["session_end"] != "completed" else "failed"
    if rejections:
        return "partial"
    return "completed" if small else "processing"


@answers("GET /uploads/status/{image_id}")
def upload_status(world: World, asked: Asked) -> Answer:
    file = world.room(Library).get(asked.ids["image_id"])
    return Answer(unified(world, file))


@answers("GET /uploads/stuck-uploads")
def stuck_uploads(world: World, asked: Asked) -> Answer:
    limit = asked.number("limit", 50)
    before = world.now() - 60 * asked.number("stuck_minutes", 30)
    stuck = [
        unified(world, file)
        for file in world.room(Library).live()
        if file.description is not None
        and not file.description.is_over(world.now())
        and file.created <= before
    ]
    return Answer({"stuck_count": len(stuck), "images": stuck[:limit]})


def unified(world: World, file: RemoteFile) -> dict[str, Any]:
    """How far an upload is; asking counts as a look."""
    now = world.now()
    state = file.status(now)
    file.look()
    work = file.description
    over = work is None or state != "processing"
    failure = work.failure if work is not None and over else None
    return {
        "image_id": file.id,
        "tenant_id": TENANT,
        "batch_id": None,
        "unified_status": "completed" if state == "skipped" else state,
        "component_statuses": {
            "variant_status": file.variants.state(now),
            "description_status": state,
            "upload_intent_status": "completed",
            "task_intent_status": None,
        },
        "task_intent_ids": [],
        "error_message": failure.message if failure else None,
        "last_error_at": stamp(now) if failure else None,
        "created_at": stamp(file.created),
        "last_updated_at": stamp(now),
        "completed_at": stamp(now) if over else None,
        "retry_count": 0,
        "processing_duration_seconds": now - file.created,
        "is_stuck": not over and now - file.created > 1800,
        "is_terminal": over,
    }
