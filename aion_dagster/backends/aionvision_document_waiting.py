"""Documents that the Aionvision platform has: waiting until it has read them, and noting how that ended."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

from aion_dagster.backends.aionvision_begin import is_hopeless
from aion_dagster.backends.aionvision_errors import kind_of, told
from aion_dagster.backends.calls import CallJournal, CallKey, Settlement
from aion_dagster.backends.protocol import Original
from aion_dagster.client import AionVision
from aion_dagster.client import errors as api
from aion_dagster.client.models.document_uploads import DocumentStatusResult
from aion_dagster.client.models.statuses import WorkStatus
from aion_dagster.client.models.upload_results import classified
from aion_dagster.engines import AionvisionConfig

EXTRACTION: Final = "extraction"
"""The kind of a failure that left a document without text."""


@dataclass(frozen=True, slots=True)
class Remote:
    """What became of a document: its id in the remote library and the state of its text, or why there is none."""

    remote_id: str | None = None
    status: str = "failed"
    error: str | None = None
    error_type: str | None = None
    is_retryable: bool | None = None

    @property
    def is_read(self) -> bool:
        """Whether the platform has its text."""
        return self.status == "completed"


def failed(
    kind: str, reason: str, *, retryable: bool, remote_id: str | None = None, status: str = "failed"
) -> Remote:
    """What became of a document that was not sent, or could not be read."""
    return Remote(remote_id, status, reason, kind, retryable)


@dataclass(frozen=True, slots=True)
class Sent:
    """A document that the server has, and the batch that it keeps it in."""

    key: CallKey
    original: Original
    remote_id: str
    batch_id: str | None


@dataclass
class DocumentWaiter:
    """Waits for documents of one batch.

    Args:
        config: how the platform is used.
        client: asks it.
        calls: the journal.
    """

    config: AionvisionConfig
    client: AionVision
    calls: CallJournal

    async def wait(self, sent: Sequence[Sent]) -> dict[str, Remote]:
        """What the platform made of documents that it has."""
        left = {s.original.sha256: s for s in sent}
        found: dict[str, Remote] = {}
        loop = asyncio.get_running_loop()
        end = loop.time() + self.config.polling_timeout
        while left:
            try:
                states = await self._states(list(left.values()))
            except api.AionvisionError as error:
                if is_hopeless(error):
                    raise
                # The journal keeps the ids: the next run looks again.
                return found | _open(left, kind_of(error), str(error))
            for sha256, state in states.items():
                if state.is_over:
                    found[sha256] = await self._ended(left.pop(sha256), state)
            if left and loop.time() > end:
                return found | _open(left, "timeout", "still being read; look again later")
            if left:
                await asyncio.sleep(self.config.polling_interval)
        return found

    async def _states(self, sent: Sequence[Sent]) -> dict[str, DocumentStatusResult]:
        """How far documents are: of a batch in one request; what failed, and what a batch does not name, by itself."""
        known: dict[str, DocumentStatusResult] = {}
        for batch in dict.fromkeys(s.batch_id for s in sent if s.batch_id):
            with suppress(api.ResourceNotFoundError):
                items = (await self.client.documents.batch_status(batch)).documents
                known |= {
                    item.document_id: DocumentStatusResult(
                        document_id=item.document_id,
                        text_extraction_status=item.text_extraction_status,
                    )
                    for item in items
                }
        alone = [s for s in sent if _wants_a_look(known.get(s.remote_id))]
        looks = [partial(self._state, s.remote_id) for s in alone]
        states = await self.client.transport.runtime.several(looks, self.config.parallel)
        known |= {s.remote_id: state for s, state in zip(alone, states, strict=True)}
        return {s.original.sha256: known[s.remote_id] for s in sent}

    async def _state(self, remote_id: str) -> DocumentStatusResult:
        try:
            return await self.client.documents.get_status(remote_id)
        except api.ResourceNotFoundError:
            return DocumentStatusResult(
                document_id=remote_id,
                text_extraction_status=WorkStatus.CANCELLED,
                error_message="the remote library does not have it any more",
            )

    async def _ended(self, sent: Sent, state: DocumentStatusResult) -> Remote:
        """Note that a document was read, or could not be."""
        key = sent.key
        status = state.text_extraction_status or WorkStatus.FAILED
        if not status.is_failure:
            payload = {"remote_id": sent.remote_id}
            done = {key: Settlement(payload, sent.remote_id)}
            await asyncio.to_thread(self.calls.settled, done)
            return Remote(sent.remote_id, "completed")
        reason = told(state.error_message, f"the platform could not read it ({status.value})")
        retryable = status is not WorkStatus.FAILED or classified(reason)[1]
        return await note_failure(self.calls, key, EXTRACTION, reason, retryable, sent.remote_id)


async def note_failure(
    calls: CallJournal,
    key: CallKey,
    kind: str,
    reason: str,
    retryable: bool,
    remote_id: str | None = None,
) -> Remote:
    """Note that a document was not sent, or could not be read."""
    await asyncio.to_thread(calls.failed, key, reason, kind=kind, retryable=retryable)
    return failed(kind, reason, retryable=retryable, remote_id=remote_id)


def _open(left: Mapping[str, Sent], kind: str, reason: str) -> dict[str, Remote]:
    return {
        sha256: failed(kind, reason, retryable=True, remote_id=s.remote_id, status="processing")
        for sha256, s in left.items()
    }


def _wants_a_look(state: DocumentStatusResult | None) -> bool:
    if state is None or state.text_extraction_status is None:
        return True
    return state.text_extraction_status.is_failure
