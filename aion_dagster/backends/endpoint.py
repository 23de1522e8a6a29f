"""Descriptions by an OpenAI-compatible vision endpoint: vLLM, Ollama, llama.cpp and their like."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import pyarrow as pa
import simplejpeg

from aion_dagster import schemas
from aion_dagster.backends.calls import CallJournal, CallKey, NoJournal
from aion_dagster.backends.endpoint_answers import PROMPT_VERSION, Answer, AnswerError
from aion_dagster.backends.endpoint_requests import CallError, ChatEndpoint, LaterError
from aion_dagster.backends.pacing import Pace, backoff
from aion_dagster.backends.protocol import DescribeRequest
from aion_dagster.compute.decode import UndecodableError, upright_rgb
from aion_dagster.engines import EndpointConfig
from aion_dagster.errors import ConfigError, UnavailableError
from aion_dagster.identity import digest

PROVIDER: Final = "openai_compatible"

_IN_A_ROW: Final = 10
"""Pictures that fail for want of a connection, one after the other, after which nobody is asked any more."""
_SENT_QUALITY: Final = 90

Row = dict[str, Any]


@dataclass
class _State:
    """What is learnt while asking."""

    answered: int = 0
    unreachable: int = 0


@dataclass
class EndpointDescriber:
    """Asks an endpoint to describe pictures; its key comes from the environment and shows nowhere.

    Args:
        config: where the endpoint is and how it may be used.
        calls: told of every call; by default nobody is.
        advance: told how many pictures are done.
    """

    config: EndpointConfig
    calls: CallJournal = field(default_factory=NoJournal)
    advance: Callable[[int], None] = field(default=lambda _n: None)

    @property
    def identity(self) -> str:
        """Model, host, and everything that answers depend on."""
        parameters = [self.config.longest_side, self.config.max_output_tokens, PROMPT_VERSION]
        host = urlsplit(self.config.base_url).hostname or ""
        return f"{self.config.model}@{host}-{digest(parameters)[:8]}"

    def describe(self, request: DescribeRequest) -> pa.Table:
        """A row of schema `DESCRIPTIONS` per picture of the request.

        Pictures that cannot be described have a failed row with a reason, and whether another time may help.

        Raises:
            ConfigError: the environment variable of the key is not set.
            UnavailableError: the endpoint refuses the key, does not know the model, or cannot be reached at all.
        """
        rows = asyncio.run(self._describe(request, self._headers()))
        common = {"provider": PROVIDER, "model": self.identity, "credits": 0.0}
        return pa.Table.from_pylist([{**r, **common} for r in rows], schema=schemas.DESCRIPTIONS)

    def _headers(self) -> dict[str, str]:
        name = self.config.api_key_env
        if not name:
            return {}
        key = os.environ.get(name)
        if not key:
            raise ConfigError(f"endpoint.api_key_env: the environment variable {name} is not set")
        return {"Authorization": f"Bearer {key}"}

    async def _describe(self, request: DescribeRequest, headers: Mapping[str, str]) -> list[Row]:
        rows: list[Row] = []
        state, pace = _State(), Pace(self.config.requests_per_minute)
        async with httpx.AsyncClient(
            headers=headers,
            timeout=self.config.timeout_seconds,
            follow_redirects=False,
            trust_env=not _is_loopback(self.config.base_url),
            limits=httpx.Limits(max_connections=self.config.parallel),
        ) as client:
            endpoint = ChatEndpoint(self.config, client)
            images = _images(request)
            while some := list(islice(images, self.config.parallel * 4)):
                found = request.variants([i["image_id"] for i in some if _is_ok(i)])
                gate = asyncio.Semaphore(self.config.parallel)
                asked = [self._row(i, found, endpoint, state, pace, gate) for i in some]
                try:
                    async with asyncio.TaskGroup() as group:
                        tasks = [group.create_task(ask) for ask in asked]
                except* UnavailableError as errors:
                    raise errors.exceptions[0] from None
                rows += [task.result() for task in tasks]
                self.advance(len(some))
        return rows

    async def _row(
        self,
        image: Mapping[str, Any],
        found: Mapping[str, bytes],
        endpoint: ChatEndpoint,
        state: _State,
        pace: Pace,
        gate: asyncio.Semaphore,
    ) -> Row:
        key = image["image_id"]
        if not _is_ok(image):
            return _failed(key, "image", f"{image['status']}: {image['error']}", retryable=False)
        if key not in found:
            reason = "the picture's large variant is missing; materialize variants again"
            return _failed(key, "image", reason, retryable=True)
        async with gate:
            begun = time.perf_counter()
            call = CallKey(image["sha256"], "describe", str(PROMPT_VERSION), self.identity)
            try:
                if state.unreachable >= _IN_A_ROW:
                    raise CallError("network", "not asked: the endpoint is gone", retryable=True)
                picture = self._reduced(found[key])
                self.calls.reserve(call)
                answer, remote_id = await self._ask(picture, call, endpoint, state, pace)
            except CallError as error:
                self.calls.failed(call, str(error), retryable=error.retryable)
                return _failed(key, error.kind, str(error), retryable=error.retryable)
            except UnavailableError as error:
                self.calls.failed(call, str(error), retryable=True)
                raise
            self.calls.settled(call, remote_id)
            return {
                "image_id": key,
                "title": answer.title,
                "description": answer.description,
                "tags": list(answer.tags),
                "visible_text": answer.visible_text,
                "description_status": "completed",
                "remote_id": remote_id,
                "processing_time_ms": (time.perf_counter() - begun) * 1000,
                "generated_at": datetime.now(UTC),
            }

    def _reduced(self, data: bytes) -> bytes:
        """The JPEG at the side that is wanted; as it is where that is no smaller."""
        if self.config.longest_side >= schemas.VARIANTS["large_1024"]:
            return data
        try:
            pixels, scale = upright_rgb(data, longest_side=self.config.longest_side)
        except UndecodableError as error:
            raise CallError("image", str(error), retryable=False) from error
        if scale == 1:
            return data
        return bytes(simplejpeg.encode_jpeg(pixels, quality=_SENT_QUALITY, colorsubsampling="420"))

    async def _ask(
        self, picture: bytes, call: CallKey, endpoint: ChatEndpoint, state: _State, pace: Pace
    ) -> tuple[Answer, str | None]:
        """Ask until there is an answer, the tries are used up, or no other try would help."""
        wrong = 0
        for attempt in range(self.config.attempts):
            await pace.turn()
            self.calls.sent(call)
            wait = backoff(attempt)
            try:
                answer = await endpoint.ask(picture)
            except AnswerError as error:
                last = CallError("invalid_response", str(error), retryable=True)
                wrong += 1
            except LaterError as error:
                last = CallError(error.kind, str(error), retryable=True)
                if error.after is not None:
                    wait = error.after
                    pace.hold(error.after)
            else:
                state.answered, state.unreachable = state.answered + 1, 0
                return answer
            if wrong > 1 or attempt + 1 == self.config.attempts:
                break
            await asyncio.sleep(wait)
        if last.kind == "network":
            state.unreachable += 1
            if not state.answered and state.unreachable >= min(_IN_A_ROW, self.config.parallel):
                raise UnavailableError(f"endpoint {endpoint.place} cannot be reached: {last}")
        raise last


def _images(request: DescribeRequest) -> Iterator[dict[str, Any]]:
    columns = ["image_id", "sha256", "status", "error"]
    for chunk in request.images.select(columns).to_batches(max_chunksize=1000):
        yield from chunk.to_pylist()


def _is_ok(image: Mapping[str, Any]) -> bool:
    return bool(image["status"] == schemas.STATUS_OK)


def _is_loopback(url: str) -> bool:
    return (urlsplit(url).hostname or "") in ("localhost", "127.0.0.1", "::1")


def _failed(image: str, kind: str, reason: str, *, retryable: bool) -> Row:
    return {
        "image_id": image,
        "description_status": "failed",
        "description_error": reason,
        "description_error_type": kind,
        "description_is_retryable": retryable,
        "generated_at": datetime.now(UTC),
    }
