"""Pictures that the Aionvision platform has are described once more, by their object keys, in jobs that are paid once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

from aion_dagster.backends.aionvision_begin import halves_help, in_halves, is_hopeless
from aion_dagster.backends.aionvision_description_rows import (
    Row,
    Stored,
    described_row,
    failed_row,
    known_row,
    payload_of,
)
from aion_dagster.backends.aionvision_errors import kind_of, never_begun, refused_for_good, told
from aion_dagster.backends.calls import CallJournal, CallKey, Settlement, Standing
from aion_dagster.client import AionVision
from aion_dagster.client import errors as api
from aion_dagster.client.limits import PAGE
from aion_dagster.client.models.batch import BatchImageInput, BatchItemResult, BatchItemStatus
from aion_dagster.client.models.upload_results import classified
from aion_dagster.engines import AionvisionConfig

OPERATION: Final = "describe"
_BATCH: Final = 50
"""Pictures of one job."""

_NOT_OFFERED: Final = (404, 405)

Rows = dict[str, Row]
"""Image id → the picture's row."""


@dataclass
class Redescriber:
    """Describes stored pictures of one batch anew.

    Args:
        config: how the platform is used.
        client: asks it.
        calls: the journal.
        engine: which account of which server, as noted in the journal.
        parameters: what these descriptions depend on.
        advance: told how many pictures are done.
    """

    config: AionvisionConfig
    client: AionVision
    calls: CallJournal
    engine: str
    parameters: str
    advance: Callable[[int], None]
    is_offered: bool | None = field(default=None, init=False)
    """Whether the server has a way to do this; None before that is known."""

    def key(self, stored: Stored) -> CallKey:
        """What the journal knows a description by."""
        return CallKey(stored.sha256, OPERATION, self.parameters, self.engine)

    async def rows(self, stored: Sequence[Stored]) -> Rows:
        """Rows of all of them, each paid once.

        Raises:
            AuthenticationError, AionvisionPermissionError: the key is refused: nothing else would go through either.
        """
        keys = {self.key(s): s for s in stored}
        begun = {b.key: b for b in await asyncio.to_thread(self.calls.begin, list(keys))}
        rows = {keys[k].image_id: row for k, b in begun.items() if (row := known_row(keys[k], b))}
        jobs: dict[str, list[CallKey]] = {}
        for key, one in begun.items():
            if one.standing is Standing.ACCEPTED and one.session_id:
                jobs.setdefault(one.session_id, []).append(key)
        send = [key for key, one in begun.items() if one.may_send]
        try:
            for job, some in jobs.items():
                chunk = await self._located({key: keys[key] for key in some}, rows)
                rows |= await self._job_rows(job, chunk)
            for start in range(0, len(send), _BATCH):
                some = send[start : start + _BATCH]
                chunk = await self._located({key: keys[key] for key in some}, rows)
                rows |= await self._job(chunk)
        finally:
            self.calls.release(send)
        return rows

    async def _located(self, chunk: Mapping[CallKey, Stored], rows: Rows) -> dict[CallKey, Stored]:
        """The pictures with their object keys; one whose key cannot be had gets a row that says why."""
        located: dict[CallKey, Stored] = {}
        for key, stored in chunk.items():
            if stored.object_key:
                located[key] = stored
                continue
            try:
                details = await self.client.files.get(stored.remote_id)
            except api.AionvisionError as error:
                if is_hopeless(error):
                    raise
                retryable = not refused_for_good(error)
                row = failed_row(stored, kind_of(error), str(error), retryable=retryable)
                rows[stored.image_id] = row
                continue
            if details.object_key:
                located[key] = replace(stored, object_key=details.object_key)
            else:
                reason = "the platform names no object of this picture that it could describe"
                rows[stored.image_id] = failed_row(stored, "api", reason, retryable=False)
        return located

    async def _job(self, chunk: Mapping[CallKey, Stored]) -> Rows:
        """Rows of one job; one that is refused as a whole for a picture's sake is asked for in halves."""
        if not chunk:
            return {}
        if self.is_offered is False:
            return _not_offered(chunk)
        await asyncio.to_thread(self.calls.sent, list(chunk))
        try:
            job = await self.client.batch.submit_describe(
                [BatchImageInput(object_key=s.object_key) for s in chunk.values()],
                prompt=self.config.prompt,
                providers=list(self.config.providers) or None,
            )
        except api.AionvisionError as error:
            return await self._refused(chunk, error)
        self.is_offered = True
        session = dict.fromkeys(chunk, (None, job.batch_id))
        await asyncio.to_thread(self.calls.accepted, session)
        return await self._job_rows(job.batch_id, chunk)

    async def _refused(self, chunk: Mapping[CallKey, Stored], error: api.AionvisionError) -> Rows:
        """Rows of a job that the server did not take."""
        is_missing = error.status in _NOT_OFFERED
        splits = len(chunk) > 1 and not error.begun and (halves_help(error) or is_missing)
        if is_hopeless(error) or is_missing or splits or never_begun(error):
            await asyncio.to_thread(self.calls.refused, list(chunk))
        if is_hopeless(error):
            raise error
        if is_missing and self.is_offered is None:
            return await self._missing(chunk)
        if splits:
            halves = [await self._job(half) for half in in_halves(chunk)]
            return halves[0] | halves[1]
        kind, reason, retryable = kind_of(error), str(error), not refused_for_good(error)
        if not never_begun(error):
            await self._note_failures(chunk, kind, reason, retryable)
        return _failed_rows(chunk.values(), kind, reason, retryable)

    async def _missing(self, chunk: Mapping[CallKey, Stored]) -> Rows:
        """Rows after a 404: either the server has no such jobs, or it does not have one of the pictures any more."""
        there: set[str] = set()
        ids = [s.remote_id for s in chunk.values()]
        for start in range(0, len(ids), PAGE):
            page = await self.client.files.list(ids=ids[start : start + PAGE], limit=PAGE)
            there |= {file.id for file in page.files}
        left = {key: s for key, s in chunk.items() if s.remote_id in there}
        if len(left) == len(chunk):
            self.is_offered = False
            return _not_offered(chunk)
        reason = "the remote library does not list this picture; it may have been deleted there"
        gone = [s for s in chunk.values() if s.remote_id not in there]
        return _failed_rows(gone, "not_found", reason, retryable=False) | await self._job(left)

    async def _note_failures(
        self, keys: Mapping[CallKey, Stored], kind: str, reason: str, retryable: bool
    ) -> None:
        for key in keys:
            await asyncio.to_thread(self.calls.failed, key, reason, kind=kind, retryable=retryable)

    async def _job_rows(self, batch_id: str, chunk: Mapping[CallKey, Stored]) -> Rows:
        """Rows of a job that the server has, once it is over."""
        batch = self.client.batch
        try:
            with suppress(api.BatchError):  # every picture failed: its row says why
                await batch.wait_for_completion(batch_id, timeout=self.config.polling_timeout)
            items = [item async for item in batch.get_all_results(batch_id)]
        except api.AionvisionError as error:
            if is_hopeless(error):
                raise
            kind, reason = kind_of(error), str(error)
            if isinstance(error, api.ResourceNotFoundError):
                # Gone with what it brought: the next run asks for another one.
                await self._note_failures(chunk, kind, reason, retryable=True)
            return _failed_rows(chunk.values(), kind, reason, retryable=True)
        found = _matched(chunk, items)
        rows = {s.image_id: await self._noted(key, s, found.get(key)) for key, s in chunk.items()}
        self.advance(len(rows))
        return rows

    async def _noted(self, key: CallKey, stored: Stored, item: BatchItemResult | None) -> Row:
        if item is None or item.status is not BatchItemStatus.SUCCESS or not item.description:
            said = item.error_message if item else None
            reason = told(said, "the job says nothing of this picture")
            kind, retryable = classified(reason)
            await self._note_failures({key: stored}, kind.value, reason, retryable)
            return failed_row(stored, kind.value, reason, retryable=retryable)
        payload = payload_of(item)
        settlement = Settlement(
            payload,
            stored.remote_id,
            credits=payload["credits"],
            milliseconds=item.processing_time_ms,
        )
        await asyncio.to_thread(self.calls.settled, {key: settlement})
        return described_row(stored, payload)


def _not_offered(chunk: Mapping[CallKey, Stored]) -> Rows:
    reason = "this server cannot describe stored pictures anew"
    return _failed_rows(chunk.values(), "not_found", reason, retryable=False)


def _failed_rows(stored: Iterable[Stored], kind: str, reason: str, retryable: bool) -> Rows:
    return {s.image_id: failed_row(s, kind, reason, retryable=retryable) for s in stored}


def _matched(
    chunk: Mapping[CallKey, Stored], items: Sequence[BatchItemResult]
) -> dict[CallKey, BatchItemResult]:
    """What a job says of each picture: by its object key, or by its place where no item names a key and none is missing."""
    by_key = {key: item for item in items if (key := _object_key(item))}
    if by_key:
        return {k: by_key[s.object_key] for k, s in chunk.items() if s.object_key in by_key}
    if len(items) != len(chunk):
        return {}
    by_place = {item.item_index: item for item in items}
    return {key: by_place[place] for place, key in enumerate(chunk) if place in by_place}


def _object_key(item: BatchItemResult) -> str | None:
    value = (item.input_data or {}).get("object_key")
    return value if isinstance(value, str) else None
