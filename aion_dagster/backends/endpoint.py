"""Descriptions by an OpenAI-compatible vision endpoint: vLLM, Ollama, llama.cpp and their like."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx
import pyarrow as pa
import simplejpeg

from aion_dagster import schemas
from aion_dagster.backends.calls import CallJournal, CallKey, NoJournal
from aion_dagster.backends.endpoint_answers import PROMPT_VERSION
from aion_dagster.backends.endpoint_asking import Asking, Job, Payload
from aion_dagster.backends.endpoint_requests import CallError, ChatEndpoint
from aion_dagster.backends.protocol import DescribeRequest
from aion_dagster.client.certificates import trusted
from aion_dagster.client.unread_until_noted import UnreadUntilNoted
from aion_dagster.compute.decode import UndecodableError, upright_rgb
from aion_dagster.engines import EndpointConfig
from aion_dagster.errors import ConfigError
from aion_dagster.identity import digest

PROVIDER: Final = "openai_compatible"

_SENT_QUALITY: Final = 90

Row = dict[str, Any]


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
        async with self._client(headers) as client:
            asking = Asking(self.config, ChatEndpoint(self.config, client), self.calls)
            images = _images(request)
            while some := list(islice(images, self.config.parallel * 4)):
                found = request.variants([i["image_id"] for i in some if _is_ok(i)])
                rows += await self._some(some, found, asking)
                self.advance(len(some))
        asking.check_reached()
        return rows

    def _client(self, headers: Mapping[str, str]) -> httpx.AsyncClient:
        """Takes a reply off the connection once it is noted; only the way through a proxy of the environment is httpx's."""
        url, parallel, context = self.config.base_url, self.config.parallel, trusted(http2=False)
        proxied = _is_proxied(url)
        return httpx.AsyncClient(
            headers=headers,
            timeout=self.config.timeout_seconds,
            follow_redirects=False,
            verify=context,
            trust_env=proxied,
            limits=httpx.Limits(max_connections=parallel),
            transport=None if proxied else UnreadUntilNoted(context, connections=parallel),
        )

    async def _some(
        self, images: Sequence[Mapping[str, Any]], found: Mapping[str, bytes], asking: Asking
    ) -> list[Row]:
        """Rows of a few pictures, in their order."""
        rows: dict[str, Row] = {}
        jobs: dict[str, Job] = {}
        for image in images:
            key = image["image_id"]
            if not _is_ok(image):
                reason = f"{image['status']}: {image['error']}"
                rows[key] = _failed(key, "image", reason, retryable=False)
            elif key not in found:
                reason = "the picture's large variant is missing; materialize variants again"
                rows[key] = _failed(key, "image", reason, retryable=True)
            else:
                call = CallKey(image["sha256"], "describe", str(PROMPT_VERSION), self.identity)
                jobs[key] = Job(call, partial(self._reduced, found[key]))
        outcomes = await asking.all(list(jobs.values()))
        for key, outcome in zip(jobs, outcomes, strict=True):
            if isinstance(outcome, CallError):
                rows[key] = _failed(key, outcome.kind, str(outcome), retryable=outcome.retryable)
            else:
                rows[key] = _completed(key, outcome)
        return [rows[image["image_id"]] for image in images]

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


def _images(request: DescribeRequest) -> Iterator[dict[str, Any]]:
    columns = ["image_id", "sha256", "status", "error"]
    for chunk in request.images.select(columns).to_batches(max_chunksize=1000):
        yield from chunk.to_pylist()


def _is_ok(image: Mapping[str, Any]) -> bool:
    return bool(image["status"] == schemas.STATUS_OK)


def _is_proxied(url: str) -> bool:
    """Whether the environment names a proxy for this address; none is used for the loopback."""
    parts = urlsplit(url)
    if (parts.hostname or "") in ("localhost", "127.0.0.1", "::1"):
        return False
    proxies = getproxies()
    named = proxies.get(parts.scheme) or proxies.get("all")
    return bool(named) and not proxy_bypass(parts.netloc.rpartition("@")[2])


def _failed(image: str, kind: str, reason: str, *, retryable: bool) -> Row:
    return {
        "image_id": image,
        "description_status": "failed",
        "description_error": reason,
        "description_error_type": kind,
        "description_is_retryable": retryable,
        "generated_at": datetime.now(UTC),
    }


def _completed(image: str, payload: Payload) -> Row:
    return {
        **payload,
        "image_id": image,
        "description_status": "completed",
        "generated_at": datetime.fromisoformat(payload["generated_at"]),
    }
