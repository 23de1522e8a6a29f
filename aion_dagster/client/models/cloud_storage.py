"""Cloud storages: connections, imports and exports, the jobs that do them."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

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
from aion_dagster.client.models.statuses import WorkStatus


class CloudProvider(OpenEnum):
    """Storages that can be connected."""

    GOOGLE_DRIVE = "google_drive"


class InitiateAuthResult(Model):
    """Where a person grants access in a browser."""

    authorization_url: str
    state: Text = Field(default="", repr=False)
    provider: Text = ""


class CloudStorageConnection(Model):
    """A connected account."""

    id: str = Field(validation_alias=either("id", "connection_id"))
    provider: Text = ""
    provider_email: str | None = None
    provider_display_name: str | None = None
    is_active: Flag = True
    created_at: UtcDatetime | None = None
    last_used_at: UtcDatetime | None = None


class CompleteAuthResult(Model):
    """An account that was connected; `is_new` where it had not been before."""

    connection: CloudStorageConnection
    is_new: Flag = False


class ConnectionList(Model):
    """Connected accounts."""

    connections: Rows[CloudStorageConnection] = rows("connections", "items")
    total_count: Count = Field(default=0, validation_alias=either("total_count", "total"))


class DisconnectResult(Model):
    """What a disconnection did."""

    success: Flag = True
    message: Text = ""


class PickerSession(Model):
    """What Google's file picker is opened with, in a browser."""

    session_id: str = Field(repr=False)
    access_token: Text = Field(default="", repr=False)
    app_id: Text = ""
    developer_key: Text = Field(default="", repr=False)
    expires_at: UtcDatetime | None = None


class PickerTokenResponse(Model):
    """The envelope of a picker session."""

    session: PickerSession


class PickerProxyResponse(Model):
    """The envelope of what the storage's own API answered."""

    data: JsonMapping = Field(default_factory=dict)


class CloudFile(Model):
    """A file in a cloud storage, as its picker names it."""

    id: str
    name: str
    mime_type: str | None = None
    size_bytes: int | None = None


class ImportResult(Model):
    """An import that was begun.

    `image_ids` are placeholders until the job `job_id` is over; without a job the import is done.
    """

    image_ids: Rows[str] = rows("image_ids")
    job_id: str | None = None
    status: WorkStatus | None = Field(default=None, validation_alias=either("status", "job_status"))
    total_files: Count = 0
    is_async: Flag = False
    message: Text = ""


class ExportResult(Model):
    """An export that was begun; without a job `job_id` it is done, into the files `cloud_file_ids`."""

    cloud_file_ids: Rows[str] = rows("cloud_file_ids")
    job_id: str | None = None
    job_status: WorkStatus | None = Field(
        default=None, validation_alias=either("job_status", "status")
    )
    is_async: Flag = False
    message: Text = ""


class CloudStorageJob(Model):
    """An import or export under way; it ends as completed, partial, failed or cancelled."""

    job_id: str = Field(validation_alias=either("job_id", "id"))
    type: Text = Field(default="", validation_alias=either("type", "job_type"))
    status: WorkStatus = WorkStatus.PENDING
    connection_id: Text = ""
    provider: Text = ""
    total_files: Count = 0
    completed_files: Count = 0
    failed_files: Count = 0
    error: str | None = Field(default=None, validation_alias=either("error", "error_message"))
    created_at: UtcDatetime | None = None
    updated_at: UtcDatetime | None = None
    completed_at: UtcDatetime | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing will happen any more."""
        return self.status.is_over

    @property
    def progress_percent(self) -> float:
        """0 to 100."""
        done = self.completed_files + self.failed_files
        return 100.0 * done / self.total_files if self.total_files else 0.0


class JobStatusResponse(Model):
    """The envelope of a job, which some servers leave out."""

    job: CloudStorageJob

    @model_validator(mode="before")
    @classmethod
    def _wrapped(cls, data: Any) -> Any:
        return data if not isinstance(data, dict) or "job" in data else {"job": data}
