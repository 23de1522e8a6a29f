"""Datasets that servers make of the results of a batch."""

from __future__ import annotations

from pydantic import Field

from aion_dagster.client.models.base import (
    JsonMapping,
    Model,
    OpenEnum,
    Rows,
    UtcDatetime,
    either,
    rows,
)
from aion_dagster.client.models.nulls import Count, Flag, Text


class DatasetStatus(OpenEnum):
    """How far a dataset is."""

    PENDING = "pending"
    PROCESSING = "processing"
    READY = "ready"
    FAILED = "failed"


class DatasetFormat(OpenEnum):
    """What a dataset can be exported to."""

    CSV = "csv"
    COCO = "coco"
    YOLO = "yolo"
    PASCAL_VOC = "pascal_voc"


class LatestExport(Model):
    """The newest export of a dataset."""

    export_id: str | None = Field(None, validation_alias=either("export_id", "id"))
    format: str | None = None
    created_at: UtcDatetime | None = Field(
        None, validation_alias=either("created_at", "exported_at")
    )


class Dataset(Model):
    """A dataset made of a batch."""

    id: str = Field(validation_alias=either("id", "dataset_id"))
    name: Text = ""
    description: str | None = None
    batch_id: str | None = None
    status: DatasetStatus = DatasetStatus.PENDING
    batch_status: str | None = None
    total_items: Count = 0
    successful_items: Count = 0
    export_count: Count = 0
    supported_formats: Rows[DatasetFormat] = rows("supported_formats")
    latest_export: LatestExport | None = None
    created_at: UtcDatetime | None = None
    updated_at: UtcDatetime | None = None


class DatasetList(Model):
    """A page of datasets."""

    datasets: Rows[Dataset] = rows("datasets", "items")
    total_count: Count = Field(0, validation_alias=either("total_count", "total"))
    limit: Count = 0
    offset: Count = 0
    has_more: Flag = False


class DatasetExport(Model):
    """An export; its URL needs no key."""

    export_id: str = Field(validation_alias=either("export_id", "id"))
    dataset_id: Text = ""
    format: DatasetFormat = DatasetFormat.CSV
    status: Text = ""
    record_count: Count = 0
    download_url: str | None = None
    file_size_bytes: int | None = None
    content_type: str | None = None
    exported_at: UtcDatetime | None = None


class DatasetStatistics(Model):
    """All datasets in numbers."""

    dataset_statistics: JsonMapping = Field(default_factory=dict)
    export_statistics: JsonMapping = Field(default_factory=dict)
    popular_formats: Rows[JsonMapping] = rows("popular_formats")
    period: JsonMapping = Field(default_factory=dict)
