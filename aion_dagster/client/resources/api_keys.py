"""`client.api_keys`: keys of the API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from aion_dagster.client import limits
from aion_dagster.client.models.api_keys import APIKey, APIKeyList, CreatedAPIKey
from aion_dagster.client.moments import Moment, iso_moment
from aion_dagster.client.resources.base import Resource
from aion_dagster.client.retrying import Repeat
from aion_dagster.client.synchronous import SyncResource, blocking

DESCRIPTION: Final = 500


class APIKeysResource(Resource):
    """Make, look at and revoke keys.

    The vendor's servers let nobody change keys who comes with a key; they may answer `AionvisionPermissionError`.
    """

    async def create(
        self,
        name: str,
        *,
        description: str | None = None,
        scopes: Sequence[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        expires_at: Moment | None = None,
    ) -> CreatedAPIKey:
        """A new key. The answer is the only one that holds it, so it is not tried again where that was lost.

        Args:
            name: 1 to 255 characters.
            description: at most 500 characters.
            scopes: read, write, admin, usage:read …; without any it may do what its maker may.
            metadata: anything.
            expires_at: a moment to come; None for never.
        """
        if isinstance(scopes, str):
            raise limits.refuse("scopes", "a list is expected, not one string")
        limits.check_text("name", name, limits.TITLE, 1)
        limits.check_text("description", description, DESCRIPTION)
        return await self._ask(
            CreatedAPIKey,
            "POST /api-keys",
            body={
                "name": name,
                "description": description,
                "scopes": None if scopes is None else [*scopes],
                "metadata": None if metadata is None else dict(metadata),
                "expires_at": iso_moment("expires_at", expires_at),
            },
            repeat=Repeat.REFUSED,
        )

    async def list(
        self,
        *,
        include_inactive: bool = False,
        limit: int | None = None,
        offset: int | None = None,
    ) -> APIKeyList:
        """Keys, also revoked ones if asked for; `limit` of them after `offset`."""
        limits.check_number("limit", limit, 1, float("inf"))
        limits.check_number("offset", offset, 0, float("inf"))
        return await self._ask(
            APIKeyList,
            "GET /api-keys",
            query={"include_inactive": include_inactive, "limit": limit, "offset": offset},
        )

    async def get(self, api_key_id: str) -> APIKey:
        """What is known of a key."""
        return await self._ask(APIKey, "GET /api-keys/{api_key_id}", ids={"api_key_id": api_key_id})

    async def update(
        self,
        api_key_id: str,
        *,
        name: str | None = None,
        description: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> APIKey:
        """Change name or description, or add to the metadata; None leaves one as it is."""
        limits.check_text("name", name, limits.TITLE, 1)
        limits.check_text("description", description, DESCRIPTION)
        return await self._ask(
            APIKey,
            "PUT /api-keys/{api_key_id}",
            ids={"api_key_id": api_key_id},
            body={
                "name": name,
                "description": description,
                "metadata": None if metadata is None else dict(metadata),
            },
        )

    async def revoke(self, api_key_id: str, *, reason: str | None = None) -> None:
        """Make a key useless for good."""
        # An empty answer is promised; whatever comes is not read.
        await self._ask(
            object,
            "DELETE /api-keys/{api_key_id}",
            ids={"api_key_id": api_key_id},
            query={"reason": reason},
        )


class SyncAPIKeysResource(SyncResource[APIKeysResource]):
    """The same, blocking."""

    create = blocking(APIKeysResource.create)
    list = blocking(APIKeysResource.list)
    get = blocking(APIKeysResource.get)
    update = blocking(APIKeysResource.update)
    revoke = blocking(APIKeysResource.revoke)
