"""Finished exports: each is replaced at once, so that a reader finds the old one or the new one."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import orjson

from aion_dagster.errors import StorageError
from aion_dagster.storage import durable, swap
from aion_dagster.storage.bucket import BucketPath
from aion_dagster.storage.places import Place

POINTER: Final = "current.json"
"""In a bucket: names the folder beside it that holds the export; written last."""

FACTS: Final = "export.json"
"""In every export: what it is."""

_AT_ONCE: Final = 8
_KEPT: Final = 2
"""Exports that stay in a bucket: the current one, and the one before for those who still read it."""


class ExportStore:
    """`<root>/<dataset>/<name>/`: on disk the folder itself, which is exchanged by a rename.

    In a bucket, `<root>/<dataset>/<name>/current.json` names the folder beside it that holds the files.
    """

    def __init__(self, root: Place, scratch: Path | None = None) -> None:
        """Exports below `root`; `scratch` holds what is on its way into a bucket."""
        self.root = root
        self.scratch = scratch

    def place(self, dataset: str, name: str) -> Place | None:
        """Where an export is now; None where there is none."""
        place = self.root / dataset / name
        if isinstance(place, Path):
            return place if place.is_dir() else None
        try:
            folder = orjson.loads((place / POINTER).read_bytes())["folder"]
        except FileNotFoundError:
            return None
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise StorageError(
                f"{place / POINTER} is damaged: {error}. Delete it and export again."
            ) from error
        return place / str(folder)

    def names(self, dataset: str) -> list[str]:
        """The exports of a dataset that are there, sorted."""
        folder = self.root / dataset
        if not folder.is_dir():
            return []
        found = sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))
        return [name for name in found if self.place(dataset, name) is not None]

    def read(self, dataset: str, name: str, file: str) -> bytes | None:
        """A file of an export; None where there is no such export, or file in it."""
        place = self.place(dataset, name)
        if place is None:
            return None
        try:
            return (place / file).read_bytes()
        except FileNotFoundError:
            return None

    def staging(self, dataset: str, name: str) -> Path:
        """A new, empty folder of this machine to write an export into; `publish` it, or let the next sweep have it."""
        place = self.root / dataset / name
        if isinstance(place, Path):
            return swap.staging_folder(place)
        if self.scratch is None:
            raise StorageError(f"There is no folder for what is on its way to {place}.")
        return swap.staging_folder(self.scratch / f"{dataset}-{name}")

    def copy(self, finished: Path, dataset: str, name: str, *, link: bool = True) -> Place:
        """Put a copy of a finished folder in the place of the export, hard links where that is possible and wanted.

        Raises:
            StorageError: it could not be put there, or a folder that is no export has its place.
        """
        place = self.root / dataset / name
        if not isinstance(place, Path):
            return self._upload(finished, place)
        refuse_other_folders(place)
        staging = swap.staging_folder(place)
        try:
            with durable.storage_errors("copy to", place):
                shutil.copytree(
                    finished,
                    staging,
                    dirs_exist_ok=True,
                    copy_function=_link_or_copy if link else shutil.copyfile,
                )
            swap.swap_folder(staging, place)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        return place

    def publish(self, staging: Path, dataset: str, name: str) -> Place:
        """Put a finished folder in the place of the export; where it is now.

        Raises:
            StorageError: it could not be put there; the old export is as it was.
        """
        place = self.root / dataset / name
        if isinstance(place, Path):
            swap.swap_folder(staging, place)
            return place
        uploaded = self._upload(staging, place)
        shutil.rmtree(staging, ignore_errors=True)
        return uploaded

    def _upload(self, staging: Path, place: BucketPath) -> BucketPath:
        moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        folder = f"{moment}-{secrets.token_hex(4)}"
        _upload(staging, place / folder)
        (place / POINTER).write_bytes(orjson.dumps({"folder": folder}))
        # What dies here leaves a folder more, which the next export removes.
        for old in sorted(f for f in place.iterdir() if f.name not in (POINTER, folder))[
            : 1 - _KEPT
        ]:
            old.remove_tree()
        return place / folder

    def sweep(self) -> int:
        """Remove what killed processes left; returns how many files and folders."""
        if isinstance(self.root, BucketPath):
            return 0 if self.scratch is None else durable.sweep(self.scratch)
        nested = [p for p in self.root.iterdir() if p.is_dir()] if self.root.is_dir() else []
        return sum(swap.sweep(folder) for folder in (self.root, *nested))


def refuse_other_folders(place: Path) -> None:
    """See to it that an export may be put at `place`: nothing is there, an empty folder, or an export.

    Raises:
        StorageError: something else is there.
    """
    if not (place.exists() or place.is_symlink()):
        return
    is_empty = place.is_dir() and not any(place.iterdir())
    if not is_empty and not (place / FACTS).is_file():
        raise StorageError(
            f"Cannot replace {place}: it is no export. Move it away, or choose another destination."
        )


def _link_or_copy(origin: str, target: str) -> None:
    try:
        os.link(origin, target)
    except OSError:  # another file system, or too many links
        shutil.copyfile(origin, target)


def _upload(folder: Path, place: BucketPath) -> None:
    """Every file below a folder, several at once."""

    def send(file: Path) -> None:
        place.joinpath(*file.relative_to(folder).parts).upload(file)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for _ in pool.map(send, _files(folder)):
            pass


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            raise StorageError(f"{path} is a link; a bucket has none.")
        if path.is_file():
            yield path
