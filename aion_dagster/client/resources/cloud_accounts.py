"""Accounts of cloud storages: access is granted, listed, taken back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aion_dagster.client import limits
from aion_dagster.client.calls import Call
from aion_dagster.client.models.cloud_storage import (
    CloudProvider,
    CompleteAuthResult,
    ConnectionList,
    DisconnectResult,
    InitiateAuthResult,
    PickerProxyResponse,
    PickerSession,
    PickerTokenResponse,
)
from aion_dagster.client.resources.base import Resource
from aion_dagster.client.retrying import Repeat


class CloudAccounts(Resource):
    """Connect and disconnect accounts."""

    async def initiate_auth(
        self, provider: str, *, redirect_uri: str | None = None
    ) -> InitiateAuthResult:
        """Where a person grants access to an account; `provider` is google_drive."""
        return await self._ask(
            InitiateAuthResult,
            "POST /cloud-storage/auth/{provider}",
            ids={"provider": _provider(provider)},
            body={"provider": _provider(provider), "redirect_uri": redirect_uri},
        )

    async def complete_auth(
        self, provider: str, *, code: str, state: str, redirect_uri: str | None = None
    ) -> CompleteAuthResult:
        """Connect the account with the code that came back; it works once, so a lost answer is not asked for again."""
        return await self._ask(
            CompleteAuthResult,
            "POST /cloud-storage/auth/{provider}/callback",
            ids={"provider": _provider(provider)},
            body={"code": code, "state": state, "redirect_uri": redirect_uri},
            repeat=Repeat.REFUSED,
        )

    async def callback_page(
        self,
        provider: str,
        *,
        code: str,
        state: str,
        error: str | None = None,
        error_description: str | None = None,
    ) -> str:
        """The page that a browser gets when it comes back from granting access; programs use `complete_auth`."""
        call = Call(
            "GET /cloud-storage/auth/{provider}/callback",
            ids={"provider": _provider(provider)},
            query={
                "code": code,
                "state": state,
                "error": error,
                "error_description": error_description,
            },
            repeat=Repeat.REFUSED,
        )
        return (await self._transport.content(call)).decode("utf-8", "replace")

    async def list_connections(
        self, *, provider: str | None = None, active_only: bool = True
    ) -> ConnectionList:
        """Connected accounts."""
        return await self._ask(
            ConnectionList,
            "GET /cloud-storage/connections",
            query={"provider": provider, "active_only": active_only},
        )

    async def disconnect(self, connection_id: str) -> DisconnectResult:
        """Forget an account."""
        return await self._ask(
            DisconnectResult,
            "DELETE /cloud-storage/connections/{connection_id}",
            ids={"connection_id": connection_id},
        )

    async def get_picker_token(self, connection_id: str) -> PickerSession:
        """What Google's file picker is opened with, in a browser."""
        answer = await self._ask(
            PickerTokenResponse,
            "GET /cloud-storage/connections/{connection_id}/picker-token",
            ids={"connection_id": connection_id},
        )
        return answer.session

    async def picker_proxy(
        self, session_id: str, endpoint: str, *, params: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Ask the storage's own API within a picker session; `endpoint` is its path, as `files/abc123`."""
        answer = await self._ask(
            PickerProxyResponse,
            "POST /cloud-storage/picker-proxy",
            body={
                "session_id": session_id,
                "endpoint": endpoint,
                "params": None if params is None else dict(params),
            },
            repeat=Repeat.ANSWERED,
        )
        return answer.data


def _provider(provider: str) -> str:
    if CloudProvider(provider) is not CloudProvider.GOOGLE_DRIVE:
        raise limits.refuse("provider", f"{provider!r} cannot be connected, google_drive can")
    return CloudProvider.GOOGLE_DRIVE.value
