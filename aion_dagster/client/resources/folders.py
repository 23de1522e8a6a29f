"""`client.folders`: the tree that files are sorted into."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from aion_dagster.client import limits
from aion_dagster.client.calls import NULL
from aion_dagster.client.identifiers import some_ids
from aion_dagster.client.models.folders import (
    DeleteFolderResult,
    Folder,
    FolderBreadcrumbs,
    FolderContents,
    FolderTree,
    MoveFilesResult,
)
from aion_dagster.client.resources.base import Resource
from aion_dagster.client.retrying import Repeat
from aion_dagster.client.synchronous import SyncResource, blocking


class FoldersResource(Resource):
    """Create, look into, move and delete folders."""

    async def tree(self) -> FolderTree:
        """All folders."""
        return await self._ask(FolderTree, "GET /folders")

    async def get(self, folder_id: str, *, limit: int = 50, offset: int = 0) -> FolderContents:
        """What is in a folder; `limit` 1 to 100 files are counted from `offset` on."""
        limits.check_number("limit", limit, 1, limits.PAGE)
        limits.check_number("offset", offset, 0, float("inf"))
        return await self._ask(
            FolderContents,
            "GET /folders/{folder_id}",
            ids={"folder_id": folder_id},
            query={"limit": limit, "offset": offset},
        )

    async def get_breadcrumbs(self, folder_id: str) -> FolderBreadcrumbs:
        """The way from the root to a folder."""
        return await self._ask(
            FolderBreadcrumbs, "GET /folders/{folder_id}/breadcrumbs", ids={"folder_id": folder_id}
        )

    async def create(self, name: str, *, parent_id: str | None = None) -> Folder:
        """A new folder, at the root without a parent; `name` has 1 to 255 characters.

        A broken connection is not tried again: there might be two folders then.
        """
        limits.check_text("name", name, limits.TITLE, 1)
        return await self._ask(
            Folder,
            "POST /folders",
            body={"name": name, "parent_id": parent_id},
            repeat=Repeat.REFUSED,
        )

    async def rename(self, folder_id: str, name: str) -> Folder:
        """Give a folder another name of 1 to 255 characters."""
        limits.check_text("name", name, limits.TITLE, 1)
        return await self._ask(
            Folder, "PATCH /folders/{folder_id}", ids={"folder_id": folder_id}, body={"name": name}
        )

    async def move(self, folder_id: str, *, new_parent_id: str | None = None) -> Folder:
        """Put a folder into another; None puts it at the root."""
        return await self._ask(
            Folder,
            "POST /folders/{folder_id}/move",
            ids={"folder_id": folder_id},
            body={"new_parent_id": NULL if new_parent_id is None else new_parent_id},
        )

    async def delete(
        self, folder_id: str, *, mode: Literal["move_to_parent", "delete_all"] = "move_to_parent"
    ) -> DeleteFolderResult:
        """Delete a folder; its content moves up, or is deleted with it."""
        limits.check_word("mode", mode, ("move_to_parent", "delete_all"))
        return await self._ask(
            DeleteFolderResult,
            "DELETE /folders/{folder_id}",
            ids={"folder_id": folder_id},
            query={"mode": mode},
        )

    async def move_files(
        self, file_ids: Sequence[str], *, folder_id: str | None = None
    ) -> MoveFilesResult:
        """Put 1 to 100 files into a folder; None puts them at the root."""
        return await self._ask(
            MoveFilesResult,
            "POST /folders/move-files",
            body={
                "file_ids": some_ids("file_ids", file_ids, 1, limits.PAGE),
                "folder_id": NULL if folder_id is None else folder_id,
            },
        )


class SyncFoldersResource(SyncResource[FoldersResource]):
    """The same, blocking."""

    tree = blocking(FoldersResource.tree)
    get = blocking(FoldersResource.get)
    get_breadcrumbs = blocking(FoldersResource.get_breadcrumbs)
    create = blocking(FoldersResource.create)
    rename = blocking(FoldersResource.rename)
    move = blocking(FoldersResource.move)
    delete = blocking(FoldersResource.delete)
    move_files = blocking(FoldersResource.move_files)
