"""Delete files and documents at the platform."""

from __future__ import annotations

from collections.abc import Sequence

from aion_dagster.backends.aionvision import AionvisionBackend
from aion_dagster.client import AionVision
from aion_dagster.client.errors import ResourceNotFoundError


def delete_remote(
    backend: AionvisionBackend, files: Sequence[str], documents: Sequence[str]
) -> int:
    """Delete files and documents by their ids at the platform, which keeps deleted files for 30 days more.

    Returns:
        How many there were; those that the platform does not have (any more) are passed over.

    Raises:
        ConfigError: there is no key.
        UnavailableError: the platform refuses the key, or cannot be reached.
        AionvisionError: it refuses to delete one of them; those before it are deleted.
    """

    async def delete(client: AionVision) -> int:
        deleted = 0
        for file in files:
            try:
                await client.files.delete(file)
            except ResourceNotFoundError:
                continue
            deleted += 1
        for document in documents:
            try:
                await client.documents.delete(document)
            except ResourceNotFoundError:
                continue
            deleted += 1
        return deleted

    return backend.ask(delete)
