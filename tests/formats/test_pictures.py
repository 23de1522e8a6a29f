"""Pictures of an export: linked, stripped, turned, converted, or left out."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps, PngImagePlugin

from aion_dagster.formats.export import CocoOptions, VocOptions, YoloOptions, write_export
from aion_dagster.formats.lossless_turning import is_installed

from .factory import CHANGED, VANISHED, Builder, empty, photo

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def exif_bytes(orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "SECRET maker"
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 30.0, 0.0)})
    return exif.tobytes()


def placed(tmp_path: Path, path: Path, options=None, *, size=(64, 48), orientation=1, **source):
    """The only picture of an export of `path`, and the losses."""
    builder = Builder(tmp_path)
    builder.box(
        builder.image(path.name, path=path, size=size, orientation=orientation), (1, 1, 9, 9)
    )
    options = options or CocoOptions()
    name = {CocoOptions: "coco", YoloOptions: "yolo", VocOptions: "voc"}[type(options)]
    out = empty(tmp_path / f"out-{name}-{len(list(tmp_path.iterdir()))}")
    report = write_export(name, builder.dataset(), out, builder.pictures(**source), options)
    folder = out / ("JPEGImages" if name == "voc" else "images/train")
    (found,) = folder.iterdir()
    return found, {x.kind for x in report.losses} - {"split"}


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"), dtype=int)


def test_rule_23_a_plain_picture_is_hard_linked(tmp_path):
    for name in ("a.jpg", "a.png", "a.webp", "a.bmp"):
        path = photo(tmp_path / "own" / name)
        found, losses = placed(tmp_path, path)
        assert found.samefile(path)
        assert losses == set()


def test_rule_23_a_link_can_be_refused(tmp_path):
    path = photo(tmp_path / "own/a.jpg")
    found, _ = placed(tmp_path, path, CocoOptions(link_pictures=False))
    assert not found.samefile(path)
    assert found.read_bytes() == path.read_bytes()


def test_rule_23_where_linking_fails_the_picture_is_copied(tmp_path, monkeypatch):
    def no_link(*args, **kwargs):
        raise OSError(errno.EXDEV, "another file system")

    path = photo(tmp_path / "own/a.jpg")
    monkeypatch.setattr(os, "link", no_link)
    found, losses = placed(tmp_path, path)
    assert not found.samefile(path)
    assert found.read_bytes() == path.read_bytes()
    assert losses == set()


def test_rule_23_a_jpeg_without_end_marker_is_copied_and_completed(tmp_path):
    whole = photo(tmp_path / "whole.jpg")
    path = tmp_path / "own.jpg"
    path.write_bytes(whole.read_bytes()[:-2])
    found, losses = placed(tmp_path, path, YoloOptions())
    assert not found.samefile(path)
    assert found.read_bytes() == whole.read_bytes()
    assert losses == {"converted"}
    assert path.read_bytes() == whole.read_bytes()[:-2]


def test_bytes_after_the_end_are_cut_off(tmp_path):
    for name in ("a.jpg", "a.png"):
        whole = photo(tmp_path / name).read_bytes()
        path = tmp_path / "own" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(whole + b"ftypmp4 a motion photo")
        found, losses = placed(tmp_path, path)
        assert found.read_bytes() == whole
        assert losses == set()


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("a.jpg", {"comment": b"SECRET", "xmp": b"<SECRET/>"}),
        ("a.jpg", {"progressive": True, "comment": b"SECRET"}),
        ("a.png", {}),
        ("a.webp", {"xmp": b"<SECRET/>"}),
        ("a.webp", {"lossless": True}),
    ],
)
def test_rule_22_metadata_is_stripped_without_touching_pixels_or_profile(tmp_path, name, more):
    if name == "a.png":
        text = PngImagePlugin.PngInfo()
        text.add_text("Comment", "SECRET")
        text.add_itxt("XML:com.adobe.xmp", "SECRET")
        more = {"pnginfo": text}
    path = photo(tmp_path / "own" / name, exif=exif_bytes(), icc_profile=ICC, **more)
    assert b"SECRET" in path.read_bytes()
    found, losses = placed(tmp_path, path)
    data = found.read_bytes()
    assert b"SECRET" not in data
    assert losses == set()
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.info["icc_profile"] == ICC
        assert not picture.getexif()
        picture.load()
    assert (pixels(found) == pixels(path)).all()


def test_rule_22_metadata_is_kept_on_request(tmp_path):
    path = photo(tmp_path / "own/a.jpg", exif=exif_bytes())
    found, _ = placed(tmp_path, path, CocoOptions(keep_exif=True))
    assert found.samefile(path)
    path = photo(tmp_path / "own/b.jpg", size=(44, 60), exif=exif_bytes(6))
    found, _ = placed(tmp_path, path, CocoOptions(keep_exif=True), size=(60, 44), orientation=6)
    with Image.open(found) as picture:
        assert picture.size == (60, 44)
        assert picture.getexif()[0x010F] == "SECRET maker"
        assert 0x0112 not in picture.getexif()


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
@pytest.mark.parametrize("orientation", [2, 3, 6, 8])
def test_rule_22_a_turned_picture_is_written_upright_and_reported(tmp_path, name, orientation):
    size = (44, 60) if orientation > 4 else (60, 44)  # no whole number of blocks
    path = photo(tmp_path / "own" / name, size, exif=exif_bytes(orientation), icc_profile=ICC)
    found, losses = placed(tmp_path, path, size=(60, 44), orientation=orientation)
    assert losses == {"converted"}
    with Image.open(path) as own, Image.open(found) as picture:
        expected = np.asarray(ImageOps.exif_transpose(own).convert("RGB"), dtype=int)
        assert picture.size == (60, 44)
        assert not picture.getexif()
        assert picture.info["icc_profile"] == ICC
    error = np.abs(pixels(found) - expected)
    assert error.max() == 0 if name != "a.jpg" else error.mean() < 2


@pytest.mark.needs_shared
def test_rule_22_camera_pictures_of_every_orientation_come_out_upright(tmp_path, shared_data):
    for path in sorted((shared_data / "orientation").glob("*.jpg")):
        orientation = int(path.stem[-1])
        with Image.open(path) as own:
            upright = ImageOps.exif_transpose(own)
        assert (upright.width > upright.height) == path.stem.startswith("landscape")
        found, losses = placed(tmp_path, path, size=upright.size, orientation=orientation)
        # 600 × 450 are no whole blocks of 16, so only what is mirrored at its diagonal is turned without loss.
        as_it_is = orientation == 1 or (orientation == 5 and is_installed())
        assert losses == (set() if as_it_is else {"converted"})
        error = (pixels(found) - np.asarray(upright.convert("RGB"), dtype=float)) ** 2
        assert 10 * np.log10(255**2 / max(error.mean(), 1e-9)) > 38
        with Image.open(found) as picture:
            assert not picture.getexif()
            assert picture.size == upright.size


@pytest.mark.needs_shared
def test_rule_22_no_place_survives_in_camera_pictures(tmp_path, shared_data):
    for path in sorted((shared_data / "photos/gps").glob("*.jpg"))[:3]:
        with Image.open(path) as own:
            size, orientation = ImageOps.exif_transpose(own).size, own.getexif().get(0x0112, 1)
        found, _ = placed(tmp_path, path, size=size, orientation=orientation)
        assert b"Exif\0\0" not in found.read_bytes()
        assert (pixels(found) == pixels(path)).all()


def test_rule_18_gif_tiff_and_animations_become_png(tmp_path):
    for name, more in (
        ("a.gif", {"save_all": True, "append_images": [Image.new("RGB", (64, 48))]}),
        ("b.tiff", {}),
        (
            "c.webp",
            {"save_all": True, "append_images": [Image.new("RGB", (64, 48))], "lossless": True},
        ),
    ):
        path = photo(tmp_path / "own" / name, **more)
        found, losses = placed(tmp_path, path, YoloOptions())
        assert found.name == f"{name[0]}.png"
        assert losses == {"converted", "renamed"}
        assert (pixels(found) == pixels(path)).all()


def test_an_animated_png_keeps_its_first_picture(tmp_path):
    path = photo(tmp_path / "own/a.png", save_all=True, append_images=[Image.new("RGB", (64, 48))])
    found, losses = placed(tmp_path, path)
    assert losses == {"converted"}
    assert b"acTL" not in found.read_bytes()
    assert (pixels(found) == pixels(path)).all()


def test_a_cmyk_jpeg_becomes_rgb_where_loaders_need_it(tmp_path):
    path = tmp_path / "own.jpg"
    Image.new("CMYK", (64, 48), (10, 80, 20, 0)).save(path)
    for options, mode in ((CocoOptions(), "CMYK"), (YoloOptions(), "RGB"), (VocOptions(), "RGB")):
        found, _ = placed(tmp_path, path, options)
        with Image.open(found) as picture:
            assert picture.mode == mode


def test_a_wrong_extension_is_put_right(tmp_path):
    path = photo(tmp_path / "own/a.png").rename(tmp_path / "own/a.jpg")
    found, losses = placed(tmp_path, path, YoloOptions())
    assert found.name == "a.png"
    assert found.samefile(path)
    assert losses == {"renamed"}


def test_a_picture_with_broken_segments_is_decoded_and_encoded_again(tmp_path):
    data = bytearray(photo(tmp_path / "whole.png", exif=exif_bytes()).read_bytes())
    path = tmp_path / "own.png"
    path.write_bytes(data[:-12])
    found, losses = placed(tmp_path, path)
    assert losses == {"converted"}
    assert (pixels(found) == pixels(tmp_path / "whole.png")).all()


def test_a_source_without_paths_is_copied(tmp_path):
    path = photo(tmp_path / "own/a.jpg")
    found, losses = placed(tmp_path, path, remote=True)
    assert found.read_bytes() == path.read_bytes()
    assert not found.samefile(path)
    assert losses == set()


@pytest.mark.parametrize("name", ["coco", "yolo", "voc"])
def test_a_missing_or_unusable_picture_is_left_out_with_its_boxes(tmp_path, name):
    builder = Builder(tmp_path)
    kept = builder.image("kept.jpg")
    gone, changed = builder.image("gone.jpg"), builder.image("changed.jpg")
    garbage = tmp_path / "garbage.jpg"
    garbage.write_bytes(b"\xff\xd8\xff nothing that decodes")
    bad = builder.image("bad.jpg", path=garbage)
    small = photo(tmp_path / "other.gif", (20, 20))
    resized = builder.image("resized.gif", path=small, size=(64, 48))
    for image in (gone, kept, changed, bad, resized):
        builder.box(image, (1, 1, 9, 9))
        builder.box(image, (2, 2, 9, 9), "dog")
    source = builder.pictures(gone={gone: VANISHED, changed: CHANGED})
    report = write_export(name, builder.dataset(), empty(tmp_path / "out"), source)
    assert (report.images, report.annotations) == (1, 2)
    lost = {x.subject: x.kind for x in report.losses if x.kind != "split"}
    assert lost == {
        "gone.jpg": "missing",
        "changed.jpg": "missing",
        "bad.jpg": "invalid",
        "resized.gif": "mismatched",
    }
    text = (tmp_path / "out/losses.csv").read_text()
    assert "boxes left out with it: 2" in text
    assert "/home" not in text
    assert str(tmp_path) not in text


def test_a_vanished_path_is_a_missing_picture(tmp_path):
    builder = Builder(tmp_path)
    builder.image("kept.jpg")
    builder.paths[builder.image("gone.jpg")].unlink()
    report = write_export("coco", builder.dataset(), empty(tmp_path / "out"), builder.pictures())
    assert [(x.kind, x.subject) for x in report.losses] == [("missing", "gone.jpg")]
