"""`/data`: the history of descriptions, exports of it, and the pictures that belong to it."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import Any, Final

import orjson

from ..clock import seconds_of, stamp
from ..contents import Stored, stored
from ..exchange import Answer, Asked, Refusal, not_found
from ..registry import answers
from ..storage_host import resized
from ..work import Work
from ..world import World
from .batches import Jobs
from .library import Library, RemoteFile, thumbnail

_SIZES: Final = {"tiny": 64, "small": 256, "medium": 750}
_VARIANTS: Final = {"tiny_64": 64, "small_256": 256, "medium_750": 750, "large_1024": 1024}


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Which descriptions are meant."""

    first: float | None
    last: float | None
    least: float
    most: float
    words: tuple[str, ...]

    def fits(self, world: World, file: RemoteFile) -> bool:
        picture = file.seen(world.now())
        if picture is None or not self.least <= picture.confidence <= self.most:
            return False
        if self.first is not None and file.created < self.first:
            return False
        if self.last is not None and file.created > self.last:
            return False
        text = f"{picture.title} {picture.description}".lower()
        return not self.words or any(word in text for word in self.words)


def _entry(world: World, file: RemoteFile) -> dict[str, Any]:
    picture = file.seen(world.now())
    assert picture is not None
    return {
        "id": file.id,
        "type": "description",
        "source_type": "single",
        "source_id": file.id,
        "created_at": stamp(file.created),
        "image_url": thumbnail(world, file, "large_1024"),
        "stored_image_url": thumbnail(world, file, "large_1024"),
        "description": picture.description,
        "confidence_score": picture.confidence,
        "image_id": file.id,
        "thumbnail_url": thumbnail(world, file),
        "metadata": {"title": picture.title, "tags": list(picture.tags)},
    }


@answers("GET /data/descriptions")
def descriptions(world: World, asked: Asked) -> Answer:
    offset, limit = asked.page(100, 1000)
    least, most = asked.fraction("min_confidence"), asked.fraction("max_confidence")
    words = tuple(w.strip().lower() for w in (asked.text("search") or "").split(",") if w.strip())
    wanted = _Wanted(
        asked.moment("start_date"),
        asked.moment("end_date"),
        least if least is not None else 0.0,
        most if most is not None else 1.0,
        words,
    )
    kinds = asked.text("source_types")
    files = [f for f in world.room(Library).live() if wanted.fits(world, f)]
    if kinds is not None and "single" not in kinds.split(","):
        files = []
    entries = [_entry(world, f) for f in reversed(files)]
    scores = [e["confidence_score"] for e in entries]
    pages = -(-len(entries) // limit)
    return Answer(
        {
            "results": entries[offset : offset + limit],
            "total_count": len(entries),
            "statistics": {
                "total_count": len(entries),
                "average_confidence": sum(scores) / len(scores) if scores else 0.0,
                "confidence_distribution": {"high": len(scores)},
                "daily_counts": [],
                "source_distribution": {"single": len(entries)},
            },
            "filters_applied": {
                "date_range_applied": wanted.first is not None or wanted.last is not None,
                "confidence_range_applied": least is not None or most is not None,
                "search_applied": bool(words),
                "source_types_filtered": kinds is not None,
                "filter_summary": None,
            },
            "page_info": {
                "offset": offset,
                "limit": limit,
                "has_next": offset + limit < len(entries),
                "has_previous": offset > 0,
                "total_pages": pages,
                "current_page": offset // limit + 1,
            },
        }
    )


@dataclass(slots=True)
class Export:
    """A file that is being written."""

    id: str
    created: float
    format: str
    content: Stored
    count: int
    work: Work


class Exports:
    """All exports."""

    def __init__(self) -> None:
        self.all: dict[str, Export] = {}


@answers("POST /data/export", needs="data_type format")
def begin_export(world: World, asked: Asked) -> Answer:
    first, last = asked.given("start_date"), asked.given("end_date")
    wanted = _Wanted(
        seconds_of(first) if first else None,
        seconds_of(last) if last else None,
        asked.given("min_confidence", 0.0),
        asked.given("max_confidence", 1.0),
        tuple(w.lower() for w in asked.given("search_terms", [])),
    )
    files = [f for f in world.room(Library).live() if wanted.fits(world, f)]
    rows = [_entry(world, f) for f in files[: asked.given("limit", 100_000)]]
    names = asked.given("fields")
    if names:
        rows = [{name: row.get(name) for name in names} for row in rows]
    kind = asked.given("format")
    export = Export(
        world.new_id("export"),
        world.now(),
        kind,
        stored(_written(rows, kind)),
        len(rows),
        world.work("export", asked),
    )
    world.room(Exports).all[export.id] = export
    return Answer(_as_export(world, export), 202)


def _written(rows: list[dict[str, Any]], kind: str) -> bytes:
    if kind == "json":
        return orjson.dumps(rows)
    if kind == "jsonl":
        return b"".join(orjson.dumps(row) + b"\n" for row in rows)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else ["id"])
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _as_export(world: World, export: Export) -> dict[str, Any]:
    state = export.work.state(world.now())
    done = state == "completed"
    failure = export.work.failure if state == "failed" else None
    return {
        "export_id": export.id,
        "status": state,
        "download_url": world.place(export.content, f"export.{export.format}") if done else None,
        "record_count": export.count if done else None,
        "format": export.format,
        "created_at": stamp(export.created),
        "estimated_completion_time": None,
        "error_message": failure.message if failure else None,
    }


@answers("GET /data/export/{export_id}")
def get_export(world: World, asked: Asked) -> Answer:
    export = world.room(Exports).all.get(asked.ids["export_id"])
    if export is None:
        raise not_found("Export")
    answer = Answer(_as_export(world, export))
    export.work.look()
    return answer


@answers("GET /data/images/{verification_id}")
def image(world: World, asked: Asked) -> Answer:
    item = world.room(Library).get(asked.ids["verification_id"], "image").stored
    return _shown(item, _size(asked) if asked.flag("thumbnail", True) else None)


@answers("GET /data/images/{verification_id}/thumbnail")
def image_thumbnail(world: World, asked: Asked) -> Answer:
    item = world.room(Library).get(asked.ids["verification_id"], "image").stored
    return _shown(item, _size(asked))


@answers("GET /data/images/{verification_id}/variants")
def variants(world: World, asked: Asked) -> Answer:
    file = world.room(Library).get(asked.ids["verification_id"], "image")
    base = f"/api/v2/data/images/{file.id}/variant"
    return Answer(
        {
            "verification_id": file.id,
            "variants": [
                {"type": name, "url": f"{base}/{name}"} for name in ("original", *_VARIANTS)
            ],
        }
    )


@answers("GET /data/images/{verification_id}/variant/{variant_type}")
def variant(world: World, asked: Asked) -> Answer:
    item = world.room(Library).get(asked.ids["verification_id"], "image").stored
    kind = asked.ids["variant_type"]
    if kind != "original" and kind not in _VARIANTS:
        raise not_found("Variant")
    return _shown(item, _VARIANTS.get(kind))


@answers("GET /data/batch-images/{item_id}")
def batch_image(world: World, asked: Asked) -> Answer:
    item = _batch_item(world, asked.ids["item_id"])
    return _shown(item, _size(asked) if asked.flag("thumbnail", True) else None)


@answers("GET /data/batch-images/{batch_item_id}/thumbnail")
def batch_thumbnail(world: World, asked: Asked) -> Answer:
    return _shown(_batch_item(world, asked.ids["batch_item_id"]), _size(asked))


def _batch_item(world: World, item_id: str) -> Stored:
    items = (i for job in world.room(Jobs).all.values() for i in job.items)
    found = next((i for i in items if i.id == item_id), None)
    if found is None:
        raise not_found("Batch item")
    return found.stored


def _size(asked: Asked) -> int:
    name = asked.text("size", "small") or "small"
    if name not in _SIZES:
        raise Refusal(400, "VALIDATION_ERROR", f"size: one of {', '.join(_SIZES)}")
    return _SIZES[name]


def _shown(item: Stored, longest: int | None) -> Answer:
    """The picture itself; here the API does not redirect."""
    shown = item if longest is None else resized(item, longest)
    content = shown.read()
    if content is None:
        raise not_found("Image")
    return Answer(raw=content, media_type="image/jpeg", headers={"cache-control": "max-age=3600"})
