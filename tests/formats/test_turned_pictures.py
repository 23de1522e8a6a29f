"""Turned JPEGs in exports: which way was used, what is said of it, and what becomes of their metadata."""

from __future__ import annotations

import csv
import io
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from aion_dagster.formats import lossless_turning
from aion_dagster.formats.export import FORMATS, write_export
from aion_dagster.formats.orientation_marks import OddExifError, marked_upright
from aion_dagster.formats.picture_list import LISTED

from .factory import Builder, empty
from .jpegs import BACK, NEEDS_TURBOJPEG, jpeg, pixels_of, seen_upright

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = (
    b'http://ns.adobe.com/xap/1.0/\0<x:xmpmeta><rdf:Description tiff:Orientation="6" dc:title="SECRET"/>'
    b"</x:xmpmeta>"
)


def without_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lossless_turning, "NAMES", ("libthere-is-none.so.0",))


def segment(marker: int, content: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(content) + 2) + content


def exif_block(orientation: int, order: str = ">", kind: int = 3) -> bytes:
    """Exif as cameras write it: orientation, maker, and a second directory with a thumbnail."""
    packed = struct.pack(
        order + {3: "HH", 4: "I", 5: "I"}[kind], *(orientation, 0)[: 5 - kind or 1]
    )
    small = b"\xff\xd8THUMBNAIL\xff\xd9"
    head = {">": b"MM\0*", "<": b"II*\0"}[order] + struct.pack(order + "I", 8)
    first = struct.pack(order + "HHHI", 2, 0x0112, kind, 1) + packed
    first += struct.pack(order + "HHI", 0x010F, 2, 4) + b"me!\0" + struct.pack(order + "I", 38)
    second = struct.pack(order + "HHHII", 2, 0x0201, 4, 1, 68)
    second += struct.pack(order + "HHIII", 0x0202, 4, 1, len(small), 0)
    return b"Exif\0\0" + head + first + second + small


def with_exif(data: bytes, orientation: int, *more: bytes, **how) -> bytes:
    return data[:2] + segment(0xE1, exif_block(orientation, **how)) + b"".join(more) + data[2:]


def stored(upright: Image.Image, orientation: int, **save) -> bytes:
    """An upright picture as a camera stores it that was held in another way."""
    turned = seen_upright(np.asarray(upright), BACK.get(orientation, 1))
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(turned)).save(out, "JPEG", **{"quality": 95, **save})
    return with_exif(out.getvalue(), orientation)


def added(builder: Builder, name: str, data: bytes, orientation: int, size=(64, 48)) -> str:
    path = builder.folder / "own" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return builder.image(name, path=path, size=size, orientation=orientation)


def one(tmp_path: Path, data: bytes, orientation: int, size=(64, 48), **options):
    """The only picture of an export as bytes, the report, what pictures.csv says was done to it."""
    builder = Builder(tmp_path)
    builder.box(added(builder, "a.jpg", data, orientation, size), (1, 1, 9, 9))
    out = empty(tmp_path / f"out{len(list(tmp_path.iterdir()))}")
    made = FORMATS["coco"](**options)
    report = write_export("coco", builder.dataset(), out, builder.pictures(), made)
    return (out / "images/train/a.jpg").read_bytes(), report, changes_in(out)["a.jpg"]


def changes_in(out: Path) -> dict[str, list[str]]:
    with (out / LISTED).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {row["file"].rpartition("/")[2]: json.loads(row["changes"]) for row in rows}


def details(report) -> list[str]:
    return [loss.detail for loss in report.losses if loss.kind != "split"]


@NEEDS_TURBOJPEG
@pytest.mark.parametrize("kind", ["grey", "4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("orientation", range(2, 9))
def test_rule_22_whole_blocks_are_turned_without_loss(tmp_path, kind, orientation):
    size = (48, 64) if orientation > 4 else (64, 48)
    plain = jpeg(kind, size, icc_profile=ICC, comment=b"SECRET")
    own = with_exif(plain, orientation, segment(0xE1, XMP))
    found, report, changes = one(tmp_path, own, orientation)
    assert details(report) == []
    assert report.turned == 1
    assert changes == [f"turned upright without loss (EXIF orientation {orientation})"]
    for secret in (b"SECRET", b"Exif", b"THUMBNAIL", b"me!"):
        assert secret not in found
    with Image.open(io.BytesIO(found)) as picture:
        assert picture.size == (64, 48)
        assert picture.info["icc_profile"] == ICC
    off = np.abs(pixels_of(found) - seen_upright(pixels_of(own), orientation))
    assert off.max() <= 6
    assert off.mean() < 0.6
    back = lossless_turning.turned_losslessly(found, BACK[orientation], (64, 48))
    assert (pixels_of(back) == pixels_of(own)).all()


@NEEDS_TURBOJPEG
@pytest.mark.parametrize("orientation", [2, 3, 4, 6, 7, 8])
def test_rule_22_broken_blocks_are_encoded_again_and_the_report_says_why(tmp_path, orientation):
    size = (44, 60) if orientation > 4 else (60, 44)
    own = with_exif(jpeg("4:2:0", size), orientation)
    found, report, _ = one(tmp_path, own, orientation, (60, 44))
    assert report.turned == 0
    assert details(report) == [
        f"turned upright (EXIF orientation {orientation}): its blocks do not align; "
        "encoded again at quality 95, 4:4:4"
    ]
    off = np.abs(pixels_of(found) - seen_upright(pixels_of(own), orientation))
    assert off.mean() < 2


def test_rule_22_without_the_library_the_report_says_so(tmp_path, monkeypatch):
    without_library(monkeypatch)
    _, report, changes = one(tmp_path, with_exif(jpeg("4:2:0", (48, 64)), 6), 6)
    assert report.turned == 0
    assert details(report) == changes
    assert changes == [
        "turned upright (EXIF orientation 6): libturbojpeg is not installed; "
        "encoded again at quality 95, 4:4:4"
    ]


@pytest.mark.parametrize("options", [{"longest_side": 32}, {"picture_format": "webp"}])
def test_what_needs_its_pixels_anyway_names_no_reason(tmp_path, options):
    builder = Builder(tmp_path)
    added(builder, "a.jpg", with_exif(jpeg("4:2:0", (48, 64)), 6), 6)
    made = FORMATS["coco"](**options)
    report = write_export(
        "coco", builder.dataset(), empty(tmp_path / "out"), builder.pictures(), made
    )
    (detail,) = details(report)[:1]
    assert detail.startswith("turned upright (EXIF orientation 6); ")
    assert report.turned == 0


@NEEDS_TURBOJPEG
@pytest.mark.filterwarnings("ignore:Image appears to be a malformed MPO file")
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", [3, 4])
def test_rule_22_kept_metadata_no_longer_asks_to_turn(tmp_path, order, kind):
    index = segment(0xE2, b"MPF\0 an index of pictures that are not there")
    preview = segment(0xE0, b"JFXX\0\x10 a preview")
    own = with_exif(
        jpeg("4:2:0", (48, 64)), 6, segment(0xE1, XMP), index, preview, order=order, kind=kind
    )
    with Image.open(io.BytesIO(own)) as picture:
        assert picture.getexif()[0x0112] == 6
    found, report, _ = one(tmp_path, own, 6, keep_exif=True)
    assert report.turned == 1
    with Image.open(io.BytesIO(found)) as picture:
        assert picture.size == (64, 48)
        assert dict(picture.getexif()) == {0x0112: 1, 0x010F: "me!"}
        assert not picture.getexif().get_ifd(1)
    assert b'tiff:Orientation="1" dc:title="SECRET"' in found
    assert b"MPF\0" not in found
    assert b"JFXX" not in found


@pytest.mark.parametrize(
    "block",
    [
        b"Exif\0\0" + b"no TIFF structure",
        b"Exif\0\0MM\0*\0\0\xff\xff",
        b"Exif\0\0MM\0*\0\0\0\x08\xff\xff",
        exif_block(6)[:-60],
        exif_block(6, kind=5),
    ],
)
def test_exif_that_is_not_as_cameras_write_it_is_not_changed_in_place(block):
    plain = jpeg("4:2:0", (48, 48))
    with pytest.raises(OddExifError):
        marked_upright(plain[:2] + segment(0xE1, block) + plain[2:])


@NEEDS_TURBOJPEG
def test_a_picture_whose_exif_cannot_be_changed_in_place_is_encoded_again(tmp_path):
    plain = jpeg("4:2:0", (48, 64))
    block = exif_block(6)
    block = block[:14] + b"\0\x09" + block[16:40]  # says nine entries, has two
    own = plain[:2] + segment(0xE1, block) + plain[2:]
    with pytest.warns(UserWarning, match="[Cc]orrupt EXIF"):
        found, report, _ = one(tmp_path, own, 6, keep_exif=True)
    assert "its EXIF cannot be changed in place; encoded again" in details(report)[0]
    with Image.open(io.BytesIO(found)) as picture:
        assert picture.size == (64, 48)


@NEEDS_TURBOJPEG
def test_a_turned_cmyk_picture_keeps_its_colors(tmp_path):
    own = with_exif(jpeg("CMYK", (48, 64)), 6)
    found, report, _ = one(tmp_path, own, 6)
    assert report.turned == 1
    with Image.open(io.BytesIO(found)) as picture:
        assert picture.mode == "CMYK"
    assert np.abs(pixels_of(found) - seen_upright(pixels_of(own), 6)).max() <= 1


@NEEDS_TURBOJPEG
def test_what_stands_after_the_end_and_a_missing_end_marker_do_not_hinder(tmp_path):
    own = with_exif(jpeg("4:2:0", (48, 64)), 6)
    whole, _, _ = one(tmp_path, own, 6)
    followed, report, _ = one(tmp_path, own + b"ftypmp4 a motion photo", 6)
    assert followed == whole
    assert details(report) == []
    ended, report, changes = one(tmp_path, own[:-2], 6)
    assert ended == whole
    assert details(report) == ["its end marker was missing and was added"]
    assert changes[1:] == ["turned upright without loss (EXIF orientation 6)"]


@NEEDS_TURBOJPEG
def test_a_picture_of_another_size_is_left_out_as_ever(tmp_path):
    builder = Builder(tmp_path)
    builder.image("kept.jpg")
    added(builder, "a.jpg", with_exif(jpeg("4:2:0", (48, 64)), 6), 6, (48, 64))
    report = write_export("coco", builder.dataset(), empty(tmp_path / "out"), builder.pictures())
    assert [(x.kind, x.subject) for x in report.losses] == [("mismatched", "a.jpg")]


def scene(size: tuple[int, int]) -> Image.Image:
    """Grey, with a red box at (8, 4) of 20 × 10 pixels."""
    picture = Image.new("RGB", size, (128, 128, 128))
    picture.paste((220, 20, 20), (8, 4, 28, 14))
    return picture


@pytest.mark.parametrize("library", [pytest.param(True, marks=NEEDS_TURBOJPEG), False])
@pytest.mark.parametrize("size", [(64, 48), (61, 47)])
@pytest.mark.parametrize("name", ["coco", "yolo", "voc", "imagefolder"])
def test_boxes_lie_on_their_objects_for_every_orientation(
    tmp_path, monkeypatch, library, size, name
):
    if not library:
        without_library(monkeypatch)
    builder = Builder(tmp_path)
    for orientation in range(1, 9):
        data = stored(scene(size), orientation)
        image = added(builder, f"{orientation}.jpg", data, orientation, size)
        builder.box(image, (8, 4, 20, 10))
    out = empty(tmp_path / "out")
    report = write_export(name, builder.dataset(), out, builder.pictures())
    whole = {2, 3, 4, 5, 6, 7, 8} if size == (64, 48) else {5}
    assert report.turned == (len(whole) if library else 0)
    found = sorted(out.rglob("*.jpg"))
    assert [path.stem for path in found] == [str(n) for n in range(1, 9)]
    for path in found:
        shown = pixels_of(path.read_bytes())
        assert shown.shape == (size[1], size[0], 3)
        red = shown[..., 0] - shown[..., 1] > 100
        assert red[5:13, 9:27].all(), path
        red[3:15, 7:29] = False
        assert not red.any(), path
    facts = json.loads((out / "export.json").read_text())
    assert facts["counts"].get("turned_without_loss", 0) == report.turned
    said = f"{report.turned} of them w"
    assert (said in (out / "README.md").read_text()) == (report.turned > 0)


@NEEDS_TURBOJPEG
def test_a_webdataset_counts_what_was_turned_without_loss(tmp_path):
    builder = Builder(tmp_path)
    added(builder, "a.jpg", with_exif(jpeg("4:2:0", (48, 64)), 6), 6)
    report = write_export(
        "webdataset", builder.dataset(), empty(tmp_path / "out"), builder.pictures()
    )
    assert report.turned == 1
    assert details(report) == []
    assert "1 of them was turned without loss" in (tmp_path / "out/README.md").read_text()


@NEEDS_TURBOJPEG
@pytest.mark.parametrize("first", [True, False])
def test_pictures_turned_the_other_way_are_not_taken_over(tmp_path, monkeypatch, first):
    builder = Builder(tmp_path)
    builder.image("plain.jpg")
    for name, size in (("whole.jpg", (48, 64)), ("broken.jpg", (44, 60))):
        added(builder, name, with_exif(jpeg("4:2:0", size), 6), 6, size[::-1])
    found = {}
    for library in (first, not first):
        with monkeypatch.context() as patch:
            if not library:
                without_library(patch)
            for previous in (None, *found.values()):
                out = empty(tmp_path / f"{library} after {len(found) if previous else 'none'}")
                write_export("coco", builder.dataset(), out, builder.pictures(), previous=previous)
            fresh = tmp_path / f"{library} after none"
        for made in tmp_path.glob(f"{library} after *"):
            assert {p.name: p.read_bytes() for p in made.rglob("*") if p.is_file()} == {
                p.name: p.read_bytes() for p in fresh.rglob("*") if p.is_file()
            }
        found[library] = fresh


@pytest.mark.parametrize(
    "block",
    [XMP.replace(b'"6"', b'"3"'), XMP, b"Exif\0\0" + b"no TIFF structure"],
    ids=["xmp that turns over", "xmp that turns", "exif that is none"],
)
@pytest.mark.parametrize("options", [{"longest_side": 30}, {"picture_format": "png"}])
def test_a_jpeg_is_turned_as_the_dataset_says_and_not_as_other_metadata_does(
    tmp_path, block, options
):
    builder = Builder(tmp_path)
    plain = jpeg("4:2:0", (60, 44))
    added(builder, "told.jpg", plain[:2] + segment(0xE1, block) + plain[2:], 1, (60, 44))
    added(builder, "plain.jpg", plain, 1, (60, 44))
    out = empty(tmp_path / "out")
    report = write_export(
        "coco", builder.dataset(), out, builder.pictures(), FORMATS["coco"](**options)
    )
    told, own = sorted((out / "images/train").iterdir(), reverse=True)
    assert told.read_bytes() == own.read_bytes()
    assert len({loss.detail for loss in report.losses if loss.kind == "converted"}) == 1


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("suffix", "keep_exif"),
    [("png", True), ("png", False), ("webp", True), ("webp", False), ("tiff", False)],
)
def test_other_formats_are_turned_upright_once(tmp_path, suffix, orientation, keep_exif):
    pixels = np.asarray(scene((60, 44)))
    picture = Image.fromarray(np.ascontiguousarray(seen_upright(pixels, BACK.get(orientation, 1))))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "SECRET"
    file = io.BytesIO()
    lossless = {"lossless": True} if suffix == "webp" else {}
    picture.save(file, suffix, exif=exif.tobytes(), **lossless)
    builder = Builder(tmp_path)
    added(builder, f"a.{suffix}", file.getvalue(), orientation, (60, 44))
    out = empty(tmp_path / "out")
    options = FORMATS["coco"](keep_exif=keep_exif)
    write_export("coco", builder.dataset(), out, builder.pictures(), options)
    (found,) = (out / "images/train").iterdir()
    with Image.open(found) as made:
        assert (np.asarray(made.convert("RGB")) == pixels).all()
        kept = made.getexif()
        assert kept.get(0x0112, 1) == 1
        assert (kept.get(0x010F) == "SECRET") == keep_exif
