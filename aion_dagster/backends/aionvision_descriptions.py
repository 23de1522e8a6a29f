"""Descriptions from the Aionvision platform: read in pages, made anew only where that is asked for and may help."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from aion_dagster.backends import aionvision_uploads as uploads
from aion_dagster.backends.aionvision_errors import kind_of, never_begun, refused_for_good
from aion_dagster.backends.calls import Begun, CallJournal, CallKey, Settlement, Standing
from aion_dagster.backends.protocol import RESEND
from aion_dagster.client import AionVision
from aion_dagster.client import errors as api
from aion_dagster.client.limits import PAGE
from aion_dagster.client.models.batch import BatchImageInput, BatchItemResult, BatchItemStatus
from aion_dagster.client.models.files import UserFile
from aion_dagster.client.models.upload_results import classified
from aion_dagster.engines import AionvisionConfig
from aion_dagster.identity import digest

OPERATION: Final = "describe"
_UNDER_WAY: Final = frozenset({"pending", "queued", "processing"})
_BATCH: Final = 50
"""Pictures of one job that describes stored pictures anew."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Stored:
    """A picture in the remote library."""

    image_id: str
    sha256: str
    remote_id: str
    object_key: str | None
    is_ours: bool = False
    """Whether we sent it; what was there before is never deleted."""


@dataclass
class Describer:
    """Descriptions of one batch's pictures.

    Args:
        config: how the platform is used.
        client: asks it.
        calls: the journal.
        engine: which account of which server, as noted in the journal.
        advance: told how many pictures are done.
    """

    config: AionvisionConfig
    client: AionVision
    calls: CallJournal
    engine: str
    advance: Callable[[int], None] = field(default=lambda _n: None)
    _cannot_anew: bool = field(default=False, init=False)

    @property
    def parameters(self) -> str:
        """What descriptions depend on: prompt and providers."""
        return description_parameters(self.config)

    async def rows(self, stored: Sequence[Stored]) -> dict[str, Row]:
        """Image id → what a row of schema `DESCRIPTIONS` has beside image id, provider and model."""
        if self.config.prompt or self.config.providers:
            rows = await self._anew(stored)
            facts = await self._files([s for s in stored if s.image_id in rows])
            return {k: _with_file(row, facts.get(k)) for k, row in rows.items()}
        files = await self._finished(stored)
        rows = {s.image_id: _row(s, files.get(s.image_id)) for s in stored}
        self.advance(len(rows))
        failed = [s for s in stored if rows[s.image_id]["description_is_retryable"]]
        again = await self._again(failed, rows)
        return rows | again

    async def _finished(self, stored: Sequence[Stored]) -> dict[str, UserFile]:
        """The remote files, once none is under way any more, or that has taken too long."""
        found: dict[str, UserFile] = {}
        left = list(stored)
        end = time.monotonic() + self.config.polling_timeout
        while left:
            found |= await self._files(left)
            left = [s for s in left if _is_under_way(found.get(s.image_id))]
            if time.monotonic() > end:
                break
            if left:
                await asyncio.sleep(self.config.polling_interval)
        return found

    async def _files(self, stored: Sequence[Stored]) -> dict[str, UserFile]:
        """Image id → the remote file, in pages of ids; never one request per picture."""
        found: dict[str, UserFile] = {}
        for start in range(0, len(stored), PAGE):
            page = {s.remote_id: s.image_id for s in stored[start : start + PAGE]}
            answer = await self.client.files.list(ids=list(page), limit=PAGE)
            found |= {page[f.id]: f for f in answer.files if f.id in page}
        return found

    async def _again(self, failed: Sequence[Stored], rows: Mapping[str, Row]) -> dict[str, Row]:
        """Describe those once more that failed before this run; those that failed just now are noted for the next."""
        keys = {self._key(s): s for s in failed}
        known = {b.key: b for b in await asyncio.to_thread(self.calls.look, list(keys))}
        fresh = [k for k, b in known.items() if b.standing is Standing.GRANTED and not b.reason]
        if fresh:
            await asyncio.to_thread(self.calls.begin, fresh, free=True)
            for key in fresh:
                row = rows[keys[key].image_id]
                kind, reason = row["description_error_type"], row["description_error"]
                await asyncio.to_thread(
                    self.calls.failed, key, reason or "failed", kind=kind, retryable=True
                )
        old = [s for k, s in keys.items() if k not in set(fresh)]
        anew = await self._anew(old) if old else {}
        if self._cannot_anew:
            for stored in (s for s in old if s.is_ours):
                anew[stored.image_id] = await self._taken_back(stored)
        return anew

    async def _taken_back(self, stored: Stored) -> Row:
        """The row of a picture that the next run sends once more, since this server has no other way to describe it."""
        with suppress(api.ResourceNotFoundError):
            await self.client.files.delete(stored.remote_id)
        upload = CallKey(stored.sha256, uploads.OPERATION, uploads.PARAMETERS, self.engine)
        reason = "not described, and taken out of the remote library: the next run sends it again"
        await asyncio.to_thread(self.calls.failed, upload, reason, kind=RESEND, retryable=True)
        return _failed(stored, RESEND, reason, retryable=True)

    def _key(self, stored: Stored) -> CallKey:
        return CallKey(stored.sha256, OPERATION, self.parameters, self.engine)

    async def _anew(self, stored: Sequence[Stored]) -> dict[str, Row]:
        """Rows of stored pictures that are described anew by their object keys, each paid once."""
        keys = {self._key(s): s for s in stored}
        begun = {b.key: b for b in await asyncio.to_thread(self.calls.begin, list(keys))}
        rows = {keys[k].image_id: row for k, b in begun.items() if (row := _known_row(keys[k], b))}
        jobs: dict[str, list[CallKey]] = {}
        for key, one in begun.items():
            if one.standing is Standing.ACCEPTED and one.session_id:
                jobs.setdefault(one.session_id, []).append(key)
        for job, some in jobs.items():
            rows |= await self._job_rows(job, {key: keys[key] for key in some})
        send = [key for key, one in begun.items() if one.may_send]
        try:
            for start in range(0, len(send), _BATCH):
                rows |= await self._job({k: keys[k] for k in send[start : start + _BATCH]})
        finally:
            self.calls.release(send)
        return rows

    async def _job(self, chunk: dict[CallKey, Stored]) -> dict[str, Row]:
        """Rows of one job."""
        rows: dict[str, Row] = {}
        for key, stored in list(chunk.items()):
            if not stored.object_key:
                details = await self.client.files.get(stored.remote_id)
                chunk[key] = Stored(
                    stored.image_id, stored.sha256, stored.remote_id, details.object_key
                )
        await asyncio.to_thread(self.calls.sent, list(chunk))
        try:
            job = await self.client.batch.submit_describe(
                [BatchImageInput(object_key=s.object_key) for s in chunk.values()],
                prompt=self.config.prompt,
                providers=list(self.config.providers) or None,
            )
        except (api.AuthenticationError, api.AionvisionPermissionError):
            await asyncio.to_thread(self.calls.refused, list(chunk))
            raise
        except api.AionvisionError as error:
            for key, stored in chunk.items():
                rows[stored.image_id] = await self._failure(key, stored, error)
            return rows
        session = dict.fromkeys(chunk, (None, job.batch_id))
        await asyncio.to_thread(self.calls.accepted, session)
        return await self._job_rows(job.batch_id, chunk)

    async def _job_rows(self, batch_id: str, chunk: Mapping[CallKey, Stored]) -> dict[str, Row]:
        batch = self.client.batch
        try:
            with suppress(api.BatchError):  # every picture failed: its row says why
                await batch.wait_for_completion(batch_id, timeout=self.config.polling_timeout)
            items = [item async for item in batch.get_all_results(batch_id)]
        except (api.AuthenticationError, api.AionvisionPermissionError):
            raise
        except api.AionvisionError as error:
            return {
                s.image_id: _failed(s, kind_of(error), str(error), retryable=True)
                for s in chunk.values()
            }
        by_key = {_object_key(item): item for item in items}
        by_place = {item.item_index: item for item in items}
        rows: dict[str, Row] = {}
        for place, (key, stored) in enumerate(chunk.items()):
            item = by_key.get(stored.object_key) or by_place.get(place)
            rows[stored.image_id] = await self._noted(key, stored, item)
        self.advance(len(rows))
        return rows

    async def _noted(self, key: CallKey, stored: Stored, item: BatchItemResult | None) -> Row:
        if item is None or item.status is not BatchItemStatus.SUCCESS or not item.description:
            reason = (
                item.error_message if item else None
            ) or "the job says nothing of this picture"
            kind, retryable = classified(reason)
            await asyncio.to_thread(
                self.calls.failed, key, reason, kind=kind.value, retryable=retryable
            )
            return _failed(stored, kind.value, reason, retryable=retryable)
        payload = _payload(item)
        settlement = Settlement(payload, stored.remote_id, milliseconds=item.processing_time_ms)
        await asyncio.to_thread(self.calls.settled, {key: settlement})
        return _described(stored, payload)

    async def _failure(self, key: CallKey, stored: Stored, error: api.AionvisionError) -> Row:
        reason, kind, retryable = str(error), kind_of(error), not refused_for_good(error)
        if error.status in (404, 405):
            self._cannot_anew = True
            reason = f"this server cannot describe stored pictures anew ({reason})"
        if never_begun(error):
            await asyncio.to_thread(self.calls.refused, [key])
        else:
            await asyncio.to_thread(self.calls.failed, key, reason, kind=kind, retryable=retryable)
        return _failed(stored, kind, reason, retryable=retryable)


def description_parameters(config: AionvisionConfig) -> str:
    """What descriptions depend on beside the pictures: prompt and providers."""
    if not config.prompt and not config.providers:
        return "1"
    return digest([config.prompt, list(config.providers)])[:16]


def _is_under_way(file: UserFile | None) -> bool:
    if file is None or file.upload_description:
        return False
    return file.description_status in _UNDER_WAY


def _row(stored: Stored, file: UserFile | None) -> Row:
    """A row of what the remote library says of a picture."""
    if file is None:
        reason = "the remote library does not list this picture; it may have been deleted there"
        return _failed(stored, "not_found", reason, retryable=False)
    status = file.description_status
    if file.upload_description and status not in ("failed",):
        return {
            **_empty(stored),
            "title": file.title,
            "description": file.upload_description,
            "tags": list(file.tags),
            "visible_text": file.visible_text,
            "confidence_score": file.confidence_score,
            "description_status": "completed",
        }
    if status in _UNDER_WAY:
        return _failed(stored, "timeout", f"still {status}; look again later", retryable=True)
    if status == "failed":
        reason = file.description_error or "the platform could not describe it"
        kind, _ = classified(reason)
        return _failed(stored, kind.value, reason, retryable=True)
    reason = "the platform has the picture and no description of it (stored without auto_describe)"
    return {
        **_failed(stored, "not_described", reason, retryable=False),
        "description_status": "skipped",
    }


def _empty(stored: Stored) -> Row:
    return {
        "image_id": stored.image_id,
        "remote_id": stored.remote_id,
        "description_is_retryable": None,
    }


def _failed(stored: Stored, kind: str, reason: str, *, retryable: bool) -> Row:
    return {
        **_empty(stored),
        "description_status": "failed",
        "description_error": reason,
        "description_error_type": kind,
        "description_is_retryable": retryable,
    }


def _known_row(stored: Stored, begun: Begun) -> Row | None:
    """The row of what is not described anew now."""
    if begun.standing is Standing.SETTLED and begun.payload is not None:
        return _described(stored, begun.payload)
    if begun.standing is Standing.FAILED:
        return _failed(stored, begun.kind or "server", begun.reason or "", retryable=False)
    if begun.standing is Standing.OVER_BUDGET:
        return _failed(stored, "budget", begun.reason or "", retryable=True)
    if begun.standing is Standing.BUSY:
        return _failed(stored, "busy", "another process describes it right now", retryable=True)
    return None


def _payload(item: BatchItemResult) -> dict[str, Any]:
    data = item.output_data or {}
    tags = data.get("tags")
    return {
        "description": item.description,
        "tags": [t for t in tags if isinstance(t, str)] if isinstance(tags, list) else [],
        "visible_text": data.get("visible_text")
        if isinstance(data.get("visible_text"), str)
        else None,
        "confidence_score": item.confidence_score,
        "processing_time_ms": item.processing_time_ms,
    }


def _described(stored: Stored, payload: Mapping[str, Any]) -> Row:
    return {**_empty(stored), **payload, "description_status": "completed"}


def _with_file(row: Row, file: UserFile | None) -> Row:
    """Title, and tags where the job named none, from the remote file."""
    if file is None or row["description_status"] != "completed":
        return row
    tags = row.get("tags") or list(file.tags)
    return {**row, "title": file.title, "tags": tags}


def _object_key(item: BatchItemResult) -> str | None:
    value = (item.input_data or {}).get("object_key")
    return value if isinstance(value, str) else None


def ordered(rows: Mapping[str, Row], image_ids: Iterable[str]) -> list[Row]:
    """Rows in the order of the pictures."""
    return [rows[image_id] for image_id in image_ids]
