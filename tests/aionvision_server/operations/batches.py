"""`/batch`: descriptions of many pictures in one job; the only way to a prompt, to providers, or to a second look."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, field
from typing import Any

from ..clock import stamp
from ..contents import Stored, stored
from ..describing import seen
from ..exchange import Answer, Asked, Refusal, invalid, not_found
from ..registry import answers
from ..work import Work
from ..world import World
from .library import Library, RemoteFile


@dataclass(slots=True)
class Item:
    """One picture of a job."""

    id: str
    told: dict[str, Any]
    stored: Stored
    file: RemoteFile | None
    work: Work


@dataclass(slots=True)
class Job:
    """One call of `/batch/describe`."""

    id: str
    created: float
    question: str
    providers: list[str]
    items: list[Item] = field(default_factory=list)

    def states(self, now: float) -> list[str]:
        return [item.work.state(now) for item in self.items]


class Jobs:
    """All jobs."""

    def __init__(self) -> None:
        self.all: dict[str, Job] = {}

    def get(self, batch_id: str) -> Job:
        """Raises Refusal where there is none."""
        if batch_id not in self.all:
            raise not_found("Batch")
        return self.all[batch_id]


@answers("POST /batch/describe", needs="images")
def describe(world: World, asked: Asked) -> Answer:
    prompt, providers = asked.given("prompt"), asked.given("providers", [])
    question = json.dumps([prompt, sorted(providers)]) if prompt or providers else ""
    pictures = [_picture(world, told, i) for i, told in enumerate(asked.given("images", []))]
    job = Job(world.new_id("batch"), world.now(), question, providers)
    for told, (item, file) in zip(asked.given("images"), pictures, strict=True):
        subjects = [item.sha256, told.get("object_key") or ""]
        work = world.work("batch", asked, *subjects)
        job.items.append(Item(world.new_id("item"), told, item, file, work))
        asked.entry.hashes.append(item.sha256)
        if work.failure is None:
            world.books.describe(asked.entry, item.sha256)
            if file is not None:
                file.description, file.question, file.described = work, question, None
    world.room(Jobs).all[job.id] = job
    return Answer(
        {
            "batch_id": job.id,
            "status": "pending",
            "total_items": len(job.items),
            "processed_items": 0,
            "failed_items": 0,
            "created_at": stamp(job.created),
            "estimated_completion_time": None,
        },
        202,
    )


def _picture(world: World, told: dict[str, Any], index: int) -> tuple[Stored, RemoteFile | None]:
    """The bytes that are meant, and the stored file where they are one's.

    Raises:
        Refusal: they cannot be had.
    """
    if told.get("object_key"):
        file = world.room(Library).with_object_key(told["object_key"])
        if file is None or file.deleted is not None:
            raise Refusal(404, "NOT_FOUND", f"images.{index}: no object {told['object_key']}")
        return file.stored, file
    if told.get("image_base64"):
        try:
            return stored(base64.b64decode(told["image_base64"], validate=True)), None
        except binascii.Error as error:
            raise invalid(f"images.{index}.image_base64", str(error)) from None
    if told.get("image_url"):
        return stored(str(told["image_url"]).encode()), None
    raise invalid(f"images.{index}", "one of image_url, image_base64 and object_key is required")


@answers("GET /batch/{batch_id}")
def status(world: World, asked: Asked) -> Answer:
    job, now = world.room(Jobs).get(asked.ids["batch_id"]), world.now()
    states = job.states(now)
    done, failed = states.count("completed"), states.count("failed")
    over = "processing" not in states
    body = {
        "batch_id": job.id,
        "status": state_of(states),
        "total_items": len(states),
        "processed_items": done + failed,
        "successful_items": done,
        "failed_items": failed,
        "success_rate": done / max(done + failed, 1),
        "created_at": stamp(job.created),
        "started_at": stamp(job.created),
        "completed_at": stamp(now) if over else None,
        "estimated_completion_time": None,
        "progress_percentage": 100.0 * (done + failed) / len(states),
        "avg_processing_time_ms": 900,
    }
    for item in job.items:
        item.work.look()
    return Answer(body)


def state_of(states: list[str]) -> str:
    """The word for a job whose items are in these states."""
    if "processing" in states:
        return "processing"
    if "cancelled" in states:
        return "cancelled"
    if "failed" not in states:
        return "completed"
    return "partially_completed" if "completed" in states else "failed"


@answers("DELETE /batch/{batch_id}")
def cancel(world: World, asked: Asked) -> Answer:
    job = world.room(Jobs).get(asked.ids["batch_id"])
    waiting = [item for item in job.items if not item.work.is_over(world.now())]
    if not waiting:
        raise Refusal(400, "BATCH_OVER", "The batch has ended already")
    for item in waiting:
        item.work.cancelled = True
    return Answer(status=204, raw=b"")


@answers("GET /batch/{batch_id}/results")
def results(world: World, asked: Asked) -> Answer:
    job, now = world.room(Jobs).get(asked.ids["batch_id"]), world.now()
    offset, limit = asked.page(100, 500)
    states = job.states(now)
    shown = [
        _result(world, job, index, item, state)
        for index, (item, state) in enumerate(zip(job.items, states, strict=True))
        if state == "completed" or (state == "failed" and asked.flag("include_failed", True))
    ]
    return Answer(
        {
            "batch_id": job.id,
            "status": state_of(states),
            "results": shown[offset : offset + limit],
            "pagination": {
                "offset": offset,
                "limit": limit,
                "total": len(shown),
                "has_more": offset + limit < len(shown),
            },
            "summary": {name: states.count(name) for name in ("completed", "failed", "processing")},
        }
    )


def _result(world: World, job: Job, index: int, item: Item, state: str) -> dict[str, Any]:
    picture = seen(item.stored.sha256, job.question)
    failure = item.work.failure
    told = world.settings.credits_told
    output = {
        "title": picture.title,
        "description": picture.description,
        "tags": list(picture.tags),
        "visible_text": picture.visible_text,
        "confidence_score": picture.confidence,
        "providers_used": job.providers or ["default"],
        "image_id": item.file.id if item.file else None,
    }
    return {
        "item_id": item.id,
        "item_index": index,
        "status": state,
        "input_data": {k: v for k, v in item.told.items() if k != "image_base64"},
        "output_data": output if state == "completed" else None,
        "error_message": failure.message if failure and state == "failed" else None,
        "processing_time_ms": 900,
        "stored_image_url": None,
        **({} if told is None else {"credits_used": told}),
    }
