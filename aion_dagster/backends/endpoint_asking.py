"""Asking an endpoint about several pictures: side by side, paced, repeated where it helps, every call noted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from aion_dagster.backends.calls import Begun, CallJournal, CallKey, Settlement, Standing
from aion_dagster.backends.endpoint_answers import AnswerError
from aion_dagster.backends.endpoint_requests import CallError, ChatEndpoint, LaterError, Reply
from aion_dagster.backends.pacing import Pace, backoff
from aion_dagster.engines import EndpointConfig
from aion_dagster.errors import UnavailableError

_IN_A_ROW: Final = 10
"""Pictures that fail for want of a connection, one after the other, after which nobody is asked any more."""

_LOOK_AGAIN: Final = 0.5
"""Seconds between two looks at a call that another process is making."""

Payload = Mapping[str, Any]
Outcome = Payload | CallError


@dataclass(frozen=True, slots=True)
class Job:
    """A call, and the JPEG that it is about; `picture` may raise a CallError."""

    key: CallKey
    picture: Callable[[], bytes]


@dataclass
class Asking:
    """One conversation with an endpoint; remembers how it goes."""

    config: EndpointConfig
    endpoint: ChatEndpoint
    calls: CallJournal
    answered: int = 0
    unreachable: int = 0
    reached: bool = False
    pace: Pace = field(init=False)
    gate: asyncio.Semaphore = field(init=False)
    ended: asyncio.Event = field(init=False)
    refusal: UnavailableError | None = None

    def __post_init__(self) -> None:
        """Set the pace."""
        self.pace = Pace(self.config.requests_per_minute)
        self.gate = asyncio.Semaphore(self.config.parallel)
        self.ended = asyncio.Event()

    async def all(self, jobs: Sequence[Job]) -> list[Outcome]:
        """What came of each job: the payload of its answer, earlier or now, or why there is none.

        Raises:
            UnavailableError: the endpoint refuses everything, or cannot be reached.
        """
        begun = await self._begin([job.key for job in jobs])
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._one(job, one))
                    for job, one in zip(jobs, begun, strict=True)
                ]
        finally:
            # What was reserved and is not made after all; synchronous, as a cancelled task may not await.
            self.calls.release([one.key for one in begun if one.may_send])
        if self.refusal is not None:
            raise self.refusal
        return [task.result() for task in tasks]

    def check_reached(self) -> None:
        """Tell an endpoint that is not there from one that failed in between.

        Raises:
            UnavailableError: pictures were asked about, and no connection came about for any.
        """
        if self.unreachable and not self.reached:
            raise self._gone("no connection")

    async def _begin(self, keys: Sequence[CallKey]) -> list[Begun]:
        """How the calls stand, once no other process makes them any more (or that has taken too long)."""
        begun = {b.key: b for b in await asyncio.to_thread(self.calls.begin, keys)} if keys else {}
        end = time.monotonic() + self.config.timeout_seconds
        while busy := [key for key in keys if begun[key].standing is Standing.BUSY]:
            if time.monotonic() > end:
                break
            await asyncio.sleep(_LOOK_AGAIN)
            begun |= {b.key: b for b in await asyncio.to_thread(self.calls.begin, busy)}
        return [begun[key] for key in keys]

    async def _one(self, job: Job, begun: Begun) -> Outcome:
        if begun.standing is Standing.SETTLED and begun.payload is not None:
            return begun.payload
        if not begun.may_send and begun.standing is not Standing.SETTLED:
            return _not_asked(begun)
        async with self.gate:
            try:
                if self.refusal is not None:
                    raise _not_begun(self.refusal)
                if self.unreachable >= _IN_A_ROW:
                    reason = "not asked: the endpoint is gone"
                    raise CallError("network", reason, retryable=True, begun=False)
                # Aside: what is decoded here must not keep the answers of others from being read and kept.
                picture = await asyncio.to_thread(job.picture)
                begin = time.perf_counter()
                reply = await self._ask(picture, job.key)
            except CallError as error:
                if error.begun:
                    await self._note_failure(job.key, error.kind, error, retryable=error.retryable)
                # Otherwise it counts as not sent, and is released with all others.
                return error
            milliseconds = (time.perf_counter() - begin) * 1000
            payload = _payload(reply, milliseconds)
            settlement = Settlement(
                payload,
                reply.remote_id,
                input_tokens=reply.input_tokens,
                output_tokens=reply.output_tokens,
                milliseconds=milliseconds,
            )
            # Here and now, before anything else runs: until it is noted, it counts as undelivered, and is paid for
            # nothing should this process die. The ledger may be busy, and other answers must not wait until it is not.
            self.calls.keep({job.key: settlement})
            reply.noted()
            await asyncio.to_thread(self.calls.settled, {job.key: settlement})
            return payload

    async def _note_failure(
        self, key: CallKey, kind: str, error: Exception, *, retryable: bool
    ) -> None:
        await asyncio.to_thread(self.calls.failed, key, str(error), kind=kind, retryable=retryable)

    async def _ask(self, picture: bytes, key: CallKey) -> Reply:
        """Ask until there is an answer, the tries are used up, or no other try would help."""
        wrong = 0
        counted, begun = True, False
        for attempt in range(self.config.attempts):
            await self.pace.turn()
            await self._send(key, counted=counted)
            wait = backoff(attempt)
            counted = False
            try:
                reply = await self.endpoint.ask(picture)
            except UnavailableError as error:
                # It did not begin, and begins with no other: requests under way end, and no more are made.
                await asyncio.to_thread(self.calls.refused, [key])
                self._end(error)
                raise _not_begun(error) from None
            except AnswerError as error:
                last = CallError("invalid_response", str(error), retryable=True)
                begun, wrong, self.reached = True, wrong + 1, True
            except LaterError as error:
                begun |= error.begun
                self.reached |= error.begun or error.kind != "network"
                last = CallError(error.kind, str(error), retryable=True, begun=begun)
                counted = not error.begun
                if error.after is not None:
                    wait = error.after
                    self.pace.hold(error.after)
            else:
                self.answered, self.unreachable, self.reached = self.answered + 1, 0, True
                return reply
            over = wrong > 1 or attempt + 1 == self.config.attempts or self.refusal is not None
            if counted and not (over and begun):
                await asyncio.to_thread(self.calls.refused, [key])
            if over:
                break
            with suppress(TimeoutError):
                await asyncio.wait_for(self.ended.wait(), wait)
        if last.kind == "network":
            self._lost(last)
        raise last

    async def _send(self, key: CallKey, *, counted: bool) -> None:
        """Note that a request goes out; a repetition of one that may have been worked on counts anew."""
        if counted:
            await asyncio.to_thread(self.calls.sent, [key])
            return
        reason = await asyncio.to_thread(self.calls.again, key)
        if reason is not None:
            raise CallError("budget", reason, retryable=True)

    def _lost(self, last: CallError) -> None:
        self.unreachable += 1
        if not self.answered and self.unreachable >= min(_IN_A_ROW, self.config.parallel):
            self._end(self._gone(str(last)))

    def _gone(self, reason: str) -> UnavailableError:
        return UnavailableError(
            f"endpoint {self.endpoint.place} (endpoint.base_url) cannot be reached: {reason}; is it up, and the address right?"
        )

    def _end(self, refusal: UnavailableError) -> None:
        self.refusal = self.refusal or refusal
        self.ended.set()


def _not_begun(refusal: UnavailableError) -> CallError:
    return CallError("unavailable", str(refusal), retryable=True, begun=False)


def _not_asked(begun: Begun) -> CallError:
    """Why a call is not made."""
    if begun.standing is Standing.FAILED:
        return CallError(begun.kind or "server", begun.reason or "failed before", retryable=False)
    if begun.standing is Standing.OVER_BUDGET:
        return CallError("budget", begun.reason or "the budget is spent", retryable=True)
    return CallError("busy", "another process has been at this call for too long", retryable=True)


def _payload(reply: Reply, milliseconds: float) -> Payload:
    return {
        "title": reply.answer.title,
        "description": reply.answer.description,
        "tags": list(reply.answer.tags),
        "visible_text": reply.answer.visible_text,
        "remote_id": reply.remote_id,
        "processing_time_ms": milliseconds,
        "generated_at": datetime.now(UTC).isoformat(),
    }
