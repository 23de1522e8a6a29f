"""Where an entry of Google Drive lies in the tree of a source, by asking upwards from it."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from aion_dagster.sources.drive_api import DriveApi
from aion_dagster.sources.drive_faults import EntryMissingError
from aion_dagster.sources.drive_files import DriveFile, path_part
from aion_dagster.sources.selection import Selection


class DriveTree:
    """The folder of a source, and folders outside it that shortcuts bring in.

    Folders that were asked for are remembered as long as the object lives, which is one call of `scan`.
    """

    def __init__(
        self,
        api: DriveApi,
        root: DriveFile,
        selection: Selection,
        *,
        recursive: bool,
        pool: ThreadPoolExecutor,
        deadline: float | None,
    ) -> None:
        """A tree below `root`; nothing is asked yet."""
        self._api = api
        self._root = root
        self._selection = selection
        self._recursive = recursive
        self._pool = pool
        self._deadline = deadline
        self._known: dict[str, DriveFile | None] = {root.id: root}
        self._shortcuts: dict[str, str] = {}

    def follow(self, followed: Iterable[tuple[str, str]]) -> None:
        """What these shortcuts stand for belongs to the tree, at the place of the shortcut."""
        self._shortcuts.update((target, shortcut) for shortcut, target in followed)

    def know(self, folders: Iterable[DriveFile]) -> None:
        """These are as they are now."""
        self._known.update((folder.id, folder) for folder in folders)

    def look_up(self, file_ids: Iterable[str]) -> None:
        """Ask for folders and all that is above them, several at a time."""
        wanted = self._unknown(file_ids)
        while wanted:
            found = list(self._pool.map(self._ask, wanted))
            self._known.update(zip(wanted, found, strict=True))
            above = [f.parent for f in found if f is not None]
            above += [
                self._shortcuts[f.id] for f in found if f is not None and f.id in self._shortcuts
            ]
            wanted = self._unknown(above)

    def path(self, folder_id: str) -> str | None:
        """The path of a folder with a slash at its end, empty for the root.

        None where it lies outside the tree, in the trash, or where the selection does not go.
        """
        parts: list[str] = []
        seen: set[str] = set()
        at = folder_id
        while at != self._root.id:
            if at in seen or not self._recursive:
                return None
            seen.add(at)
            folder = self._folder(at)
            # What a shortcut brings in is where the shortcut is, under its name.
            entry = self._folder(self._shortcuts[at]) if at in self._shortcuts else folder
            if folder is None or folder.trashed or entry is None or entry.trashed:
                return None
            parts.append(path_part(entry.name, entry.id))
            at = entry.parent
        paths = ["/".join(reversed(parts[start:])) for start in range(len(parts))]
        if not all(self._selection.takes_folder(path) for path in paths):
            return None
        return paths[0] + "/" if paths else ""

    def is_above(self, folder_id: str) -> bool:
        """Whether the root of the tree lies in this folder."""
        at, seen = self._root.parent, set[str]()
        while at and at not in seen:
            if at == folder_id:
                return True
            seen.add(at)
            entry = self._folder(at)
            at = entry.parent if entry is not None else ""
        return False

    def _folder(self, folder_id: str) -> DriveFile | None:
        if not folder_id:
            return None
        self.look_up([folder_id])
        return self._known[folder_id]

    def _unknown(self, file_ids: Iterable[str]) -> list[str]:
        return list(dict.fromkeys(i for i in file_ids if i and i not in self._known))

    def _ask(self, file_id: str) -> DriveFile | None:
        try:
            return self._api.file(file_id, self._deadline)
        except EntryMissingError:
            return None
