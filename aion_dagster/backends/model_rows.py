"""Rows of tables from models of transformers: descriptions, text, objects, image vectors."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from aion_dagster import schemas
from aion_dagster.backends.facts_rows import describe_rows
from aion_dagster.backends.local_detections import region
from aion_dagster.backends.protocol import DescribeRequest, Picture
from aion_dagster.compute.decode import UndecodableError, upright_rgb
from aion_dagster.errors import SourceError

if TYPE_CHECKING:
    from aion_dagster.compute.models.captions import Captioner
    from aion_dagster.compute.models.joint_vectors import JointEncoder
    from aion_dagster.compute.models.objects import ObjectDetector
    from aion_dagster.compute.models.regions import FoundRegion
    from aion_dagster.compute.models.text_reader import TextReader

LOOKED_AT: Final = 1024
"""Longest side in pixels at which models get a picture; they reduce it further."""
CHUNK: Final = 64
"""Pictures that are held decoded: 64 of 1024 × 1024 are 192 MiB."""
_TITLE: Final = 80

Pixels = NDArray[np.uint8]
Row = dict[str, Any]


def caption_rows(
    request: DescribeRequest,
    captioner: Captioner,
    *,
    provider: str,
    tagger: JointEncoder | None = None,
    tags: Sequence[str] = (),
    min_tag_score: float = 0.3,
) -> pa.Table:
    """A row of schema `DESCRIPTIONS` per picture of the request.

    The model writes the description, whose first sentence is the title; measured tags stay, and those of `tags` join them
    that `tagger` gives `min_tag_score` or more. A picture that the model says nothing of has a failed row.
    """
    measured = describe_rows(request, provider=provider, model=captioner.engine).to_pylist()
    rows = {row["image_id"]: row for row in measured}
    waiting = iter([i for i, row in rows.items() if row["description_status"] == "completed"])
    asked = None if tagger is None or not tags else (tagger, tagger.encode_texts(list(tags)))
    while ids := list(islice(waiting, CHUNK)):
        found = request.variants(ids)
        pictures = {i: p for i in ids if (p := _decoded(found.get(i))) is not None}
        for image in ids:
            if image not in pictures:
                _fail(rows[image], "image", "the picture's large variant is missing or damaged")
        begun = time.perf_counter()
        said = list(captioner.caption(pictures.values()))
        spent = (time.perf_counter() - begun) * 1000 / max(len(pictures), 1)
        for image, text in zip(pictures, said, strict=True):
            _tell(rows[image], text, spent)
        if asked is not None:
            _tag(rows, pictures, *asked, tags, min_tag_score)
    return pa.Table.from_pylist(list(rows.values()), schema=schemas.DESCRIPTIONS)


def _decoded(data: bytes | None) -> Pixels | None:
    if data is None:
        return None
    try:
        return upright_rgb(data)[0]
    except UndecodableError:
        return None  # told as a failed row by the caller


def _tell(row: Row, text: str, milliseconds: float) -> None:
    row["processing_time_ms"] = milliseconds
    if not text:
        _fail(row, "empty", "the model said nothing of this picture")
        return
    title = text.split("\n")[0].split(". ")[0].rstrip(".")
    row["title"] = title if len(title) <= _TITLE else title[: _TITLE - 1] + "…"
    row["description"] = text


def _fail(row: Row, kind: str, reason: str) -> None:
    row |= dict.fromkeys(("title", "description"), None)
    row |= {
        "description_status": "failed",
        "description_error": reason,
        "description_error_type": kind,
        "description_is_retryable": False,
    }


def _tag(
    rows: dict[str, Row],
    pictures: dict[str, Pixels],
    tagger: JointEncoder,
    texts: NDArray[np.float32],
    tags: Sequence[str],
    least: float,
) -> None:
    if not pictures:
        return
    vectors = np.stack(list(tagger.encode_images(pictures.values())))
    for image, scores in zip(pictures, tagger.tag_scores(vectors, texts), strict=True):
        fitting = [tag for tag, score in zip(tags, scores, strict=True) if score >= least]
        rows[image]["tags"] = list(dict.fromkeys([*(rows[image]["tags"] or ()), *fitting]))


def text_tables(pictures: Iterable[Picture], reader: TextReader) -> Iterator[pa.Table]:
    """Text in pictures, in chunks of schema `DETECTIONS`, a row per picture."""

    def told(found: FoundRegion) -> tuple[str, str | None]:
        return "text", found.label

    return _detections(pictures, reader.find, reader.engine, told)


def object_tables(pictures: Iterable[Picture], detector: ObjectDetector) -> Iterator[pa.Table]:
    """Objects in pictures, in chunks of schema `DETECTIONS`, a row per picture."""

    def told(found: FoundRegion) -> tuple[str, str | None]:
        return found.label, None

    return _detections(pictures, detector.find, detector.engine, told)


def _detections(
    pictures: Iterable[Picture],
    find: Callable[[Iterable[Pixels]], Iterator[list[FoundRegion]]],
    engine: str,
    told: Callable[[FoundRegion], tuple[str, str | None]],
) -> Iterator[pa.Table]:
    for rows, scales, decoded in _looked_at(pictures):
        found = find(decoded)
        for row, scale in zip(rows, scales, strict=True):
            row["engine"] = engine
            if scale is not None:
                row["regions"] = [_full_size(r, scale, told) for r in next(found)]
        yield pa.Table.from_pylist(rows, schema=schemas.DETECTIONS)


def _full_size(
    found: FoundRegion, scale: float, told: Callable[[FoundRegion], tuple[str, str | None]]
) -> dict[str, object]:
    """A region of a reduced picture in pixels of the full one."""
    category, text = told(found)
    box = (found.x / scale, found.y / scale, found.w / scale, found.h / scale)
    polygon = None if found.polygon is None else [v / scale for v in found.polygon]
    return region(category, text, found.score, box, polygon)


def image_vector_tables(
    pictures: Iterable[Picture], encoder: JointEncoder, *, model: str
) -> Iterator[pa.Table]:
    """Vectors of pictures, in chunks of schema `IMAGE_EMBEDDINGS`, a row per picture.

    `model` is what the rows say made them: queries are compared with vectors of the same name only.
    """
    for rows, scales, decoded in _looked_at(pictures):
        vectors = encoder.encode_images(decoded)
        for row, scale in zip(rows, scales, strict=True):
            row |= {"kind": "image", "model": model}
            if scale is not None:
                row["vector"] = next(vectors)
        yield pa.Table.from_pylist(rows, schema=schemas.IMAGE_EMBEDDINGS)


def _looked_at(
    pictures: Iterable[Picture],
) -> Iterator[tuple[list[Row], list[float | None], list[Pixels]]]:
    """Chunks: a row per picture with its status; the scale of those that could be decoded; their pixels."""
    waiting = iter(pictures)
    while chunk := list(islice(waiting, CHUNK)):
        rows: list[Row] = []
        scales: list[float | None] = []
        decoded: list[Pixels] = []
        for picture in chunk:
            row: Row = {"image_id": picture.image_id, "status": schemas.STATUS_OK}
            scale: float | None = None
            try:
                rgb, scale = upright_rgb(picture.read(), longest_side=LOOKED_AT)
                decoded.append(rgb)
            except (SourceError, UndecodableError) as error:
                row |= {"status": "failed", "error": f"{type(error).__name__}: {error}"}
            rows.append(row)
            scales.append(scale)
        yield rows, scales, decoded
