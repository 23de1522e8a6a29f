"""Detections over one batch: what earlier batches know is copied, the rest is asked of the backend once per content."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

import pyarrow as pa
import pyarrow.compute as pc

from aion_dagster import schemas
from aion_dagster.backends.protocol import Picture, VisionBackend
from aion_dagster.backends.reuse import reusable_rows
from aion_dagster.errors import SourceError
from aion_dagster.storage.store import Store
from aion_dagster.values import FileRef

Detection = Literal["text", "codes", "objects"]
DetectionTable = Literal["text_regions", "codes", "objects"]
DETECTION_TABLES: Final[dict[Detection, DetectionTable]] = {
    "text": "text_regions",
    "codes": "codes",
    "objects": "objects",
}
"""What is looked for → the table it comes into, in the order in which assets are made."""


@dataclass(frozen=True)
class Detections:
    """Rows of schema `DETECTIONS`, and which contents (SHA-256) have a result that may be reused."""

    table: pa.Table
    finished: list[str]
    reused: int

    @property
    def failed(self) -> int:
        """Pictures that could not be looked at."""
        return int(self.table["status"].to_pylist().count("failed"))

    @property
    def regions(self) -> int:
        """Regions found in all."""
        return int(pc.sum(pc.list_value_length(self.table["regions"])).as_py() or 0)


def distinct_pictures(images: pa.Table) -> dict[str, list[FileRef]]:
    """SHA-256 → the files of a batch that hold this readable content."""
    ok = images.filter(pc.equal(images["status"], schemas.STATUS_OK))
    places: dict[str, list[FileRef]] = {}
    columns = ("sha256", "source", "uri", "name", "version", "size_bytes", "modified_at")
    for row in ok.select(columns).to_pylist():
        sha = row.pop("sha256")
        places.setdefault(sha, []).append(FileRef(**row))
    return places


def first_readable(files: list[FileRef], read: Callable[[FileRef], bytes]) -> Callable[[], bytes]:
    """Reads a content from the first of its files that is still there."""

    def reader() -> bytes:
        for ref in files[:-1]:
            try:
                return read(ref)
            except SourceError:
                continue
        return read(files[-1])

    return reader


def detect(
    operation: Detection,
    batch: str,
    images: pa.Table,
    store: Store,
    backend: VisionBackend,
    read: Callable[[FileRef], bytes],
    advance: Callable[[int], None],
) -> Detections:
    """Text, codes or objects of every distinct picture of a batch."""
    table = DETECTION_TABLES[operation]
    places = distinct_pictures(images)
    ids = dict(zip(images["sha256"].to_pylist(), images["image_id"].to_pylist(), strict=True))
    rows, left = reusable_rows(
        store,
        table,
        operation=operation,
        parameters=backend.identity(operation),
        batch=batch,
        contents={sha: ids[sha] for sha in places},
    )
    advance(rows.num_rows)
    pictures = (
        Picture(image, sha, first_readable(places[sha], read)) for sha, image in left.items()
    )
    ask = {
        "text": backend.detect_text,
        "codes": backend.detect_codes,
        "objects": backend.detect_objects,
    }[operation]
    chunks: list[pa.Table] = [rows]
    for chunk in ask(pictures):
        chunks.append(chunk)
        advance(chunk.num_rows)
    found = pa.concat_tables(chunks)
    answered = set(found.filter(pc.equal(found["status"], "ok"))["image_id"].to_pylist())
    return Detections(found, sorted(s for s in places if ids[s] in answered), reused=rows.num_rows)


def as_annotations(table: pa.Table, origin: str) -> Iterator[dict[str, object]]:
    """Detected regions as rows of schema `ANNOTATIONS`, without ids."""
    for row in table.select(["image_id", "engine", "regions"]).to_pylist():
        for region in row["regions"] or ():
            yield {
                "image_id": row["image_id"],
                "category": region["category"],
                "bbox": region["bbox"],
                "score": region["score"],
                "segmentation": (
                    {"polygons": [region["polygon"]], "rle": None} if region["polygon"] else None
                ),
                "iscrowd": False,
                "text": region["text"],
                "origin": origin,
                "origin_ref": row["engine"],
            }
