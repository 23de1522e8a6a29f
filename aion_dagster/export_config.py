"""`ExportOptionsConfig`: how the exports of a dataset are written."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from aion_dagster.engines import Strict
from aion_dagster.source_configs import absolute_path

ExportFormat = Literal["coco", "yolo", "voc", "csv", "parquet", "imagefolder", "webdataset"]


class ExportOptionsConfig(Strict):
    """How the exports of a dataset are written, beyond the dataset's own keys.

    Attributes:
        picture_format: what every picture becomes; keep leaves each what it is.
        longest_side: pixels; pictures with a longer side are made smaller, their boxes with them.
        archive: one file instead of a folder.
        destination: a folder or s3:// URI that gets a copy of each export, as `<destination>/<dataset>/<format>`, never links.
        captions: COCO's captions are those of the labels, or also the pictures' descriptions.
        coco_category_ids: COCO's ids count from `coco_first_category_id`, or are those of the label files.
        yolo_task: rows of boxes or of polygons.
        imagefolder_metadata: the file that says what is in the pictures; jsonl only where every split has boxes.
        webdataset_shard_pictures: pictures in a shard at most.
        webdataset_shard_bytes: bytes after which a shard ends.
    """

    picture_format: Literal["keep", "jpeg", "png", "webp"] = "keep"
    longest_side: int | None = Field(default=None, ge=16, le=100_000)
    archive: Literal["none", "zip", "tar"] = "none"
    destination: str | None = Field(default=None, min_length=1)
    captions: Literal["labels", "descriptions"] = "labels"
    coco_category_ids: Literal["contiguous", "keep"] = "contiguous"
    yolo_task: Literal["detect", "segment"] = "detect"
    imagefolder_metadata: Literal["jsonl", "parquet"] = "parquet"
    webdataset_shard_pictures: int = Field(default=10_000, ge=1)
    webdataset_shard_bytes: int = Field(default=2**30, ge=1)

    @field_validator("destination")
    @classmethod
    def _absolute(cls, value: str | None) -> str | None:
        return value if value is None or "://" in value else absolute_path(value)
