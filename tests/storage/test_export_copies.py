"""Copies of exports in folders of the user's choice and in buckets."""

from __future__ import annotations

from pathlib import Path

import pytest

from aion_dagster.errors import StorageError
from aion_dagster.storage.exports import ExportStore
from aion_dagster.storage.places import place_of


def finished(folder: Path, text: str) -> Path:
    (folder / "labels/train").mkdir(parents=True)
    (folder / "labels/train/a.txt").write_text(text)
    (folder / "export.json").write_text("{}")
    return folder


def tree(folder: Path) -> dict[str, str]:
    return {p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*") if p.is_file()}  # fmt: skip


def test_a_copy_replaces_the_one_before_and_leaves_the_export_where_it_is(tmp_path: Path) -> None:
    copies = ExportStore(tmp_path / "elsewhere")
    for text in ("old", "new"):
        export = finished(tmp_path / text, text)
        place = copies.copy(export, "main", "yolo")
        assert place == tmp_path / "elsewhere/main/yolo"
        assert tree(place) == tree(export) == {"labels/train/a.txt": text, "export.json": "{}"}
        assert (place / "export.json").samefile(export / "export.json")
    assert [p.name for p in (tmp_path / "elsewhere/main").iterdir()] == ["yolo"]


def test_a_copy_is_no_link_where_none_is_wanted(tmp_path: Path) -> None:
    export = finished(tmp_path / "export", "x")
    place = ExportStore(tmp_path / "elsewhere").copy(export, "main", "yolo", link=False)
    assert tree(place) == tree(export)
    assert not (place / "export.json").samefile(export / "export.json")


def test_a_folder_that_is_no_export_is_never_replaced(tmp_path: Path) -> None:
    mine = tmp_path / "elsewhere/main/yolo/thesis.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("precious")
    export = finished(tmp_path / "export", "x")
    with pytest.raises(StorageError, match="it is no export"):
        ExportStore(tmp_path / "elsewhere").copy(export, "main", "yolo")
    assert tree(mine.parent) == {"thesis.txt": "precious"}


@pytest.mark.parametrize("there", ["file", "link", "dangling"])
def test_what_is_no_folder_is_never_replaced(tmp_path: Path, there: str) -> None:
    place = tmp_path / "elsewhere/main/yolo"
    place.parent.mkdir(parents=True)
    if there == "file":
        place.write_text("precious")
    else:
        place.symlink_to(tmp_path / "mine")
        if there == "link":
            (tmp_path / "mine").mkdir()
            (tmp_path / "mine/thesis.txt").write_text("precious")
    export = finished(tmp_path / "export", "x")
    with pytest.raises(StorageError, match="Cannot replace"):
        ExportStore(tmp_path / "elsewhere").copy(export, "main", "yolo")
    assert place.is_symlink() or place.read_text() == "precious"


def test_a_copy_in_a_bucket_is_found_by_its_pointer(bucket: str, tmp_path: Path) -> None:
    copies = ExportStore(place_of(f"s3://{bucket}/data"), tmp_path / "scratch")
    for text in ("old", "new"):
        export = finished(tmp_path / text, text)
        copies.copy(export, "main", "yolo")
        assert copies.read("main", "yolo", "labels/train/a.txt") == text.encode()
        assert export.is_dir()
