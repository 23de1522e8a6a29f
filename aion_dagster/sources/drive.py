"""A folder or shared drive of Google Drive as a source."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property
from typing import Final, NamedTuple

from aion_dagster.errors import CursorExpiredError, SourceError
from aion_dagster.identity import digest
from aion_dagster.sources.drive_access import DriveAccess
from aion_dagster.sources.drive_api import DriveApi
from aion_dagster.sources.drive_calls import DriveCalls
from aion_dagster.sources.drive_cursor import DriveCursor
from aion_dagster.sources.drive_files import SCHEME, DriveFile, ExportChoice
from aion_dagster.sources.drive_listing import Lister
from aion_dagster.sources.drive_pass import WHOLE, DrivePass, Step, checked_root
from aion_dagster.sources.drive_reading import read_file
from aion_dagster.sources.drive_tree import DriveTree
from aion_dagster.sources.selection import Selection
from aion_dagster.sources.source import ScanPage, Source
from aion_dagster.values import FileRef, Loss

PAGE_FILES: Final = 2_000

DOUBT_SECONDS: Final = 3600
"""When something went of which Drive did not say what it was, everything is listed again, this often at most."""


class DriveSource(Source):
    """The possible pictures, and documents, in a folder of Google Drive and below it.

    - The first pass lists every folder; later ones follow Drive's log of changes, and list everything again when the
      log cannot be followed (`CursorExpiredError`) or `relist_seconds` have passed.
    - `uri` is `drive://<id>`, so files with equal names are different files and a renamed file is the same one; `name`
      is the path in the tree, with slashes in names replaced by `／`.
    - `version` is the checksum of the content. Google's own documents have none: theirs is Drive's count of changes,
      of their sharing too, with the time of the last edit.
    - Shortcuts to files are files with the content of their target; shortcuts to folders outside are followed, each
      folder once. What is in the trash is not there.
    - Google Docs and Slides are listed as PDF or DOCX where such documents are taken.
    """

    def __init__(
        self,
        name: str,
        folder: str,
        *,
        access: DriveAccess,
        recursive: bool = True,
        include_hidden: bool = False,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        documents: Sequence[str] = (),
        export: ExportChoice = "auto",
        max_bytes: int | None = None,
        page_files: int = PAGE_FILES,
        connections: int = 8,
        relist_seconds: float | None = 86_400,
        api_endpoint: str = "",
        attempts: int = 8,
        backoff_seconds: float = 1.0,
    ) -> None:
        """Describe the source; nothing is asked yet, and no credentials are read.

        Args:
            name: the source's name.
            folder: the id of the folder or of the shared drive; `root` for the account's own drive.
            access: where the credentials are.
            recursive: go into folders below it.
            include_hidden: take names that begin with a dot.
            include: patterns of names to take; see `Selection`.
            exclude: patterns of names to leave out.
            documents: formats of documents (pdf, docx, txt, md) to take beside pictures.
            export: the format that Google's own documents are exported to; auto takes the first of PDF and DOCX that
                is among `documents`.
            max_bytes: larger files are listed and cannot be read.
            page_files: files in one page of a scan.
            connections: requests at once.
            relist_seconds: see `Source`.
            api_endpoint: another address of the API than Google's.
            attempts: tries of a request, the first included.
            backoff_seconds: the pause after the first failure, at most; each further one may be twice as long.
        """
        self._name = name
        self._folder = folder
        self._recursive = recursive
        self._selection = Selection(
            tuple(include), tuple(exclude), include_hidden, tuple(documents)
        )
        self._export: ExportChoice = export
        rules = [recursive, include_hidden, list(include), list(exclude), list(documents), export]
        self._rules = digest(rules)[:12]
        self._going: _Going | None = None
        self._max_bytes = max_bytes
        self._page_files = page_files
        self._connections = connections
        self.relist_seconds = relist_seconds
        self._api = DriveApi(
            DriveCalls(access, api_endpoint, attempts=attempts, backoff_seconds=backoff_seconds)
        )

    @property
    def name(self) -> str:
        """The source's name."""
        return self._name

    def check(self) -> None:
        """See `Source.check`."""
        checked_root(self._api, self._folder, None)

    def scan(self, cursor: str | None = None, deadline: float | None = None) -> ScanPage:
        """The next page; see `Source.scan`. A pass that lists everything follows the changes made meanwhile, too.

        Raises:
            CursorExpiredError: the changes can be followed no more, or not without doubt.
            CredentialsError: Google refuses the credentials.
            SourceError: Drive does not answer, the folder is not there, or Drive refuses.
        """
        going, self._going = self._going, None
        if going is None or going.mark != (cursor, deadline):
            going = self._opened(cursor, deadline)
        page = _Page(going.cursor)
        try:
            for step in going.steps:
                page.add(step)
                late = deadline is not None and time.monotonic() >= deadline
                if late or len(page.files) >= self._page_files:
                    found = page.result(is_over=False)
                    self._going = _Going((found.cursor, deadline), page.cursor, going.steps)
                    return found
        except CursorExpiredError:
            raise
        except SourceError:
            # What was found is good; the next call begins where this error was, and raises it if it persists.
            if not page.steps:
                raise
            return page.result(is_over=False)
        return page.result(is_over=True)

    def read(self, ref: FileRef) -> bytes:
        """The bytes of this version, checked against its checksum; an export, against a change meanwhile."""
        return read_file(self._api, ref, self._max_bytes)

    def _opened(self, cursor: str | None, deadline: float | None) -> _Going:
        """The pass that a cursor continues, or a new one."""
        begun = None if cursor is None else DriveCursor.parse(cursor, self._folder, self._rules)
        if begun is not None:
            _refuse_doubt(begun)
        root = checked_root(self._api, self._folder, deadline)
        here = begun or self._beginning(root, deadline)
        return _Going((cursor, deadline), here, self._pass(root, deadline).steps(here))

    def _beginning(self, root: DriveFile, deadline: float | None) -> DriveCursor:
        """A pass that lists everything. Changes from before the first folder on count."""
        return DriveCursor(
            folder=self._folder,
            rules=self._rules,
            token=self._api.start_token(root.drive_id, deadline),
            listed_at=int(time.time()),
            waiting=(WHOLE + root.id,),
        )

    def _pass(self, root: DriveFile, deadline: float | None) -> DrivePass:
        tree = DriveTree(
            self._api,
            root,
            self._selection,
            recursive=self._recursive,
            pool=self._pool,
            deadline=deadline,
        )
        lister = Lister(
            self._api,
            tree,
            self._pool,
            self._name,
            self._selection,
            self._export,
            recursive=self._recursive,
            deadline=deadline,
        )
        return DrivePass(
            self._api, root, tree, lister, self._recursive, self._connections, self._pool, deadline
        )

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._connections, thread_name_prefix="drive")


class _Going(NamedTuple):
    """A pass under way: `steps` go on from `cursor` for whoever calls with `mark`, without looking for the place."""

    mark: tuple[str | None, float | None]
    cursor: DriveCursor
    steps: Iterator[Step]


class _Page:
    """The steps of one call put together; of two words about one file the later one holds."""

    def __init__(self, cursor: DriveCursor) -> None:
        self.cursor = cursor
        self.steps = 0
        self.files: dict[str, FileRef] = {}
        self._removed: dict[str, None] = {}
        self._present: dict[str, None] = {}
        self._problems: list[Loss] = []
        self._unlisted = False

    def add(self, step: Step) -> None:
        self.steps += 1
        self.cursor = step.cursor
        for file in step.listed.files:
            self.files[file.uri] = file
            self._removed.pop(file.uri, None)
        for uri in step.listed.gone:
            self.files.pop(uri, None)
            self._removed[uri] = None
        self._present.update(dict.fromkeys(step.listed.present))
        self._problems += step.listed.problems
        self._unlisted |= step.unlisted

    def result(self, *, is_over: bool) -> ScanPage:
        end = replace(self.cursor, waiting=(), place=None, is_caught_up=False)
        return ScanPage(
            files=tuple(self.files.values()),
            cursor=None if is_over else self.cursor.text(),
            problems=tuple(self._problems),
            present=tuple(self._present),
            unlisted=(SCHEME,) if self._unlisted else (),
            removed=tuple(self._removed),
            resume=end.text() if is_over else None,
        )


def _refuse_doubt(cursor: DriveCursor) -> None:
    if cursor.is_doubtful and time.time() - cursor.listed_at >= DOUBT_SECONDS:
        raise CursorExpiredError(
            "Google Drive: something went of which Drive did not say what it was; everything is listed again."
        )
