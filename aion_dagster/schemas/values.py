"""Values within the tables: structs, their lengths, and words."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

VARIANTS: Final[dict[str, int]] = {
    "tiny_64": 64,
    "small_256": 256,
    "medium_750": 750,
    "large_1024": 1024,
}
"""Variant name → longest side in pixels, as the Aionvision API names them."""

TEXT_VECTOR_DIMENSIONS: Final = 384
"""Length of a text vector (all-MiniLM-L6-v2)."""

DESCRIPTOR_DIMENSIONS: Final = 128
"""Length of the visual descriptor in `visual_features`."""

STATUS_OK: Final = "ok"

IMAGE_STATUSES: Final = ("ok", "unreadable", "unsupported", "too_large")

BBOX: Final = pa.struct(
    [("x", pa.float64()), ("y", pa.float64()), ("w", pa.float64()), ("h", pa.float64())]
)
"""A box in pixels of the upright picture, origin at the top left."""

GPS: Final = pa.struct(
    [("latitude", pa.float64()), ("longitude", pa.float64()), ("altitude", pa.float64())]
)

SEGMENTATION: Final = pa.struct(
    [
        ("polygons", pa.list_(pa.list_(pa.float64()))),
        (
            "rle",
            pa.struct([("height", pa.int32()), ("width", pa.int32()), ("counts", pa.string())]),
        ),
    ]
)
"""Polygons [[x1, y1, x2, y2, …], …] in pixels, or a compressed COCO RLE; null where there is only a box."""

DOMINANT_COLOR: Final = pa.struct(
    [
        ("rank", pa.int32()),
        ("percentage", pa.float32()),
        ("hex", pa.string()),
        ("name", pa.string()),
        ("family", pa.string()),
        ("r", pa.uint8()),
        ("g", pa.uint8()),
        ("b", pa.uint8()),
        ("h", pa.float32()),
        ("s", pa.float32()),
        ("l", pa.float32()),
        ("lab_l", pa.float32()),
        ("lab_a", pa.float32()),
        ("lab_b", pa.float32()),
    ]
)

DETECTED_REGION: Final = pa.struct(
    [
        ("category", pa.string()),
        ("text", pa.string()),
        ("score", pa.float32()),
        ("bbox", BBOX),
        ("polygon", pa.list_(pa.float64())),
    ]
)

LOCATION: Final = pa.struct(
    [
        ("source", pa.string()),
        ("uri", pa.string()),
        ("name", pa.string()),
        ("version", pa.string()),
        ("size_bytes", pa.int64()),
        ("batch", pa.string()),
    ]
)
