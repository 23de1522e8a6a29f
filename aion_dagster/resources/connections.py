"""A cloud storage connected to an Aionvision account, asked through the platform's client."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from aion_dagster.backends.aionvision import AionvisionBackend
from aion_dagster.backends.aionvision_errors import unavailable
from aion_dagster.backends.local import LocalBackend
from aion_dagster.client import AionVision
from aion_dagster.client import errors as api
from aion_dagster.client.models.cloud_storage import CloudFile, CloudStorageConnection
from aion_dagster.engines import AionvisionConfig
from aion_dagster.errors import (
    ConfigError,
    CredentialsError,
    CursorExpiredError,
    SourceError,
    SourceUnavailableError,
)
from aion_dagster.source_configs import AionvisionSourceConfig
from aion_dagster.sources.aionvision import Wanted

T = TypeVar("T")

_FIELDS: Final = "nextPageToken,files(id,name,mimeType,md5Checksum,size,modifiedTime)"
_PAGE: Final = 1_000


class PlatformConnection:
    """Fulfils `sources.aionvision.Connection`."""

    def __init__(self, config: AionvisionSourceConfig) -> None:
        """Nothing is asked yet."""
        self._id = config.connection_id
        self._backend = AionvisionBackend(config.account, LocalBackend())

    def check(self) -> None:
        """Look whether the connection is there and active.

        Raises:
            CredentialsError: there is no key, or it is refused, or the connection is not active.
            SourceUnavailableError: the platform cannot be reached.
        """
        found = self._ask(lambda client: client.cloud_storage.list_connections(active_only=False))
        here = next((c for c in found.connections if c.id == self._id), None)
        if here is None or not here.is_active:
            raise CredentialsError(_inactive(self._id, here))

    def listed(self, folder: str | None, token: str | None) -> Mapping[str, Any]:
        """A page of files, through the picker proxy; see the protocol."""
        within = f"{folder!r} in parents and " if folder else ""
        params = {"q": f"{within}trashed = false", "pageSize": _PAGE, "fields": _FIELDS}

        async def ask(client: AionVision) -> Mapping[str, Any]:
            session = await client.cloud_storage.get_picker_token(self._id)
            page = {} if token is None else {"pageToken": token}
            return await client.cloud_storage.picker_proxy(
                session.session_id, "files", params=params | page
            )

        try:
            return self._ask(ask)
        except _RefusedError as error:
            if token is not None:
                raise CursorExpiredError(str(error)) from error
            raise

    def content(self, wanted: Wanted) -> bytes:
        """The bytes of the imported copy, found by its tag; see the protocol.

        A process that is killed while an import is under way may have it made twice, never more.
        """

        async def ask(client: AionVision) -> bytes:
            remote = await _imported(client, wanted.mark)
            if remote is None:
                await self._import(client, wanted)
                remote = await _imported(client, wanted.mark)
            if remote is None:
                raise SourceError(f"{wanted.name}: the platform imported nothing of it.")
            return await client.files.download(remote)

        return self._ask(ask)

    async def _import(self, client: AionVision, wanted: Wanted) -> None:
        file = CloudFile(id=wanted.id, name=wanted.name, size_bytes=wanted.size_bytes)
        try:
            await client.cloud_storage.import_and_wait(
                self._id, [file], auto_describe=False, tags=[wanted.mark]
            )
        except api.CloudStorageError as error:
            raise SourceError(f"{wanted.name}: cannot be imported ({error}).") from error

    def _ask(self, question: Callable[[AionVision], Awaitable[T]]) -> T:
        async def asked() -> T:
            async with self._backend.client() as client:
                return await question(client)

        with _faults(self._id, self._backend.config):
            return asyncio.run(asked())


class _RefusedError(SourceError):
    """The platform does not take the request as it is."""


async def _imported(client: AionVision, mark: str) -> str | None:
    """The id of the file that carries a tag."""
    page = await client.files.list(tags=[mark], limit=1)
    return page.files[0].id if page.files else None


@contextmanager
def _faults(connection: str, account: AionvisionConfig) -> Iterator[None]:
    """Errors of the client as those of a source."""
    where = f"connection {connection}"
    try:
        yield
    except ConfigError as error:
        raise CredentialsError(f"{where}: {error}") from error
    except (api.AuthenticationError, api.AionvisionPermissionError) as error:
        raise CredentialsError(f"{where}: {unavailable(error, account)}") from error
    except (api.ValidationError, api.ResourceNotFoundError, api.ConflictError) as error:
        raise _RefusedError(f"{where}: {unavailable(error, account)}") from error
    except api.AionvisionError as error:
        raise SourceUnavailableError(f"{where}: {unavailable(error, account)}") from error


def _inactive(connection: str, found: CloudStorageConnection | None) -> str:
    what = "is not there" if found is None else "is not active any more"
    return f"connection {connection}: {what}; connect the account in the platform's web pages."
