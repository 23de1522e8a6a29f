"""`/datasets`, which older servers have: made of a batch, exported to other formats."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from ..clock import stamp
from ..contents import stored
from ..exchange import Answer, Asked, Refusal, invalid, not_found
from ..registry import answers
from ..world import World
from .batches import Jobs
from .upload_sessions import Sessions

_SIDE: Final = ("datasets", ("present",))
_FORMATS: Final = ("csv", "coco", "yolo", "pascal_voc")


@dataclass(slots=True)
class Dataset:
    """One dataset."""

    id: str
    name: str
    description: str | None
    batch_id: str
    created: float
    total: int
    good: int
    exports: list[dict[str, Any]] = field(default_factory=list)


class Datasets:
    """All datasets."""

    def __init__(self) -> None:
        self.all: dict[str, Dataset] = {}

    def get(self, dataset_id: str) -> Dataset:
        """Raises Refusal where there is none."""
        if dataset_id not in self.all:
            raise not_found("Dataset")
        return self.all[dataset_id]


@answers("POST /datasets", needs="batch_id name", side=_SIDE)
def create(world: World, asked: Asked) -> Answer:
    states = _batch(world, asked.given("batch_id", ""))
    if "processing" in states:
        raise Refusal(409, "BATCH_NOT_COMPLETED", "The batch is still being processed")
    dataset = Dataset(
        world.new_id("dataset"),
        asked.given("name"),
        asked.given("description"),
        asked.given("batch_id"),
        world.now(),
        len(states),
        sum(s in ("completed", "skipped") for s in states),
    )
    world.room(Datasets).all[dataset.id] = dataset
    return Answer(_as_dataset(dataset), 201)


def _batch(world: World, batch_id: str) -> list[str]:
    """The states of a batch's items: a job's or an upload session's."""
    now = world.now()
    if batch_id in world.room(Jobs).all:
        return world.room(Jobs).get(batch_id).states(now)
    if batch_id in world.room(Sessions).all:
        return [item.state(now) for item in world.room(Sessions).get(batch_id).items]
    raise not_found("Batch")


def _as_dataset(dataset: Dataset) -> dict[str, Any]:
    return {
        "id": dataset.id,
        "name": dataset.name,
        "description": dataset.description,
        "batch_id": dataset.batch_id,
        "status": "ready",
        "total_items": dataset.total,
        "successful_items": dataset.good,
        "export_count": len(dataset.exports),
        "supported_formats": list(_FORMATS),
        "latest_export": dataset.exports[-1] if dataset.exports else None,
        "created_at": stamp(dataset.created),
        "updated_at": stamp(dataset.created),
    }


@answers("GET /datasets", side=_SIDE)
def list_datasets(world: World, asked: Asked) -> Answer:
    offset, limit = asked.page(100)
    found = [_as_dataset(d) for d in world.room(Datasets).all.values()]
    found = [d for d in found if asked.text("status") in (None, d["status"])]
    return Answer(
        {
            "datasets": found[offset : offset + limit],
            "total_count": len(found),
            "limit": limit,
            "offset": offset,
            "has_more": offset + limit < len(found),
        }
    )


@answers("GET /datasets/statistics/summary", side=_SIDE)
def statistics(world: World, asked: Asked) -> Answer:
    datasets = world.room(Datasets).all.values()
    formats = Counter(e["format"] for d in datasets for e in d.exports)
    return Answer(
        {
            "dataset_statistics": {"total": len(datasets), "ready": len(datasets)},
            "export_statistics": {"total": sum(formats.values())},
            "popular_formats": [{"format": k, "count": v} for k, v in formats.most_common()],
            "period": {"days": asked.number("days", 30)},
        }
    )


@answers("GET /datasets/{dataset_id}", side=_SIDE)
def get(world: World, asked: Asked) -> Answer:
    return Answer(_as_dataset(world.room(Datasets).get(asked.ids["dataset_id"])))


@answers("POST /datasets/{dataset_id}/export", needs="format", side=_SIDE)
def export(world: World, asked: Asked) -> Answer:
    dataset, kind = world.room(Datasets).get(asked.ids["dataset_id"]), asked.given("format")
    if kind not in _FORMATS:
        raise invalid("format", f"format: one of {', '.join(_FORMATS)}")
    count = dataset.total if asked.given("include_failed_items", False) else dataset.good
    content = stored(f"{kind} {dataset.name} {count}\n".encode())
    told = {
        "export_id": world.new_id("export"),
        "dataset_id": dataset.id,
        "format": kind,
        "status": "completed",
        "record_count": count,
        "download_url": world.place(content, f"{dataset.name}.{kind}"),
        "file_size_bytes": content.size,
        "content_type": "text/csv" if kind == "csv" else "application/zip",
        "exported_at": stamp(world.now()),
    }
    dataset.exports.append(told)
    return Answer(told)
