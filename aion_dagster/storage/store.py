"""One library's place on disk: tables, manifests, table sets, ledger, exports, reports, index and locks."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Final, Self
from urllib.parse import unquote_to_bytes, urlsplit

import orjson

from aion_dagster.errors import ConfigError, StorageError
from aion_dagster.storage import durable, swap
from aion_dagster.storage.durable import make_folder, storage_errors, write_file
from aion_dagster.storage.ledger import Ledger
from aion_dagster.storage.lock import StoreLock, lock_path, sweep_runs
from aion_dagster.storage.manifests import ManifestStore
from aion_dagster.storage.tables import TableStore
from aion_dagster.storage.tablesets import TableSetStore

FORMAT_VERSION: Final = 1
MARKER: Final = "aion-store.json"
"""The file that makes a folder a store; sources step round folders that hold it."""

FOLDERS: Final = (
    "tables",
    "manifests",
    "sets",
    "exports",
    "reports",
    "index",
    "locks",
)
RESERVED: Final = frozenset({*FOLDERS, "dagster", "media", "models", "default"})
"""Names in a store that no library may have."""

_LIBRARY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,62}")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


class Store:
    """The place of one library; `Store.open` makes it.

    Attributes:
        home: the store's top folder, common to all its libraries.
        root: this library's folder: `home`, or `home/<library>`.
        library: its name.
        tables: Parquet tables by name and batch.
        manifests: which files a batch consists of.
        sets: label sets and dataset versions.
        exports: folder of finished exports, `<dataset>/<format>/`.
        reports: folder of reports.
        index: folder of search indexes.
    """

    def __init__(self, home: Path, root: Path, library: str, ledger_url: str | None) -> None:
        """Use `Store.open`, which checks the folder."""
        self.home = home
        self.root = root
        self.library = library
        self.tables = TableStore(root / "tables")
        self.manifests = ManifestStore(root / "manifests")
        self.sets = TableSetStore(root / "sets")
        self.exports = root / "exports"
        self.reports = root / "reports"
        self.index = root / "index"
        self._ledger_url = ledger_url

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
            uri: a folder or a `file://` URI.
            library: any but "default" lives in a folder of its own inside the store.
            create: False to open only what is there, which need not be writable.
            ledger_url: SQLAlchemy URL of the ledger, one database per library; an SQLite file in the store by default.

        Raises:
            ConfigError: the library's name is not allowed, or taken by the store itself.
            StorageError: no store there (with `create=False`), not writable, written by a newer version, or a kind of
                URI that is not supported.
        """
        home = _folder(str(uri))
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
        for folder in dict.fromkeys((home, root)):
            _check_format(folder)
            if create:
                _prepare(folder)
        if create:
            for name in FOLDERS:
                make_folder(root / name)
            with storage_errors("create", lock_path(root)):
                lock_path(root).touch()
        return cls(home, root, library, ledger_url)

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger, opened when it is first asked for."""
        if self._ledger_url is not None:
            return Ledger(self._ledger_url)
        return Ledger.at(self.root / "ledger.sqlite")

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
        return kind(self.root, wait=wait, on_wait=on_wait, what=what)

    def sweep(self) -> int:
        """Remove what killed processes left: temporary files, staging folders, run locks, overtaken manifests.

        To be called under the exclusive lock. What a living process of this machine writes is left alone.

        Returns:
            How many files and folders were removed.
        """
        removed = self.tables.sweep() + self.manifests.sweep() + self.sets.sweep()
        for folder in (self.exports, self.reports, self.index):
            nested = [Path(e.path) for e in _entries(folder) if e.is_dir(follow_symlinks=False)]
            removed += sum(swap.sweep(f) for f in (folder, *nested))
        for folder in (self.root, self.root / "locks" / "holders"):
            removed += durable.sweep(folder)
        return removed + sweep_runs(self.root) + self._sweep_manifests()

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

    def _sweep_manifests(self) -> int:
        """Remove manifests whose batch was never recorded because all their files came into other batches.

        A manifest with files that the ledger does not know stays: it may be what a lost ledger is rebuilt from.
        """
        recorded = {batch.key for batch in self.ledger.batches()}
        removed = 0
        for key in set(self.manifests.batches()) - recorded:
            files = self.manifests.read(key)
            for source in {f.source for f in files}:
                known = self.ledger.known_versions(
                    source, [f.uri for f in files if f.source == source]
                )
                if any(f.version not in known.get(f.uri, ()) for f in files if f.source == source):
                    break
            else:
                removed += self.manifests.delete(key)
        return removed


def _folder(uri: str) -> Path:
    scheme = _SCHEME.match(uri)
    if scheme is None:
        return Path(os.path.abspath(Path(uri).expanduser()))  # noqa: PTH100 - links stay as the user wrote them
    if scheme[1].lower() != "file":
        raise StorageError(
            f"The store {uri!r} is not supported in this version: {scheme[1]}:// is not; give a folder."
        )
    parts = urlsplit(uri, allow_fragments=False)
    if parts.netloc not in ("", "localhost") or not parts.path:
        raise StorageError(f"The store {uri!r} is no local folder: write file:///path/to/folder.")
    return Path(os.fsdecode(unquote_to_bytes(parts.path)))


def _check_format(folder: Path) -> None:
    marker = folder / MARKER
    with storage_errors("read", marker):
        try:
            found = orjson.loads(marker.read_bytes())["format"]
        except FileNotFoundError:
            return
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise StorageError(
                f"{marker} is damaged ({error}). Write {{'format': 1}} into it."
            ) from error
    if found > FORMAT_VERSION:
        raise StorageError(
            f"The store {folder} has format {found}, this version knows {FORMAT_VERSION}:"
            " install a newer aion_dagster."
        )


def _prepare(folder: Path) -> None:
    make_folder(folder)
    if not (folder / MARKER).is_file():
        write_file(folder / MARKER, orjson.dumps({"format": FORMAT_VERSION}))
    if not durable.is_writable(folder):
        raise StorageError(
            f"The store {folder} cannot be written; check the owner of the folder or choose another store."
        )


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    if not folder.is_dir():
        return []
    with storage_errors("list", folder):
        return list(os.scandir(folder))
