"""Documents go to the Aionvision platform, each content once; every sending is noted before and after."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from aion_dagster.backends.aionvision_begin import (
    begun_calls,
    grouped,
    halves_help,
    in_halves,
    is_hopeless,
    not_made,
)
from aion_dagster.backends.aionvision_document_waiting import (
    EXTRACTION,
    DocumentWaiter,
    Remote,
    Sent,
    failed,
    note_failure,
)
from aion_dagster.backends.aionvision_errors import (
    is_used_up,
    kind_of,
    never_begun,
    refused_for_good,
    told,
)
from aion_dagster.backends.calls import Begun, CallJournal, CallKey, Standing
from aion_dagster.backends.protocol import Original
from aion_dagster.client import AionVision
from aion_dagster.client import errors as api
from aion_dagster.client.limits import DOCUMENT_BYTES
from aion_dagster.client.models.document_results import DocumentUploadResult
from aion_dagster.client.models.upload_results import classified
from aion_dagster.compute.documents.document import MEDIA_TYPES
from aion_dagster.engines import AionvisionConfig
from aion_dagster.errors import SourceError

OPERATION: Final = "document"
PARAMETERS: Final = "1"
"""What a document is known by beside its content: nothing that the configuration says, so that nothing is sent twice."""

_BATCH: Final = 100
_LONGEST_NAME: Final = 120


@dataclass
class DocumentSender:
    """Sends the documents of one batch and waits until the platform has read them.

    Args:
        config: how the platform is used.
        client: asks it.
        calls: the journal.
        engine: which account of which server, as noted in the journal.
    """

    config: AionvisionConfig
    client: AionVision
    calls: CallJournal
    engine: str
    _spent: str | None = field(default=None, init=False)

    async def read(self, originals: Sequence[Original]) -> dict[str, Remote]:
        """SHA-256 → what became of the document, for all of them.

        Raises:
            AuthenticationError, AionvisionPermissionError: the key is refused: nothing else would go through either.
        """
        found = {o.sha256: bad for o in originals if (bad := _unsendable(o)) is not None}
        left = {self._key(o): o for o in originals if o.sha256 not in found}
        timeout = self.config.polling_timeout
        begun = await begun_calls(self.calls, list(left), timeout=timeout, lookup=True)
        found |= {key.sha256: known for key, one in begun.items() if (known := _known(one))}
        sent = [
            Sent(key, left[key], one.remote_id, one.session_id)
            for key, one in begun.items()
            if one.standing is Standing.ACCEPTED and one.remote_id
        ]
        skipped = {s.original.sha256 for s in sent} | found.keys()
        try:
            for group in await self._groups(
                {k: o for k, o in left.items() if k.sha256 not in skipped}, found
            ):
                sent += await self._send(group, begun, found)
        finally:
            free = [key for key, one in begun.items() if one.may_send]
            await asyncio.to_thread(self.calls.release, free)
        waiter = DocumentWaiter(self.config, self.client, self.calls)
        return found | await waiter.wait(sent)

    def _key(self, original: Original) -> CallKey:
        return CallKey(original.sha256, OPERATION, PARAMETERS, self.engine)

    async def _groups(
        self, originals: Mapping[CallKey, Original], found: dict[str, Remote]
    ) -> list[dict[CallKey, Original]]:
        """What to send together; documents beyond the quota are put into `found`."""
        if not originals:
            return []
        quota = await self.client.documents.quota_check(len(originals))
        allowed = dict(originals)
        if 0 <= quota.documents_remaining < len(originals):
            reason = quota.message or "the plan allows no more documents this month"
            for key in list(originals)[quota.documents_remaining :]:
                del allowed[key]
                found[key.sha256] = failed("quota", reason, retryable=True)
        return grouped(allowed, _BATCH, lambda o: o.size_bytes)

    async def _send(
        self,
        group: dict[CallKey, Original],
        begun: Mapping[CallKey, Begun],
        found: dict[str, Remote],
    ) -> list[Sent]:
        """Send a group; one that is refused as a whole is sent again in halves."""
        if self._spent is not None:
            found |= {k.sha256: failed("quota", self._spent, retryable=True) for k in group}
            return []
        cleared = [key for key in group if await self._is_clear(begun[key], found)]
        opened = await self._opened({key: group[key] for key in cleared}, found)
        sending = {key: group[key] for key in opened}
        if not sending:
            return []
        await asyncio.to_thread(self.calls.sent, list(sending))
        try:
            results = await self.client.documents.upload(
                list(opened.values()),
                filenames=[sent_name(o) for o in sending.values()],
                wait_for_processing=False,
                storage_target=self.config.storage_target,
            )
        except api.AionvisionError as error:
            return await self._refused(sending, error, begun, found)
        batch = results.batch_ids[0] if results.batch_ids else None
        return await self._noted(sending, results, batch, found)

    async def _opened(
        self, group: Mapping[CallKey, Original], found: dict[str, Remote]
    ) -> dict[CallKey, Path | bytes]:
        opened: dict[CallKey, Path | bytes] = {}
        for key, original in group.items():
            try:
                opened[key] = await asyncio.to_thread(original.open)
            except SourceError as error:
                found[key.sha256] = failed("source", str(error), retryable=True)
        return opened

    async def _is_clear(self, begun: Begun, found: dict[str, Remote]) -> bool:
        """Delete a document that we sent and the platform could not read: sent again it would be found as it is."""
        if begun.remote_id is None or begun.kind != EXTRACTION:
            return True
        try:
            with suppress(api.ResourceNotFoundError):
                state = await self.client.documents.get_status(begun.remote_id)
                # Only what bears the name that we send: others may have had the same content there before.
                if state.filename.startswith(begun.key.sha256):
                    await self.client.documents.delete(begun.remote_id)
        except api.AionvisionError as error:
            if is_hopeless(error):
                raise
            found[begun.key.sha256] = failed(kind_of(error), str(error), retryable=True)
            return False
        return True

    async def _refused(
        self,
        sending: dict[CallKey, Original],
        error: api.AionvisionError,
        begun: Mapping[CallKey, Begun],
        found: dict[str, Remote],
    ) -> list[Sent]:
        """What becomes of a group that the server did not take as a whole."""
        taken: list[Sent] = []
        if isinstance(error, api.QuotaExceededError):
            taken = await self._taken(sending, error.partial_results)
        if is_used_up(error):
            self._spent = str(error)
        had = {s.key for s in taken}
        left = {key: original for key, original in sending.items() if key not in had}
        splits = len(left) > 1 and halves_help(error)
        free = splits or is_hopeless(error) or never_begun(error)
        if free:
            await asyncio.to_thread(self.calls.refused, list(left))
        if is_hopeless(error):
            raise error
        if splits:
            halves = [await self._send(half, begun, found) for half in in_halves(left)]
            return [*halves[0], *halves[1]]
        kind, retryable = kind_of(error), not refused_for_good(error)
        for key in left:
            if free:
                found[key.sha256] = failed(kind, str(error), retryable=True)
            else:
                found[key.sha256] = await note_failure(self.calls, key, kind, str(error), retryable)
        return taken

    async def _taken(
        self, sending: Mapping[CallKey, Original], results: Iterable[DocumentUploadResult]
    ) -> list[Sent]:
        """Note what the server took before it refused the rest."""
        ids = {r.filename[:64]: r.document_id for r in results if r.document_id}
        taken = [Sent(k, o, ids[k.sha256], None) for k, o in sending.items() if k.sha256 in ids]
        await asyncio.to_thread(self.calls.accepted, {s.key: (s.remote_id, None) for s in taken})
        return taken

    async def _noted(
        self,
        sending: Mapping[CallKey, Original],
        results: Sequence[DocumentUploadResult],
        batch: str | None,
        found: dict[str, Remote],
    ) -> list[Sent]:
        """Note ids before anything else; what the server has."""
        taken = {
            key: result.document_id
            for key, result in zip(sending, results, strict=True)
            if result.document_id
        }
        await asyncio.to_thread(self.calls.accepted, {k: (i, batch) for k, i in taken.items()})
        for key, result in zip(sending, results, strict=True):
            if key in taken:
                continue
            reason = told(result.error, "the server did not take it and does not say why")
            kind = classified(reason)[0].value
            if result.is_retryable and not result.is_begun:
                await asyncio.to_thread(self.calls.refused, [key])
                found[key.sha256] = failed(kind, reason, retryable=True)
            else:
                found[key.sha256] = await note_failure(
                    self.calls, key, kind, reason, result.is_retryable
                )
        return [Sent(key, sending[key], remote_id, batch) for key, remote_id in taken.items()]


def sent_name(original: Original) -> str:
    """The SHA-256, by which answers are told apart, the person's name behind it, and the end that tells the kind."""
    stem = PurePosixPath(original.name).stem[:_LONGEST_NAME]
    kind = next(k for k, media in MEDIA_TYPES.items() if media == original.media_type)
    return f"{original.sha256}-{stem}.{kind}"


def _unsendable(original: Original) -> Remote | None:
    """What becomes of a document that the platform does not take."""
    if not original.size_bytes:
        return failed("empty", "the file is empty", retryable=False, status="empty")
    if original.size_bytes > DOCUMENT_BYTES:
        reason = f"{original.size_bytes} bytes: the platform takes {DOCUMENT_BYTES} at most"
        return failed("too_large", reason, retryable=False, status="too_large")
    return None


def _known(begun: Begun) -> Remote | None:
    """What became of a document that is neither sent nor waited for now."""
    if begun.standing is Standing.SETTLED:
        return Remote(begun.remote_id, "completed")
    bad = not_made(begun)
    if bad is None:
        return None
    kind, reason, retryable = bad
    return failed(kind, reason, retryable=retryable, remote_id=begun.remote_id)
