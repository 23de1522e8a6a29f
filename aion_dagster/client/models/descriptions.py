"""The state of a picture's description."""

from __future__ import annotations

from typing import Final, Self

from pydantic import Field

from aion_dagster.client.models.base import Model, UtcDatetime, either
from aion_dagster.client.models.files import UserFile, UserFileDetails
from aion_dagster.client.models.upload_results import DescriptionStatus as DescriptionState
from aion_dagster.client.models.uploads import UnifiedImageStatus

_OVER: Final = frozenset(
    {DescriptionState.COMPLETED, DescriptionState.FAILED, DescriptionState.SKIPPED}
)


class DescriptionStatus(Model):
    """The description of a picture, or how far it is."""

    image_id: str = Field(validation_alias=either("image_id", "id"))
    status: DescriptionState = DescriptionState.PENDING
    description: str | None = None
    tags: list[str] | None = None
    visible_text: str | None = None
    confidence_score: float | None = None
    error_message: str | None = None
    created_at: UtcDatetime | None = None
    completed_at: UtcDatetime | None = None
    title: str | None = None
    filename: str | None = None
    thumbnail_url: str | None = None
    has_state: bool = True
    """False where the server says nothing: not begun, or never to be begun."""

    @classmethod
    def of_file(cls, file: UserFile | UserFileDetails) -> Self:
        """What a file says of its description; one that is described is so although no state is named."""
        described = file.upload_description is not None
        details = file if isinstance(file, UserFileDetails) else None
        scores = [d.confidence_score for d in details.full_descriptions] if details else []
        return cls(
            image_id=file.id,
            status=DescriptionState(
                file.description_status or ("completed" if described else "pending")
            ),
            description=file.upload_description,
            tags=file.tags or None,
            visible_text=file.visible_text,
            confidence_score=file.confidence_score or next(iter(scores), None),
            error_message=file.description_error,
            created_at=file.created_at,
            completed_at=details.description_generated_at if details else None,
            title=file.title,
            filename=file.filename if isinstance(file, UserFile) else file.original_filename,
            thumbnail_url=file.thumbnail_url,
            has_state=described or file.description_status is not None,
        )

    @classmethod
    def of_upload(cls, upload: UnifiedImageStatus) -> Self:
        """What the state of an upload says of its description; never the description itself."""
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
