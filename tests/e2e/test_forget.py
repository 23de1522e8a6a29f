"""`aion-dagster forget`: nothing in the store tells of the picture any more, and it does not come back."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from crashes import Crash, crash_at
from hypothesis import given, settings
from hypothesis import strategies as st
from small_library import coco, draw_picture, tree
from traces import files_of, needles_of, traces

from aion_dagster.cli import main
from aion_dagster.config import LibraryConfig
from aion_dagster.erasure import erase, pending
from aion_dagster.erasure_planning import plan_erasure
from aion_dagster.planning import Planner, configured_backend
from aion_dagster.resources.access import open_store
from aion_dagster.storage.store import Store

PLANTED = "the zebrafish at the registry office"
HISTORY = ("dagster",)
"""Folders that `forget` leaves to Dagster's own commands."""


def sha_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def make_sources(folder: Path) -> Path:
    """Eight pictures, a copy of one under another name, an older version of it, and two documents; where they are."""
    for i in range(8):
        draw_picture(folder / ("a" if i % 2 else "b") / f"picture {i:02}.jpg", i)
    wanted = folder / "a" / "the bride.jpg"
    draw_picture(wanted, 77)
    shutil.copy(wanted, folder / "b" / "IMG_7741.jpg")
    (folder / "note.md").write_text(f"# Notes\n\nSeen: {PLANTED}.\n")
    (folder / "other.md").write_text("# Notes\n\nNothing to see.\n")
    return wanted


def make_labels(folder: Path, path: Path) -> Path:
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.jpg"))
    boxes = [(i, "person", [10.0, 20.0, 50.0, 40.0 + i]) for i in range(len(names))]
    path.write_text(json.dumps(coco([(n, 320, 240) for n in names], boxes)))
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with sources, labels and a store in which everything was made of them, in several batches."""
    home = tmp_path_factory.mktemp("made")
    wanted = make_sources(home / "photos")
    labels = make_labels(home / "photos", home / "labels.json")
    arguments = ["--batch-size", "4", "--documents", "md", "--labels", str(labels)]
    arguments += ["--store", str(home / "store"), "--export", "coco,csv"]
    before = wanted.read_bytes()
    draw_picture(wanted, 78)
    assert main(["run", str(home / "photos"), *arguments]) == 0
    wanted.write_bytes(before)
    assert main(["run", str(home / "photos"), *arguments]) == 0
    return home


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Path:
    """A copy of the store, which a test may change."""
    return Path(shutil.copytree(made / "store", tmp_path / "store"))


@pytest.fixture
def photos(made: Path) -> Iterator[Path]:
    """The source's folder; what a test adds there is removed."""
    folder = made / "photos"
    before = set(folder.rglob("*"))
    yield folder
    for path in set(folder.rglob("*")) - before:
        path.unlink()


def forget(store: Path, *arguments: object, status: int = 0) -> None:
    assert main(["forget", *map(str, arguments), "--store", str(store)]) == status


def known(store: Path) -> set[str]:
    """Names in the library."""
    with Store.open(store, create=False) as opened:
        return set(opened.tables.read("library")["name"].to_pylist())


def test_nothing_tells_of_a_picture_that_was_forgotten(
    store: Path, photos: Path, capsys: Any
) -> None:
    wanted = photos / "a" / "the bride.jpg"
    with Store.open(store) as opened:
        needles = needles_of(opened, sha_of(wanted), wanted, copy="IMG_7741.jpg")
        others = {
            (r["image_id"], r["batch"]): r
            for r in opened.tables.dataset("variants").to_table().to_pylist()
            if needles["image_id"].decode() != r["image_id"]
        }
        built = opened.ledger.builds("variants")
    before = tree(store)
    assert {name for name, _ in traces(files_of(store), needles)} >= {"sha256", "file name"}

    forget(store, wanted)
    said = capsys.readouterr().out
    assert "Nothing was erased: add --yes" in said
    assert "the%20bride.jpg" in said
    assert "IMG_7741.jpg" in said
    assert {n for n, d in tree(store).items() if before.get(n) != d and "lock" not in n} == set()

    forget(store, wanted, "--yes")
    said = capsys.readouterr().out
    assert f"rm -r {store}/dagster/history" in said
    assert traces(files_of(store, without=HISTORY), needles) == set()
    # Its older version had other pixels and is gone as well: the URI stands for all of its versions.
    assert "the bride" not in str(sorted(known(store)))
    with Store.open(store) as opened:
        variants = opened.tables.dataset("variants").to_table().to_pylist()
        assert {(r["image_id"], r["batch"]) for r in variants} < set(others)
        assert all(others[r["image_id"], r["batch"]] == r for r in variants)
        assert len(opened.tables.read("library")) == 8
        # Nothing of the other pictures was computed again.
        assert {b: v.built_at for b, v in opened.ledger.builds("variants").items()} == {
            b: v.built_at for b, v in built.items()
        }
        csv = opened.exports.read("main", "csv", "images.csv")
        assert csv is not None
        assert b"picture 03" in csv


def test_it_does_not_come_back_and_others_do(store: Path, photos: Path, capsys: Any) -> None:
    wanted = photos / "a" / "the bride.jpg"
    sha = sha_of(wanted)
    forget(store, sha, "--yes")
    assert main(["run", "--store", str(store), "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (told["batches"], told["files"]) == (0, 0)

    shutil.copy(wanted, photos / "renamed.jpg")
    draw_picture(photos / "new.jpg", 99)
    assert main(["run", "--store", str(store), "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (told["files"], told["ok"], told["failed"]) == (2, 1, 1)
    assert "new.jpg" in known(store)
    with Store.open(store) as opened:
        rows = opened.tables.dataset("images").to_table().to_pylist()
        (row,) = [r for r in rows if r["name"] == "renamed.jpg"]
        assert (row["status"], row["sha256"], row["image_id"]) == ("unsupported", None, None)
        assert "erased by 'aion-dagster forget'" in row["error"]
        assert opened.ledger.find_results("x", "y", [sha]) == {}

    forget(store, sha)
    forget(store, sha, "--yes")
    assert "was erased before" in capsys.readouterr().err


def test_a_document_is_forgotten_with_its_pieces_and_words(
    store: Path, photos: Path, capsys: Any
) -> None:
    note = photos / "note.md"
    needles = {"text": PLANTED.encode(), "word": b"zebrafish", "name": b"note.md"}
    needles["sha256"] = sha_of(note).encode()
    assert {n for n, _ in traces(files_of(store, without=HISTORY), needles)} == set(needles)
    forget(store, note, "--yes")
    assert traces(files_of(store, without=HISTORY), needles) == set()
    capsys.readouterr()
    assert main(["search", "nothing to see", "--documents", "--store", str(store), "--json"]) == 0
    assert [h["name"] for h in json.loads(capsys.readouterr().out)] == ["other.md"]


def test_an_old_version_goes_by_its_content_and_its_file_stays(store: Path, photos: Path) -> None:
    with Store.open(store) as opened:
        rows = opened.tables.dataset("images").to_table().to_pylist()
    now = sha_of(photos / "a" / "the bride.jpg")
    (old,) = [r for r in rows if r["name"] == "a/the bride.jpg" and r["sha256"] != now]
    forget(store, old["sha256"], "--yes", "--no-rebuild")
    needles = {"sha256": old["sha256"].encode(), "image_id": old["image_id"].encode()}
    assert traces(files_of(store, without=HISTORY), needles) == set()
    assert main(["run", "--store", str(store)]) == 0
    assert "a/the bride.jpg" in known(store)
    with Store.open(store) as opened:
        (row,) = [
            r for r in opened.tables.read("library").to_pylist() if r["name"] == "a/the bride.jpg"
        ]
        assert (row["sha256"], row["deleted_at"]) == (now, None)


def test_what_nobody_knows_is_a_usage_error(store: Path, photos: Path, capsys: Any) -> None:
    forget(store, photos / "never seen.jpg", "--yes", status=2)
    assert "nothing is known of" in capsys.readouterr().err
    forget(store, "0" * 64, status=2)


def test_a_version_that_lost_a_picture_says_so_and_is_not_exported_as_what_it_was(
    store: Path, photos: Path, tmp_path: Path, capsys: Any
) -> None:
    place = ["--store", str(store)]
    to, gone = tmp_path / "to", tmp_path / "deleted"
    for folder in (to, gone):
        assert main(["dataset", "export", "main", "--format", "csv", "--to", str(folder), *place]) == 0  # fmt: skip
    shutil.rmtree(gone)
    capsys.readouterr()
    forget(store, photos / "a" / "the bride.jpg")
    assert f"What stays:\n  an export that was put at {to / 'csv'}: delete it" in capsys.readouterr().out  # fmt: skip
    forget(store, photos / "a" / "the bride.jpg", "--yes")
    said = capsys.readouterr().out
    assert f"What stays:\n  an export that was put at {to / 'csv'}: delete it" in said
    assert str(gone) not in said
    assert main(["dataset", "list", "main", *place, "--json"]) == 0
    old, new = json.loads(capsys.readouterr().out)
    assert (old["erased"], new["erased"], old["is_current"]) == (1, 0, False)
    assert old["pictures"] == new["pictures"] == 8
    assert main(["dataset", "show", "main", "--version", old["version"], *place]) == 0
    assert "1 picture erased since" in capsys.readouterr().out
    assert main(["dataset", "diff", "main", *place]) == 0
    assert f"{old['version']}, 1 picture erased since" in capsys.readouterr().out
    again = ["dataset", "export", "main", "--version", old["version"], "--format", "csv", *place]
    assert main(again) == 1
    assert "1 of 9 pictures were erased by 'aion-dagster forget'" in capsys.readouterr().err
    assert not [*(store / "exports").glob(f"main-{old['version']}*")]


def test_no_empty_folder_is_left_of_an_older_version_that_was_exported_again(
    store: Path, photos: Path, capsys: Any
) -> None:
    place = ["--store", str(store)]
    assert main(["dataset", "list", "main", *place, "--json"]) == 0
    old = json.loads(capsys.readouterr().out.splitlines()[-1])[0]["version"]
    assert main(["dataset", "export", "main", "--version", old, "--format", "csv", *place]) == 0
    assert (store / "exports" / f"main-{old}").is_dir()
    forget(store, sha_of(photos / "a" / "the bride.jpg"), "--yes", "--no-rebuild")
    assert not (store / "exports" / f"main-{old}").exists()


def test_a_ledger_that_is_made_anew_knows_what_was_forgotten(
    store: Path, photos: Path, capsys: Any
) -> None:
    sha = sha_of(photos / "a" / "the bride.jpg")
    forget(store, sha, "--yes", "--no-rebuild")
    open_store.cache_clear()  # another process would not have it open either
    for file in store.glob("ledger.sqlite*"):
        file.unlink()
    assert main(["ledger", "rebuild", "--store", str(store)]) == 0
    with Store.open(store) as opened:
        assert opened.ledger.forgotten_contents([sha]) == {sha}
    capsys.readouterr()
    assert main(["run", "--store", str(store), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["files"] == 0


def test_dagster_s_history_can_be_deleted_and_costs_no_runs(store: Path, capsys: Any) -> None:
    preview = {"contact sheet": b"data:image/jpeg;base64"}
    assert traces(files_of(store / "dagster"), preview)
    for name in ("history", "schedules", "storage"):
        shutil.rmtree(store / "dagster" / name, ignore_errors=True)
    capsys.readouterr()
    assert main(["run", "--store", str(store)]) == 0
    assert "no work was done" in capsys.readouterr().out
    assert not traces(files_of(store / "dagster"), preview)


@settings(max_examples=max(5, settings().max_examples // 20))
@given(boundary=st.integers(2, 160))
def test_a_kill_at_any_moment_leaves_it_to_the_next_call(
    made: Path, tmp_path_factory: pytest.TempPathFactory, boundary: int
) -> None:
    place = Path(shutil.copytree(made / "store", tmp_path_factory.mktemp("copy") / "store"))
    wanted = made / "photos" / "a" / "the bride.jpg"
    config = LibraryConfig.from_env(flags={"store": str(place)})
    with Store.open(place) as store:
        needles = needles_of(store, sha_of(wanted), wanted, copy="IMG_7741.jpg")
        erasure = plan_erasure(store, str(wanted))
        assert erasure is not None
        try:
            with crash_at(boundary):
                erase(config, store, erasure)
        except Crash:
            pass
        store.sweep()
        again = pending(store) or [e for e in [plan_erasure(store, str(wanted))] if e is not None]
        for each in again:
            erase(config, store, each)
        assert pending(store) == []
        assert not Planner(config, store, configured_backend(config)).plan().batches
    assert traces(files_of(place, without=HISTORY), needles) == set()
