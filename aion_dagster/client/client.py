"""`AionVision` and `SyncAionVision`: one API, awaited or blocking."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

import httpx

from aion_dagster.client import errors
from aion_dagster.client.certificates import trusted
from aion_dagster.client.pacing import Pacer
from aion_dagster.client.runtime import AsyncRuntime, SyncRuntime, run_to_end
from aion_dagster.client.settings import DEFAULT_BASE_URL, ClientConfig, is_loopback
from aion_dagster.client.shortcuts import AsyncShortcuts, SyncShortcuts
from aion_dagster.client.transport import Transport

CONNECTIONS: Final = 32
"""Open connections to the API, at most."""


class ErrorClasses:
    """Every error of the client as a class attribute: `except AionVision.RateLimitError`."""

    AionvisionError = errors.AionvisionError
    AuthenticationError = errors.AuthenticationError
    AionvisionPermissionError = errors.AionvisionPermissionError
    ResourceNotFoundError = errors.ResourceNotFoundError
    ConflictError = errors.ConflictError
    ValidationError = errors.ValidationError
    RateLimitError = errors.RateLimitError
    QuotaExceededError = errors.QuotaExceededError
    ServerError = errors.ServerError
    InvalidResponseError = errors.InvalidResponseError
    AionvisionTimeoutError = errors.AionvisionTimeoutError
    AionvisionConnectionError = errors.AionvisionConnectionError
    CircuitBreakerError = errors.CircuitBreakerError
    UploadError = errors.UploadError
    DescriptionError = errors.DescriptionError
    DocumentProcessingError = errors.DocumentProcessingError
    ChatError = errors.ChatError
    ChatQuotaExceededError = errors.ChatQuotaExceededError
    BatchError = errors.BatchError
    CloudStorageError = errors.CloudStorageError
    SSEStreamError = errors.SSEStreamError


class _Client(ErrorClasses):
    """What both clients share: settings and a transport."""

    _runtime_class: type[AsyncRuntime | SyncRuntime]

    def __init__(
        self,
        api_key: str,
        *,
        base_url: str = DEFAULT_BASE_URL,
        timeout: float = 300.0,
        max_retries: int = 3,
        retry_delay: float = 1.0,
        polling_interval: float = 2.0,
        polling_timeout: float = 360.0,
        tenant_id: str | None = None,
        proxy_url: str | None = None,
        enable_tracing: bool = False,
        pacer: Pacer | None = None,
    ) -> None:
        """Settings as in `ClientConfig`; `pacer` says how fast to ask, by default as fast as answers come.

        Raises:
            AuthenticationError: the key does not look like one.
            ValidationError: another setting cannot be used.
        """
        self.config = ClientConfig(
            api_key=api_key,
            base_url=base_url,
            timeout=timeout,
            max_retries=max_retries,
            retry_delay=retry_delay,
            polling_interval=polling_interval,
            polling_timeout=polling_timeout,
            tenant_id=tenant_id,
            proxy_url=proxy_url,
            enable_tracing=enable_tracing,
        )
        self.transport = Transport(self.config, self._runtime_class(**_options(self.config)), pacer)

    @classmethod
    def from_env(cls, *, pacer: Pacer | None = None, **given: Any) -> Self:
        """A client set up by `AIONVISION_…`; arguments stand above the environment.

        Raises:
            AuthenticationError: no key.
            ValidationError: a variable does not hold what it should.
        """
        config = ClientConfig.from_env(**given)
        return cls(**{name: getattr(config, name) for name in vars(config)}, pacer=pacer)

    def __repr__(self) -> str:
        """Where it asks; never the key."""
        return f"{type(self).__name__}(base_url={self.config.base_url!r})"


class AionVision(_Client, AsyncShortcuts):
    """The asynchronous client; use it as `async with AionVision(api_key=…) as client`.

    One client may be used by many tasks at once, on one event loop.
    """

    _runtime_class = AsyncRuntime

    async def __aenter__(self) -> Self:
        """The client itself."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close all connections."""
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self.transport.close()


class SyncAionVision(_Client, SyncShortcuts):
    """The blocking client; use it as `with SyncAionVision(api_key=…) as client`."""

    _runtime_class = SyncRuntime

    def __enter__(self) -> Self:
        """The client itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close all connections."""
        self.close()

    def close(self) -> None:
        """Close all connections."""
        run_to_end(self.transport.close())


def _options(config: ClientConfig) -> dict[str, Any]:
    local = is_loopback(urlsplit(config.base_url).hostname)
    http2 = config.base_url.startswith("https")
    options: dict[str, Any] = {
        "http2": http2,
        "follow_redirects": False,
        "verify": trusted(http2=http2),
        "limits": httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS),
        # A proxy of the environment stands in nobody's way on this machine.
        "trust_env": not local,
    }
    if config.proxy_url:
        options["proxy"] = config.proxy_url
    return options
