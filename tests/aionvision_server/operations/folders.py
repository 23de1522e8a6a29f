"""Folders: the tree that files are sorted into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..clock import stamp
from ..exchange import Answer, Asked, Refusal, invalid, not_found
from ..registry import answers
from ..world import World
from .library import Library


@dataclass(slots=True)
class Folder:
    """One folder."""

    id: str
    name: str
    parent_id: str | None
    created: float
    updated: float


class Folders:
    """All folders."""

    def __init__(self) -> None:
        self.all: dict[str, Folder] = {}

    def get(self, folder_id: str) -> Folder:
        """Raises Refusal where there is none."""
        if folder_id not in self.all:
            raise not_found("Folder")
        return self.all[folder_id]

    def way(self, folder: Folder) -> list[Folder]:
        """From the root to the folder itself."""
        way = [folder]
        while way[0].parent_id is not None:
            way.insert(0, self.all[way[0].parent_id])
        return way

    def below(self, folder_id: str) -> list[Folder]:
        """All folders within, the deepest last."""
        found = [f for f in self.all.values() if f.parent_id == folder_id]
        return found + [g for f in found for g in self.below(f.id)]

    def create(self, world: World, name: str, parent_id: str | None) -> Folder:
        now = world.now()
        folder = Folder(world.new_id("folder"), name, parent_id, now, now)
        self.all[folder.id] = folder
        return folder


def as_folder(world: World, folder: Folder) -> dict[str, Any]:
    folders = world.room(Folders)
    return {
        "id": folder.id,
        "name": folder.name,
        "parent_id": folder.parent_id,
        "depth": len(folders.way(folder)) - 1,
        "file_count": sum(f.folder_id == folder.id for f in world.room(Library).live()),
        "subfolder_count": sum(f.parent_id == folder.id for f in folders.all.values()),
        "created_at": stamp(folder.created),
        "updated_at": stamp(folder.updated),
    }


def _breadcrumbs(folders: Folders, folder: Folder) -> list[dict[str, Any]]:
    return [
        {"id": f.id, "name": f.name, "depth": depth} for depth, f in enumerate(folders.way(folder))
    ]


@answers("GET /folders")
def tree(world: World, _asked: Asked) -> Answer:
    folders = world.room(Folders)
    return Answer({"folders": [as_folder(world, f) for f in folders.all.values()]})


@answers("POST /folders", needs="name")
def create(world: World, asked: Asked) -> Answer:
    folders = world.room(Folders)
    parent = asked.given("parent_id")
    if parent is not None:
        folders.get(parent)
    name = asked.given("name")
    if any(f.name == name and f.parent_id == parent for f in folders.all.values()):
        raise Refusal(409, "CONFLICT", f"There is a folder {name!r} already")
    return Answer(as_folder(world, folders.create(world, name, parent)), 201)


@answers("GET /folders/{folder_id}")
def contents(world: World, asked: Asked) -> Answer:
    folders = world.room(Folders)
    folder = folders.get(asked.ids["folder_id"])
    offset, limit = asked.page(50)
    files = sum(f.folder_id == folder.id for f in world.room(Library).live())
    return Answer(
        {
            "folder": as_folder(world, folder),
            "breadcrumbs": _breadcrumbs(folders, folder),
            "subfolders": [
                as_folder(world, f) for f in folders.all.values() if f.parent_id == folder.id
            ],
            "total_files": files,
            "has_more_files": offset + limit < files,
        }
    )


@answers("GET /folders/{folder_id}/breadcrumbs")
def breadcrumbs(world: World, asked: Asked) -> Answer:
    folders = world.room(Folders)
    folder = folders.get(asked.ids["folder_id"])
    return Answer({"breadcrumbs": _breadcrumbs(folders, folder)})


@answers("PATCH /folders/{folder_id}", needs="name")
def rename(world: World, asked: Asked) -> Answer:
    folder = world.room(Folders).get(asked.ids["folder_id"])
    folder.name, folder.updated = asked.given("name"), world.now()
    return Answer(as_folder(world, folder))


@answers("POST /folders/{folder_id}/move")
def move(world: World, asked: Asked) -> Answer:
    folders = world.room(Folders)
    folder = folders.get(asked.ids["folder_id"])
    parent = asked.given("new_parent_id")
    if parent is not None and folder in folders.way(folders.get(parent)):
        raise Refusal(400, "INVALID_MOVE", "A folder cannot be moved into itself")
    folder.parent_id, folder.updated = parent, world.now()
    return Answer(as_folder(world, folder))


@answers("DELETE /folders/{folder_id}")
def delete(world: World, asked: Asked) -> Answer:
    folders, library = world.room(Folders), world.room(Library)
    folder = folders.get(asked.ids["folder_id"])
    mode = asked.text("mode", "move_to_parent")
    if mode not in ("move_to_parent", "delete_all"):
        raise invalid("mode", "mode: move_to_parent or delete_all")
    below = folders.below(folder.id)
    concerned = {folder.id, *(f.id for f in below)} if mode == "delete_all" else {folder.id}
    files = [f for f in library.live() if f.folder_id in concerned]
    for file in files:
        if mode == "delete_all":
            library.delete(file, world.now())
        else:
            file.folder_id = folder.parent_id
    for child in below:
        if mode == "delete_all":
            del folders.all[child.id]
        elif child.parent_id == folder.id:
            child.parent_id = folder.parent_id
    del folders.all[folder.id]
    return Answer(
        {
            "id": folder.id,
            "files_affected": len(files),
            "subfolders_affected": len(below),
            "mode": mode,
        }
    )


@answers("POST /folders/move-files", needs="file_ids")
def move_files(world: World, asked: Asked) -> Answer:
    folder = asked.given("folder_id")
    if folder is not None:
        world.room(Folders).get(folder)
    library = world.room(Library)
    wanted = asked.given("file_ids")
    files = [f for i in wanted if (f := library.files.get(i)) is not None and f.deleted is None]
    for file in files:
        file.folder_id = folder
    return Answer({"moved": len(files), "total_requested": len(wanted)})
