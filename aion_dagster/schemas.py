"""The Arrow schema of every table: the columns that others may rely on."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

VERSION: Final = 1
"""Of the schemas below. Columns may be added and types widened without a new one: older files are read with nulls and casts
then. Whatever else changes raises it, with a step in `storage.table_versions`."""

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

DETECTED_REGION: Final = pa.struct(
    [
        ("category", pa.string()),
        ("text", pa.string()),
        ("score", pa.float32()),
        ("bbox", BBOX),
        ("polygon", pa.list_(pa.float64())),
    ]
)

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

DOCUMENTS: Final = pa.schema(
    [
        ("source", pa.string()),
        ("uri", pa.string()),
        ("name", pa.string()),
        ("version", pa.string()),
        ("document_id", pa.string()),
        ("sha256", pa.string()),
        ("size_bytes", pa.int64()),
        ("modified_at", pa.timestamp("us", tz="UTC")),
        ("media_type", pa.string()),
        ("document_type", pa.string()),
        ("title", pa.string()),
        ("author", pa.string()),
        ("page_count", pa.int32()),
        ("character_count", pa.int64()),
        ("chunk_count", pa.int32()),
        ("engine", pa.string()),
        ("text_extraction_status", pa.string()),
        ("error", pa.string()),
        ("error_type", pa.string()),
        ("is_retryable", pa.bool_()),
        ("remote_id", pa.string()),
    ]
)
"""One row per document file of a batch, whatever became of it; the last three are null where it was read locally."""

DOCUMENT_CHUNKS: Final = pa.schema(
    [
        ("document_id", pa.string()),
        ("chunk_id", pa.string()),
        ("chunk_index", pa.int32()),
        ("content", pa.string()),
        ("page_numbers", pa.list_(pa.int32())),
        ("heading_hierarchy", pa.list_(pa.string())),
        ("start_offset", pa.int64()),
        ("end_offset", pa.int64()),
        ("token_count", pa.int32()),
        ("model", pa.string()),
        ("vector", pa.list_(pa.float32(), TEXT_VECTOR_DIMENSIONS)),
    ]
)
"""Pieces of each distinct document in order; offsets count characters of its whole text, page numbers begin at 1 and are
empty where the format has no pages; `vector` and `model` are null where no text model is there."""

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

LINKS: Final = pa.schema(
    [
        ("link_id", pa.string()),
        ("source_url", pa.string()),
        ("domain", pa.string()),
        ("page_title", pa.string()),
        ("og_metadata", pa.string()),
        ("favicon_url", pa.string()),
        ("crawl_status", pa.string()),
        ("crawl_error", pa.string()),
        ("crawled_at", pa.timestamp("us", tz="UTC")),
        ("was_there", pa.bool_()),
        ("error", pa.string()),
        ("error_type", pa.string()),
        ("is_retryable", pa.bool_()),
        ("final_url", pa.string()),
        ("http_status", pa.int32()),
        ("page_description", pa.string()),
        ("page_text", pa.string()),
        ("is_cut", pa.bool_()),
    ]
)
"""One row per configured URL; `og_metadata` is JSON. `crawl_error` is what the crawl came to grief on, `error` why there is
no link, or why nothing is known of it; `was_there` says that the remote library had the link before us. The last five are
known of pages that were crawled here: where redirects led, what the server answered, what the page says (`is_cut`: it is
longer than what was read)."""

USAGE: Final = pa.schema(
    [
        ("day", pa.date32()),
        ("period", pa.string()),
        ("operation", pa.string()),
        ("origin", pa.string()),
        ("quantity", pa.float64()),
        ("credits", pa.float64()),
        ("input_tokens", pa.int64()),
        ("output_tokens", pa.int64()),
    ]
)
"""What was used of a remote account, in the order of days. `period` is day, or month where only the month is known (`day`
is its first then). `origin` is platform, whose account may have other users, or journal: what this library's calls came
to. `quantity` counts requests, files, messages or calls, whichever the operation consists of; null is not known."""

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

LIBRARY: Final = pa.schema(
    [
        *(f for f in IMAGES if f.name not in ("status", "error")),
        pa.field("batch", pa.string()),
        pa.field("locations", pa.list_(LOCATION)),
        pa.field("superseded_by", pa.string()),
        pa.field("deleted_at", pa.timestamp("us", tz="UTC")),
    ]
)
"""One row per image_id; source, uri, name and version are those of its first current location."""

NEAR_DUPLICATES: Final = pa.schema(
    [
        ("image_id", pa.string()),
        ("group_id", pa.string()),
        ("group_size", pa.int32()),
        ("distance", pa.int32()),
        ("is_representative", pa.bool_()),
    ]
)
"""Only pictures that have a near-duplicate; `distance` is to the group's representative, in bits."""

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

DATASET_IMAGES: Final = pa.schema(
    [
        ("image_id", pa.string()),
        ("sha256", pa.string()),
        ("file_name", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("orientation", pa.int8()),
        ("format", pa.string()),
        ("split", pa.string()),
        ("group_id", pa.string()),
        ("labelled", pa.bool_()),
        ("locations", pa.list_(LOCATION)),
    ]
)
"""`file_name`: POSIX path relative to the images root of an export, unique without regard to case or extension."""

ROW_HASHES: Final = pa.schema(
    [("image_id", pa.string()), ("content", pa.binary(32)), ("check", pa.uint64())]
)
"""One row per picture of a dataset version, in its order; see `curation.row_hashes`."""

LEFT_OUT: Final = pa.schema(
    [
        ("image_id", pa.string()),
        ("name", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
    ]
)
"""Pictures of the library that are not in a dataset: `reason` is no_size | not_selected | unlabelled | near_duplicate |
quality; the first of them that holds counts."""

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
