"""Tables about the pictures of a batch."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from aion_dagster.schemas.values import (
    BBOX,
    DESCRIPTOR_DIMENSIONS,
    DETECTED_REGION,
    DOMINANT_COLOR,
    GPS,
    SEGMENTATION,
    TEXT_VECTOR_DIMENSIONS,
    VARIANTS,
)

MANIFEST: Final = pa.schema(
    [
        ("source", pa.string()),
        ("uri", pa.string()),
        ("name", pa.string()),
        ("version", pa.string()),
        ("size_bytes", pa.int64()),
        ("modified_at", pa.timestamp("us", tz="UTC")),
    ]
)

IMAGES: Final = pa.schema(
    [
        ("source", pa.string()),
        ("uri", pa.string()),
        ("name", pa.string()),
        ("version", pa.string()),
        ("image_id", pa.string()),
        ("sha256", pa.string()),
        ("size_bytes", pa.int64()),
        ("modified_at", pa.timestamp("us", tz="UTC")),
        ("media_type", pa.string()),
        ("format", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("orientation", pa.int8()),
        ("frame_count", pa.int32()),
        ("captured_at", pa.timestamp("us")),
        ("gps", GPS),
        ("blur_hash", pa.string()),
        ("phash", pa.string()),
        ("status", pa.string()),
        ("error", pa.string()),
    ]
)

VARIANT_ROWS: Final = pa.schema(
    [("image_id", pa.string()), *((name, pa.binary()) for name in VARIANTS)]
)

COLOR_ANALYSES: Final = pa.schema(
    [
        ("image_id", pa.string()),
        ("dominant_colors", pa.list_(DOMINANT_COLOR)),
        ("temperature", pa.string()),
        ("temperature_score", pa.float32()),
        ("brightness", pa.float32()),
        ("brightness_category", pa.string()),
        ("saturation", pa.float32()),
        ("saturation_category", pa.string()),
    ]
)

VISUAL_FEATURES: Final = pa.schema(
    [
        ("image_id", pa.string()),
        ("sharpness", pa.float32()),
        ("contrast", pa.float32()),
        ("colorfulness", pa.float32()),
        ("clipped_shadows", pa.float32()),
        ("clipped_highlights", pa.float32()),
        ("descriptor", pa.list_(pa.float32(), DESCRIPTOR_DIMENSIONS)),
    ]
)

ANNOTATIONS: Final = pa.schema(
    [
        ("annotation_id", pa.string()),
        ("image_id", pa.string()),
        ("category", pa.string()),
        ("bbox", BBOX),
        ("score", pa.float32()),
        ("segmentation", SEGMENTATION),
        ("iscrowd", pa.bool_()),
        ("text", pa.string()),
        ("origin", pa.string()),
        ("origin_ref", pa.string()),
        ("keypoints", pa.list_(pa.float64())),
        ("attributes", pa.string()),
    ]
)
"""`origin` is labels | text | codes | objects | captions | tags; `origin_ref` names the label file and row, or the engine
and version. `keypoints` are [x1, y1, v1, x2, …] in upright pixels as in COCO (v: 0 not labelled, 1 hidden, 2 visible);
`attributes` is a JSON object of what else the label says. captions (`text`) and tags (`category`) come from label files
too, are about a whole picture, and have no box."""

DETECTIONS: Final = pa.schema(
    [
        ("image_id", pa.string()),
        ("status", pa.string()),
        ("error", pa.string()),
        ("engine", pa.string()),
        ("regions", pa.list_(DETECTED_REGION)),
    ]
)
"""One row per picture that a detector was asked about; `regions` in reading order, empty where it found nothing,
null where `status` is failed."""

DESCRIPTIONS: Final = pa.schema(
    [
        ("image_id", pa.string()),
        ("title", pa.string()),
        ("description", pa.string()),
        ("tags", pa.list_(pa.string())),
        ("visible_text", pa.string()),
        ("confidence_score", pa.float32()),
        ("description_status", pa.string()),
        ("description_error", pa.string()),
        ("description_error_type", pa.string()),
        ("description_is_retryable", pa.bool_()),
        ("provider", pa.string()),
        ("model", pa.string()),
        ("remote_id", pa.string()),
        ("credits", pa.float64()),
        ("processing_time_ms", pa.float64()),
        ("generated_at", pa.timestamp("us", tz="UTC")),
    ]
)

UPLOADS: Final = pa.schema(
    [
        ("image_id", pa.string()),
        ("sha256", pa.string()),
        ("remote_id", pa.string()),
        ("object_key", pa.string()),
        ("session_id", pa.string()),
        ("status", pa.string()),
        ("was_there", pa.bool_()),
        ("error", pa.string()),
        ("error_type", pa.string()),
        ("is_retryable", pa.bool_()),
        ("storage_target", pa.string()),
        ("variant_status", pa.string()),
        ("variant_count", pa.int32()),
        ("uploaded_at", pa.timestamp("us", tz="UTC")),
    ]
)
"""One row per distinct picture of a batch that was to be stored remotely; `status` is completed or failed, `was_there`
says that the remote library had the content before us."""

EMBEDDINGS: Final = pa.schema(
    [
        ("image_id", pa.string()),
        ("kind", pa.string()),
        ("model", pa.string()),
        ("vector", pa.list_(pa.float32(), TEXT_VECTOR_DIMENSIONS)),
    ]
)

IMAGE_EMBEDDINGS: Final = pa.schema(
    [
        ("image_id", pa.string()),
        ("kind", pa.string()),
        ("model", pa.string()),
        ("vector", pa.list_(pa.float32())),
        ("status", pa.string()),
        ("error", pa.string()),
    ]
)
"""One row per picture that an image model was asked about, `kind` image; vectors of one model have one length, which
another model's need not share, so the list is not of fixed size. `vector` is null where `status` is failed."""

WRITE_BACK: Final = pa.schema(
    [
        ("image_id", pa.string()),
        ("remote_id", pa.string()),
        ("title", pa.string()),
        ("tags", pa.list_(pa.string())),
        ("status", pa.string()),
        ("error", pa.string()),
        ("error_type", pa.string()),
        ("is_retryable", pa.bool_()),
    ]
)
"""What was written to the pictures of a remote library; `status` is written, unchanged or failed, `title` and `tags` are
null where they were left as they are."""
