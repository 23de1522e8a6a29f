"""Presigned uploads of pictures, which the specification no longer has: below `/user-files/upload` and `/uploads`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from ..clock import stamp
from ..exchange import Answer, Asked, Refusal, invalid, not_found
from ..registry import answers
from ..world import TENANT, Storage, World
from .document_uploads import upload_plan
from .library import Library, RemoteFile, new_picture, thumbnail
from .uploads import admit

_FILES: Final = ("presigned", ("user-files", "both"))
_UPLOADS: Final = ("presigned", ("uploads", "both"))
_TYPES: Final = ("image/jpeg", "image/jpg", "image/png", "image/webp", "image/gif")
_SMALLER: Final = 50 * 1024 * 1024
_LARGER: Final = 100 * 1024 * 1024
_MOST_IN_BATCH: Final = 5


@dataclass(slots=True)
class Promise:
    """A picture that is to be sent to the storage host."""

    file_id: str
    object_key: str
    filename: str
    content_type: str
    size: int
    title: str | None = None
    tags: list[str] = field(default_factory=list)
    describe: bool = True
    target: str = "default"


@dataclass(slots=True)
class Batch:
    """Pictures that were announced together."""

    id: str
    created: float
    promises: list[Promise]
    failed: list[str] = field(default_factory=list)


class Promises:
    """All announced uploads of pictures."""

    def __init__(self) -> None:
        self.by_key: dict[str, Promise] = {}
        self.by_idempotency: dict[str, Promise] = {}
        self.batches: dict[str, Batch] = {}


def _promise(world: World, told: dict[str, Any]) -> Promise:
    if told["content_type"] not in _TYPES:
        raise invalid("content_type", f"content_type: one of {', '.join(_TYPES)}")
    size = int(told["size_bytes"])
    if world.sides["presigned_limit"] == "above_100mb":
        if size <= _LARGER:
            raise invalid("size_bytes", "Use the streaming endpoints for files of up to 100 MB")
    elif size > _SMALLER:
        raise Refusal(413, "FILE_TOO_LARGE", "Presigned uploads have at most 50 MB")
    file_id = world.new_id("file")
    promise = Promise(
        file_id,
        f"uploads/{TENANT}/{file_id}/{told['filename']}",
        told["filename"],
        told["content_type"],
        size,
        target=told.get("storage_target") or "default",
    )
    world.room(Promises).by_key[promise.object_key] = promise
    return promise


def _presigned(world: World, promise: Promise) -> dict[str, Any]:
    return {
        "upload_url": world.room(Storage).expect(world, promise.object_key, 600),
        "upload_method": "PUT",
        "upload_fields": None,
        "upload_headers": {"Content-Type": promise.content_type},
        "object_key": promise.object_key,
        "expires_at": stamp(world.now() + 600),
        "max_size_bytes": _LARGER if world.sides["presigned_limit"] == "above_100mb" else _SMALLER,
    }


def _confirmed(world: World, asked: Asked, promise: Promise, size: int) -> RemoteFile:
    """The picture of a promise; confirmed twice it is the same one."""
    library = world.room(Library)
    known = library.with_object_key(promise.object_key)
    if known is not None:
        return known
    item = world.room(Storage).objects.get(promise.object_key)
    if item is None:
        raise Refusal(400, "UPLOAD_NOT_FOUND", "Nothing was sent to the upload URL")
    if item.size != size:
        raise Refusal(400, "SIZE_MISMATCH", f"{item.size} bytes were sent, not {size}")
    asked.entry.hashes.append(item.sha256)
    return new_picture(
        world,
        asked,
        item,
        promise.filename,
        promise.content_type,
        describe=promise.describe,
        file_id=promise.file_id,
        object_key=promise.object_key,
        title=promise.title,
        tags=promise.tags,
        storage_target=promise.target,
        upload_method="PUT",
    )


@answers("POST /user-files/upload/initiate", needs="filename content_type size_bytes", side=_FILES)
def initiate(world: World, asked: Asked) -> Answer:
    told = {name: asked.field(name) for name in ("filename", "content_type", "size_bytes")}
    if any(value is None for value in told.values()):
        raise invalid("filename", "filename, content_type and size_bytes are required form fields")
    admit(world, 1, int(told["size_bytes"] or 0))
    promise = _promise(world, told)
    promise.title = asked.field("title")
    promise.tags = [t.strip() for t in (asked.field("tags") or "").split(",") if t.strip()]
    promise.describe = asked.field_flag("auto_describe", True)
    more = {"image_id": promise.file_id, "thumbnail_url": None, "variant_urls": None}
    return Answer(_presigned(world, promise) | more)


@answers("POST /user-files/upload/confirm", needs="object_key size_bytes image_id", side=_FILES)
def confirm(world: World, asked: Asked) -> Answer:
    promise = world.room(Promises).by_key.get(asked.given("object_key", ""))
    if promise is None or promise.file_id != asked.given("image_id"):
        raise not_found("Upload")
    file = _confirmed(world, asked, promise, asked.given("size_bytes"))
    return Answer(
        {
            "image_id": file.id,
            "description_status": "pending" if file.description else "skipped",
            "title": file.title,
            "tags": file.tags,
        }
    )


@answers(
    "POST /uploads/request-presigned-url", needs="filename content_type size_bytes", side=_UPLOADS
)
def request_url(world: World, asked: Asked) -> Answer:
    admit(world, 1, asked.given("size_bytes", 0))
    room, key = world.room(Promises), asked.given("idempotency_key")
    promise = room.by_idempotency.get(key) or _promise(world, asked.body)
    if key:
        room.by_idempotency[key] = promise
    return Answer(_presigned(world, promise) | {"storage_target": promise.target})


@answers("POST /uploads/confirm", needs="object_key size_bytes", side=_UPLOADS)
def confirm_upload(world: World, asked: Asked) -> Answer:
    promise = world.room(Promises).by_key.get(asked.given("object_key", ""))
    if promise is None:
        raise not_found("Upload")
    file = _confirmed(world, asked, promise, asked.given("size_bytes"))
    return Answer(
        {
            "upload_id": file.id,
            "image_id": file.id,
            "object_key": file.object_key,
            "storage_path": f"s3://bucket/{file.object_key}",
            "confirmed": True,
        }
    )


@answers("POST /uploads/batch-prepare", needs="files", side=_UPLOADS)
def prepare(world: World, asked: Asked) -> Answer:
    files = asked.given("files", [])
    if not 1 <= len(files) <= _MOST_IN_BATCH:
        raise invalid("files", f"1 to {_MOST_IN_BATCH} files expected")
    size = sum(told["size_bytes"] for told in files)
    admit(world, len(files), size)
    promises = [_promise(world, told) for told in files]
    batch = Batch(world.new_id("batch"), world.now(), promises)
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
            "expires_at": stamp(world.now() + 600),
        }
    )


@answers("POST /uploads/batch-confirm", needs="batch_id confirmations", side=_UPLOADS)
def confirm_batch(world: World, asked: Asked) -> Answer:
    batch = world.room(Promises).batches.get(asked.given("batch_id", ""))
    if batch is None:
        raise not_found("Batch")
    promises = {p.object_key: p for p in batch.promises}
    process = asked.given("auto_process", True)
    files = []
    for told in asked.given("confirmations", []):
        promise = promises.get(told["object_key"])
        if promise is None or not told["success"]:
            batch.failed.append(promise.filename if promise else told["object_key"])
            continue
        promise.describe = bool(process)
        files.append(_confirmed(world, asked, promise, told["file_size"]))
    return Answer(
        {
            "batch_id": batch.id,
            "successful_uploads": len(files),
            "failed_uploads": len(batch.failed),
            "processing_status": "processing" if process and files else "pending",
            "failed_files": batch.failed or None,
            "message": f"{len(files)} files confirmed",
            "stored_images": [
                {
                    "image_id": file.id,
                    "object_key": file.object_key,
                    "filename": file.filename,
                    "thumbnail_url": thumbnail(world, file),
                    "variant_status": file.variants.state(world.now()),
                    "created_at": stamp(file.created),
                }
                for file in files
            ],
        }
    )


@answers("GET /uploads/batch/{batch_id}/status")
def batch_status(world: World, asked: Asked) -> Answer:
    batch = world.room(Promises).batches.get(asked.ids["batch_id"])
    if batch is None:
        raise not_found("Batch")
    library, now = world.room(Library), world.now()
    found = [library.with_object_key(p.object_key) for p in batch.promises]
    files = [file for file in found if file is not None]
    states = [file.status(now) for file in files]
    ended = len(batch.failed) + len(states) - states.count("processing")
    failures = batch.failed + [f.filename for f in files if f.status(now) == "failed"]
    body = {
        "batch_id": batch.id,
        "tenant_id": TENANT,
        "overall_status": _overall(len(batch.promises), ended, len(failures)),
        "completion_percentage": 100.0 * ended / len(batch.promises),
        "counts": {
            "total": len(batch.promises),
            "uploading": len(batch.promises) - len(files) - len(batch.failed),
            "processing": states.count("processing"),
            "completed": states.count("completed") + states.count("skipped"),
            "failed": len(failures),
        },
        "description_counts": {
            name: states.count(name) for name in ("processing", "completed", "failed", "skipped")
        },
        "error_summary": {"count": len(failures), "messages": failures},
        "created_at": stamp(batch.created),
        "last_activity_at": stamp(now),
    }
    for file in files:
        file.look()
    return Answer(body)


def _overall(total: int, ended: int, failed: int) -> str:
    if ended < total:
        return "processing"
    if failed == total:
        return "failed"
    return "partially_completed" if failed else "completed"
