"""Which assets a library has, as configured, and what their steps are made with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aion_dagster.backends.detections import DETECTION_TABLES, Detection, DetectionTable
from aion_dagster.backends.local import LocalBackend
from aion_dagster.backends.protocol import VisionBackend
from aion_dagster.compute.picture_pass import PassSettings
from aion_dagster.config import DatasetConfig, LibraryConfig

if TYPE_CHECKING:
    from aion_dagster.backends.documents import DocumentSettings

PICTURE_TABLES = ("images", "variants", "color_analyses", "visual_features")
"""Tables that come from the one decode pass."""

DOCUMENT_TABLES = ("documents", "document_chunks")
"""Tables that one reading of the document files makes."""

ANNOTATION_TABLES = ("label_matches", "label_losses", "annotations")
"""Tables that one matching step writes together."""

REQUIRED = (*PICTURE_TABLES, *ANNOTATION_TABLES)
"""Tables without which a batch has no place in the library."""

EXPORT_OPTIONS: dict[str, tuple[str, ...]] = {
    "coco": (
        "keep_exif",
        "link_pictures",
        "coco_first_category_id",
        "coco_segmentation",
        "export_options",
    ),
    "yolo": ("keep_exif", "link_pictures", "export_options"),
    "voc": ("keep_exif", "link_pictures", "voc_coordinates", "export_options"),
    "csv": ("export_options",),
    "parquet": ("export_options",),
    "imagefolder": ("keep_exif", "link_pictures", "export_options"),
    "webdataset": ("keep_exif", "export_options"),
}
"""Fields of `DatasetConfig` that an export depends on, beyond the dataset's version."""


LOGIC = {
    "detections": 1,
    "descriptions": 1,
    "uploads": 1,
    "embeddings": 2,
    "image_embeddings": 1,
    "documents": 1,
    "labels": 2,
    "annotations": 1,
    "remote_colors": 1,
    "write_back": 1,
    "links": 1,
    "usage": 1,
    "library": 1,
    "near_duplicates": 1,
    "search_index": 2,
    "dataset": 1,
    "export": 3,
    "card": 2,
}
"""Raised when the meaning of what an asset computes changes, so that existing stores are brought up to date."""


def partitioned_assets(config: LibraryConfig) -> tuple[str, ...]:
    """Assets with a partition per batch, in topological order."""
    is_remote = config.backend == "aionvision"
    return (
        *decoded_tables(config),
        *detection_tables(config).values(),
        *(("uploads",) if is_remote else ()),
        *(("color_analyses",) if has_remote_colors(config) else ()),
        "descriptions",
        "embeddings",
        *(("image_embeddings",) if config.models.joint is not None else ()),
        *(DOCUMENT_TABLES if config.documents else ()),
        *ANNOTATION_TABLES,
        *(("write_back",) if is_remote and config.aionvision.write_back else ()),
    )


def decoded_tables(config: LibraryConfig) -> tuple[str, ...]:
    """Tables that the decode pass makes: all, unless colors are measured elsewhere."""
    left_out = {"color_analyses"} if has_remote_colors(config) else set()
    return tuple(table for table in PICTURE_TABLES if table not in left_out)


def has_remote_colors(config: LibraryConfig) -> bool:
    """Whether colors come from the platform."""
    return config.backend == "aionvision" and config.aionvision.colors


def has_remote_documents(config: LibraryConfig) -> bool:
    """Whether documents are read by the platform."""
    return bool(config.documents) and config.backend == "aionvision" and config.aionvision.documents


def remote_assets(config: LibraryConfig) -> tuple[str, ...]:
    """Assets about the web and a remote account that runs keep up to date."""
    crawled = ("links",) if config.links.urls else ()
    if config.backend != "aionvision":
        return crawled
    links = ("links",) if config.aionvision.links else crawled
    return (*links, "usage") if config.aionvision.usage else links


def detection_tables(config: LibraryConfig) -> dict[Detection, DetectionTable]:
    """What is looked for in pictures → its table."""
    return {d: table for d, table in DETECTION_TABLES.items() if d in config.detect}


def dataset_assets(dataset: DatasetConfig) -> tuple[str, ...]:
    """A dataset, its exports and its card."""
    root = f"dataset/{dataset.name}"
    return (root, *(f"{root}/{e}" for e in dataset.exports), f"{root}/card")


def whole_assets(config: LibraryConfig) -> tuple[str, ...]:
    """Assets over all batches, in topological order."""
    return (
        "library",
        "near_duplicates",
        "search_index",
        *(a for d in config.datasets for a in dataset_assets(d)),
    )


def configured_backend(config: LibraryConfig) -> VisionBackend:
    """Who answers heavy questions for this library."""
    local = LocalBackend(
        text_model=config.text_model, models=config.models, endpoint=config.endpoint
    )
    if config.backend == "local":
        return local
    from aion_dagster.backends.aionvision import AionvisionBackend

    return AionvisionBackend(config.aionvision, local)


def pass_settings(config: LibraryConfig) -> PassSettings:
    """The decode pass as configured."""
    return PassSettings(
        n_colors=config.colors, max_pixels=config.max_pixels, max_bytes=config.max_file_bytes
    )


def document_settings(config: LibraryConfig) -> DocumentSettings:
    """The reading of documents as configured."""
    from aion_dagster.backends.documents import DocumentSettings

    return DocumentSettings(ocr="text" in config.detect, max_bytes=config.max_file_bytes)
