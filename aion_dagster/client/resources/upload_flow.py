"""The way of several files: sent in chunks, their sessions awaited, their descriptions awaited."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from aion_dagster.client import limits
from aion_dagster.client.errors import (
    AionvisionError,
    AionvisionTimeoutError,
    QuotaExceededError,
    ResourceNotFoundError,
    UploadError,
)
from aion_dagster.client.models.descriptions import DescriptionStatus
from aion_dagster.client.models.upload_sessions import UploadSessionItem, UploadSessionStatus
from aion_dagster.client.models.uploads import (
    BatchUploadResults,
    StreamBatchResult,
    UploadResult,
)
from aion_dagster.client.resources.upload_descriptions import UploadDescriptions
from aion_dagster.client.resources.upload_folders import name_key, told_apart
from aion_dagster.client.resources.upload_repeats import (
    UNDESCRIBED,
    is_about_the_file,
    sent_again,
)
from aion_dagster.client.resources.upload_report import Report
from aion_dagster.client.resources.upload_rows import (
    Item,
    described,
    pending,
    refused,
    row_of,
    unanswered,
)
from aion_dagster.client.resources.upload_sources import Source
from aion_dagster.client.resources.upload_streams import UploadStreams
from aion_dagster.client.runtime import Runtime


class _NotSent(Exception):  # noqa: N818 - says what happened to a request, and leaves this module never
    """A request failed before anything was known of its files."""

    def __init__(self, error: AionvisionError) -> None:
        super().__init__(str(error))
        self.error = error


class UploadCalls(UploadStreams, UploadDescriptions):
    """The low-level methods that an upload of several files is made of."""


class UploadFlow:
    """One upload; `rows` and `session_ids` hold what is known so far, also where it fails half way.

    `error` is what ended it, `late` that a session did not end in time: its files are pending then, some without id.

    Args:
        calls: the low-level methods.
        runtime: does things side by side.
        sources: the files.
        form: fields of the form that every request carries.
        report: whom to tell.
        timeout: seconds to wait for a session, and then for descriptions; None for the client's.
    """

    def __init__(
        self,
        calls: UploadCalls,
        runtime: Runtime,
        sources: Sequence[Source],
        form: dict[str, Any],
        report: Report,
        timeout: float | None,
    ) -> None:
        """Nothing is sent yet."""
        self.rows: list[UploadResult | None] = [None] * len(sources)
        self.session_ids: list[str] = []
        self.error: AionvisionError | None = None
        self.late: AionvisionTimeoutError | None = None
        self._calls = calls
        self._runtime = runtime
        self._sources = sources
        self._form = form
        self._report = report
        self._timeout = timeout
        self._session_id: str | None = None  # of the request that failed

    @property
    def results(self) -> BatchUploadResults:
        """What is known of the files so far, without those of which nothing is."""
        known = (row for row in self.rows if row is not None)
        return BatchUploadResults(known, session_ids=self.session_ids)

    def refuse_unsendable(self) -> None:
        """Make failed rows of the files that the server would refuse for their size."""
        for index, source in enumerate(self._sources):
            if reason := source.problem():
                self._settle(index, refused(source.name, reason, None, retryable=False))

    async def send(self, batch_size: int, at_once: int) -> None:
        """Send what has no row yet; an error ends what has not begun, and stays in `error`."""
        left = [index for index, row in enumerate(self.rows) if row is None]
        chunks = [left[i : i + batch_size] for i in range(0, len(left), batch_size)]
        await self._runtime.several([partial(self._chunk, chunk) for chunk in chunks], at_once)

    async def describe(self) -> AionvisionError | None:
        """Wait until each picture is described, or never will be; what kept it from that, a timeout also."""
        ids: dict[str, list[int]] = {}
        for index, row in enumerate(self.rows):
            if row is not None and row.is_stored and not row.is_failed:
                ids.setdefault(row.image_id, []).append(index)
        total, done = sum(map(len, ids.values())), 0

        def complete(state: DescriptionStatus) -> None:
            nonlocal done
            for index in ids[state.image_id]:
                done += 1
                row = self._described(index, state)
                self._report.described(index, row, done, total)

        rows = [row for row in self.rows if row is not None]
        try:
            await self._calls.wait_for_descriptions(
                list(ids),
                timeout=self._timeout,
                on_complete=complete,
                existing={r.image_id for r in rows if r.skipped},
            )
        except AionvisionError as error:
            return error
        return None

    def failure(self, error: AionvisionError) -> AionvisionError:
        """The error to raise: of its own kind where it says it all, with what did finish."""
        results = self.results
        if isinstance(error, QuotaExceededError):
            error.partial_results = list(results)
            return error
        known: dict[str, Any] = {
            "code": error.code,
            "details": error.details,
            "request_id": error.request_id,
            "status": error.status,
        }
        if isinstance(error, AionvisionTimeoutError):
            told: AionvisionError = AionvisionTimeoutError(
                error.message, last_result=results, **known
            )
        elif results or self.session_ids:
            told = UploadError(
                error.message, session_id=self._session_id, partial_results=results, **known
            )
        else:
            return error
        told.__cause__ = error
        return told

    async def _chunk(self, indices: Sequence[int]) -> None:
        if self.error is not None:
            return
        try:
            await self._sent(indices, self._form)
        except AionvisionError as error:
            # Others that are under way end as they end: to break them off would lose their answers.
            self.error = self.error or error

    async def _sent(self, indices: Sequence[int], form: dict[str, Any]) -> None:
        try:
            await (self._one(indices[0], form) if len(indices) == 1 else self._many(indices, form))
        except _NotSent as stopped:
            again = sent_again(indices, form, stopped.error)
            if not again:
                raise stopped.error from None
            for some, changed in again:
                await self._sent(some, changed)

    async def _one(self, index: int, form: dict[str, Any]) -> None:
        source = self._sources[index]
        watch = self._report.watch([index], [source.name])
        try:
            answer = await self._calls.send_one(source, form=form, watch=watch)
        except AionvisionError as error:
            if len(self.rows) > 1 and is_about_the_file(error):
                may_pass = error.code == UNDESCRIBED
                self._settle(index, refused(source.name, error.message, None, retryable=may_pass))
                return
            raise _NotSent(error) from None
        self._settle(index, row_of(source.name, answer, None, self._awaited))

    async def _many(self, indices: Sequence[int], form: dict[str, Any]) -> None:
        sources = [self._sources[index] for index in indices]
        watch = self._report.watch(indices, [source.name for source in sources])
        names = told_apart(sources)
        sent = [source.renamed(name) for source, name in zip(sources, names, strict=True)]
        try:
            answer = await self._calls.send_several(sent, form=form, watch=watch)
        except AionvisionError as error:
            raise _NotSent(error) from None
        self.session_ids.append(answer.session_id)
        try:
            await self._answered(answer, dict(zip(names, indices, strict=True)))
        except AionvisionError:
            self._session_id = self._session_id or answer.session_id
            raise

    async def _answered(self, answer: StreamBatchResult, sent: dict[str, int]) -> None:
        """Rows of the files of one request, by the names they were sent under."""
        session_id, order = answer.session_id, list(sent)
        for rejection in answer.rejections:
            place = rejection.index
            name = order[place] if place is not None and 0 <= place < len(order) else None
            index = sent.pop(name if name in sent else rejection.filename, None)
            if index is not None:
                own = self._sources[index].name
                self._settle(index, refused(own, rejection.reason, session_id, rejection.retryable))
        immediate = answer.immediate_results
        flags: dict[str, bool] = {}
        items: Mapping[int, Item]
        if immediate is not None and len(immediate) >= len(sent):
            items, state = _matched(sent, immediate), answer.status
        elif not sent or (answer.accepted_files == 0 and answer.status in ("rejected", "failed")):
            items, state = {}, answer.status
        else:
            status = await self._session(session_id)
            flags = {name_key(e.filename): e.retryable for e in status.recent_errors}
            found = await self._results(session_id, len(sent))
            items, state = _matched(sent, found), str(status.status)
            if not status.is_over:
                for name in [name for name, index in sent.items() if index not in items]:
                    index = sent.pop(name)
                    self.rows[index] = pending(self._sources[index].name, session_id)
        for name, index in sent.items():
            own, item = self._sources[index].name, items.get(index)
            row = (
                unanswered(own, session_id, state)
                if item is None
                else row_of(own, item, session_id, self._awaited, flags.get(name_key(name)))
            )
            self._settle(index, row)

    async def _session(self, session_id: str) -> UploadSessionStatus:
        """The end of a session, or its last state where it does not end in time."""
        try:
            return await self._calls.wait_for_session(session_id, timeout=self._timeout)
        except AionvisionTimeoutError as error:
            if not isinstance(error.last_result, UploadSessionStatus):
                raise
            self.late = error
            return error.last_result

    async def _results(self, session_id: str, count: int) -> list[UploadSessionItem]:
        """Results of a session, without the question for more where there cannot be any."""
        found: list[UploadSessionItem] = []
        while len(found) < count:
            try:
                page = await self._calls.get_session_results(
                    session_id, offset=len(found), limit=limits.SESSION_PAGE
                )
            except ResourceNotFoundError:
                break  # The session has expired, and its results with it.
            if not page.results:
                break
            found += page.results
        return found

    @property
    def _awaited(self) -> bool:
        return bool(self._form["auto_describe"])

    def _settle(self, index: int, row: UploadResult) -> None:
        self.rows[index] = row
        self._report.complete(index, row)

    def _described(self, index: int, state: DescriptionStatus) -> UploadResult:
        before = self.rows[index]
        assert before is not None  # noqa: S101 - only pictures with a row are awaited
        row = described(before, state)
        self.rows[index] = row
        return row


def _matched(sent: dict[str, int], items: Iterable[Item]) -> dict[int, Item]:
    """Results by the place of their file; the only one left belongs to the only file left."""
    by_key = {name_key(name): index for name, index in sent.items()}
    matched: dict[int, Item] = {}
    left: list[Item] = []
    for item in items:
        index = by_key.get(name_key(item.filename))
        if index is None:
            left.append(item)
        else:
            matched[index] = item
    open_places = [index for index in sent.values() if index not in matched]
    if len(left) == len(open_places) == 1:
        matched[open_places[0]] = left[0]
    return matched
