"""Tables of label sets: what label files say, before and after it is matched with pictures."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from aion_dagster.schemas.values import BBOX, SEGMENTATION

LOSSES: Final = pa.schema(
    [("kind", pa.string()), ("subject", pa.string()), ("detail", pa.string())]
)

LABEL_IMAGES: Final = pa.schema(
    [
        ("label_image", pa.int64()),
        ("file_name", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("label_file", pa.string()),
        ("split", pa.string()),
        ("sha256", pa.string()),
        ("match", pa.string()),
        ("attributes", pa.string()),
    ]
)
"""`match` is how a picture is found: auto (null) | path | name | hash; `attributes` a JSON object of what else is said of
the picture."""

LABEL_ANNOTATIONS: Final = pa.schema(
    [
        ("label_image", pa.int64()),
        ("category", pa.string()),
        ("bbox", BBOX),
        ("normalized", pa.bool_()),
        ("score", pa.float32()),
        ("segmentation", SEGMENTATION),
        ("iscrowd", pa.bool_()),
        ("text", pa.string()),
        ("origin_ref", pa.string()),
        ("origin", pa.string()),
        ("keypoints", pa.list_(pa.float64())),
        ("attributes", pa.string()),
    ]
)
"""`normalized`: box, polygons and keypoints are fractions of width and height (YOLO), to be scaled once the size is known.
`origin` is labels (null) | captions | tags."""

CATEGORIES: Final = pa.schema(
    [
        ("name", pa.string()),
        ("supercategory", pa.string()),
        ("keypoints", pa.list_(pa.string())),
        ("skeleton", pa.list_(pa.list_(pa.int32()))),
        ("number", pa.int64()),
    ]
)
"""Row order is class order; `keypoints` names them, `skeleton` joins them by their numbers from 1 (COCO). `number` is the
id that a label file has for the class."""

LABEL_MATCHES: Final = pa.schema(
    [
        ("label_image", pa.int64()),
        ("label_file", pa.string()),
        ("file_name", pa.string()),
        ("image_id", pa.string()),
        ("uri", pa.string()),
    ]
)
"""Which picture of a batch is named by which entry of the label set, with boxes or without."""
