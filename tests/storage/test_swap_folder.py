"""Folders are replaced at once: a look-up finds the old one or the new one, whatever dies."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import threading
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from aion_dagster.errors import StorageError
from aion_dagster.storage.swap import staging_folder, swap_folder, sweep

FILES = 20


def fill(folder: Path, version: int) -> None:
    for number in range(FILES):
        (folder / f"{number}.txt").write_text(str(version))


def versions_in(folder: Path) -> list[str]:
    return [(folder / f"{number}.txt").read_text() for number in range(FILES)]


def put(place: Path, version: int) -> None:
    staging = staging_folder(place)
    fill(staging, version)
    swap_folder(staging, place)


def test_a_folder_is_put_where_there_was_none_and_where_there_was_one(tmp_path: Path) -> None:
    place = tmp_path / "exports" / "coco"
    put(place, 1)
    assert versions_in(place) == ["1"] * FILES
    put(place, 2)
    assert versions_in(place) == ["2"] * FILES
    assert [p.name for p in place.parent.iterdir()] == ["coco"]


def test_a_file_or_a_link_in_the_way_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "place").write_text("precious")
    staging = staging_folder(tmp_path / "place")
    with pytest.raises(StorageError, match="Move it away"):
        swap_folder(staging, tmp_path / "place")
    assert (tmp_path / "place").read_text() == "precious"
    (tmp_path / "linked").mkdir()
    (tmp_path / "link").symlink_to("linked")
    with pytest.raises(StorageError, match="Move it away"):
        swap_folder(staging, tmp_path / "link")
    with pytest.raises(StorageError, match="not a folder"):
        swap_folder(tmp_path / "nothing", tmp_path / "link")


def test_a_reader_always_finds_a_whole_folder(tmp_path: Path) -> None:
    place = tmp_path / "coco"
    put(place, 0)
    misses: list[BaseException] = []
    done, looks = threading.Event(), [0]

    def look() -> None:
        while not done.is_set():
            try:
                first = int((place / "0.txt").read_text())
                last = int((place / f"{FILES - 1}.txt").read_text())
                assert (
                    first <= last
                )  # a newer folder may have come between both look-ups, never an older one
                looks[0] += 1
            except (OSError, AssertionError, ValueError) as error:
                misses.append(error)

    reader = threading.Thread(target=look)
    reader.start()
    for version in range(1, 40):
        put(place, version)
    done.set()
    reader.join()
    assert looks[0] > 0
    # A look-up may resolve the old folder and reach for its file while the old folder is being removed.
    assert all(isinstance(miss, FileNotFoundError) for miss in misses)
    assert len(misses) < looks[0] / 10 + 5


def keep_swapping(place: str, told: Connection) -> None:
    version = 1
    while True:
        staging = staging_folder(Path(place))
        told.send(version)
        fill(staging, version)
        swap_folder(staging, Path(place))
        version += 1


def test_killing_the_process_leaves_the_old_or_the_new_folder(tmp_path: Path) -> None:
    place = tmp_path / "coco"
    put(place, 0)
    chance = random.Random(7)
    for _ in range(12):
        ours, theirs = multiprocessing.Pipe()
        child = multiprocessing.get_context("fork").Process(
            target=keep_swapping, args=(str(place), theirs)
        )
        child.start()
        for _ in range(chance.randrange(1, 6)):
            ours.recv()
        for _ in range(chance.randrange(0, 4000)):  # somewhere inside the next swap
            os.getpid()
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        assert len(set(versions_in(place))) == 1
        sweep(tmp_path)
        assert [p.name for p in tmp_path.iterdir()] == ["coco"]


def test_what_a_living_process_prepares_is_not_swept(tmp_path: Path) -> None:
    staging = staging_folder(tmp_path / "coco")
    assert sweep(tmp_path) == 0
    assert staging.is_dir()
    dead = tmp_path / ".coco.999999999-1.0123abcd.staging"
    dead.mkdir()
    (tmp_path / ".not-ours.staging").mkdir()
    assert sweep(tmp_path) == 1
    assert not dead.exists()
    shutil.rmtree(staging)
    assert [p.name for p in tmp_path.iterdir()] == [".not-ours.staging"]
