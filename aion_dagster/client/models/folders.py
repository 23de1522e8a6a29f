"""Folders."""

from __future__ import annotations

from aion_dagster.client.models.base import Model, Rows, UtcDatetime, rows


class Folder(Model):
    """A folder; `depth` 0 stands at the root."""

    id: str
    name: str = ""
    parent_id: str | None = None
    depth: int = 0
    file_count: int = 0
    subfolder_count: int = 0
    created_at: UtcDatetime | None = None
    updated_at: UtcDatetime | None = None


class FolderTree(Model):
    """All folders, in a flat list with `parent_id`."""

    folders: Rows[Folder] = rows("folders")

    def children(self, parent_id: str | None = None) -> list[Folder]:
        """The folders in one (None: at the root), in the order of the answer."""
        return [folder for folder in self.folders if folder.parent_id == parent_id]


class FolderBreadcrumb(Model):
    """A step on the way from the root."""

    id: str
    name: str = ""
    depth: int = 0


class FolderBreadcrumbs(Model):
    """The way from the root to a folder."""

    breadcrumbs: Rows[FolderBreadcrumb] = rows("breadcrumbs")


class FolderContents(Model):
    """What is in a folder; its files are listed by `files.list(folder_id=…)`."""

    folder: Folder | None = None
    breadcrumbs: Rows[FolderBreadcrumb] = rows("breadcrumbs")
    subfolders: Rows[Folder] = rows("subfolders")
    total_files: int = 0
    has_more_files: bool = False


class DeleteFolderResult(Model):
    """What a deletion did."""

    id: str
    files_affected: int = 0
    subfolders_affected: int = 0
    mode: str = ""


class MoveFilesResult(Model):
    """What a move of files did."""

    moved: int = 0
    total_requested: int = 0
