"""Requests to URLs that an answer of the API named: storage, downloads. The key goes to the API's own address only."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import httpx

from aion_dagster.client.errors import AionvisionConnectionError, ValidationError
from aion_dagster.client.failures import broken, refused
from aion_dagster.client.runtime import Runtime
from aion_dagster.client.settings import ClientConfig, is_loopback

_MOST_REDIRECTS: Final = 5


class Places:
    """Reads and writes what lies elsewhere: over https, or over http on the API's own host and on this machine."""

    def __init__(self, config: ClientConfig, runtime: Runtime, headers: httpx.Headers) -> None:
        """`headers` with the key: sent to what lies below the API's base URL."""
        self._config = config
        self._runtime = runtime
        self._headers = headers
        self._origin = _origin(config.base_url)
        self._below = urlsplit(config.base_url).path.rstrip("/") + "/"

    async def read(self, url: str) -> httpx.Response:
        """An answer whose body is still to be read, redirects followed.

        Raises:
            AionvisionError: of the kind that fits.
        """
        response = await self._send("GET", url, headers=self._own(url))
        return await self.followed(response)

    async def followed(self, response: httpx.Response) -> httpx.Response:
        """Where an answer redirects to; itself where it does not."""
        for _ in range(_MOST_REDIRECTS):
            if not response.has_redirect_location:
                return response
            await self._runtime.close_response(response)
            url = urljoin(str(response.request.url), response.headers["location"])
            response = await self._send("GET", url, headers=self._own(url))
        await self._runtime.close_response(response)
        raise AionvisionConnectionError(
            f"{_said(response)}: more than {_MOST_REDIRECTS} redirects", code="REDIRECTED"
        )

    async def write(self, method: str, url: str, **parts: Any) -> httpx.Response:
        """The answer to a body; never sent on to where a redirect leads, and never with the key.

        Raises:
            AionvisionError: of the kind that fits; a redirect is a failure, since nothing was stored.
        """
        response = await self._send(method, url, **parts)
        try:
            await self._runtime.read(response)
        except httpx.HTTPError as error:
            raise broken(error, _said(response), self._config.api_key) from None
        if response.status_code >= 300:
            raise AionvisionConnectionError(
                f"{_said(response)}: storage sends the file elsewhere ({response.status_code}); nothing was stored",
                code="REDIRECTED",
                status=response.status_code,
            )
        return response

    async def _send(self, method: str, url: str, **parts: Any) -> httpx.Response:
        self._check(url)
        request = self._runtime.build_request(method, url, timeout=self._config.timeout, **parts)
        host = request.url.host
        try:
            response = await self._runtime.send(request, stream=True)
            if response.status_code >= 400:
                await self._runtime.read(response)
        except httpx.HTTPError as error:
            raise broken(error, f"{method} {host}", self._config.api_key) from None
        if response.status_code >= 400:
            raise refused(response, f"{method} {host}", self._config.api_key)
        return response

    def _check(self, url: str) -> None:
        target = urlsplit(url)
        allowed = target.scheme == "https" or (
            target.scheme == "http"
            and (
                _origin(url) == self._origin
                or (is_loopback(target.hostname) and is_loopback(self._origin[1]))
            )
        )
        if not allowed or not target.hostname:
            raise ValidationError(
                f"the server names a place that is not https: {target.scheme}://{target.hostname}",
                code="UNSAFE_URL",
            )

    def _own(self, url: str) -> httpx.Headers | None:
        """The key's headers for what the API itself serves; none for anything else."""
        is_own = _origin(url) == self._origin and urlsplit(url).path.startswith(self._below)
        return self._headers if is_own else None


def _said(response: httpx.Response) -> str:
    return f"{response.request.method} {response.request.url.host}"


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    default = 443 if parts.scheme == "https" else 80
    return parts.scheme, (parts.hostname or "").lower(), parts.port or default
