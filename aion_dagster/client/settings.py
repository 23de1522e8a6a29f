"""How a client is set up: arguments, the environment, a `.env` file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from aion_dagster.client.errors import AuthenticationError, ValidationError

DEFAULT_BASE_URL: Final = "https://api.aionvision.tech/api/v2"
KEY_PREFIX: Final = "aion_"
KEY_LENGTH: Final = 20
"""Characters of a key behind its prefix, at least."""

_VARIABLES: Final = {
    "api_key": "AIONVISION_API_KEY",
    "base_url": "AIONVISION_BASE_URL",
    "timeout": "AIONVISION_TIMEOUT",
    "max_retries": "AIONVISION_MAX_RETRIES",
    "retry_delay": "AIONVISION_RETRY_DELAY",
    "polling_interval": "AIONVISION_POLLING_INTERVAL",
    "polling_timeout": "AIONVISION_POLLING_TIMEOUT",
    "tenant_id": "AIONVISION_TENANT_ID",
    "proxy_url": "AIONVISION_PROXY_URL",
    "enable_tracing": "AIONVISION_ENABLE_TRACING",
}


@dataclass(frozen=True, kw_only=True)
class ClientConfig:
    """Settings of one client; the key does not show in its representation.

    Args:
        api_key: `aion_` and at least 20 characters.
        base_url: where the API is; https, or http to this machine.
        timeout: seconds that one request may take.
        max_retries: repetitions of a request after a failure that may pass.
        retry_delay: seconds before the first repetition; doubles each time.
        polling_interval: seconds between two looks at something that is under way.
        polling_timeout: seconds after which waiting for it ends.
        tenant_id: for keys of several tenants.
        proxy_url: an HTTP(S) or SOCKS proxy; its password does not show either.
        enable_tracing: OpenTelemetry spans; needs `opentelemetry-api`.

    Raises:
        AuthenticationError: the key does not look like one.
        ValidationError: another field cannot be used.
    """

    api_key: str = field(repr=False)
    base_url: str = DEFAULT_BASE_URL
    timeout: float = 300.0
    max_retries: int = 3
    retry_delay: float = 1.0
    polling_interval: float = 2.0
    polling_timeout: float = 360.0
    tenant_id: str | None = None
    proxy_url: str | None = field(default=None, repr=False)
    enable_tracing: bool = False

    def __post_init__(self) -> None:
        """Check every field."""
        key = self.api_key
        if not key.startswith(KEY_PREFIX) or len(key) < len(KEY_PREFIX) + KEY_LENGTH:
            raise AuthenticationError(
                f"api_key: expected {KEY_PREFIX!r} and at least {KEY_LENGTH} more characters; keys are made in the dashboard",
                code="INVALID_API_KEY",
            )
        if not key.isascii() or not key.isprintable() or " " in key:
            raise AuthenticationError(
                "api_key: holds characters that no key has", code="INVALID_API_KEY"
            )
        _check_url(self.base_url)
        _at_least("timeout", self.timeout, 0, above=True)
        _at_least("max_retries", self.max_retries, 0)
        _at_least("retry_delay", self.retry_delay, 0)
        _at_least("polling_interval", self.polling_interval, 0, above=True)
        _at_least("polling_timeout", self.polling_timeout, 0, above=True)
        object.__setattr__(self, "base_url", self.base_url.rstrip("/"))

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **given: Any) -> ClientConfig:
        """Settings from `AIONVISION_…`; arguments that are given stand above the environment.

        Raises:
            AuthenticationError: no key.
            ValidationError: a variable does not hold what it should.
        """
        environ = os.environ if environ is None else environ
        values: dict[str, Any] = {}
        for name, variable in _VARIABLES.items():
            text = environ.get(variable, "").strip()
            if text:
                values[name] = _converted(name, variable, text)
        values |= {k: v for k, v in given.items() if v is not None}
        if "api_key" not in values:
            raise AuthenticationError(
                "AIONVISION_API_KEY is not set; put it into the environment or a .env file, or give api_key=",
                code="MISSING_API_KEY",
            )
        return cls(**values)


def load_dotenv(path: str | Path | None = None, *, override: bool = False) -> bool:
    """Read a `.env` file into the environment.

    Args:
        path: the file; by default `.env` here or in a folder above.
        override: whether it stands above variables that are set already.

    Returns:
        Whether a file was found.
    """
    import dotenv

    found = str(path) if path is not None else dotenv.find_dotenv(usecwd=True)
    return bool(found) and dotenv.load_dotenv(found, override=override)


def is_loopback(host: str | None) -> bool:
    """Whether a host name means this machine."""
    return host in ("localhost", "::1") or (host or "").startswith("127.")


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValidationError(f"base_url: {error}", details={"field": "base_url"}) from error
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValidationError(f"base_url: no web address: {url!r}", details={"field": "base_url"})
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValidationError(
            "base_url: holds more than scheme, host and path", details={"field": "base_url"}
        )
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValidationError(
            f"base_url: the key would travel in clear to {parts.hostname}; use https",
            details={"field": "base_url"},
        )


def _at_least(name: str, value: float, least: float, *, above: bool = False) -> None:
    if not (value > least if above else value >= least) or value == float("inf"):
        raise ValidationError(
            f"{name}: {value} is not {'above' if above else 'at least'} {least}",
            details={"field": name},
        )


def _converted(name: str, variable: str, text: str) -> Any:
    try:
        if name == "max_retries":
            return int(text)
        if name == "enable_tracing":
            return {"true": True, "1": True, "yes": True, "on": True}.get(text.lower(), False)
        if name in ("timeout", "retry_delay", "polling_interval", "polling_timeout"):
            return float(text)
    except ValueError:
        raise ValidationError(
            f"{variable}: {text!r} is no number", details={"field": name}
        ) from None
    return text
