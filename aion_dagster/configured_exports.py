"""The options of a dataset's exports, as they are configured, and the captions that go into them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from aion_dagster.config import DatasetConfig
from aion_dagster.export_config import ExportOptionsConfig
from aion_dagster.formats.export import FORMATS, Options
from aion_dagster.storage.store import Store
from aion_dagster.values import Dataset


def export_options(config: DatasetConfig, format_name: str) -> Options:
    """Options of a format as configured."""
    more = config.export_options
    pictures: dict[str, Any] = {
        "keep_exif": config.keep_exif,
        "link_pictures": config.link_pictures,
        "picture_format": more.picture_format,
        "longest_side": more.longest_side,
    }
    own: dict[str, dict[str, Any]] = {
        "coco": {
            "first_category_id": config.coco_first_category_id,
            "category_ids": more.coco_category_ids,
            "segmentation": config.coco_segmentation,
        },
        "yolo": {"task": more.yolo_task},
        "voc": {"coordinates": config.voc_coordinates},
        "imagefolder": {"metadata": more.imagefolder_metadata},
        "webdataset": {
            "shard_pictures": more.webdataset_shard_pictures,
            "shard_bytes": more.webdataset_shard_bytes,
        },
    }
    if format_name in ("csv", "parquet"):
        return FORMATS[format_name]()
    return FORMATS[format_name](**pictures, **own[format_name])


def with_descriptions(config: DatasetConfig, format_name: str) -> bool:
    """Whether what was written about the pictures is in the export."""
    return format_name == "coco" and config.export_options.captions == "descriptions"


def captions(
    store: Store, config: DatasetConfig, format_name: str, dataset: Dataset
) -> dict[str, str]:
    """The description of each picture that has one, where the export holds them."""
    if not with_descriptions(config, format_name):
        return {}
    ids = dataset.images["image_id"].to_pylist()
    found = store.tables.read("descriptions", columns=["image_id", "description"], image_ids=ids)
    pairs = zip(found["image_id"].to_pylist(), found["description"].to_pylist(), strict=True)
    return {image_id: text for image_id, text in sorted(pairs, key=str) if text}


def is_as_configured(
    facts: Mapping[str, Any], version: str | None, config: DatasetConfig, format_name: str
) -> bool:
    """Whether the facts of an export say that it is one of this version, made as is configured today.

    They do not tell of archives, copies and descriptions: where such are configured, the answer is no.
    """
    chosen, default = config.export_options, ExportOptionsConfig()
    untold = ("archive", "destination", "captions")
    told = all(getattr(chosen, name) == getattr(default, name) for name in untold)
    wanted = asdict(export_options(config, format_name))
    return told and facts.get("version") == version and facts.get("options") == wanted
