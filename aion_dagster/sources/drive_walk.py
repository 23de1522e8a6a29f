"""Going through folders of Google Drive, several at once, from any place on."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, NamedTuple

from aion_dagster.errors import CredentialsError, SourceError
from aion_dagster.sources.drive_api import DriveApi, Listing
from aion_dagster.sources.drive_cursor import Place
from aion_dagster.sources.drive_faults import EntryMissingError, PageTokenError, TransientError
from aion_dagster.sources.drive_files import DriveFile, path_part
from aion_dagster.sources.selection import Selection
from aion_dagster.values import Loss

TOGETHER: Final = 16
"""Folders whose subfolders are walked together: enough to keep the connections busy, few to find again later."""


class Folder(NamedTuple):
    """A folder to list; `path` is empty for the root, else it ends with a slash."""

    id: str
    path: str


class Found(NamedTuple):
    """A part of a folder's entries that are not folders, and where the walk stands after it."""

    folder: Folder
    files: list[DriveFile]
    place: Place


@dataclass
class _Level:
    """Sister folders in the order of their ids; those up to `upto` are listed, those after `after` together."""

    pending: deque[Folder]
    after: str = ""
    upto: str = ""


@dataclass
class Walk:
    """A walk through one folder and all below it.

    Folders are listed in the order of their ids, a few together; then what is below these, and so on, before the next
    few. So a place is told by two ids for each level, and what is kept in memory are the sisters on the way.

    Attributes:
        api: who is asked, by the threads of `pool`.
        drive_id: the shared drive, empty for none.
        selection: folders that it does not take are passed over.
        recursive: go into subfolders.
        gone: what is listed went: everything is of interest, the trash too, whatever it is called.
        connections: requests at once.
        deadline: see `DriveCalls.repeat`.
        problems: folders that cannot be listed are appended, with the reason.
    """

    api: DriveApi
    drive_id: str
    selection: Selection
    recursive: bool
    gone: bool
    connections: int
    deadline: float | None
    pool: ThreadPoolExecutor
    problems: list[Loss] = field(default_factory=list)

    def steps(self, root: Folder, place: Place | None) -> Iterator[Found]:
        """The entries after a place, folder by folder.

        Raises:
            TransientError: Drive does not answer for now; what was yielded is good.
            CredentialsError: Drive refuses the credentials.
        """
        levels = [_Level(deque([root]))]
        if place is not None:
            levels = yield from self._again(root, place)
        while levels:
            level = levels[-1]
            if not level.pending:
                levels.pop()
                continue
            together = list(islice(_taken(level.pending), TOGETHER))
            level.after, level.upto = level.upto, together[-1].id
            below = yield from self._list(together, levels, "")
            levels.append(_Level(deque(below)))

    def _again(self, root: Folder, place: Place) -> Generator[Found, None, list[_Level]]:
        """Find the folders of a place again and finish those that were being listed; returns the levels."""
        levels: list[_Level] = []
        folders = [root]
        for number, (after, upto) in enumerate(place.levels, start=1):
            levels.append(_Level(deque(f for f in folders if f.id > upto), after, upto))
            together = [f for f in folders if after < f.id <= upto]
            if number < len(place.levels):
                folders = self._below(together)
                continue
            left = [
                f for f in together if f.id > place.folder or (f.id == place.folder and place.token)
            ]
            below = self._below([f for f in together if f.id <= place.folder])
            below += yield from self._list(left, levels, place.token)
            levels.append(_Level(deque(_each_once(below))))
        return levels

    def _list(
        self, folders: Sequence[Folder], levels: list[_Level], token: str
    ) -> Generator[Found, None, list[Folder]]:
        """List folders, the first of them from a token on; returns the folders in them, in order."""
        marks = tuple((level.after, level.upto) for level in levels)
        below: list[Folder] = []
        for folder, listing in self._ahead(folders, token):
            inner = [f for f in listing.files if f.is_folder]
            files = [f for f in listing.files if not f.is_folder]
            below.extend(self._entered(folder, inner))
            yield Found(folder, files, Place(marks, folder.id, listing.token))
        return _each_once(below)

    def _ahead(self, folders: Sequence[Folder], token: str) -> Iterator[tuple[Folder, Listing]]:
        """Every part of every folder, in order; the first parts of the next few folders are asked for ahead."""
        coming = iter(folders)
        asked: deque[tuple[Folder, Future[Listing]]] = deque()

        def ask(count: int) -> None:
            for folder in islice(coming, count):
                first = token if folder == folders[0] else ""
                asked.append((folder, self.pool.submit(self._part, folder, first)))

        try:
            ask(self.connections)
            while asked:
                folder, part = asked.popleft()
                listing = part.result()
                ask(1)
                yield folder, listing
                while listing.token:
                    listing = self._part(folder, listing.token)
                    yield folder, listing
        finally:
            for _, part in asked:
                part.cancel()

    def _part(self, folder: Folder, token: str, *, only_folders: bool = False) -> Listing:
        """A part of a folder; nothing of one that is not there any more, or cannot be listed."""
        try:
            return self.api.entries(
                folder.id,
                self.drive_id,
                token=token,
                only_folders=only_folders,
                trashed_too=self.gone,
                deadline=self.deadline,
            )
        except PageTokenError:
            if not token:
                raise
            return self._part(folder, "", only_folders=only_folders)
        except EntryMissingError:
            return Listing((), "")
        except (TransientError, CredentialsError):
            raise
        except SourceError as error:
            self.problems.append(Loss("missing", folder.path or folder.id, str(error)))
            return Listing((), "")

    def _below(self, folders: Sequence[Folder]) -> list[Folder]:
        """The folders in these, in order."""
        if not self.recursive:
            return []
        return _each_once(f for inner in self.pool.map(self._inner, folders) for f in inner)

    def _inner(self, folder: Folder) -> list[Folder]:
        found: list[DriveFile] = []
        token = ""
        while True:
            listing = self._part(folder, token, only_folders=True)
            found.extend(listing.files)
            token = listing.token
            if not token:
                return self._entered(folder, found)

    def _entered(self, folder: Folder, inner: Sequence[DriveFile]) -> list[Folder]:
        """Those of a folder's folders that are gone into."""
        if not self.recursive:
            return []
        named = [(f.id, folder.path + path_part(f.name, f.id)) for f in inner]
        return [
            Folder(file_id, path + "/")
            for file_id, path in named
            if self.gone or self.selection.takes_folder(path)
        ]


def _taken(pending: deque[Folder]) -> Iterator[Folder]:
    """The folders from the front, as they are asked for."""
    while pending:
        yield pending.popleft()


def _each_once(folders: Iterable[Folder]) -> list[Folder]:
    """In the order of their ids. A folder whose listing began anew was found twice."""
    return sorted({folder.id: folder for folder in folders}.values())
