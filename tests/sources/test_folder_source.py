"""A folder as a source: everything in it that may be a picture, once, in order, whatever its name."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aion_dagster.errors import (
    FileChangedError,
    FileTooLargeError,
    FileVanishedError,
    SourceError,
)
from aion_dagster.sources import FolderSource
from aion_dagster.values import FileRef, Loss

PARTS = st.binary(min_size=1, max_size=12).filter(
    lambda b: b"/" not in b and b"\0" not in b and not b.startswith(b".")
)


def make(root: Path, *names: str, content: bytes = b"x") -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


def scan(source: FolderSource) -> tuple[list[FileRef], list[Loss]]:
    files: list[FileRef] = []
    problems: list[Loss] = []
    cursor = None
    while True:
        page = source.scan(cursor)
        files.extend(page.files)
        problems.extend(page.problems)
        cursor = page.cursor
        if cursor is None:
            return files, problems


def names(source: FolderSource) -> list[str]:
    return [f.name for f in scan(source)[0]]


def test_possible_pictures_are_listed_and_sidecars_are_not(tmp_path: Path) -> None:
    make(
        tmp_path, "b/c.PNG", "a.jpg", "b.jpg", "b/a.heic", "noextension", "odd.xyz", "text.jpg",
        "labels.json", "b/a.XML", "a.txt", "data.yaml", "README", "clip.mp4", ".hidden.jpg",
        ".folder/a.jpg", "Thumbs.db", "log",
    )  # fmt: skip
    assert names(FolderSource("pics", tmp_path)) == [
        "a.jpg", "b/a.heic", "b/c.PNG", "b.jpg", "log", "noextension", "odd.xyz", "text.jpg",
    ]  # fmt: skip
    assert names(FolderSource("pics", tmp_path, recursive=False))[1] == "b.jpg"
    assert ".folder/a.jpg" in names(FolderSource("pics", tmp_path, include_hidden=True))


def test_patterns_choose_names(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "raw/a.jpg", "raw/x.txt", "thumbs/a.jpg", "deep/thumbs/b.jpg")
    source = FolderSource("pics", tmp_path, exclude=["thumbs", "raw/*.jpg"])
    assert names(source) == ["a.jpg"]
    assert names(FolderSource("pics", tmp_path, include=["raw/*"])) == ["raw/a.jpg", "raw/x.txt"]


def test_a_reference_says_what_and_where(tmp_path: Path) -> None:
    make(tmp_path, "a b#ü.jpg", content=b"12345")
    os.utime(tmp_path / "a b#ü.jpg", ns=(1, 1_700_000_000_123_456_789))
    (ref,) = scan(FolderSource("pics", tmp_path))[0]
    assert ref.uri == (tmp_path / "a b#ü.jpg").as_uri()
    assert (ref.source, ref.name, ref.size_bytes) == ("pics", "a b#ü.jpg", 5)
    assert ref.version == "1700000000123456789-5"
    assert ref.modified_at.isoformat() == "2023-11-14T22:13:20.123456+00:00"


@given(paths=st.lists(st.lists(PARTS, min_size=1, max_size=3), max_size=12), page=st.integers(1, 4))
def test_any_name_is_listed_once_and_read_back(
    tmp_path_factory: pytest.TempPathFactory, paths: list[list[bytes]], page: int
) -> None:
    root = tmp_path_factory.mktemp("pics")
    made = {}
    for number, parts in enumerate(paths):
        path = os.path.join(os.fsencode(root), *parts) + b".jpg"
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(f"{number}".encode())
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            continue
        made[os.path.relpath(path, os.fsencode(root))] = f"{number}".encode()
    source = FolderSource("pics", root, page_files=page, include=["*"])
    refs, problems = scan(source)
    assert problems == []
    assert sorted(r.name for r in refs) == sorted(
        p.decode("utf-8", "backslashreplace") for p in made
    )
    assert len({r.uri for r in refs}) == len(made)
    assert sorted(source.read(r) for r in refs) == sorted(made.values())
    assert refs == scan(FolderSource("pics", root, include=["*"]))[0]
    for ref in refs:
        ref.uri.encode("ascii")
        assert source.local_path(ref).is_file()


def test_a_scan_goes_on_where_it_ended_whatever_happens_meanwhile(tmp_path: Path) -> None:
    make(tmp_path, *(f"{folder}/{i}.jpg" for folder in "abc" for i in range(4)))
    source = FolderSource("pics", tmp_path, page_files=6)
    first = source.scan()
    assert [f.name for f in first.files][-1] == "b/1.jpg"
    (tmp_path / "b" / "1.jpg").unlink()
    make(tmp_path, "a/9.jpg", "b/1a.jpg")
    second = source.scan(first.cursor)
    assert [f.name for f in second.files] == [
        "b/1a.jpg", "b/2.jpg", "b/3.jpg", "c/0.jpg", "c/1.jpg", "c/2.jpg",
    ]  # fmt: skip
    assert [f.name for f in source.scan(second.cursor).files] == ["c/3.jpg"]


def test_a_deadline_that_has_passed_still_makes_progress(tmp_path: Path) -> None:
    make(tmp_path, *(f"{i % 3}/{i:04}.{'jpg' if i % 2 else 'txt'}" for i in range(1500)))
    source = FolderSource("pics", tmp_path)
    past, cursor, seen, pages = time.monotonic() - 1, None, [], 0
    while pages == 0 or cursor is not None:
        page = source.scan(cursor, past)
        seen += [f.name for f in page.files]
        cursor, pages = page.cursor, pages + 1
    assert pages > 2
    assert seen == names(source)


def test_links_are_taken_inside_and_reported_outside(tmp_path: Path) -> None:
    root = tmp_path / "root"
    make(tmp_path, "outside/secret.jpg", "root/real/a.jpg", "root-of-another/b.jpg")
    (root / "inside.jpg").symlink_to("real/a.jpg")
    (root / "out.jpg").symlink_to(tmp_path / "outside" / "secret.jpg")
    (root / "near.jpg").symlink_to(tmp_path / "root-of-another" / "b.jpg")
    (root / "outside").symlink_to(tmp_path / "outside")
    (root / "again").symlink_to("real")
    (root / "real" / "loop").symlink_to("..")
    (root / "self").symlink_to("self")
    (root / "gone.jpg").symlink_to("nothing.jpg")
    files, problems = scan(FolderSource("pics", root))
    assert [f.name for f in files] == ["inside.jpg", "real/a.jpg"]
    assert {(p.kind, p.subject) for p in problems} == {
        ("dropped", "out.jpg"),
        ("dropped", "near.jpg"),
        ("dropped", "outside"),
        ("deduplicated", "again"),
        ("deduplicated", "real/loop"),
        ("missing", "self"),
        ("missing", "gone.jpg"),
    }


def test_a_file_that_became_a_link_out_of_the_folder_is_not_read(tmp_path: Path) -> None:
    make(tmp_path, "secret.jpg", "root/a.jpg")
    source = FolderSource("pics", tmp_path / "root")
    (ref,) = scan(source)[0]
    (tmp_path / "root" / "a.jpg").unlink()
    (tmp_path / "root" / "a.jpg").symlink_to(tmp_path / "secret.jpg")
    with pytest.raises(SourceError, match="outside the folder"):
        source.read(ref)


def test_pipes_and_sockets_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "a.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("socket.jpg")
        assert names(FolderSource("pics", tmp_path)) == ["a.jpg"]


def test_stores_are_stepped_round(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "store/aion-store.json", "store/exports/demo/coco/a.jpg")
    assert names(FolderSource("pics", tmp_path)) == ["a.jpg"]
    with pytest.raises(SourceError, match="is a store"):
        FolderSource("pics", tmp_path / "store").scan()


def test_a_folder_that_is_empty_missing_or_a_file(tmp_path: Path) -> None:
    assert scan(FolderSource("pics", tmp_path)) == ([], [])
    with pytest.raises(SourceError, match="nothing cannot be listed"):
        FolderSource("pics", tmp_path / "nothing").scan()
    make(tmp_path, "a.jpg")
    with pytest.raises(SourceError, match=r"a.jpg cannot be listed"):
        FolderSource("pics", tmp_path / "a.jpg").scan()


def test_a_file_is_read_only_as_the_version_that_was_listed(tmp_path: Path) -> None:
    make(tmp_path, *"abcdef", content=b"12345")
    source = FolderSource("pics", tmp_path)
    refs = {r.name: r for r in scan(source)[0]}
    assert source.read(refs["a"]) == b"12345"

    (tmp_path / "b").write_bytes(b"123456")
    (tmp_path / "c").unlink()
    (tmp_path / "d").unlink()
    (tmp_path / "d").mkdir()
    (tmp_path / "e").unlink()
    os.mkfifo(tmp_path / "e")
    (tmp_path / "f").write_bytes(b"54321")
    os.utime(tmp_path / "f", ns=(1, 1))
    for name, kind in {
        "b": FileChangedError,
        "c": FileVanishedError,
        "d": FileVanishedError,
        "e": FileVanishedError,
        "f": FileChangedError,
    }.items():
        with pytest.raises(kind, match=f"^{name}: "):
            source.read(refs[name])


def test_a_file_that_is_too_large_is_listed_and_not_read(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", content=b"x" * 1001)
    source = FolderSource("pics", tmp_path, max_bytes=1000)
    (ref,) = scan(source)[0]
    with pytest.raises(FileTooLargeError, match=r"a.jpg: 1,001 bytes, 1,000 are allowed"):
        source.read(ref)


def test_a_reference_of_another_place_is_refused(tmp_path: Path) -> None:
    make(tmp_path, "root/a.jpg", "b.jpg")
    (foreign,) = scan(FolderSource("pics", tmp_path, recursive=False))[0]
    source = FolderSource("pics", tmp_path / "root")
    with pytest.raises(SourceError, match="outside the folder"):
        source.local_path(foreign)


def test_times_that_no_calendar_holds_do_not_stop_a_scan(tmp_path: Path) -> None:
    make(tmp_path, "old.jpg", "late.jpg")
    os.utime(tmp_path / "old.jpg", (0, -3_000_000))
    os.utime(tmp_path / "late.jpg", (0, 15_000_000_000))
    files = {f.name: f.modified_at.year for f in scan(FolderSource("pics", tmp_path))[0]}
    assert files["old.jpg"] == 1969
    assert files["late.jpg"] in (2445, 2446)  # the latest that ext4 holds
