"""What becomes of pictures that the Aionvision platform took: their session is awaited, ids are noted, rows are made."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from aion_dagster.backends.aionvision_begin import is_hopeless
from aion_dagster.backends.aionvision_credits import told_credits
from aion_dagster.backends.aionvision_errors import kind_of, told
from aion_dagster.backends.aionvision_upload_rows import (
    Item,
    Row,
    failed_row,
    is_skipped,
    payload_of,
    reason_of,
    stored_row,
)
from aion_dagster.backends.calls import Begun, CallJournal, CallKey, Settlement, Standing
from aion_dagster.backends.protocol import Original
from aion_dagster.client import AionVision
from aion_dagster.client import errors as api
from aion_dagster.client.limits import PAGE, SESSION_PAGE
from aion_dagster.client.models.upload_results import classified
from aion_dagster.client.models.uploads import ItemStatus, StreamBatchResult

Rows = dict[str, Row | None]
"""SHA-256 → the picture's row; None where nothing is known of it."""


@dataclass
class UploadResults:
    """Results of one batch's uploads.

    Args:
        client: asks the platform.
        calls: the journal.
        begun: how each call stood when it was begun.
        there: hashes that the platform had by then.
    """

    client: AionVision
    calls: CallJournal
    begun: Mapping[CallKey, Begun]
    there: frozenset[str] = field(default=frozenset())

    async def of_answer(self, result: StreamBatchResult, sent: Mapping[CallKey, Original]) -> Rows:
        """Rows of the files of one request, those that the server rejected too."""
        rows: Rows = {}
        left = dict(sent)
        keys = {key.sha256: key for key in sent}
        for rejection in result.rejections:
            key = keys.get(rejection.filename[:64])
            if key is not None and (original := left.pop(key, None)) is not None:
                kind, retryable = classified(rejection.reason)
                again = retryable or rejection.retryable
                reason = told(rejection.reason, "rejected")
                rows[key.sha256] = await self.note_failure(key, original, reason, kind.value, again)
        if not left:
            return rows
        if not result.immediate_results:
            await self._accepted(left, result.session_id)
        try:
            if result.immediate_results:
                return rows | await self._items(result.immediate_results, left, result.session_id)
            return rows | await self.of_session(result.session_id, left)
        except api.AionvisionError as error:
            if is_hopeless(error):
                raise
            # A later run looks at the session again, or, where it is gone, has the ids by sending once more.
            await self._accepted(left, result.session_id)
            return rows | _unknown(left, error)

    async def of_session(self, session_id: str, sent: Mapping[CallKey, Original]) -> Rows:
        """Rows of a session's files, once it is over.

        Raises:
            ResourceNotFoundError: the server does not have the session any more.
            AuthenticationError, AionvisionPermissionError: the key is refused.
        """
        try:
            await self.client.uploads.wait_for_session(session_id)
            items = await self._listed(session_id, {key.sha256 for key in sent})
            return await self._items(items, sent, session_id)
        except api.AionvisionError as error:
            if is_hopeless(error) or isinstance(error, api.ResourceNotFoundError):
                raise
            # The journal keeps the session: the next run looks at it again.
            return _unknown(sent, error)

    async def note_failure(
        self, key: CallKey, original: Original, reason: str, kind: str, retryable: bool
    ) -> Row:
        """Note that nothing was stored; its row."""
        await asyncio.to_thread(self.calls.failed, key, reason, kind=kind, retryable=retryable)
        return failed_row(original, kind, reason, retryable=retryable)

    async def _accepted(self, keys: Iterable[CallKey], session_id: str) -> None:
        await asyncio.to_thread(self.calls.accepted, dict.fromkeys(keys, (None, session_id)))

    async def _listed(self, session_id: str, wanted: set[str]) -> list[Item]:
        """A session's results, read until all that are wanted came, or an empty page, or the same one again."""
        items: list[Item] = []
        before: list[Item] = []
        while wanted:
            page = await self.client.uploads.get_session_results(
                session_id, offset=len(items), limit=SESSION_PAGE
            )
            if not page.results or page.results == before:
                break
            before = list(page.results)
            items += before
            wanted = wanted - {item.filename[:64] for item in page.results}
        return items

    async def _items(
        self, items: Iterable[Item], sent: Mapping[CallKey, Original], session_id: str
    ) -> Rows:
        found = {item.filename[:64]: item for item in items}
        kept = await self._kept(found.values())
        rows: Rows = {}
        settled: dict[CallKey, Settlement] = {}
        for key, original in sent.items():
            item = found.get(key.sha256)
            if item is None:
                reason = "the server's session says nothing of this file"
                rows[key.sha256] = await self.note_failure(
                    key, original, reason, "invalid_response", True
                )
            elif item.stored_id not in kept:
                reason = reason_of(item)
                kind, retryable = classified(reason)
                rows[key.sha256] = await self.note_failure(
                    key, original, reason, kind.value, retryable
                )
            else:
                settled[key] = settlement = self._settlement(key, item, session_id)
                rows[key.sha256] = stored_row(original, settlement.payload or {})
        if settled:
            await asyncio.to_thread(self.calls.settled, settled)
        return rows

    def _settlement(self, key: CallKey, item: Item, session_id: str) -> Settlement:
        return Settlement(
            payload_of(item, session_id, ours=self._is_ours(self.begun[key])),
            item.stored_id,
            credits=told_credits(item.model_extra),
            milliseconds=None if is_skipped(item) else item.processing_time_ms,
        )

    async def _kept(self, items: Iterable[Item]) -> set[str]:
        """Remote ids of what is stored. A file may have failed before it was stored, or only its description after."""
        kept = {i.stored_id for i in items if i.stored_id and i.status is not ItemStatus.FAILED}
        doubtful = [i.stored_id for i in items if i.stored_id and i.status is ItemStatus.FAILED]
        for start in range(0, len(doubtful), PAGE):
            page = doubtful[start : start + PAGE]
            kept |= {f.id for f in (await self.client.files.list(ids=page, limit=PAGE)).files}
        return kept

    def _is_ours(self, begun: Begun) -> bool:
        """Whether content that the platform has may come from us: it was not there, or we sent it before and never heard of it."""
        sent = begun.standing is not Standing.GRANTED or begun.reason is not None
        return sent or begun.key.sha256 not in self.there


def _unknown(sent: Mapping[CallKey, Original], error: api.AionvisionError) -> Rows:
    """Rows of what the server took and of which nothing else is known yet."""
    kind, reason = kind_of(error), str(error)
    return {key.sha256: failed_row(o, kind, reason, retryable=True) for key, o in sent.items()}
