"""One request to an OpenAI-compatible endpoint, and what its answers and refusals mean."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from aion_dagster.backends.endpoint_answers import (
    PROMPT,
    Answer,
    AnswerError,
    read_answer,
    response_formats,
)
from aion_dagster.backends.pacing import retry_after
from aion_dagster.client.unread_until_noted import taking_off
from aion_dagster.engines import EndpointConfig
from aion_dagster.errors import UnavailableError

_MOST_BYTES: Final = 2**20
"""Bytes of an answer that are read; a description has a few thousand."""


class CallError(Exception):
    """One picture got no answer; `kind` is what the table says."""

    def __init__(self, kind: str, reason: str, *, retryable: bool, begun: bool = True) -> None:
        """`retryable`: another time may help; `begun`: the server may have worked on it."""
        super().__init__(reason)
        self.kind, self.retryable, self.begun = kind, retryable, begun


class LaterError(Exception):
    """Another try may help, after so many seconds where the server said."""

    def __init__(self, kind: str, reason: str, after: float | None, *, begun: bool = True) -> None:
        """`after`: seconds that the server asks for; `begun`: it may have worked on the request."""
        super().__init__(reason)
        self.kind, self.after, self.begun = kind, after, begun


class RefusedFormatError(Exception):
    """The request was not understood; it may be the way in which JSON was asked for."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, the server's id of it, and the tokens that it says it took.

    `noted` is to be called once the answer is: until then it stays unread as far as the server can see.
    """

    answer: Answer
    remote_id: str | None
    input_tokens: int
    output_tokens: int
    noted: Callable[[], None]


class ChatEndpoint:
    """Asks for one description at a time; remembers in which way the server lets itself be asked for JSON."""

    def __init__(self, config: EndpointConfig, client: httpx.AsyncClient) -> None:
        """`client` carries the key."""
        self.config = config
        self._client = client
        self._format = 0
        self._answered = False

    async def ask(self, picture: bytes) -> Reply:
        """The description of a JPEG.

        Raises:
            LaterError: another try may help.
            AnswerError: what came is no description.
            CallError: this picture is refused.
            UnavailableError: everything is.
        """
        formats = response_formats()
        while True:
            level = self._format
            try:
                response, noted = await self._post(picture, formats[level])
            except RefusedFormatError as error:
                if level + 1 >= len(formats):
                    raise CallError("invalid_request", str(error), retryable=False) from None
                self._format = max(self._format, level + 1)
                continue
            answer = self._answer(response)
            self._answered = True
            remote_id = response.get("id")
            return Reply(
                answer,
                remote_id[:200] if isinstance(remote_id, str) else None,
                _tokens(response, "prompt_tokens"),
                _tokens(response, "completion_tokens"),
                noted,
            )

    async def _post(
        self,
        picture: bytes,
        response_format: Mapping[str, Any] | None,
    ) -> tuple[dict[str, Any], Callable[[], None]]:
        """One request; the body of a good answer, and what to call when it is noted."""
        url = self.config.base_url.rstrip("/") + "/chat/completions"
        body = self._body(picture, response_format)
        try:
            async with self._client.stream("POST", url, json=body) as response:
                content = _without_key(await _bounded(response), response.request)
                noted = taking_off(response)
                self._refuse(response, content)
        except (httpx.ReadTimeout, httpx.WriteTimeout) as error:
            seconds = self.config.timeout_seconds
            raise LaterError("timeout", f"no answer within {seconds:g} s", None) from error
        except httpx.HTTPError as error:
            # Only its kind: messages of the library may hold the address with everything in it.
            begun = not isinstance(
                error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout
            )
            reason = f"no connection ({type(error).__name__})"
            raise LaterError("network", reason, None, begun=begun) from None
        try:
            data = json.loads(content)
        except (ValueError, RecursionError):
            raise AnswerError("the endpoint's answer is not JSON") from None
        if not isinstance(data, dict):
            raise AnswerError("the endpoint's answer is no JSON object")
        return data, noted

    def _body(self, picture: bytes, response_format: Mapping[str, Any] | None) -> dict[str, Any]:
        encoded = base64.b64encode(picture).decode("ascii")
        shown = {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{encoded}"}}
        return {
            "model": self.config.model,
            "messages": [{"role": "user", "content": [{"type": "text", "text": PROMPT}, shown]}],
            "max_tokens": self.config.max_output_tokens,
            "temperature": 0,
            **({"response_format": response_format} if response_format else {}),
        }

    def _refuse(self, response: httpx.Response, content: bytes) -> None:
        """Raise what a status other than 200 means."""
        status = response.status_code
        if status == 200:
            return
        reason = f"HTTP {status}{_told(content)}"
        if status in (401, 403):
            raise UnavailableError(
                f"endpoint {self.place} refuses the key ({reason}); set the variable that endpoint.api_key_env names"
            )
        if status == 404:
            raise UnavailableError(
                f"endpoint {self.place} does not know the model {self.config.model!r}, or has no /chat/completions "
                f"there ({reason})"
            )
        if status in (408, 409, 425, 429) or status >= 500:
            kind = "rate_limited" if status == 429 else "server"
            after = retry_after(response.headers)
            raise LaterError(kind, reason, after, begun=status not in (425, 429))
        if status in (400, 422) and not self._answered:
            raise RefusedFormatError(reason)
        raise CallError("invalid_request", reason, retryable=False)

    def _answer(self, response: Mapping[str, Any]) -> Answer:
        try:
            choice = response["choices"][0]
            content = choice["message"]["content"]
        except (KeyError, IndexError, TypeError):
            raise AnswerError("the endpoint's answer has no message") from None
        if not isinstance(content, str):
            raise AnswerError("the model's message is no text")
        try:
            return read_answer(content)
        except AnswerError:
            if choice.get("finish_reason") == "length":
                raise AnswerError(
                    "the answer was cut off: raise endpoint.max_output_tokens"
                ) from None
            raise

    @property
    def place(self) -> str:
        """The address without user, password and query."""
        parts = urlsplit(self.config.base_url)
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"


def _tokens(response: Mapping[str, Any], name: str) -> int:
    """A count of tokens, where the server says one."""
    usage = response.get("usage")
    count = usage.get(name) if isinstance(usage, dict) else None
    return count if isinstance(count, int) and 0 <= count < 2**53 else 0


async def _bounded(response: httpx.Response) -> bytes:
    content = bytearray()
    async for part in response.aiter_bytes():
        content += part
        if len(content) > _MOST_BYTES:
            raise AnswerError(f"the endpoint's answer has more than {_MOST_BYTES} bytes")
    return bytes(content)


def _without_key(content: bytes, request: httpx.Request) -> bytes:
    """What a server says, without the key, should it send that back."""
    key = request.headers.get("authorization", "").removeprefix("Bearer ").encode()
    return content.replace(key, "…".encode()) if key else content


def _told(content: bytes) -> str:
    """The beginning of an error's own message, on one line."""
    try:
        message = json.loads(content)["error"]["message"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(message)).split())
    return f": {line[:200]}"
