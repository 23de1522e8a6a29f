"""What a call looks like on the wire: the API's own headers, query, JSON, forms and files."""

from __future__ import annotations

from typing import Any

import httpx
import orjson

from aion_dagster.client.calls import Call, plain, sent
from aion_dagster.client.runtime import Runtime
from aion_dagster.client.settings import ClientConfig


class Requests:
    """Makes requests to the API, with the key.

    Attributes:
        headers: what every request to the API carries.
    """

    def __init__(self, config: ClientConfig, runtime: Runtime) -> None:
        """Requests as `config` wants them."""
        own = {"Authorization": f"Bearer {config.api_key}", "Accept": "application/json"}
        if config.tenant_id:
            own["X-Tenant-ID"] = config.tenant_id
        # Merged with httpx's own once, not for every request anew: the same goes for the timeouts.
        pattern = runtime.build_request("GET", config.base_url, headers=own, timeout=config.timeout)
        self.headers, self._extensions = pattern.headers, pattern.extensions
        self._base_url = config.base_url

    def of(self, call: Call, accept: str | None = None) -> httpx.Request:
        """The request of a call; its files are opened anew each time. `accept`: a media type other than JSON."""
        headers, extensions = self.headers, self._extensions
        if accept is not None or call.body is not None:
            headers = headers.copy()
        parts: dict[str, Any] = {}
        if accept is not None:
            headers["Accept"] = accept
        if call.query:
            parts["params"] = {k: plain(v) for k, v in call.query.items() if v is not None}
        if call.body is not None:
            parts["content"] = orjson.dumps(sent(call.body))
            headers["Content-Type"] = "application/json"
        if call.form is not None:
            parts["data"] = {k: plain(v) for k, v in call.form.items() if v is not None}
        if call.parts is not None:
            parts["files"] = list(call.parts())
        elif call.form is not None:
            # The API's forms are multipart even where they hold no file.
            parts["files"] = [(k, (None, str(v))) for k, v in parts.pop("data").items()]
        if call.timeout:
            extensions = {"timeout": httpx.Timeout(call.timeout).as_dict()}
        url = self._base_url + call.path
        return httpx.Request(call.method, url, headers=headers, extensions=extensions, **parts)
