"""The state of a picture's description."""

from __future__ import annotations

from typing import Any, Final, Self

from pydantic import Field, model_validator

from aion_dagster.client.models.base import Model, UtcDatetime, either
from aion_dagster.client.models.upload_results import DescriptionStatus as DescriptionState
from aion_dagster.client.models.uploads import UnifiedImageStatus

_OVER: Final = frozenset(
    {DescriptionState.COMPLETED, DescriptionState.FAILED, DescriptionState.SKIPPED}
)


class DescriptionStatus(Model):
    """The description of a picture, or how far it is."""

    image_id: str = Field(validation_alias=either("image_id", "id"))
    status: DescriptionState = Field(
        DescriptionState.PENDING, validation_alias=either("status", "description_status")
    )
    description: str | None = Field(
        None, validation_alias=either("description", "upload_description")
    )
    tags: list[str] | None = None
    visible_text: str | None = None
    confidence_score: float | None = None
    error_message: str | None = Field(
        None, validation_alias=either("error_message", "description_error")
    )
    created_at: UtcDatetime | None = None
    completed_at: UtcDatetime | None = Field(
        None, validation_alias=either("completed_at", "description_generated_at")
    )
    title: str | None = None
    filename: str | None = None
    thumbnail_url: str | None = None
    has_state: bool = True
    """False where the server says nothing: not begun, or never to be begun."""

    @model_validator(mode="before")
    @classmethod
    def _said_by_content(cls, data: Any) -> Any:
        """A server that names no state has one all the same: what is described is completed."""
        if isinstance(data, dict) and not (data.get("status") or data.get("description_status")):
            told = {k: v for k, v in data.items() if k not in ("status", "description_status")}
            described = told.get("upload_description") or told.get("description")
            return told | {
                "status": "completed" if described else "pending",
                "has_state": bool(described),
            }
        return data

    @classmethod
    def of_upload(cls, upload: UnifiedImageStatus) -> Self:
        """What the status of an upload says about its description; never the description itself."""
        state = upload.component_statuses.description_status
        if state is None and upload.is_over:
            state = "completed" if upload.unified_status == "completed" else "failed"
        return cls(
            image_id=upload.image_id,
            status=DescriptionState(state or "pending"),
            error_message=upload.error_message,
            created_at=upload.created_at,
            completed_at=upload.completed_at,
        )

    def never_asked_for(self) -> Self:
        """The same, over where the server says nothing: nobody had this picture described."""
        if self.has_state:
            return self
        return self.model_copy(update={"status": DescriptionState.SKIPPED})

    @property
    def is_complete(self) -> bool:
        """Whether it is over, well or not."""
        return self.status in _OVER

    @property
    def is_successful(self) -> bool:
        """Whether there is a description."""
        return self.status is DescriptionState.COMPLETED
