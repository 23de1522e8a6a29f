"""From entries of Google Drive to file references: names, selection, exports, shortcuts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from aion_dagster.errors import CredentialsError, SourceError
from aion_dagster.sources.drive_api import DriveApi
from aion_dagster.sources.drive_faults import EntryMissingError, TransientError
from aion_dagster.sources.drive_files import (
    SCHEME,
    DriveFile,
    ExportChoice,
    export_format,
    listed_version,
    path_part,
)
from aion_dagster.sources.drive_tree import DriveTree
from aion_dagster.sources.selection import Selection
from aion_dagster.values import FileRef, Loss

MOST_FOLLOWED: Final = 64
"""Folders outside the tree that are followed, at most: the cursor names each of them."""


class Entry(NamedTuple):
    """Something in a folder of the tree; `path` is the folder's, ending with a slash or empty."""

    file: DriveFile
    path: str


@dataclass
class Listed:
    """What became of some entries.

    `gone` are URIs of what is not taken, `present` of what is there and cannot be looked at now; `followed` are the
    shortcuts to folders that are to be walked as well, with what they stand for.
    """

    files: list[FileRef] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)
    problems: list[Loss] = field(default_factory=list)
    followed: list[tuple[str, str]] = field(default_factory=list)

    def add(self, other: Listed) -> None:
        """What became of further entries."""
        self.files += other.files
        self.gone += other.gone
        self.present += other.present
        self.problems += other.problems
        self.followed += other.followed


@dataclass(frozen=True)
class Lister:
    """Makes references of one source.

    Attributes:
        api: who is asked what shortcuts stand for, by the threads of `pool`.
        tree: where folders lie.
        source: the source's name.
        selection: which names are taken.
        export: to which format Google's own documents are exported.
        recursive: shortcuts to folders are followed.
        deadline: see `DriveCalls.repeat`.
    """

    api: DriveApi
    tree: DriveTree
    pool: ThreadPoolExecutor
    source: str
    selection: Selection
    export: ExportChoice
    recursive: bool
    deadline: float | None

    def listed(self, entries: Sequence[Entry], followed: Sequence[tuple[str, str]]) -> Listed:
        """References for entries of the tree that are no folders; `followed` are folders that are followed already.

        Raises:
            TransientError: Drive does not answer for now.
            CredentialsError: it refuses the credentials.
        """
        done = Listed()
        shortcuts = [e for e in entries if e.file.is_shortcut]
        for entry in entries:
            if not entry.file.is_shortcut:
                self._take(entry, entry.file, done)
        for entry, target in zip(shortcuts, self.pool.map(self._target, shortcuts), strict=True):
            self._resolve(entry, target, followed, done)
        return done

    def _take(self, entry: Entry, file: DriveFile, done: Listed) -> None:
        """A reference to an entry with the content of `file`, which is the entry itself but for shortcuts."""
        uri = SCHEME + entry.file.id
        export = export_format(file.mime_type, self.selection.documents, self.export)
        name = entry.path + path_part(entry.file.name, entry.file.id)
        if export and not name.lower().endswith(f".{export}"):
            name += f".{export}"
        if export is None or not self.selection.takes_file(name):
            done.gone.append(uri)
            return
        target = file.id if entry.file.is_shortcut else ""
        done.files.append(
            FileRef(
                source=self.source,
                uri=uri,
                name=name,
                version=listed_version(file, export, target),
                size_bytes=file.size,
                modified_at=file.modified_at,
            )
        )

    def _target(self, entry: Entry) -> DriveFile | SourceError:
        """What a shortcut stands for, or why that is not known."""
        try:
            return self.api.file(entry.file.target_id, self.deadline)
        except (TransientError, CredentialsError):
            raise
        except SourceError as error:
            return error

    def _resolve(
        self,
        entry: Entry,
        target: DriveFile | SourceError,
        followed: Sequence[tuple[str, str]],
        done: Listed,
    ) -> None:
        name = entry.path + path_part(entry.file.name, entry.file.id)
        uri = SCHEME + entry.file.id
        if isinstance(target, SourceError):
            is_gone = isinstance(target, EntryMissingError)
            (done.gone if is_gone else done.present).append(uri)
            what = (
                "a shortcut to nothing, or to something that is not shared"
                if is_gone
                else str(target)
            )
            done.problems.append(Loss("missing", name, what))
        elif target.trashed:
            done.gone.append(uri)
            done.problems.append(Loss("missing", name, "a shortcut to something in the trash"))
        elif target.is_folder:
            done.gone.append(uri)
            if self.recursive and self.selection.takes_folder(name):
                self._follow(entry.file.id, name, target, [*followed, *done.followed], done)
        else:
            self._take(entry, target, done)

    def _follow(
        self,
        shortcut: str,
        name: str,
        target: DriveFile,
        followed: Iterable[tuple[str, str]],
        done: Listed,
    ) -> None:
        """Have the folder of a shortcut walked, unless that would list files twice or never end."""
        before = list(followed)
        if (shortcut, target.id) in before:
            return
        if self.tree.path(target.id) is not None or target.id in {t for _, t in before}:
            words = "a shortcut to a folder of this source; its files are listed at their own place"
            done.problems.append(Loss("deduplicated", name, words))
        elif self.tree.is_above(target.id):
            words = "a shortcut to a folder that this one lies in is not followed"
            done.problems.append(Loss("dropped", name, words))
        elif len(before) >= MOST_FOLLOWED:
            words = f"a shortcut to a folder; {MOST_FOLLOWED} are followed, name it as a source of its own"
            done.problems.append(Loss("dropped", name, words))
        else:
            done.followed.append((shortcut, target.id))
            self.tree.follow([(shortcut, target.id)])
