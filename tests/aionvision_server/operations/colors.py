"""Colors and materials of pictures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from ..clock import stamp
from ..describing import seen
from ..exchange import Answer, Asked, Refusal, invalid
from ..registry import answers
from ..work import Work
from ..world import World
from .library import Library, RemoteFile, thumbnail
from .palettes import FAMILIES, analysis, distance

_MATERIALS: Final = ("wood", "metal", "concrete", "glass", "fabric", "stone", "plastic")
_NAMED: Final = {"red": "#ff0000", "green": "#008000", "blue": "#0000ff", "brown": "#8b4513"}


class Extractions:
    """How far colors (by number) and materials of each picture are."""

    def __init__(self) -> None:
        self.colors: dict[str, tuple[Work, int, float]] = {}
        self.materials: dict[str, tuple[Work, float]] = {}


def _colors(world: World, asked: Asked, file: RemoteFile) -> tuple[Work, int, float]:
    """Colors are extracted on upload: those of a picture that nobody asked for begin now, and are over."""
    room = world.room(Extractions).colors
    if file.id not in room:
        room[file.id] = (world.work("color", asked, file.filename), 16, file.created)
    return room[file.id]


def _as_colors(world: World, asked: Asked, file: RemoteFile) -> dict[str, Any]:
    work, count, begun = _colors(world, asked, file)
    state = work.state(world.now())
    if state == "processing" and world.sides["color_status"] == "queued":
        state = "queued"
    done = state == "completed"
    work.look()
    return {
        "image_id": file.id,
        "status": state,
        "color_analysis": analysis(file.stored.sha256, count) if done else None,
        "extracted_at": stamp(begun) if done else None,
    }


@answers("GET /colors/images/{image_id}")
def get_colors(world: World, asked: Asked) -> Answer:
    file = world.room(Library).get(asked.ids["image_id"], "image")
    return Answer(_as_colors(world, asked, file))


@answers("POST /colors/images/{image_id}/extract")
def extract(world: World, asked: Asked) -> Answer:
    file = world.room(Library).get(asked.ids["image_id"], "image")
    count = asked.number("n_colors", 16)
    known = file.id in world.room(Extractions).colors
    if asked.flag("force") or not known:
        work = world.work("color", asked, file.filename)
        world.room(Extractions).colors[file.id] = (work, count, world.now())
        world.books.bill(asked.entry, "color_extractions")
    return Answer(_as_colors(world, asked, file))


@answers("POST /colors/batch/extract", needs="image_ids")
def extract_many(world: World, asked: Asked) -> Answer:
    library, room = world.room(Library), world.room(Extractions).colors
    queued = 0
    for image_id in asked.given("image_ids"):
        file = library.files.get(image_id)
        if file is None or file.deleted is not None or file.media_type != "image":
            continue
        if asked.given("force", False) or image_id not in room:
            work = world.work("color", asked, file.filename)
            room[image_id] = (work, asked.given("n_colors", 16), world.now())
            world.books.bill(asked.entry, "color_extractions")
            queued += 1
    return Answer({"queued_count": queued, "message": f"Queued {queued} images"})


@answers("GET /colors/families")
def families(_world: World, _asked: Asked) -> Answer:
    return Answer(
        [
            {"name": name, "display_name": title, "description": text, "example_colors": examples}
            for name, (title, text, examples) in FAMILIES.items()
        ]
    )


@answers("POST /colors/search")
def search_colors(world: World, asked: Asked) -> Answer:
    code, name, family = (asked.given(n) for n in ("hex_code", "color_name", "color_family"))
    if code is None and name is None and family is None:
        raise Refusal(400, "VALIDATION_ERROR", "hex_code, color_name or color_family is required")
    if code is not None and not re.fullmatch(r"#?[0-9a-fA-F]{6}", code):
        raise invalid("hex_code", "hex_code: six hexadecimal digits expected")
    wanted = code or _NAMED.get(str(name).lower())
    hits = sorted(_matches(world, asked, wanted, name, family), key=lambda h: -h["match_score"])
    if world.sides["color_score"] == "lower":
        hits = [h | {"match_score": round(1 - h["match_score"], 4)} for h in hits]
    offset, limit = asked.given("offset", 0), asked.given("limit", 50)
    return Answer(
        {
            "results": hits[offset : offset + limit],
            "total_count": len(hits),
            "limit": limit,
            "offset": offset,
        }
    )


def _matches(
    world: World, asked: Asked, code: str | None, name: str | None, family: str | None
) -> Iterator[dict[str, Any]]:
    threshold = asked.given("delta_e_threshold", 15.0)
    least = asked.given("min_percentage", 5.0)
    for file in world.room(Library).live():
        if file.media_type != "image":
            continue
        found = analysis(file.stored.sha256)
        best: tuple[float, dict[str, Any]] | None = None
        for color in found["dominant_colors"]:
            score = _score(color, code, name, family, threshold)
            if color["percentage"] >= least and score > 0 and (best is None or score > best[0]):
                best = (score, color)
        if best is not None:
            yield {
                "image_id": file.id,
                "thumbnail_url": thumbnail(world, file),
                "color_analysis": found,
                "match_score": round(best[0], 4),
                "matched_hex": best[1]["hex"],
                "matched_percentage": best[1]["percentage"],
            }


def _score(
    color: dict[str, Any], code: str | None, name: str | None, family: str | None, most: float
) -> float:
    """max(0, 1 − ΔE / threshold) for a color that was named by its code; 1 or 0 otherwise."""
    if family is not None and color["family"] != family:
        return 0.0
    if code is not None:
        return max(0.0, 1 - distance(code, color["hex"]) / most) if most > 0 else 0.0
    if name is not None:
        return float(str(name).lower() in color["name"])
    return 1.0


def _material(file: RemoteFile) -> dict[str, Any]:
    picture = seen(file.stored.sha256)
    return {
        "material_type": _MATERIALS[int(file.stored.sha256[:2], 16) % len(_MATERIALS)],
        "surface_finish": "matte",
        "texture": "rough",
        "pattern": "plain",
        "confidence_score": picture.confidence,
    }


def _as_material(world: World, file: RemoteFile, work: Work, begun: float) -> dict[str, Any]:
    state = work.state(world.now())
    work.look()
    done = state == "completed"
    return {
        "image_id": file.id,
        "status": state,
        "material_classification": _material(file) if done else None,
        "classified_at": stamp(begun) if done else None,
    }


@answers("GET /materials/images/{image_id}")
def get_material(world: World, asked: Asked) -> Answer:
    file = world.room(Library).get(asked.ids["image_id"], "image")
    known = world.room(Extractions).materials.get(file.id)
    if known is None:
        body = {"image_id": file.id, "status": "pending"}
        return Answer(body | {"material_classification": None, "classified_at": None})
    return Answer(_as_material(world, file, *known))


@answers("POST /materials/images/{image_id}/classify")
def classify(world: World, asked: Asked) -> Answer:
    file = world.room(Library).get(asked.ids["image_id"], "image")
    return Answer(_as_material(world, file, *_classified(world, asked, file, asked.flag("force"))))


def _classified(
    world: World, asked: Asked, file: RemoteFile, force: bool | None
) -> tuple[Work, float]:
    room = world.room(Extractions).materials
    if force or file.id not in room:
        room[file.id] = (world.work("material", asked, file.filename), world.now())
        world.books.bill(asked.entry, "material_classifications")
    return room[file.id]


@answers("POST /materials/batch/classify", needs="image_ids")
def classify_many(world: World, asked: Asked) -> Answer:
    library = world.room(Library)
    files = [library.files[i] for i in asked.given("image_ids") if i in library.files]
    for file in files:
        _classified(world, asked, file, asked.given("force", False))
    return Answer({"queued_count": len(files), "message": f"Queued {len(files)} images"})


@answers("GET /materials/types")
def material_types(_world: World, _asked: Asked) -> Answer:
    return Answer(
        [
            {
                "type": name,
                "display_name": name.title(),
                "description": f"Surfaces of {name}",
                "common_finishes": ["matte", "polished"],
            }
            for name in _MATERIALS
        ]
    )


@answers("POST /materials/search")
def search_materials(world: World, asked: Asked) -> Answer:
    names = ("material_type", "surface_finish", "texture", "pattern")
    wanted = {name: asked.given(name) for name in names if asked.given(name) is not None}
    if not wanted:
        raise Refusal(400, "VALIDATION_ERROR", f"one of {', '.join(names)} is required")
    least = asked.given("min_confidence", 0.5)
    hits = []
    for file in world.room(Library).live():
        found = _material(file)
        fits = all(found[name] == value for name, value in wanted.items())
        if file.media_type == "image" and fits and found["confidence_score"] >= least:
            hits.append(
                {
                    "image_id": file.id,
                    "thumbnail_url": thumbnail(world, file),
                    "material_classification": found,
                    "confidence_score": found["confidence_score"],
                }
            )
    offset, limit = asked.given("offset", 0), asked.given("limit", 50)
    return Answer(
        {
            "results": hits[offset : offset + limit],
            "total_count": len(hits),
            "limit": limit,
            "offset": offset,
        }
    )
