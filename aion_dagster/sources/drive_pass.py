"""A pass through Google Drive: folders that are to be walked first, then what changed, step by step."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final, NamedTuple

from aion_dagster.errors import CursorExpiredError, SourceError
from aion_dagster.sources.drive_api import Changes, DriveApi
from aion_dagster.sources.drive_cursor import DriveCursor, Place
from aion_dagster.sources.drive_faults import EntryMissingError, PageTokenError
from aion_dagster.sources.drive_files import SCHEME, DriveFile
from aion_dagster.sources.drive_listing import Entry, Listed, Lister
from aion_dagster.sources.drive_tree import DriveTree
from aion_dagster.sources.drive_walk import Folder, Found, Walk

MOST_WAITING: Final = 100
"""Folders that changed on one page of changes and are walked one by one; with more of them everything is listed."""

_QUERY_IDS: Final = 40

GONE: Final = "-"
"""Mark of a folder that waits to be walked because it went; the others have NEW."""

NEW: Final = "+"


class Step(NamedTuple):
    """What one answer of Drive came to, and where the pass stands after it.

    `unlisted` says that a folder could not be listed.
    """

    listed: Listed
    cursor: DriveCursor
    unlisted: bool = False


@dataclass
class DrivePass:
    """Takes a pass from one place to the next; one object for each call of `scan`."""

    api: DriveApi
    root: DriveFile
    tree: DriveTree
    lister: Lister
    recursive: bool
    connections: int
    pool: ThreadPoolExecutor
    deadline: float | None

    def steps(self, cursor: DriveCursor) -> Iterator[Step]:
        """All steps from a place to the end of the pass.

        Raises:
            CursorExpiredError: changes cannot be followed from there; everything is to be listed again.
            SourceError: Drive does not answer, or refuses; the steps before are good.
        """
        self.tree.follow(cursor.followed)
        while True:
            while cursor.waiting:
                for step in self._walk(cursor):
                    cursor = step.cursor
                    yield step
                cursor = replace(cursor, waiting=cursor.waiting[1:], place=None)
            if cursor.is_caught_up:
                return
            step = self._follow(cursor)
            cursor = step.cursor
            yield step

    def _walk(self, cursor: DriveCursor) -> Iterator[Step]:
        """Walk through the first folder that waits."""
        mark, folder_id = cursor.waiting[0][0], cursor.waiting[0][1:]
        folder = self._folder(folder_id, mark)
        if folder is None:
            return
        entry, path = folder
        walk = Walk(
            api=self.api,
            drive_id=entry.drive_id,
            selection=self.lister.selection,
            recursive=self.recursive or mark == GONE,
            gone=mark == GONE,
            connections=self.connections,
            deadline=self.deadline,
            pool=self.pool,
        )
        place: Place | None = cursor.place
        for found in walk.steps(Folder(entry.id, path), place):
            listed = self._went(found, cursor) if mark == GONE else self._listed(found, cursor)
            listed.problems += walk.problems
            unlisted = bool(walk.problems)
            walk.problems.clear()
            cursor = replace(
                cursor,
                place=found.place,
                followed=(*cursor.followed, *listed.followed),
                waiting=(*cursor.waiting, *(NEW + target for _, target in listed.followed)),
            )
            yield Step(listed, cursor, unlisted)
        if folder_id == self.root.id:
            # A root that went meanwhile lists nothing more, which is not to pass for empty.
            checked_root(self.api, folder_id, self.deadline)

    def _folder(self, folder_id: str, mark: str) -> tuple[DriveFile, str] | None:
        """A folder that waits, and its path; None where the reason to walk it is no more."""
        try:
            entry = self.api.file(folder_id, self.deadline)
        except EntryMissingError:
            return None
        if mark == GONE:
            return entry, ""
        self.tree.know([entry])
        path = self.tree.path(folder_id)
        return None if path is None else (entry, path)

    def _listed(self, found: Found, cursor: DriveCursor) -> Listed:
        entries = [Entry(file, found.folder.path) for file in found.files]
        listed = self.lister.listed(entries, cursor.followed)
        listed.gone.clear()  # What is passed over in a walk was never taken, or its change is still to come.
        return listed

    def _went(self, found: Found, cursor: DriveCursor) -> Listed:
        self._refuse_shortcuts(cursor, {file.id for file in found.files})
        return Listed(gone=[SCHEME + file.id for file in found.files])

    def _follow(self, cursor: DriveCursor) -> Step:
        """One page of changes."""
        try:
            changes = self.api.changes(cursor.token, self.root.drive_id, self.deadline)
        except PageTokenError as error:
            raise CursorExpiredError(f"{error} Everything is listed again.") from None
        folders = [f for f in changes.files if f.is_folder]
        files = [f for f in changes.files if not f.is_folder]
        self._refuse_root(changes)
        self._refuse_shortcuts(cursor, {*changes.gone, *(f.id for f in files if f.trashed)})
        self.tree.know(folders)
        self.tree.look_up(f.parent for f in changes.files)
        waiting = self._waiting(folders, cursor)
        listed = self._changed(files, changes.gone, cursor)
        return Step(
            listed,
            replace(
                cursor,
                token=changes.token,
                is_caught_up=changes.is_last,
                place=None,
                waiting=(*waiting, *(NEW + target for _, target in listed.followed)),
                followed=(*cursor.followed, *listed.followed),
                is_doubtful=cursor.is_doubtful or bool(changes.gone),
            ),
        )

    def _waiting(self, folders: list[DriveFile], cursor: DriveCursor) -> list[str]:
        """Changed folders, to be walked: whether they were in the tree before, nobody knows any more."""
        if len(folders) > MOST_WAITING:
            raise CursorExpiredError(
                f"Google Drive: {len(folders)} folders changed at once; everything is listed again."
            )
        waiting: list[str] = []
        for folder in folders:
            if folder.id == self.root.id:
                continue
            is_inside = self.tree.path(folder.id) is not None
            if not is_inside:
                self._refuse_shortcuts(cursor, {folder.id})
            waiting.append((NEW if is_inside else GONE) + folder.id)
        return waiting

    def _changed(
        self, files: list[DriveFile], gone: tuple[str, ...], cursor: DriveCursor
    ) -> Listed:
        """Files that changed, and those shortcuts in the tree that stand for them."""
        contents = [f.id for f in files if not f.is_shortcut] + [*gone]
        known = {f.id for f in files}
        chunks = iter(contents)
        while chunk := list(islice(chunks, _QUERY_IDS)):
            found = self.api.shortcuts_to(chunk, self.root.drive_id, self.deadline)
            files = files + [f for f in found if f.id not in known]
            known.update(f.id for f in found)
        self.tree.look_up(f.parent for f in files)
        entries: list[Entry] = []
        outside: list[str] = []
        for file in files:
            path = None if file.trashed else self.tree.path(file.parent)
            if path is None:
                outside.append(file.id)
            else:
                entries.append(Entry(file, path))
        self._refuse_shortcuts(cursor, set(outside))
        listed = self.lister.listed(entries, cursor.followed)
        listed.gone += [SCHEME + file_id for file_id in (*outside, *gone)]
        return listed

    def _refuse_root(self, changes: Changes) -> None:
        if self.root.id in changes.gone or any(
            f.id == self.root.id and f.trashed for f in changes.files
        ):
            checked_root(self.api, self.root.id, self.deadline)

    def _refuse_shortcuts(self, cursor: DriveCursor, went: set[str]) -> None:
        """Followed folders cannot be taken back one by one: what they brought in may be there in another way."""
        if any(shortcut in went or target in went for shortcut, target in cursor.followed):
            raise CursorExpiredError(
                "Google Drive: a shortcut to a folder, or the folder, went; everything is listed again."
            )


def checked_root(api: DriveApi, folder_id: str, deadline: float | None) -> DriveFile:
    """The folder that a source lists.

    Raises:
        SourceError: it is not there, in the trash, or no folder.
    """
    try:
        root = api.file(folder_id, deadline)
    except EntryMissingError:
        raise SourceError(
            f"Google Drive: there is no folder {folder_id} that {api.calls.owner} can see; share it with that account, "
            "or correct the id."
        ) from None
    if root.trashed:
        raise SourceError(f"Google Drive: the folder {root.name!r} ({folder_id}) is in the trash.")
    if not root.is_folder:
        raise SourceError(f"Google Drive: {root.name!r} ({folder_id}) is no folder.")
    return root
