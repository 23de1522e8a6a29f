"""One library's place on disk: tables, manifests, table sets, ledger, exports, reports, index and locks."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Final, Self

import orjson

from aion_dagster import schemas
from aion_dagster.errors import ConfigError, StorageError
from aion_dagster.storage import durable
from aion_dagster.storage.compaction import Compaction, recover
from aion_dagster.storage.durable import make_folder, storage_errors
from aion_dagster.storage.exports import ExportStore
from aion_dagster.storage.ledger import Ledger
from aion_dagster.storage.lock import StoreLock, lock_path
from aion_dagster.storage.lock_postgres import advisory_lock
from aion_dagster.storage.manifests import ManifestStore
from aion_dagster.storage.places import Place, local_folder, place_of, write_bytes
from aion_dagster.storage.run_lock import sweep_runs
from aion_dagster.storage.shared_file import SharedFile
from aion_dagster.storage.table_versions import bring_up_to_date
from aion_dagster.storage.tables import TableStore
from aion_dagster.storage.tablesets import TableSetStore
from aion_dagster.wording import plural

FORMAT_VERSION: Final = 1
MARKER: Final = "aion-store.json"
"""The file that makes a folder a store; sources step round folders that hold it."""

_FORMAT, _TABLES = "format", "tables"
_MARK: Final = {_FORMAT: FORMAT_VERSION, _TABLES: schemas.VERSION}
"""What the marker holds: how a store is laid out, and the version of its tables' schemas."""

FOLDERS: Final = (
    "tables",
    "manifests",
    "sets",
    "exports",
    "reports",
    "index",
    "locks",
)
LOCAL_FOLDERS: Final = ("scratch", "index", "locks")
"""What a store in a bucket has on each machine."""

LEDGER_FILE: Final = "ledger.sqlite"

FORGOTTEN: Final = "forgotten"
"""Folder of what was erased, as marks; and of erasures that have not come to their end, as they are."""

LEDGER_VARIABLE: Final = "AION_LEDGER_URL"
"""Environment variable with the SQLAlchemy URL of the ledger: it may hold a password, which no file should."""

_SWEPT: Final = ("reports", "index", "scratch", "locks/holders")

RESERVED: Final = frozenset(
    {*FOLDERS, "dagster", "media", "models", "scratch", "default", FORGOTTEN}
)
"""Names in a store that no library may have."""

_LIBRARY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,62}")


class Store:
    """The place of one library; `Store.open` makes it.

    Attributes:
        home: the store's top place, common to all its libraries.
        root: this library's place: `home`, or `home/<library>`.
        local: the folder of this machine for locks and temporary files: `root` itself, where that is a folder.
        library: its name.
        tables: Parquet tables by name and batch.
        manifests: which files a batch consists of.
        sets: label sets and dataset versions.
        exports: finished exports by dataset and format.
        ledger_url: SQLAlchemy URL of the ledger, where it is not a file in `local`.
    """

    def __init__(
        self, home: Place, root: Place, local: Path, library: str, ledger_url: str | None
    ) -> None:
        """Use `Store.open`, which checks the place."""
        self.home = home
        self.root = root
        self.local = local
        self.library = library
        scratch = None if isinstance(root, Path) else local / "scratch"
        self.tables = TableStore(root / "tables", scratch=scratch, hidden=self._hidden)
        self.manifests = ManifestStore(root / "manifests")
        self.sets = TableSetStore(root / "sets")
        self.exports = ExportStore(root / "exports", scratch)
        self.ledger_url = ledger_url

    @classmethod
    def open(
        cls,
        uri: str | Path,
        *,
        library: str = "default",
        create: bool = True,
        ledger_url: str | None = None,
    ) -> Self:
        """Open a library's place, by default creating it.

        Args:
            uri: a folder, a `file://` or an `s3://bucket/prefix` URI.
            library: any but "default" lives in a place of its own inside the store.
            create: False to open only what is there, which need not be writable.
            ledger_url: SQLAlchemy URL of the ledger; by default what the environment variable `AION_LEDGER_URL` says,
                else an SQLite file in the store (of a store in a bucket: in its folder on this machine).

        Raises:
            ConfigError: the library's name is not allowed, or taken by the store itself.
            StorageError: no store there (with `create=False`), not writable, written by a newer version, or a kind of
                URI that is not supported.
        """
        home = place_of(str(uri))
        if library != "default" and (_LIBRARY.fullmatch(library) is None or library in RESERVED):
            raise ConfigError(
                f"library: {library!r} cannot be used; take letters, digits, '_' and '-', and none of"
                f" {', '.join(sorted(RESERVED))}."
            )
        root = home if library == "default" else home / library
        if not create and not (root / MARKER).is_file():
            raise StorageError(
                f"There is no store at {root}. Create it with: aion-dagster run SOURCE --store {home}"
            )
        local = local_folder(home)
        local = local if library == "default" else local / library
        for place in dict.fromkeys((home, root)):
            found = _marker(place)
            if create:
                _prepare(place)
        if create:
            for name in FOLDERS if isinstance(root, Path) else LOCAL_FOLDERS:
                make_folder(local / name)
            with storage_errors("create", lock_path(local)):
                lock_path(local).touch()
        url = ledger_url or os.environ.get(LEDGER_VARIABLE) or None
        store = cls(home, root, local, library, url)
        if found is not None and found[_TABLES] < schemas.VERSION:
            store._migrate_tables(create)
        return store

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger, opened when it is first asked for.

        Raises:
            StorageError: it cannot be used, or knows nothing of the batches of this store.
        """
        if self.ledger_url is not None:
            ledger = Ledger(self.ledger_url, library=self.library)
        else:
            file = self.local / LEDGER_FILE
            if not file.is_file() and self._has_more_than_manifests():
                raise StorageError(self._lost_ledger(f"{file} is missing"))
            ledger = Ledger.at(file)
        if not ledger.has_batches() and self._has_more_than_manifests():
            ledger.close()
            raise StorageError(self._lost_ledger(f"{ledger.where} is empty"))
        return ledger

    def _has_more_than_manifests(self) -> bool:
        """Whether batches were worked on; a first run that was killed early leaves a manifest and an empty ledger."""
        folders = (self.root / "tables" / name for name in ("images", "documents"))
        is_made = any(f.is_dir() and any(True for _ in f.iterdir()) for f in folders)
        return (is_made or (self.root / FORGOTTEN).is_dir()) and bool(self.manifests.batches())

    def _lost_ledger(self, what: str) -> str:
        """What to say where the ledger is lost: without it every file would be new, and paid for once more."""
        of = "" if self.library == "default" else f" --library {shlex.quote(self.library)}"
        elsewhere = (
            ""
            if isinstance(self.root, Path) or self.ledger_url is not None
            else f" Where the ledger is on another machine, name a shared one by {LEDGER_VARIABLE}."
        )
        return (
            f"The ledger of the store {self.root} is lost: {what}, but the store has"
            f" manifests of {plural(len(self.manifests.batches()), 'batch')}. 'aion-dagster ledger rebuild --store"
            f" {shlex.quote(str(self.home))}{of}' restores it from the manifests.{elsewhere}"
        )

    def _hidden(self) -> set[str]:
        """Batches that are being merged, as far as nobody is to read them now."""
        found = Compaction.read(self.root)
        return set() if found is None else found.hidden(b.key for b in self.ledger.batches())

    def shared_file(self, folder: str, name: str) -> SharedFile:
        """A file that this machine works on, and gives to the others: `index/words.sqlite`."""
        return SharedFile(self.local / folder / name, self.root / folder / name)

    def lock(
        self,
        *,
        exclusive: bool = True,
        wait: bool | float = True,
        on_wait: Callable[[str], None] | None = None,
        what: str = "",
    ) -> AbstractContextManager[StoreLock]:
        """Work on this library alone, or beside others who share it; see `StoreLock` for the arguments."""
        kind = StoreLock.exclusive if exclusive else StoreLock.shared
        remote = advisory_lock(self.ledger_url, f"aion_dagster {self.root}")
        return kind(self.local, wait=wait, on_wait=on_wait, what=what, remote=remote)

    def sweep(self) -> int:
        """Remove what killed processes left: temporary files, staging folders, run locks, overtaken manifests.

        Merging of batches that one of them began is undone or finished.

        To be called under the exclusive lock. What a living process of this machine writes is left alone.

        Returns:
            How many files and folders were removed.
        """
        recover(self)
        removed = self.tables.sweep() + self.manifests.sweep() + self.sets.sweep()
        removed += self.exports.sweep()
        for folder in (self.local, *(self.local / name for name in _SWEPT)):
            removed += durable.sweep(folder)
        return removed + sweep_runs(self.local) + self._sweep_manifests()

    def close(self) -> None:
        """Close the ledger's connections."""
        if "ledger" in self.__dict__:
            self.ledger.close()

    def __enter__(self) -> Self:
        """The store itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def _migrate_tables(self, may_write: bool) -> None:
        """Write the tables of an earlier version as today's, then say so in the marker."""
        if not may_write:
            raise StorageError(
                f"The tables in {self.root} are of an earlier version; bring them up to date with:"
                f" aion-dagster run --store {self.home}"
            )
        with self.lock(what="a migration of tables"):
            bring_up_to_date(self.tables)
            write_bytes(self.root / MARKER, orjson.dumps(_MARK))

    def overtaken_manifests(self) -> list[str]:
        """Batches that have a manifest and were never recorded, because all their files came into other batches.

        One with files that the ledger does not know is none of them: it may be what a lost ledger is rebuilt from.
        """
        recorded = {batch.key for batch in self.ledger.batches()} | self.ledger.retired().keys()
        found = []
        for key in sorted(set(self.manifests.batches()) - recorded):
            files = self.manifests.read(key)
            for source in {f.source for f in files}:
                known = self.ledger.known_versions(
                    source, [f.uri for f in files if f.source == source]
                )
                if any(f.version not in known.get(f.uri, ()) for f in files if f.source == source):
                    break
            else:
                found.append(key)
        return found

    def _sweep_manifests(self) -> int:
        return sum(self.manifests.delete(key) for key in self.overtaken_manifests())


def _marker(folder: Place) -> dict[str, int] | None:
    """What the marker of a store says; None where there is none.

    Raises:
        StorageError: a newer version of this package wrote it, or it is damaged.
    """
    marker = folder / MARKER
    with storage_errors("read", marker):
        try:
            found = {_TABLES: 1, **orjson.loads(marker.read_bytes())}
            is_newer = [name for name, known in _MARK.items() if found[name] > known]
        except FileNotFoundError:
            return None
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise StorageError(
                f"{marker} is damaged ({error}). Write {orjson.dumps(_MARK).decode()} into it."
            ) from error
    for name in is_newer:
        of = "" if name == _FORMAT else " of its tables"
        raise StorageError(
            f"The store {folder} has format {found[name]}{of}, this version knows {_MARK[name]}:"
            " install a newer aion_dagster."
        )
    return found


def _prepare(place: Place) -> None:
    if isinstance(place, Path):
        make_folder(place)
    if not (place / MARKER).is_file():
        write_bytes(place / MARKER, orjson.dumps(_MARK))
    if isinstance(place, Path) and not durable.is_writable(place):
        raise StorageError(
            f"The store {place} cannot be written; check the owner of the folder or choose another store."
        )
