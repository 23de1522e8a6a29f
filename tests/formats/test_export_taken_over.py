"""An export takes over the pictures of the one before, and is the same bytes as one made from nothing."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from PIL import Image

from aion_dagster.formats.export import FORMATS, write_export
from aion_dagster.formats.picture_list import LISTED

from .factory import Builder, Pictures, empty, photo, two_pictures

WITH_FILES = ("coco", "yolo", "voc", "imagefolder")


class Counted(Pictures):
    """A picture source that counts what it is asked for."""

    def open(self, image_id):
        COUNTED.append(image_id)
        return super().open(image_id)


COUNTED: list[str] = []


def tree(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def builder_with_all_kinds(folder: Path) -> Builder:
    """Pictures that are linked, turned, stripped and converted."""
    builder = two_pictures(folder)
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "SECRET"
    for name, orientation in (("turned.jpg", 6), ("stripped.jpg", 1)):
        exif[0x0112] = orientation
        size = (48, 64) if orientation == 6 else (64, 48)
        path = photo(folder / "more" / name, size, seed=orientation, exif=exif.tobytes())
        builder.box(builder.image(name, path=path, orientation=orientation), (1, 1, 8, 8))
    path = photo(folder / "more/flat.tiff", seed=3)
    builder.box(builder.image("=flat.tiff", path=path), (1, 1, 8, 8), text="=x")
    return builder


def asked(builder: Builder, name: str, folder: Path, previous: Path | None, options=None) -> int:
    """Write an export; how many pictures were asked of their source."""
    COUNTED.clear()
    pictures = Counted(builder.paths)
    write_export(name, builder.dataset(), empty(folder), pictures, options, previous=previous)
    return len(COUNTED)


@pytest.mark.parametrize("name", WITH_FILES)
def test_unchanged_pictures_are_not_read_or_written_again(tmp_path, name):
    builder = builder_with_all_kinds(tmp_path)
    assert asked(builder, name, tmp_path / "first", None) == 5
    assert asked(builder, name, tmp_path / "again", tmp_path / "first") == 0
    assert asked(builder, name, tmp_path / "fresh", None) == 5
    assert tree(tmp_path / "again") == tree(tmp_path / "fresh") == tree(tmp_path / "first")
    for path in (tmp_path / "again").rglob("*"):
        if path.suffix in (".jpg", ".png") and path.is_file():
            assert path.samefile(tmp_path / "first" / path.relative_to(tmp_path / "again"))


@pytest.mark.parametrize("name", WITH_FILES)
def test_only_new_pictures_are_read_and_moved_ones_change_their_place(tmp_path, name):
    builder = builder_with_all_kinds(tmp_path)
    asked(builder, name, tmp_path / "first", None)
    new = builder.image("new.jpg")
    builder.box(new, (1, 1, 5, 5))
    builder.images[0]["split"] = "test"
    builder.images[1]["file_name"] = "renamed/b2.png"
    del builder.images[3]
    assert asked(builder, name, tmp_path / "second", tmp_path / "first") == 1
    asked(builder, name, tmp_path / "fresh", None)
    assert tree(tmp_path / "second") == tree(tmp_path / "fresh")


def test_what_was_changed_in_place_is_made_again(tmp_path):
    builder = builder_with_all_kinds(tmp_path)
    asked(builder, "coco", tmp_path / "first", None)
    turned = tmp_path / "first/images/train/turned.jpg"
    stripped = tmp_path / "first/images/train/stripped.jpg"
    written = (tmp_path / "first" / LISTED).stat().st_mtime_ns
    turned.write_bytes(turned.read_bytes()[:-1] + b"x")
    os.utime(turned, ns=(written + 1, written + 1))
    stripped.write_bytes(stripped.read_bytes() + b"x")
    os.utime(stripped, ns=(written - 1, written - 1))
    assert asked(builder, "coco", tmp_path / "second", tmp_path / "first") == 2
    asked(builder, "coco", tmp_path / "fresh", None)
    assert tree(tmp_path / "second") == tree(tmp_path / "fresh")


def located(builder: Builder) -> Builder:
    """Every picture is known as a folder lists it: by its time and size."""
    for row in builder.images:
        path = builder.paths[row["image_id"]]
        facts = path.stat()
        row["locations"] = [
            {"source": "s", "uri": path.as_uri(), "name": path.name, "version": version}
            for version in ("other", f"{facts.st_mtime_ns}-{facts.st_size}")
        ]
    return builder


def test_originals_that_are_known_as_they_are_are_not_read_again(tmp_path, monkeypatch):
    builder = located(builder_with_all_kinds(tmp_path))
    asked(builder, "coco", tmp_path / "first", None)
    monkeypatch.setattr(hashlib, "file_digest", None)
    assert asked(builder, "coco", tmp_path / "second", tmp_path / "first") == 0
    assert asked(builder, "coco", tmp_path / "third", tmp_path / "second") == 0


def test_what_was_changed_through_the_original_and_set_back_in_time_is_made_again(tmp_path):
    builder = located(builder_with_all_kinds(tmp_path))
    asked(builder, "coco", tmp_path / "first", None)
    linked = next(row for row in builder.images if row["file_name"] == "b.png")
    path = builder.paths[linked["image_id"]]
    assert path.samefile(tmp_path / "first/images/val/b.png")
    kept = path.with_name("elsewhere.png")
    kept.write_bytes(path.read_bytes())
    written = (tmp_path / "first" / LISTED).stat().st_mtime_ns
    with path.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"x")
    os.utime(path, ns=(written - 10**9, written - 10**9))
    builder.paths[linked["image_id"]] = kept
    assert asked(builder, "coco", tmp_path / "second", tmp_path / "first") == 1
    asked(builder, "coco", tmp_path / "fresh", None)
    assert tree(tmp_path / "second") == tree(tmp_path / "fresh")


def test_an_original_whose_time_alone_changed_is_taken_over(tmp_path):
    builder = located(builder_with_all_kinds(tmp_path))
    asked(builder, "coco", tmp_path / "first", None)
    for path in builder.paths.values():
        os.utime(path, ns=(10**18, 10**18))
    assert asked(builder, "coco", tmp_path / "second", tmp_path / "first") == 0


def test_an_export_without_links_shares_nothing_and_says_the_same(tmp_path):
    builder = builder_with_all_kinds(tmp_path)
    asked(builder, "coco", tmp_path / "linked", None)
    write_export(
        "coco", builder.dataset(), empty(tmp_path / "copied"), builder.pictures(),
        previous=tmp_path / "linked", link=False,
    )  # fmt: skip
    assert tree(tmp_path / "copied") == tree(tmp_path / "linked")
    assert {p.stat().st_nlink for p in (tmp_path / "copied").rglob("*") if p.is_file()} == {1}


def test_other_options_or_another_format_take_nothing_over(tmp_path):
    builder = builder_with_all_kinds(tmp_path)
    asked(builder, "coco", tmp_path / "first", None)
    options = FORMATS["coco"](keep_exif=True)
    assert asked(builder, "coco", tmp_path / "exif", tmp_path / "first", options) == 5
    small = FORMATS["coco"](longest_side=32)
    assert asked(builder, "coco", tmp_path / "small", tmp_path / "first", small) == 5
    assert asked(builder, "voc", tmp_path / "voc", tmp_path / "first") == 5
    corners = FORMATS["coco"](segmentation="box")  # says nothing of the pictures
    assert asked(builder, "coco", tmp_path / "corners", tmp_path / "first", corners) == 0


@pytest.mark.parametrize(
    "damage",
    ["", "file\n", '"', "file,image_id,size_bytes,changes\n../../x,{id},1,[]\n"],
)
def test_a_damaged_list_of_pictures_means_that_all_are_made_again(tmp_path, damage):
    builder = builder_with_all_kinds(tmp_path)
    asked(builder, "coco", tmp_path / "first", None)
    listed = tmp_path / "first" / LISTED
    listed.write_text(damage.format(id=builder.images[0]["image_id"]))
    assert asked(builder, "coco", tmp_path / "second", tmp_path / "first") == 5
    asked(builder, "coco", tmp_path / "fresh", None)
    assert tree(tmp_path / "second") == tree(tmp_path / "fresh")


def test_rule_21_the_list_of_pictures_maps_names_of_sources_to_files(tmp_path):
    builder = Builder(tmp_path)
    image = builder.image("b-12345678.jpg")
    builder.images[0]["locations"] = [
        {"source": "s", "uri": "file:///secret/place/b.jpg", "name": "B.jpg", "version": "1"},
        {"source": "s", "uri": "file:///secret/place/a/b.jpg", "name": "a/b.jpg", "version": "1"},
    ]
    asked(builder, "coco", tmp_path / "out", None)
    text = (tmp_path / "out" / LISTED).read_text("utf-8")
    assert '"a/b.jpg' in text or "B.jpg\na/b.jpg" in text
    assert "secret" not in text
    assert image in text
    assert "images/train/b-12345678.jpg" in text
