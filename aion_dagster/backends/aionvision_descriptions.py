"""Descriptions from the Aionvision platform: read in pages, made anew only where that is asked for and may help."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from aion_dagster.backends import aionvision_uploads as uploads
from aion_dagster.backends.aionvision_begin import is_hopeless
from aion_dagster.backends.aionvision_describing_anew import OPERATION, Redescriber
from aion_dagster.backends.aionvision_description_rows import (
    Row,
    Stored,
    failed_row,
    file_row,
    is_under_way,
    with_file,
)
from aion_dagster.backends.aionvision_errors import kind_of
from aion_dagster.backends.calls import CallJournal, CallKey, Standing
from aion_dagster.backends.protocol import RESEND
from aion_dagster.client import AionVision
from aion_dagster.client import errors as api
from aion_dagster.client.limits import PAGE
from aion_dagster.client.models.files import UserFile
from aion_dagster.engines import AionvisionConfig
from aion_dagster.identity import digest

__all__ = ["OPERATION", "Describer", "Stored", "description_parameters"]


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

    async def rows(self, stored: Sequence[Stored]) -> dict[str, Row]:
        """Image id → what a row of schema `DESCRIPTIONS` has beside image id, provider and model."""
        anew = Redescriber(
            self.config,
            self.client,
            self.calls,
            self.engine,
            description_parameters(self.config),
            self.advance,
        )
        if self.config.prompt or self.config.providers:
            rows = await anew.rows(stored)
            facts = await self._files([s for s in stored if s.image_id in rows])
            return {k: with_file(row, facts.get(k)) for k, row in rows.items()}
        files = await self._finished(stored)
        rows = {s.image_id: file_row(s, files.get(s.image_id)) for s in stored}
        self.advance(len(rows))
        failed = [s for s in stored if rows[s.image_id]["description_is_retryable"]]
        return rows | await self._again(failed, rows, anew)

    async def _finished(self, stored: Sequence[Stored]) -> dict[str, UserFile]:
        """The remote files, once none is under way any more, or that has taken too long."""
        found: dict[str, UserFile] = {}
        left = list(stored)
        end = time.monotonic() + self.config.polling_timeout
        while left:
            found |= await self._files(left)
            left = [s for s in left if is_under_way(found.get(s.image_id))]
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

    async def _again(
        self, failed: Sequence[Stored], rows: Mapping[str, Row], anew: Redescriber
    ) -> dict[str, Row]:
        """Describe those once more that failed before this run; those that failed just now are noted for the next."""
        keys = {anew.key(s): s for s in failed}
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
        new = set(fresh)
        old = [s for k, s in keys.items() if k not in new]
        again = await anew.rows(old) if old else {}
        if anew.is_offered is False:
            for stored in (s for s in old if s.is_ours):
                again[stored.image_id] = await self._taken_back(stored)
        return again

    async def _taken_back(self, stored: Stored) -> Row:
        """The row of a picture that the next run sends once more, since this server has no other way to describe it."""
        try:
            with suppress(api.ResourceNotFoundError):
                await self.client.files.delete(stored.remote_id)
        except api.AionvisionError as error:
            if is_hopeless(error):
                raise
            return failed_row(stored, kind_of(error), str(error), retryable=True)
        upload = CallKey(stored.sha256, uploads.OPERATION, uploads.PARAMETERS, self.engine)
        reason = "not described, and taken out of the remote library: the next run sends it again"
        await asyncio.to_thread(self.calls.failed, upload, reason, kind=RESEND, retryable=True)
        return failed_row(stored, RESEND, reason, retryable=True)


def description_parameters(config: AionvisionConfig) -> str:
    """What descriptions depend on beside the pictures: prompt and providers."""
    if not config.prompt and not config.providers:
        return "1"
    return digest([config.prompt, list(config.providers)])[:16]
