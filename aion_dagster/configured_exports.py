"""The options of a dataset's exports, as they are configured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from aion_dagster.config import DatasetConfig
from aion_dagster.export_config import ExportOptionsConfig
from aion_dagster.formats.export import FORMATS, Options


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
