"""Scanned pages of documents, read by the backend's text detection."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import simplejpeg

from aion_dagster.backends.protocol import Picture, VisionBackend
from aion_dagster.compute.documents.document import ExtractionError
from aion_dagster.compute.documents.ocr import ReadPage
from aion_dagster.compute.text_regions import TextRegion, visible_text
from aion_dagster.identity import image_id

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_QUALITY = 95
"""JPEG quality at which a rendered page is handed over: recognition sees no difference, a PNG costs ten times as much."""


def page_reader(backend: VisionBackend) -> ReadPage:
    """A function that reads a rendered page with `backend`."""

    def read_page(rgb: NDArray[np.uint8]) -> str:
        data: bytes = simplejpeg.encode_jpeg(rgb, quality=_QUALITY, colorspace="RGB")
        sha256 = hashlib.sha256(data).hexdigest()
        picture = Picture(image_id(sha256), sha256, lambda: data)
        lines = []
        for table in backend.detect_text([picture]):
            for row in table.to_pylist():
                if row["regions"] is None:
                    raise ExtractionError("unreadable", row["error"] or "text detection failed")
                lines.append(visible_text([_region(r) for r in row["regions"]]))
        return "\n".join(lines)

    return read_page


def _region(row: dict[str, object]) -> TextRegion:
    box = row["bbox"]
    if not isinstance(box, dict):
        raise ExtractionError("unreadable", "text detection gave a region without a box")
    return TextRegion(
        str(row["text"] or ""), box["x"], box["y"], box["w"], box["h"], (), float(str(row["score"]))
    )
