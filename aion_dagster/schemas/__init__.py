"""The Arrow schema of every table: the columns that others may rely on."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from aion_dagster.schemas.datasets import DATASET_IMAGES, LEFT_OUT, ROW_HASHES
from aion_dagster.schemas.documents import DOCUMENT_CHUNKS, DOCUMENTS, LINKS
from aion_dagster.schemas.labels import (
    CATEGORIES,
    LABEL_ANNOTATIONS,
    LABEL_IMAGES,
    LABEL_MATCHES,
    LOSSES,
)
from aion_dagster.schemas.library import LIBRARY, NEAR_DUPLICATES, USAGE
from aion_dagster.schemas.pictures import (
    ANNOTATIONS,
    COLOR_ANALYSES,
    DESCRIPTIONS,
    DETECTIONS,
    EMBEDDINGS,
    IMAGE_EMBEDDINGS,
    IMAGES,
    MANIFEST,
    UPLOADS,
    VARIANT_ROWS,
    VISUAL_FEATURES,
    WRITE_BACK,
)
from aion_dagster.schemas.values import (
    BBOX,
    DESCRIPTOR_DIMENSIONS,
    DETECTED_REGION,
    DOMINANT_COLOR,
    GPS,
    IMAGE_STATUSES,
    LOCATION,
    SEGMENTATION,
    STATUS_OK,
    TEXT_VECTOR_DIMENSIONS,
    VARIANTS,
)

__all__ = [
    "ANNOTATIONS",
    "BBOX",
    "CATEGORIES",
    "COLOR_ANALYSES",
    "DATASET_IMAGES",
    "DESCRIPTIONS",
    "DESCRIPTOR_DIMENSIONS",
    "DETECTED_REGION",
    "DETECTIONS",
    "DOCUMENTS",
    "DOCUMENT_CHUNKS",
    "DOMINANT_COLOR",
    "EMBEDDINGS",
    "GPS",
    "IMAGES",
    "IMAGE_EMBEDDINGS",
    "IMAGE_STATUSES",
    "LABEL_ANNOTATIONS",
    "LABEL_IMAGES",
    "LABEL_MATCHES",
    "LEFT_OUT",
    "LIBRARY",
    "LINKS",
    "LOCATION",
    "LOSSES",
    "MANIFEST",
    "NEAR_DUPLICATES",
    "ROW_HASHES",
    "SEGMENTATION",
    "STATUS_OK",
    "TABLES",
    "TEXT_VECTOR_DIMENSIONS",
    "UPLOADS",
    "USAGE",
    "VARIANTS",
    "VARIANT_ROWS",
    "VERSION",
    "VISUAL_FEATURES",
    "WRITE_BACK",
]

VERSION: Final = 1
"""Of all these schemas. Columns may be added and types widened without a new one: older files are read with nulls and casts
then. Whatever else changes raises it, with a step in `storage.table_versions`."""

TABLES: Final[dict[str, pa.Schema]] = {
    "images": IMAGES,
    "variants": VARIANT_ROWS,
    "color_analyses": COLOR_ANALYSES,
    "visual_features": VISUAL_FEATURES,
    "text_regions": DETECTIONS,
    "codes": DETECTIONS,
    "descriptions": DESCRIPTIONS,
    "uploads": UPLOADS,
    "label_matches": LABEL_MATCHES,
    "label_losses": LOSSES,
    "annotations": ANNOTATIONS,
    "objects": DETECTIONS,
    "embeddings": EMBEDDINGS,
    "image_embeddings": IMAGE_EMBEDDINGS,
    "documents": DOCUMENTS,
    "document_chunks": DOCUMENT_CHUNKS,
    "write_back": WRITE_BACK,
    "links": LINKS,
    "usage": USAGE,
    "library": LIBRARY,
    "near_duplicates": NEAR_DUPLICATES,
}
"""Every table of a store by name; the partitioned ones are written once per batch."""
