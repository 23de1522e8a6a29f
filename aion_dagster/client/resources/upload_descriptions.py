"""Descriptions of pictures that were uploaded: asked for by pages of ids, awaited."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final

from aion_dagster.client import limits
from aion_dagster.client.errors import (
    AionvisionTimeoutError,
    DescriptionError,
    ResourceNotFoundError,
)
from aion_dagster.client.models.descriptions import DescriptionStatus
from aion_dagster.client.resources.base import until
from aion_dagster.client.resources.files import FilesResource
from aion_dagster.client.resources.upload_sessions import UploadSessions

_ASKED_SINGLY: Final = 3
"""Pictures that the list of files leaves out and whose upload is looked at instead, at each look."""


class UploadDescriptions(UploadSessions):
    """Methods that read and await descriptions."""

    async def get_descriptions(self, image_ids: Sequence[str]) -> list[DescriptionStatus]:
        """Descriptions, by pages of 100 ids, in the order of the ids; what the server does not list is left out."""
        asked = list(dict.fromkeys(image_ids))
        found: dict[str, DescriptionStatus] = {}
        files = FilesResource(self._transport)
        for first in range(0, len(asked), limits.PAGE):
            page = asked[first : first + limits.PAGE]
            listed = await files.list(ids=page, limit=limits.PAGE)
            found |= {file.id: DescriptionStatus.of_file(file) for file in listed.files}
        return [found[image_id] for image_id in asked if image_id in found]

    async def wait_for_description(
        self, image_id: str, *, timeout: float | None = None, poll_interval: float | None = None
    ) -> DescriptionStatus:
        """Look until a picture is described.

        Args:
            image_id: the picture.
            timeout: seconds; by default the client's `polling_timeout`.
            poll_interval: seconds between two looks; by default the client's.

        Raises:
            DescriptionError: it could not be described.
            AionvisionTimeoutError: it is not described in time; `last_result` is its last state.
        """
        try:
            (state,) = await self.wait_for_descriptions(
                [image_id], timeout=timeout, poll_interval=poll_interval
            )
        except AionvisionTimeoutError as error:
            if error.code == "POLLING_TIMEOUT":
                error.last_result = error.last_result[0]
            raise
        if not state.is_successful:
            raise DescriptionError(
                f"{image_id}: {state.error_message or f'its description is {state.status}'}",
                code="DESCRIPTION_FAILED",
                details={"image_id": image_id, "status": str(state.status)},
            )
        return state

    async def wait_for_descriptions(
        self,
        image_ids: Sequence[str],
        *,
        timeout: float | None = None,
        poll_interval: float | None = None,
        on_complete: Callable[[DescriptionStatus], None] | None = None,
        existing: Collection[str] = (),
    ) -> list[DescriptionStatus]:
        """Look until each of several pictures is described, or never will be; in the order of the ids.

        Args:
            image_ids: the pictures; those that are over are not asked for again.
            timeout: seconds; by default the client's `polling_timeout`.
            poll_interval: seconds between two looks; by default the client's.
            on_complete: called once for each picture whose description is over, well or not.
            existing: pictures that were there before; one that the server names no state of was never to be described,
                and is not awaited (its status becomes `skipped`).

        Raises:
            AionvisionTimeoutError: some are not over in time; `last_result` is the list of all states.
        """
        states = {image_id: DescriptionStatus(image_id=image_id) for image_id in image_ids}

        async def look() -> list[DescriptionStatus]:
            awaited = [key for key, state in states.items() if not state.is_complete]
            for seen in await self._looked_at(awaited):
                state = seen.never_asked_for() if seen.image_id in existing else seen
                states[state.image_id] = state
                if state.is_complete and on_complete is not None:
                    on_complete(state)
            return list(states.values())

        await until(
            look,
            lambda all_states: all(state.is_complete for state in all_states),
            self._runtime,
            what=f"descriptions of {len(states)} pictures",
            interval=poll_interval or self._config.polling_interval,
            timeout=self._config.polling_timeout if timeout is None else timeout,
        )
        return list(states.values())

    async def _looked_at(self, image_ids: Sequence[str]) -> list[DescriptionStatus]:
        """States of descriptions; of a few that the list leaves out, what is known about them otherwise."""
        states = await self.get_descriptions(image_ids)
        listed = {state.image_id for state in states}
        for image_id in [i for i in image_ids if i not in listed][:_ASKED_SINGLY]:
            try:
                states.append(await self._looked_at_singly(image_id))
            except ResourceNotFoundError:
                continue  # Not there yet, or no longer: the time limit decides.
        return states

    async def _looked_at_singly(self, image_id: str) -> DescriptionStatus:
        state = DescriptionStatus.of_upload(await self.get_status(image_id))
        if not state.is_successful:
            return state
        # The state of an upload does not hold the description.
        return DescriptionStatus.of_file(await FilesResource(self._transport).get(image_id))
