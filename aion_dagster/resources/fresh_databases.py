"""The databases of a new embedded instance, made quickly and whole.

Stock storages read all their migration scripts anew for each database, and wait for the disk after each of some sixty
statements: most of the time between the command and its first picture. Here the scripts are read once, and the databases
are made beside their place, brought to the disk, and moved there complete.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import alembic.command  # Dagster imports it when an instance opens: here it counts as an import
import alembic.script
import dagster as dg
import dagster._core.storage.sqlite_storage  # so is this
import sqlalchemy as sa
import upath.core  # noqa: F401 - and this

from aion_dagster.storage.durable import fsync_folder, hidden_sibling, sweep

FOLDERS = ("history", "schedules")
"""Where Dagster's SQLite storages keep their databases, below the folder of the instance."""


@contextmanager
def migrations_read_once() -> Iterator[None]:
    """Within the block the migration scripts of a place are read from the disk only once; they do not change meanwhile."""
    directory = alembic.script.ScriptDirectory
    stock = directory.from_config
    read: dict[str | None, alembic.script.ScriptDirectory] = {}

    def from_config(config: Any) -> alembic.script.ScriptDirectory:
        place = config.get_main_option("script_location")
        if place not in read:
            read[place] = stock(config)
        return read[place]

    directory.from_config = staticmethod(from_config)  # type: ignore[method-assign]  # for the block
    try:
        yield
    finally:
        directory.from_config = stock  # type: ignore[method-assign]  # as it was


def make_databases(folder: Path) -> None:
    """Make the databases of Dagster's SQLite storages below the instance's folder, where there are none of them yet.

    Whoever is killed on the way leaves no half-made database; of several processes that do this at the same time the
    first one's are kept.

    Raises:
        OSError: the folder cannot be written.
    """
    if any((folder / name).exists() for name in FOLDERS):
        return
    sweep(folder)
    beside = hidden_sibling(folder / "databases", "staging")
    beside.mkdir()
    try:
        with unsynced(beside), dg.DagsterInstance.local_temp(str(beside)):
            pass
        for name in FOLDERS:
            _sync(beside / name)
            _move(beside / name, folder / name)
        fsync_folder(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _move(folder: Path, place: Path) -> None:
    """Rename a folder, unless another process's stands there already."""
    try:
        folder.rename(place)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise


@contextmanager
def unsynced(place: Path) -> Iterator[None]:
    """Within the block SQLite does not wait for the disk on the file at `place`, or on files below it: new ones only."""

    def prepare(connection: Any, _record: Any) -> None:
        *_, file = connection.execute("PRAGMA database_list").fetchone()
        if Path(file).is_relative_to(place):
            connection.execute("PRAGMA synchronous=OFF")

    sa.event.listen(sa.Engine, "connect", prepare)
    try:
        yield
    finally:
        sa.event.remove(sa.Engine, "connect", prepare)


def _sync(folder: Path) -> None:
    """Bring everything in and below `folder` to the disk."""
    for place in (*folder.rglob("*"), folder):
        handle = os.open(place, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
