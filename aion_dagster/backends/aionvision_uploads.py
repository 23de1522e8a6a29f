"""Pictures go to the Aionvision platform, each content once, in batches; every upload is noted before and after."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from aion_dagster.backends.aionvision_begin import (
    begun_calls,
    grouped,
    halves_help,
    in_halves,
    is_hopeless,
)
from aion_dagster.backends.aionvision_errors import (
    is_used_up,
    kind_of,
    never_begun,
    refused_for_good,
)
from aion_dagster.backends.aionvision_upload_results import Rows, UploadResults
from aion_dagster.backends.aionvision_upload_rows import (
    Row,
    failed_row,
    known_row,
    sent_name,
    unsendable_row,
)
from aion_dagster.backends.calls import Begun, CallJournal, CallKey, Standing
from aion_dagster.backends.protocol import Original
from aion_dagster.client import AionVision
from aion_dagster.client import errors as api
from aion_dagster.client.models.uploads import StreamBatchResult
from aion_dagster.engines import AionvisionConfig
from aion_dagster.errors import SourceError

OPERATION: Final = "upload"
PARAMETERS: Final = "1"
"""What an upload is known by beside its content: nothing that the configuration says of it, so that nothing is sent twice."""


@dataclass
class Uploader:
    """Uploads of one batch.

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
    _spent: api.AionvisionError | None = field(default=None, init=False)
    _there: frozenset[str] = field(default=frozenset(), init=False)
    """Hashes that the platform had when we began."""
    _tried: set[CallKey] = field(default_factory=set, init=False)
    """Calls that the server may have worked on, though no answer says so."""

    async def rows(self, originals: Sequence[Original]) -> list[Row]:
        """A row of schema `UPLOADS` per picture, in their order.

        Raises:
            AuthenticationError, AionvisionPermissionError: the key is refused: nothing else would go through either.
        """
        rows = {o.sha256: unsendable_row(o) for o in originals}
        left = {self._key(o): o for o in originals if rows[o.sha256] is None}
        begun = await self._begin(list(left))
        for key, one in begun.items():
            rows[key.sha256] = known_row(left[key], one)
        self.advance(sum(row is not None for row in rows.values()))
        results = UploadResults(self.client, self.calls, begun, self._there)
        try:
            rows |= await self._sessions(left, results)
            open_ = {key: o for key, o in left.items() if rows[key.sha256] is None}
            rows |= await self._send_all(open_, results)
        finally:
            self.calls.release([key for key, one in begun.items() if one.may_send])
        target = self.config.storage_target
        found = [row for o in originals if (row := rows[o.sha256]) is not None]
        return [{**row, "storage_target": target} for row in found]

    def _key(self, original: Original) -> CallKey:
        return CallKey(original.sha256, OPERATION, PARAMETERS, self.engine)

    async def _begin(self, keys: list[CallKey]) -> dict[CallKey, Begun]:
        """How the uploads stand; content that the platform has takes no unit of the budget."""
        known = {b.key: b for b in await asyncio.to_thread(self.calls.look, keys)}
        open_ = [k for k in keys if known[k].standing not in (Standing.SETTLED, Standing.FAILED)]
        if open_:
            answer = await self.client.uploads.check_duplicates([k.sha256 for k in open_])
            self._there = frozenset(answer.duplicates)
        begun: dict[CallKey, Begun] = {}
        timeout = self.config.polling_timeout
        for free in (False, True):
            some = [k for k in keys if (k.sha256 in self._there) is free]
            begun |= await begun_calls(self.calls, some, timeout=timeout, lookup=True, free=free)
        return begun

    async def _sessions(self, left: Mapping[CallKey, Original], results: UploadResults) -> Rows:
        """Rows of what an earlier process sent and whose session it knew, but not its end."""
        sessions: dict[str, list[CallKey]] = {}
        for key, one in results.begun.items():
            if one.standing is Standing.ACCEPTED and one.session_id:
                sessions.setdefault(one.session_id, []).append(key)
        rows: Rows = {}
        for session, keys in sessions.items():
            try:
                rows |= await results.of_session(session, {key: left[key] for key in keys})
            except api.ResourceNotFoundError:
                continue  # The session is gone: sending once more tells the ids.
        return rows

    async def _send_all(
        self, originals: Mapping[CallKey, Original], results: UploadResults
    ) -> Rows:
        if not originals:
            return {}
        quota = await self.client.uploads.check_quota(len(originals))
        size = min(quota.batch_size, self.config.upload_batch or quota.batch_size)

        async def send(chunk: dict[CallKey, Original]) -> Rows:
            found = await self._send(chunk, results)
            self.advance(len(found))
            return found

        jobs = [partial(send, chunk) for chunk in grouped(originals, size, lambda o: o.size_bytes)]
        at_once = min(self.config.parallel, quota.at_once)
        found = await self.client.transport.runtime.several(jobs, at_once)
        return {sha256: row for rows in found for sha256, row in rows.items()}

    async def _send(self, chunk: Mapping[CallKey, Original], results: UploadResults) -> Rows:
        """Rows of one request's files; a request that is refused as a whole is made again in halves."""
        if self._spent is not None:
            return _failed_rows(chunk, "quota", str(self._spent))
        opened, rows = await self._opened(chunk)
        sent = {key: chunk[key] for key in opened}
        if not sent:
            return rows
        await asyncio.to_thread(self.calls.sent, list(sent))
        try:
            result = await self._stream(list(sent.values()), list(opened.values()))
        except api.AionvisionError as error:
            return rows | await self._refused(sent, error, results)
        return rows | await results.of_answer(result, sent)

    async def _opened(
        self, chunk: Mapping[CallKey, Original]
    ) -> tuple[dict[CallKey, Path | bytes], Rows]:
        opened: dict[CallKey, Path | bytes] = {}
        rows: Rows = {}
        for key, original in chunk.items():
            try:
                opened[key] = await asyncio.to_thread(original.open)
            except SourceError as error:
                rows[key.sha256] = failed_row(original, "source", str(error), retryable=True)
        return opened, rows

    async def _stream(
        self, originals: Sequence[Original], files: list[Path | bytes]
    ) -> StreamBatchResult:
        config = self.config
        return await self.client.uploads.stream_batch(
            files,
            filenames=[sent_name(o) for o in originals],
            tags=config.tags or None,
            auto_describe=config.auto_describe and not config.prompt and not config.providers,
            skip_duplicates=True,
            storage_target=config.storage_target,
            intent=config.intent,
            verification_level=config.verification_level,
        )

    async def _refused(
        self, sent: Mapping[CallKey, Original], error: api.AionvisionError, results: UploadResults
    ) -> Rows:
        """Rows of files that the server did not take, as far as is known."""
        if is_hopeless(error):
            await asyncio.to_thread(self.calls.refused, list(sent))
            raise error
        if len(sent) > 1 and halves_help(error):
            self._tried |= sent.keys() if error.begun else set()
            await asyncio.to_thread(self.calls.refused, list(sent))
            halves = [await self._send(half, results) for half in in_halves(sent)]
            return halves[0] | halves[1]
        if is_used_up(error):
            self._spent = error
        kind, retryable = kind_of(error), not refused_for_good(error)
        unsent = {k: o for k, o in sent.items() if never_begun(error) and k not in self._tried}
        if unsent:
            await asyncio.to_thread(self.calls.refused, list(unsent))
        rows = _failed_rows(unsent, kind, str(error))
        for key, original in sent.items():
            if key not in unsent:
                rows[key.sha256] = await results.note_failure(
                    key, original, str(error), kind, retryable
                )
        return rows


def _failed_rows(originals: Mapping[CallKey, Original], kind: str, reason: str) -> Rows:
    """Rows of what another time may bring."""
    return {key.sha256: failed_row(o, kind, reason, retryable=True) for key, o in originals.items()}
