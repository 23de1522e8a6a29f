"""Files to send: paths, bytes and open files; folders; names that would mix."""

from __future__ import annotations

import io
import os
import sys
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aion_dagster.client import errors
from aion_dagster.client.resources.upload_folders import expanded, name_key, told_apart
from aion_dagster.client.resources.upload_sources import parts_of, source_of, sources_of

JPEG = b"\xff\xd8\xff\xe0rest of it"
PNG = b"\x89PNG\r\n\x1a\nrest of it"


def read(source_parts: list) -> list[tuple[str, bytes, str]]:
    """Parts of a form as an encoder reads them."""
    found = []
    for _, (name, stream, media_type) in source_parts:
        stream.seek(0)
        found.append((name, b"".join(iter(lambda s=stream: s.read(7), b"")), media_type))
    return found


def test_a_path_bytes_and_an_open_file_are_sent_alike(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(JPEG)
    with path.open("rb") as opened:
        sources = sources_of([path, str(path), JPEG, opened], ["1.jpg", "2.jpg", "3.jpg", "4.jpg"])
        assert read(parts_of("files", sources)()) == [
            (f"{n}.jpg", JPEG, "image/jpeg") for n in (1, 2, 3, 4)
        ]


def test_an_open_file_is_sent_from_its_beginning_at_every_try() -> None:
    file = io.BytesIO(PNG)
    file.seek(0, os.SEEK_END)
    parts = parts_of("file", [source_of(file, "a.png")])
    assert read(parts()) == read(parts()) == [("a.png", PNG, "image/png")]
    assert not file.closed


def test_a_file_is_looked_at_anew_for_every_try(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    parts = parts_of("file", [source_of(path)])
    first = parts()
    path.write_bytes(PNG * 2)
    assert read(parts()) == [("a.png", PNG * 2, "image/png")]
    assert read(first) == [("a.png", PNG, "image/png")]


def test_a_file_that_becomes_shorter_while_it_is_sent_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    parts = parts_of("file", [source_of(path)])()
    path.write_bytes(b"")
    with pytest.raises(errors.UploadError, match=r"a\.png: became shorter") as caught:
        read(parts)
    assert caught.value.code == "FILE_CHANGED"


def test_a_file_that_goes_away_while_it_is_sent_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    parts = parts_of("file", [source_of(path)])()
    path.unlink()
    with pytest.raises(errors.UploadError, match=r"a\.png: cannot be read"):
        read(parts)


@pytest.mark.parametrize("there", [False, True])
def test_a_path_that_cannot_be_read_is_refused_before_anything_is_sent(
    tmp_path: Path, there: bool
) -> None:
    path = tmp_path / "a.jpg"
    if there:
        path.mkdir()
    with pytest.raises(errors.ValidationError) as caught:
        source_of(path)
    assert caught.value.details == {"field": "file"}
    assert str(path) in str(caught.value)


def test_bytes_need_a_name() -> None:
    with pytest.raises(errors.ValidationError) as caught:
        source_of(JPEG)
    assert caught.value.details == {"field": "filename"}


def test_a_file_that_cannot_be_rewound_is_refused() -> None:
    reading, writing = os.pipe()
    with (
        os.fdopen(reading, "rb") as pipe,
        os.fdopen(writing, "wb"),
        pytest.raises(errors.ValidationError, match="cannot be rewound"),
    ):
        source_of(pipe, "a.jpg")


def test_a_file_that_is_open_for_text_is_refused() -> None:
    with pytest.raises(errors.ValidationError, match="mode 'rb'"):
        source_of(io.StringIO("words"), "a.jpg")  # type: ignore[arg-type]


def test_the_same_open_file_twice_is_refused() -> None:
    file = io.BytesIO(JPEG)
    with pytest.raises(errors.ValidationError, match="twice"):
        sources_of([file, file], ["a.jpg", "b.jpg"])


def test_names_must_be_as_many_as_files() -> None:
    with pytest.raises(errors.ValidationError) as caught:
        sources_of([JPEG, JPEG], ["a.jpg"])
    assert caught.value.details == {"field": "filenames"}


def test_what_has_no_suffix_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    path = tmp_path / "photo"
    path.write_bytes(PNG)
    assert source_of(path).media_type == "image/png"
    assert source_of(JPEG, "photo").media_type == "image/jpeg"
    assert source_of(io.BytesIO(b"RIFF0000WEBPxx"), "photo").media_type == "image/webp"
    assert source_of(b"GIF89a", "photo").media_type == "image/gif"
    assert source_of(b"words", "photo").media_type == "application/octet-stream"


@pytest.mark.skipif(sys.platform != "linux", reason="names that are not text are a matter of Linux")
def test_a_name_that_is_no_text_becomes_one_that_can_travel(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/caf\xe9\x07.jpg"
    Path(os.fsdecode(path)).write_bytes(JPEG)
    name = source_of(os.fsdecode(path)).name
    assert name == "caf\ufffd_.jpg"
    assert name.encode("utf-8")


def test_reading_takes_no_memory_and_few_open_files(tmp_path: Path) -> None:
    paths = [tmp_path / f"{n}.jpg" for n in range(300)]
    for path in paths:
        with path.open("wb") as file:
            file.truncate(300_000)
    tracemalloc.start()
    parts = parts_of("files", sources_of(paths))()
    open_files = []
    for _, (_, stream, _) in parts:
        while stream.read(1 << 16):  # type: ignore[union-attr]
            pass
        open_files.append(len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3_000_000
    assert max(open_files) - min(open_files) <= 1


def make(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(JPEG)


def inside(folder: Path, recursive: bool = True, include_hidden: bool = False) -> list[str]:
    found = expanded(folder, None, recursive=recursive, include_hidden=include_hidden)
    return [str(Path(str(s.content)).relative_to(folder)) for s in found]


def test_folders_become_the_pictures_in_them_ordered_by_path(tmp_path: Path) -> None:
    make(tmp_path, "b/1.jpg", "a.JPEG", "b/.hidden.png", ".git/x.jpg", "b/c/2.gif", "notes.txt", "z.webp")  # fmt: skip
    assert inside(tmp_path) == ["a.JPEG", "b/1.jpg", "b/c/2.gif", "z.webp"]
    assert inside(tmp_path, recursive=False) == ["a.JPEG", "z.webp"]
    assert inside(tmp_path, include_hidden=True) == [
        ".git/x.jpg", "a.JPEG", "b/.hidden.png", "b/1.jpg", "b/c/2.gif", "z.webp",
    ]  # fmt: skip


def test_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    make(tmp_path, "a/1.jpg")
    (tmp_path / "a" / "loop").symlink_to(tmp_path, target_is_directory=True)
    assert inside(tmp_path) == ["a/1.jpg"]


def test_files_and_folders_keep_the_order_they_are_given_in(tmp_path: Path) -> None:
    make(tmp_path, "folder/2.jpg", "folder/1.jpg", "z.jpg")
    found = expanded(
        [tmp_path / "z.jpg", str(tmp_path / "folder")], None, recursive=True, include_hidden=False
    )
    assert [source.name for source in found] == ["z.jpg", "1.jpg", "2.jpg"]


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    make(tmp_path, "notes.txt")
    with pytest.raises(errors.ValidationError, match="no JPEG, PNG, WebP or GIF") as caught:
        inside(tmp_path)
    assert caught.value.details == {"field": "files"}


def test_names_cannot_be_given_for_folders(tmp_path: Path) -> None:
    make(tmp_path, "1.jpg")
    with pytest.raises(errors.ValidationError) as caught:
        expanded([tmp_path], ["a.jpg"], recursive=True, include_hidden=False)
    assert caught.value.details == {"field": "filenames"}


def test_what_is_no_picture_is_refused_where_it_was_named(tmp_path: Path) -> None:
    path = tmp_path / "report.pdf"
    path.write_bytes(b"%PDF")
    with pytest.raises(errors.ValidationError, match=r"documents\.upload"):
        expanded(path, None, recursive=True, include_hidden=False)


def test_the_second_of_two_names_gets_a_number() -> None:
    sources = sources_of([JPEG] * 4, ["a.jpg", "A.JPG", "b.jpg", "a.jpg"])
    assert told_apart(sources) == ["a.jpg", "A~2.JPG", "b.jpg", "a~3.jpg"]


@given(st.lists(st.sampled_from(["a.jpg", "A.jpg", "a~2.jpg", "a~3.jpg", "é.png", "é.png", "x"])))
def test_names_that_are_told_apart_never_mix_and_as_few_as_possible_change(
    names: list[str],
) -> None:
    apart = told_apart(sources_of([JPEG] * len(names), names))
    assert len({name_key(name) for name in apart}) == len(names)
    seen: set[str] = set()
    for name, sent in zip(names, apart, strict=True):
        assert (name_key(name) in seen) == (name != sent)
        seen.add(name_key(name))
