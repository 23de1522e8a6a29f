"""Files: listing, looking at, changing, deleting, fetching."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from ..clock import stamp
from ..exchange import Answer, Asked, Refusal, invalid, not_found
from ..registry import answers
from ..storage_host import resized
from ..world import World
from .library import Library, RemoteFile, as_user_file, dimensions_of

_SIDES: Final = {"tiny_64": 64, "small_256": 256, "medium_750": 750, "large_1024": 1024}
_SORTS: Final[dict[str, Callable[[RemoteFile], Any]]] = {
    "created_at": lambda f: f.created,
    "content_created_at": lambda f: f.created,
    "title": lambda f: f.title or "",
    "size_bytes": lambda f: f.stored.size,
}


@answers("GET /user-files")
def list_files(world: World, asked: Asked) -> Answer:
    offset, limit = asked.page()
    order = asked.text("sort_by", "content_created_at")
    if order not in _SORTS:
        raise invalid("sort_by", f"sort_by: one of {', '.join(_SORTS)}")
    if len(asked.texts("ids")) > 500:
        raise invalid("ids", "ids: at most 500")
    found = [f for f in _candidates(world, asked) if _fits(world, asked, f)]
    found.sort(key=_SORTS[order], reverse=asked.text("sort_order", "desc") == "desc")
    page = found[offset : offset + limit]
    answer = Answer(
        {
            "files": [as_user_file(world, file) for file in page],
            "total_count": len(found),
            "has_more": offset + limit < len(found),
        }
    )
    for file in page:
        file.look()
    return answer


def _candidates(world: World, asked: Asked) -> Iterable[RemoteFile]:
    library = world.room(Library)
    ids = asked.texts("ids")
    if not ids:
        return library.live()
    found = (library.files.get(i) for i in dict.fromkeys(ids))
    return [f for f in found if f is not None and f.deleted is None]


def _fits(world: World, asked: Asked, file: RemoteFile) -> bool:
    kinds, tags = asked.texts("media_types"), asked.texts("tags")
    if kinds and file.media_type not in kinds:
        return False
    folder = asked.text("folder_id")
    if folder is not None and file.folder_id != folder:
        return False
    first, last = asked.moment("date_from"), asked.moment("date_to")
    if (first is not None and file.created < first) or (last is not None and file.created > last):
        return False
    picture = file.seen(world.now())
    described = asked.flag("has_description")
    if described is not None and described != (picture is not None):
        return False
    own_tags = file.tags or (list(picture.tags) if picture else [])
    if tags and not set(tags) & set(own_tags):
        return False
    search = asked.text("search")
    if search is None:
        return True
    text = picture.visible_text if picture and picture.visible_text else ""
    told = " ".join([file.title or "", file.filename, *own_tags])
    if picture is not None:
        told += f" {picture.title} {picture.description}"
    where = {"metadata": told, "visible_text": text}
    return search.lower() in where.get(asked.text("search_mode") or "", f"{told} {text}").lower()


@answers("GET /user-files/{image_id}")
def details(world: World, asked: Asked) -> Answer:
    file = world.room(Library).get(asked.ids["image_id"])
    listed = as_user_file(world, file)
    now = world.now()
    picture = file.seen(now)
    made = stamp(file.described) if file.described else None
    body = {
        name: value
        for name, value in listed.items()
        if name not in ("filename", "has_full_description", "description_error", "confidence_score")
    } | {
        "object_key": file.object_key,
        "dimensions": dimensions_of(file),
        "format": file.content_type.partition("/")[2],
        "original_url": f"{world.storage_url}/originals/{file.id}",
        "description_generated_at": made,
        "full_descriptions": [_full(file, now)] if picture else [],
        "updated_at": stamp(file.updated or file.created),
        "upload_method": file.upload_method,
        "original_filename": file.filename,
        "hash": file.stored.sha256,
        "processing_history": _history(file, now),
    }
    file.look()
    return Answer(body)


def _full(file: RemoteFile, now: float) -> dict[str, Any]:
    picture = file.seen(now)
    assert picture is not None
    return {
        "id": _sibling(file.id, "d"),
        "description": picture.description,
        "visible_text": picture.visible_text,
        "confidence_score": picture.confidence,
        "processing_time_ms": 1250,
        "created_at": stamp(file.described or now),
    }


def _history(file: RemoteFile, now: float) -> list[dict[str, Any]]:
    work = file.description
    if work is None:
        return []
    failure = work.failure if work.is_over(now) else None
    return [
        {
            "id": _sibling(file.id, "e"),
            "operation_type": "describe",
            "status": work.state(now),
            "created_at": stamp(file.created),
            "completed_at": stamp(now) if work.is_over(now) else None,
            "error_message": failure.message if failure else None,
        }
    ]


def _sibling(file_id: str, digit: str) -> str:
    """Another id that belongs to a file."""
    return file_id[:-1] + digit if file_id[-1] != digit else file_id[:-1] + "0"


@answers("PATCH /user-files/{image_id}")
def update(world: World, asked: Asked) -> Answer:
    return Answer(changed(world, world.room(Library).get(asked.ids["image_id"]), asked))


def changed(world: World, file: RemoteFile, asked: Asked) -> dict[str, Any]:
    """Title and tags as a request wants them."""
    tags = asked.given("tags")
    if tags is not None and any(not 1 <= len(tag) <= 50 for tag in tags):
        raise invalid("tags", "tags: each at most 50 characters")
    if isinstance(asked.body, dict) and "title" in asked.body:
        file.title = asked.body["title"]
    if tags is not None:
        file.tags = list(tags)
    file.updated = world.now()
    return {
        "id": file.id,
        "title": file.title,
        "tags": file.tags,
        "updated_at": stamp(file.updated),
    }


@answers("DELETE /user-files/{image_id}")
def delete(world: World, asked: Asked) -> Answer:
    library = world.room(Library)
    file = library.get(asked.ids["image_id"])
    library.delete(file, world.now())
    return Answer(
        {"id": file.id, "deleted_at": stamp(world.now()), "message": "File deleted successfully"}
    )


@answers("POST /user-files/batch-delete", needs="file_ids")
def batch_delete(world: World, asked: Asked) -> Answer:
    return Answer(deleted(world, asked.given("file_ids")))


def deleted(world: World, ids: list[str], *kinds: str) -> dict[str, Any]:
    """Delete files; what became of each."""
    library = world.room(Library)
    outcome: dict[str, list[dict[str, Any]]] = {"deleted": [], "skipped": [], "failed": []}
    for file_id in ids:
        file = library.files.get(file_id)
        kind, message = "deleted", None
        if file is None or (kinds and file.media_type not in kinds):
            kind, message = "failed", "File not found"
        elif file.deleted is not None:
            kind, message = "skipped", "Already deleted"
        else:
            library.delete(file, world.now())
        outcome[kind].append(
            {
                "id": file_id,
                "status": kind,
                "message": message,
                "deleted_at": stamp(world.now()) if kind == "deleted" else None,
            }
        )
    return {
        **outcome,
        "summary": {"total": len(ids), **{kind: len(items) for kind, items in outcome.items()}},
    }


@answers("GET /user-files/{image_id}/variant/{variant_type}")
def variant(world: World, asked: Asked) -> Answer:
    file = world.room(Library).get(asked.ids["image_id"])
    kind = asked.ids["variant_type"]
    if kind == "original":
        return found_at(world.place(file.stored, file.filename))
    if kind not in _SIDES:
        raise Refusal(400, "VALIDATION_ERROR", f"Unknown variant {kind}")
    if file.media_type != "image":
        raise not_found("Variant")
    return found_at(world.place(resized(file.stored, _SIDES[kind]), f"{kind}.jpg"))


@answers("GET /user-files/{image_id}/download")
def download(world: World, asked: Asked) -> Answer:
    file = world.room(Library).get(asked.ids["image_id"])
    return found_at(world.place(file.stored, file.filename))


def found_at(url: str) -> Answer:
    """A redirect to the storage host."""
    return Answer(status=302, raw=b"", headers={"location": url})


@answers("POST /user-files/{image_id}/trigger-variants")
def trigger_variants(world: World, asked: Asked) -> Answer:
    file = world.room(Library).get(asked.ids["image_id"], "image")
    running = file.variants.state(world.now()) == "processing"
    file.variants = world.work("description", asked)
    body: dict[str, Any] = {
        "success": True,
        "message": "Variant generation triggered",
        "task_id": f"task_{file.id[:8]}",
        "current_status": "queued",
        "image_id": file.id,
    }
    if running:
        body |= {"message": "Variant generation already in progress", "skipped_duplicate": True}
    return Answer(body)
