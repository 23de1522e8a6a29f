"""Pictures go to the Aionvision platform, each content once, in batches; every upload is noted before and after."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from aion_dagster.backends.aionvision_errors import kind_of, never_begun, refused_for_good
from aion_dagster.backends.calls import Begun, CallJournal, CallKey, Settlement, Standing
from aion_dagster.backends.protocol import Original
from aion_dagster.client import AionVision
from aion_dagster.client import errors as api
from aion_dagster.client.limits import PAGE, SESSION_PAGE, STREAMED_BYTES
from aion_dagster.client.models.upload_results import classified
from aion_dagster.client.models.upload_sessions import UploadSessionItem
from aion_dagster.client.models.uploads import ItemStatus, StreamBatchFileResult, StreamBatchResult
from aion_dagster.engines import AionvisionConfig
from aion_dagster.errors import SourceError

OPERATION: Final = "upload"
PARAMETERS: Final = "1"
"""What an upload is known by beside its content: nothing that the configuration says of it, so that nothing is sent twice."""

FORMATS: Final = frozenset({"image/jpeg", "image/png", "image/webp", "image/gif"})
_CHUNK_BYTES: Final = 64 * 2**20
"""Bytes of one request, at most, unless a single file has more; so many times `parallel` are in memory."""
_LONGEST_NAME: Final = 120
_LOOK_AGAIN: Final = 0.5

Row = dict[str, Any]
Item = UploadSessionItem | StreamBatchFileResult


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
    _spent: api.QuotaExceededError | None = field(default=None, init=False)
    _there: frozenset[str] = field(default=frozenset(), init=False)
    """Hashes that the platform had when we began."""
    _tried: set[CallKey] = field(default_factory=set, init=False)
    """Calls that the server may have worked on, though no answer says so."""

    async def rows(self, originals: Sequence[Original]) -> list[Row]:
        """A row of schema `UPLOADS` per picture, in their order.

        Raises:
            AuthenticationError, AionvisionPermissionError: the key is refused: nothing else would go through either.
        """
        rows = {o.sha256: _unsendable(o) for o in originals}
        left = {self._key(o): o for o in originals if rows[o.sha256] is None}
        begun = await self._begin(list(left))
        for key, one in begun.items():
            rows[key.sha256] = _known_row(left[key], one)
        self.advance(sum(row is not None for row in rows.values()))
        try:
            rows |= await self._sessions(left, begun)
            rows |= await self._send_all(
                {key: o for key, o in left.items() if rows[key.sha256] is None}, begun
            )
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
        for free in (False, True):
            some = [k for k in keys if (k.sha256 in self._there) is free]
            if some:
                begun |= await self._begun(some, free)
        return begun

    async def _begun(self, keys: list[CallKey], free: bool) -> dict[CallKey, Begun]:
        """Begin, and wait while another process is at some of them."""
        begun: dict[CallKey, Begun] = {}
        end = asyncio.get_running_loop().time() + self.config.polling_timeout
        left = keys
        while left:
            found = await asyncio.to_thread(self.calls.begin, left, lookup=True, free=free)
            begun |= {b.key: b for b in found}
            left = [b.key for b in found if b.standing is Standing.BUSY]
            if asyncio.get_running_loop().time() > end:
                break
            if left:
                await asyncio.sleep(_LOOK_AGAIN)
        return begun

    async def _sessions(
        self, left: Mapping[CallKey, Original], begun: Mapping[CallKey, Begun]
    ) -> dict[str, Row | None]:
        """Rows of what an earlier process sent and whose session it knew, but not its end."""
        sessions: dict[str, list[CallKey]] = {}
        for key, one in begun.items():
            if one.standing is Standing.ACCEPTED and one.session_id:
                sessions.setdefault(one.session_id, []).append(key)
        rows: dict[str, Row | None] = {}
        for session, keys in sessions.items():
            chunk = {key: left[key] for key in keys}
            try:
                rows |= await self._session_rows(session, chunk, begun)
            except api.ResourceNotFoundError:
                continue  # The session is gone: sending once more tells the ids.
        return rows

    async def _send_all(
        self, originals: Mapping[CallKey, Original], begun: Mapping[CallKey, Begun]
    ) -> dict[str, Row | None]:
        if not originals:
            return {}
        quota = await self.client.uploads.check_quota(len(originals))
        size = min(quota.batch_size, self.config.upload_batch or quota.batch_size)
        gate = asyncio.Semaphore(min(self.config.parallel, quota.at_once))
        rows: dict[str, Row | None] = {}

        async def send(chunk: dict[CallKey, Original]) -> None:
            async with gate:
                found = await self._send(chunk, begun)
            rows.update(found)
            self.advance(len(found))

        try:
            async with asyncio.TaskGroup() as group:
                for chunk in _chunks(originals, size):
                    group.create_task(send(chunk))
        except* api.AionvisionError as errors:
            raise errors.exceptions[0] from None
        return rows

    async def _send(
        self, chunk: dict[CallKey, Original], begun: Mapping[CallKey, Begun]
    ) -> dict[str, Row | None]:
        """Rows of one request's files; a request that is refused as a whole is made again in halves."""
        if self._spent is not None:
            return self._over_quota(chunk, self._spent)
        opened, rows = await self._opened(chunk)
        sent = {key: chunk[key] for key in opened}
        if not sent:
            return rows
        await asyncio.to_thread(self.calls.sent, list(sent))
        try:
            result = await self._stream(list(sent.values()), list(opened.values()))
        except api.QuotaExceededError as error:
            self._spent = error
            return rows | await self._failed(sent, error)
        except (api.AuthenticationError, api.AionvisionPermissionError):
            await asyncio.to_thread(self.calls.refused, list(sent))
            raise
        except api.AionvisionError as error:
            if len(sent) > 1 and _halves_help(error):
                self._tried |= sent.keys() if error.begun else set()
                await asyncio.to_thread(self.calls.refused, list(sent))
                for half in _halves(sent):
                    rows |= await self._send(half, begun)
                return rows
            return rows | await self._failed(sent, error)
        return rows | await self._answered(result, sent, begun)

    async def _opened(
        self, chunk: Mapping[CallKey, Original]
    ) -> tuple[dict[CallKey, Path | bytes], dict[str, Row | None]]:
        opened: dict[CallKey, Path | bytes] = {}
        rows: dict[str, Row | None] = {}
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

    async def _answered(
        self,
        result: StreamBatchResult,
        sent: dict[CallKey, Original],
        begun: Mapping[CallKey, Begun],
    ) -> dict[str, Row | None]:
        """Rows of files that the server took; of the others too."""
        rows: dict[str, Row | None] = {}
        left = dict(sent)
        keys = {key.sha256: key for key in sent}
        for rejection in result.rejections:
            key = keys.get(rejection.filename[:64])
            if key is not None and (original := left.pop(key, None)) is not None:
                kind, retryable = classified(rejection.reason)
                again = retryable or rejection.retryable
                error = (rejection.reason or "rejected", kind.value, again)
                rows[key.sha256] = await self._note_failure(key, original, *error)
        if result.immediate_results:
            return rows | await self._items(
                result.immediate_results, left, begun, result.session_id
            )
        if not left:
            return rows
        session = dict.fromkeys(left, (None, result.session_id))
        await asyncio.to_thread(self.calls.accepted, session)
        return rows | await self._session_rows(result.session_id, left, begun)

    async def _session_rows(
        self, session_id: str, sent: dict[CallKey, Original], begun: Mapping[CallKey, Begun]
    ) -> dict[str, Row | None]:
        """Wait for a session's end; rows of its files."""
        uploads = self.client.uploads
        try:
            await uploads.wait_for_session(session_id)
            items = await self._results(session_id, {key.sha256 for key in sent})
        except api.ResourceNotFoundError:
            raise
        except (api.AuthenticationError, api.AionvisionPermissionError):
            raise
        except api.AionvisionError as error:
            # The journal keeps the session: the next run looks at it again.
            kind = kind_of(error)
            return {
                key.sha256: failed_row(o, kind, str(error), retryable=True)
                for key, o in sent.items()
            }
        return await self._items(items, sent, begun, session_id)

    async def _results(self, session_id: str, wanted: set[str]) -> list[Item]:
        """A session's results, read until all that are wanted came, or an empty page."""
        items: list[Item] = []
        while wanted:
            page = await self.client.uploads.get_session_results(
                session_id, offset=len(items), limit=SESSION_PAGE
            )
            if not page.results:
                break
            items += page.results
            wanted = wanted - {item.filename[:64] for item in page.results}
        return items

    async def _items(
        self,
        items: Iterable[Item],
        sent: Mapping[CallKey, Original],
        begun: Mapping[CallKey, Begun],
        session_id: str,
    ) -> dict[str, Row | None]:
        found = {item.filename[:64]: item for item in items}
        kept = await self._kept(found.values())
        rows: dict[str, Row | None] = {}
        settled: dict[CallKey, Settlement] = {}
        for key, original in sent.items():
            item = found.get(key.sha256)
            if item is None:
                reason = "the server's session says nothing of this file"
                rows[key.sha256] = await self._note_failure(
                    key, original, reason, "invalid_response", True
                )
            elif item.stored_id not in kept:
                reason = _reason(item)
                kind, retryable = classified(reason)
                rows[key.sha256] = await self._note_failure(
                    key, original, reason, kind.value, retryable
                )
            else:
                payload = _payload(item, session_id, self._ours(begun[key]))
                settled[key] = Settlement(payload, item.stored_id)
                rows[key.sha256] = stored_row(original, payload)
        if settled:
            await asyncio.to_thread(self.calls.settled, settled)
        return rows

    async def _kept(self, items: Iterable[Item]) -> set[str]:
        """Remote ids of what is stored. A file may have failed before it was stored, or only its description after."""
        kept = {i.stored_id for i in items if i.stored_id and i.status is not ItemStatus.FAILED}
        doubtful = [i.stored_id for i in items if i.stored_id and i.status is ItemStatus.FAILED]
        for start in range(0, len(doubtful), PAGE):
            page = doubtful[start : start + PAGE]
            kept |= {f.id for f in (await self.client.files.list(ids=page, limit=PAGE)).files}
        return kept

    def _ours(self, begun: Begun) -> bool:
        """Whether content that the platform has may come from us: it was not there, or we sent it before and never heard of it."""
        sent = begun.standing is not Standing.GRANTED or begun.reason is not None
        return sent or begun.key.sha256 not in self._there

    async def _failed(
        self, sent: Mapping[CallKey, Original], error: api.AionvisionError
    ) -> dict[str, Row | None]:
        kind, retryable = kind_of(error), not refused_for_good(error)
        unsent = [k for k in sent if never_begun(error) and k not in self._tried]
        if unsent:
            await asyncio.to_thread(self.calls.refused, unsent)
        rows: dict[str, Row | None] = {}
        for key, original in sent.items():
            if key in unsent:
                rows[key.sha256] = failed_row(original, kind, str(error), retryable=True)
            else:
                rows[key.sha256] = await self._note_failure(
                    key, original, str(error), kind, retryable
                )
        return rows

    async def _note_failure(
        self, key: CallKey, original: Original, reason: str, kind: str, retryable: bool
    ) -> Row:
        await asyncio.to_thread(self.calls.failed, key, reason, kind=kind, retryable=retryable)
        return failed_row(original, kind, reason, retryable=retryable)

    def _over_quota(
        self, chunk: Mapping[CallKey, Original], error: api.QuotaExceededError
    ) -> dict[str, Row | None]:
        return {
            key.sha256: failed_row(o, "quota", str(error), retryable=True)
            for key, o in chunk.items()
        }


def sent_name(original: Original) -> str:
    """The SHA-256, by which answers are told apart, and the person's name behind it."""
    base = original.name.rpartition("/")[2]
    stem, dot, suffix = base.rpartition(".")
    kept = (stem if dot else base)[: _LONGEST_NAME - len(suffix)]
    return f"{original.sha256}-{kept}{dot}{suffix}"


def stored_row(original: Original, payload: Mapping[str, Any]) -> Row:
    """The row of a picture that the platform has."""
    return {
        "image_id": original.image_id,
        "sha256": original.sha256,
        "remote_id": payload["remote_id"],
        "object_key": payload.get("object_key"),
        "session_id": payload.get("session_id"),
        "status": "completed",
        "was_there": bool(payload.get("was_there")),
        "uploaded_at": _moment(payload.get("uploaded_at")),
    }


def failed_row(original: Original, kind: str, reason: str, *, retryable: bool) -> Row:
    """The row of a picture that the platform does not have, or of which that is not known."""
    return {
        "image_id": original.image_id,
        "sha256": original.sha256,
        "status": "failed",
        "was_there": False,
        "error": reason,
        "error_type": kind,
        "is_retryable": retryable,
    }


def _known_row(original: Original, begun: Begun) -> Row | None:
    """The row of what is not sent now."""
    if begun.standing is Standing.SETTLED and begun.payload is not None:
        return stored_row(original, begun.payload)
    if begun.standing is Standing.FAILED:
        kind = begun.kind or "server"
        return failed_row(original, kind, begun.reason or "failed before", retryable=False)
    if begun.standing is Standing.OVER_BUDGET:
        return failed_row(original, "budget", begun.reason or "", retryable=True)
    if begun.standing is Standing.BUSY:
        reason = "another process has been at this upload for too long"
        return failed_row(original, "busy", reason, retryable=True)
    return None


def _unsendable(original: Original) -> Row | None:
    """The row of a picture that the platform does not take."""
    if original.media_type not in FORMATS:
        reason = f"{original.media_type}: the platform takes JPEG, PNG, WebP and GIF"
        return failed_row(original, "unsupported", reason, retryable=False)
    if original.size_bytes > STREAMED_BYTES:
        reason = f"{original.size_bytes} bytes: the platform takes {STREAMED_BYTES} at most"
        return failed_row(original, "too_large", reason, retryable=False)
    return None


def _chunks(originals: Mapping[CallKey, Original], size: int) -> list[dict[CallKey, Original]]:
    """Requests of at most `size` files and so many bytes."""
    chunks: list[dict[CallKey, Original]] = []
    weight = 0
    for key, original in originals.items():
        if not chunks or len(chunks[-1]) >= size or weight + original.size_bytes > _CHUNK_BYTES:
            chunks.append({})
            weight = 0
        chunks[-1][key] = original
        weight += original.size_bytes
    return chunks


def _halves(sent: Mapping[CallKey, Original]) -> list[dict[CallKey, Original]]:
    items = list(sent.items())
    middle = len(items) // 2
    return [dict(items[:middle]), dict(items[middle:])]


def _halves_help(error: api.AionvisionError) -> bool:
    """Whether the whole may be refused for one file's sake, or for its size."""
    return isinstance(error, api.ValidationError | api.AionvisionTimeoutError) or (
        error.code in ("MEMORY_LIMIT_EXCEEDED", "TIMEOUT") or error.status in (413, 504)
    )


def _payload(item: Item, session_id: str, ours: bool) -> dict[str, Any]:
    """What is kept of a stored picture; `was_there` where the platform had it and not from us."""
    skipped = item.skipped_existing_image_id is not None or item.status is ItemStatus.SKIPPED
    return {
        "remote_id": item.stored_id,
        "object_key": item.object_key or None,
        "session_id": session_id,
        "was_there": skipped and not ours,
        "uploaded_at": datetime.now(UTC).isoformat(),
    }


def _reason(item: Item) -> str:
    said = item.error_message if isinstance(item, UploadSessionItem) else item.error
    return said or "the server stored nothing and does not say why"


def _moment(text: Any) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) else None
