"""Text and codes in pictures on this machine, as rows of schema `DETECTIONS`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import islice

import numpy as np
import pyarrow as pa

from aion_dagster import schemas
from aion_dagster.backends.protocol import Picture
from aion_dagster.compute.codes import detect_codes
from aion_dagster.compute.decode import UndecodableError, upright_rgb
from aion_dagster.compute.text_regions import TextDetector
from aion_dagster.errors import SourceError

CHUNK = 16
Region = dict[str, object]
Look = Callable[[np.ndarray], list[Region]]


def text_look() -> tuple[Look, str]:
    """What finds text, and its engine; models are loaded once per process.

    Raises:
        UnavailableError: the extra `ocr` is not installed.
    """
    detector = _text_detector()

    def look(rgb: np.ndarray) -> list[Region]:
        return [
            region("text", r.text, r.score, (r.x, r.y, r.w, r.h), r.polygon)
            for r in detector.detect(rgb)
        ]

    return look, detector.engine


def code_look(rgb: np.ndarray) -> list[Region]:
    """QR codes and barcodes."""
    return [
        region(c.kind, c.text, None, (c.x, c.y, c.w, c.h), c.polygon) for c in detect_codes(rgb)
    ]


@lru_cache(maxsize=1)
def _text_detector() -> TextDetector:
    return TextDetector.load()


def look_at(
    pictures: Iterable[Picture], look: Look, side: int, engine: str, threads: int
) -> Iterator[pa.Table]:
    """Look at pictures side by side, reduced to a longest side; memory is bounded by a chunk of them."""

    def row(picture: Picture) -> dict[str, object]:
        facts: dict[str, object] = {"image_id": picture.image_id, "engine": engine}
        try:
            rgb, scale = upright_rgb(picture.read(), longest_side=side)
        except (SourceError, UndecodableError) as error:
            return {**facts, "status": "failed", "error": f"{type(error).__name__}: {error}"}
        regions = [_scaled(r, scale) for r in look(rgb)]
        return {**facts, "status": schemas.STATUS_OK, "regions": regions}

    waiting = iter(pictures)
    with ThreadPoolExecutor(threads, thread_name_prefix="detect") as pool:
        while chunk := list(islice(waiting, CHUNK)):
            yield pa.Table.from_pylist(list(pool.map(row, chunk)), schema=schemas.DETECTIONS)


def region(
    category: str,
    text: str | None,
    score: float | None,
    box: tuple[float, float, float, float],
    polygon: Sequence[float] | None,
) -> Region:
    """A value of `schemas.DETECTED_REGION`; `box` is x, y, w, h."""
    return {
        "category": category,
        "text": text,
        "score": score,
        "bbox": dict(zip("xywh", box, strict=True)),
        "polygon": None if polygon is None else list(polygon),
    }


def _scaled(found: Region, scale: float) -> Region:
    """A region of a reduced picture in pixels of the full one."""
    if scale == 1:
        return found
    box: dict[str, float] = found["bbox"]  # type: ignore[assignment]  # as `region` made it
    polygon: list[float] = found["polygon"]  # type: ignore[assignment]  # both looks give one
    return {
        **found,
        "bbox": {side: value / scale for side, value in box.items()},
        "polygon": [value / scale for value in polygon],
    }
