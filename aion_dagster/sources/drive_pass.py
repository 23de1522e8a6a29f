"""A pass through Google Drive: folders that are to be walked first, then what changed, step by step."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
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

WHOLE: Final = "+"
"""Mark of a folder that waits to be walked as a part of listing everything."""

CHANGED: Final = "~"
"""Mark of one that changed and is in the tree: what is in it may be new there."""

GONE: Final = "-"
"""Mark of one that changed and is not in the tree: what is in it may have been there before."""


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
            listed = self._found(found, mark, cursor)
            # Of what is outside the tree nobody wants to know that it cannot be listed.
            problems = [] if mark == GONE else list(walk.problems)
            walk.problems.clear()
            listed.problems += problems
            cursor = replace(
                cursor,
                place=found.place,
                followed=(*cursor.followed, *listed.followed),
                waiting=(*cursor.waiting, *(WHOLE + target for _, target in listed.followed)),
            )
            yield Step(listed, cursor, unlisted=bool(problems))
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

    def _found(self, found: Found, mark: str, cursor: DriveCursor) -> Listed:
        """What a part of a folder comes to, by the reason why it is walked."""
        ids = {file.id for file in found.files}
        if mark == GONE:
            self._refuse_shortcuts(cursor, ids)
            listed = Listed(gone=[SCHEME + file_id for file_id in ids])
        else:
            entries = [Entry(file, found.folder.path) for file in found.files]
            listed = self.lister.listed(entries, cursor.followed)
        if mark == WHOLE:
            listed.gone.clear()  # Not named means not there.
        else:
            # What is in the trash by its folder only has no change of its own.
            self._add(self._pointing(ids, known=ids), listed, cursor)
        return listed

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
                waiting=(*waiting, *(WHOLE + target for _, target in listed.followed)),
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
            waiting.append((CHANGED if is_inside else GONE) + folder.id)
        return waiting

    def _changed(
        self, files: list[DriveFile], gone: tuple[str, ...], cursor: DriveCursor
    ) -> Listed:
        """Files that changed, and those shortcuts in the tree that stand for them."""
        listed = Listed(gone=[SCHEME + file_id for file_id in gone])
        contents = {f.id for f in files if not f.is_shortcut}.union(gone)
        pointing = self._pointing(contents, known={f.id for f in files})
        self._add([*files, *pointing], listed, cursor)
        return listed

    def _pointing(self, file_ids: Collection[str], known: Collection[str]) -> list[DriveFile]:
        """Shortcuts to these files, but for those that are known; asked for only where there are shortcuts at all."""
        found: list[DriveFile] = []
        ids = iter(file_ids)
        while (chunk := list(islice(ids, _QUERY_IDS))) and self._has_shortcuts:
            found += self.api.shortcuts_to(chunk, self.root.drive_id, self.deadline)
        return [f for f in found if f.id not in known]

    @cached_property
    def _has_shortcuts(self) -> bool:
        return self.api.has_shortcuts(self.root.drive_id, self.deadline)

    def _add(self, files: Sequence[DriveFile], listed: Listed, cursor: DriveCursor) -> None:
        """Files wherever they are: as taken where that is in the tree, else as gone."""
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
        listed.add(self.lister.listed(entries, [*cursor.followed, *listed.followed]))
        listed.gone += [SCHEME + file_id for file_id in outside]

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
