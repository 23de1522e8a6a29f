"""Arrow tables of the picture pass, built column by column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from aion_dagster import identity
from aion_dagster.compute.colors import ColorAnalysis, named_colors
from aion_dagster.compute.exif import Gps
from aion_dagster.compute.features import VisualFeatures
from aion_dagster.compute.measure import Measured, PictureFacts
from aion_dagster.compute.sniff import MEDIA_TYPES, UndecodableError
from aion_dagster.schemas import (
    COLOR_ANALYSES,
    DESCRIPTOR_DIMENSIONS,
    DOMINANT_COLOR,
    GPS,
    IMAGES,
    STATUS_OK,
    VARIANT_ROWS,
    VARIANTS,
    VISUAL_FEATURES,
)
from aion_dagster.values import FileRef


@dataclass(frozen=True, slots=True)
class ImageRow:
    """One file of the pass. `facts` is there when `status` is ok, else `error`; `sha256` unless it could not be read."""

    ref: FileRef
    size_bytes: int
    status: str
    sha256: str | None = None
    image_id: str | None = None
    format: str | None = None
    media_type: str | None = None
    facts: PictureFacts | None = None
    error: str | None = None


def image_row(
    ref: FileRef, size_bytes: int, sha256: str, found: Measured | UndecodableError
) -> ImageRow:
    """The row of a file that was read: with the facts that were measured, or why there are none."""
    row = ImageRow(ref, size_bytes, STATUS_OK, sha256, identity.image_id(sha256))
    if isinstance(found, UndecodableError):
        media_type = MEDIA_TYPES[found.format] if found.format is not None else None
        bad = replace(row, status=found.status, error=str(found))
        return replace(bad, format=found.format, media_type=media_type)
    facts = found.facts
    return replace(row, facts=facts, format=facts.format, media_type=facts.media_type)


def images_table(rows: Sequence[ImageRow]) -> pa.Table:
    """Rows as a table of schema `IMAGES`."""
    facts = [row.facts for row in rows]
    columns = {
        "source": [r.ref.source for r in rows],
        "uri": [r.ref.uri for r in rows],
        "name": [r.ref.name for r in rows],
        "version": [r.ref.version for r in rows],
        "image_id": [r.image_id for r in rows],
        "sha256": [r.sha256 for r in rows],
        "size_bytes": [r.size_bytes for r in rows],
        "modified_at": [r.ref.modified_at for r in rows],
        "media_type": [r.media_type for r in rows],
        "format": [r.format for r in rows],
        "width": [f and f.width for f in facts],
        "height": [f and f.height for f in facts],
        "orientation": [f and f.orientation for f in facts],
        "frame_count": [f and f.frame_count for f in facts],
        "captured_at": [f and f.captured_at for f in facts],
        "gps": _gps([None if f is None else f.gps for f in facts]),
        "blur_hash": [f and f.blur_hash for f in facts],
        "phash": [f and f.phash for f in facts],
        "status": [r.status for r in rows],
        "error": [r.error for r in rows],
    }
    return pa.table(columns, schema=IMAGES)


def variants_table(rows: Sequence[tuple[str, dict[str, bytes]]]) -> pa.Table:
    """(image_id, variant name → JPEG) as a table of schema `VARIANT_ROWS`."""
    columns: dict[str, pa.Array] = {}
    before: list[bytes] = []
    for name in VARIANTS:
        values = [variants[name] for _, variants in rows]
        # Small pictures are their own larger variants: columns of the very same bytes share them.
        if columns and all(a is b for a, b in zip(values, before, strict=True)):
            columns[name] = next(reversed(columns.values()))
        else:
            columns[name] = _binary(values)
        before = values
    return pa.table({"image_id": [i for i, _ in rows], **columns}, schema=VARIANT_ROWS)


def _binary(values: Sequence[bytes]) -> pa.Array:
    """A binary array, its bytes copied once."""
    ends = np.cumsum([0, *map(len, values)], dtype=np.int64)
    if (
        ends[-1] > np.iinfo(np.int32).max
    ):  # offsets of 32 bits: Arrow's builder says so in its own words
        return pa.array(values, pa.binary())
    buffers = [None, pa.py_buffer(ends.astype(np.int32)), pa.py_buffer(b"".join(values))]
    return pa.Array.from_buffers(pa.binary(), len(values), buffers)


def colors_table(rows: Sequence[tuple[str, ColorAnalysis]]) -> pa.Table:
    """(image_id, colors) as a table of schema `COLOR_ANALYSES`."""
    analyses = [a for _, a in rows]
    columns = {
        "image_id": [i for i, _ in rows],
        "dominant_colors": _dominant_colors(analyses),
        "temperature": [a.temperature for a in analyses],
        "temperature_score": [a.temperature_score for a in analyses],
        "brightness": [a.brightness for a in analyses],
        "brightness_category": [a.brightness_category for a in analyses],
        "saturation": [a.saturation for a in analyses],
        "saturation_category": [a.saturation_category for a in analyses],
    }
    return pa.table(columns, schema=COLOR_ANALYSES)


def features_table(rows: Sequence[tuple[str, VisualFeatures]]) -> pa.Table:
    """(image_id, features) as a table of schema `VISUAL_FEATURES`."""
    features = [f for _, f in rows]
    vectors = [f.descriptor for f in features] or [np.empty(0, np.float32)]
    columns = {
        "image_id": [i for i, _ in rows],
        "sharpness": [f.sharpness for f in features],
        "contrast": [f.contrast for f in features],
        "colorfulness": [f.colorfulness for f in features],
        "clipped_shadows": [f.clipped_shadows for f in features],
        "clipped_highlights": [f.clipped_highlights for f in features],
        "descriptor": pa.FixedSizeListArray.from_arrays(
            pa.array(np.concatenate(vectors)), DESCRIPTOR_DIMENSIONS
        ),
    }
    return pa.table(columns, schema=VISUAL_FEATURES)


def _gps(places: Sequence[Gps | None]) -> pa.Array:
    fields = [
        pa.array([p and p.latitude for p in places], pa.float64()),
        pa.array([p and p.longitude for p in places], pa.float64()),
        pa.array([p and p.altitude for p in places], pa.float64()),
    ]
    missing = pa.array([p is None for p in places], pa.bool_())
    return pa.StructArray.from_arrays(fields, fields=list(GPS), mask=missing)


def _dominant_colors(analyses: Sequence[ColorAnalysis]) -> pa.Array:
    colors = named_colors(analyses)
    counts = [len(a.percentages) for a in analyses]
    ranks = [np.arange(1, n + 1, dtype=np.int32) for n in counts] or [np.empty(0, np.int32)]
    shares = [a.percentages for a in analyses] or [np.empty(0, np.float32)]
    fields = [
        pa.array(np.concatenate(ranks)),
        pa.array(np.concatenate(shares)),
        pa.array(colors.hexes, pa.string()),
        pa.array(colors.names, pa.string()),
        pa.array(colors.families, pa.string()),
        *(pa.array(np.ascontiguousarray(colors.rgb[:, i])) for i in range(3)),
        *(pa.array(np.ascontiguousarray(colors.hsl[:, i])) for i in range(3)),
        *(pa.array(np.ascontiguousarray(colors.lab[:, i])) for i in range(3)),
    ]
    structs = pa.StructArray.from_arrays(fields, fields=list(DOMINANT_COLOR))
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int32))
    return pa.ListArray.from_arrays(offsets, structs)
