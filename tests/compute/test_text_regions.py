"""Text in pictures is found where it stands, and read in order."""

from __future__ import annotations

import importlib.util
import re
import socket
import sys

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from aion_dagster.compute.text_finding import Looking
from aion_dagster.compute.text_regions import TextDetector, TextRegion, visible_text
from aion_dagster.errors import UnavailableError

needs_ocr = pytest.mark.skipif(
    importlib.util.find_spec("rapidocr") is None, reason="the extra `ocr` is not installed"
)


@pytest.fixture(scope="module")
def detector():
    return TextDetector.load()


def drawn(lines, *, size=(640, 360), font=36, back=(245, 244, 240), ink=(20, 30, 60)):
    """A picture with text, and where each piece was drawn (left, top, right, bottom)."""
    image = Image.new("RGB", size, back)
    draw = ImageDraw.Draw(image)
    face = ImageFont.load_default(size=font)
    boxes = []
    for (x, y), text in lines:
        draw.text((x, y), text, font=face, fill=ink)
        boxes.append(draw.textbbox((x, y), text, font=face))
    return np.asarray(image), boxes


def overlap(region, box):
    """Intersection over union of a region and a drawn box."""
    w = min(region.x + region.w, box[2]) - max(region.x, box[0])
    h = min(region.y + region.h, box[3]) - max(region.y, box[1])
    both = max(w, 0) * max(h, 0)
    return both / (region.w * region.h + (box[2] - box[0]) * (box[3] - box[1]) - both)


@needs_ocr
def test_text_is_read_where_it_was_drawn(detector):
    picture, (box,) = drawn([((60, 120), "Oak Table 120")])
    (region,) = detector.detect(picture)
    assert region.text.replace(" ", "") == "OakTable120"
    assert overlap(region, box) > 0.6
    assert 0.8 < region.score <= 1.0
    assert len(region.polygon) == 8


@needs_ocr
@pytest.mark.parametrize("size", [(320, 180), (2600, 1500)])
def test_boxes_are_in_pixels_of_the_picture_given_whether_it_was_enlarged_or_shrunk(detector, size):
    scale = size[0] / 640
    picture, (box,) = drawn(
        [((int(60 * scale), int(120 * scale)), "HARBOUR 7")], size=size, font=int(36 * scale)
    )
    (region,) = detector.detect(picture)
    assert overlap(region, box) > 0.5
    assert region.x + region.w <= size[0]
    assert region.y + region.h <= size[1]


@needs_ocr
def test_regions_come_line_by_line_and_left_to_right(detector):
    picture, _ = drawn(
        [
            ((380, 205), "second"),
            ((40, 40), "Title"),
            ((40, 200), "first"),
            ((40, 290), "bottom"),
        ]
    )
    assert visible_text(detector.detect(picture)) == "Title\nfirst second\nbottom"


@needs_ocr
def test_a_picture_without_text_has_no_regions(detector):
    noise = np.random.default_rng(5).normal(128, 6, (240, 320, 3)).clip(0, 255).astype(np.uint8)
    assert detector.detect(noise) == []
    assert detector.detect(np.full((200, 300, 3), 255, np.uint8)) == []


@needs_ocr
@pytest.mark.parametrize("shape", [(1, 1), (3, 2500), (2500, 3), (0, 10), (31, 33)])
def test_pictures_of_any_shape_are_answered(detector, shape):
    assert detector.detect(np.full((*shape, 3), 200, np.uint8)) == []


@needs_ocr
def test_what_is_no_rgb_picture_is_refused(detector):
    with pytest.raises(ValueError, match=r"\(height, width, 3\) uint8"):
        detector.detect(np.zeros((20, 20), np.uint8))


@needs_ocr
def test_a_scanned_page_is_read(detector):
    data = pytest.importorskip("skimage.data", reason="scikit-image brings the page")
    page = data.page()
    text = visible_text(detector.detect(np.repeat(page[..., None], 3, axis=2)))
    words = set(re.findall(r"[a-z]+", text.lower()))
    said = [
        "region",
        "based",
        "segmentation",
        "let",
        "us",
        "first",
        "determine",
        "markers",
        "of",
        "the",
        "coins",
        "and",
        "background",
    ]
    assert sum(word in words for word in said) >= len(said) - 1
    assert text.startswith("Region-based segmentation\n")


@needs_ocr
def test_loading_and_reading_need_no_network(monkeypatch, capfd):
    def refuse(*_):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    picture, _ = drawn([((60, 120), "offline")])
    loaded = TextDetector.load(Looking(first_side=320))
    assert [r.text for r in loaded.detect(picture)] == ["offline"]
    assert re.fullmatch(r"rapidocr-\d[\w.]*/\S*det\S*\+\S*rec\S*/320-1280-1920", loaded.engine)
    assert capfd.readouterr() == ("", "")


def test_without_the_extra_the_error_names_it(monkeypatch):
    for name in [m for m in sys.modules if m.split(".")[0] == "rapidocr"]:
        monkeypatch.delitem(sys.modules, name)
    # An import path without site-packages: what a user has who left the extra out.
    monkeypatch.setattr(sys, "path", [p for p in sys.path if "site-packages" not in p])
    monkeypatch.setattr(sys, "path_importer_cache", {})
    with pytest.raises(UnavailableError, match=r"aion_dagster\[ocr\]"):
        TextDetector.load()


def test_visible_text_of_nothing_is_empty():
    assert visible_text([]) == ""


def test_visible_text_keeps_a_slightly_slanted_line_together():
    def at(text, x, y):
        return TextRegion(text, x, y, 50.0, 20.0, (x, y, x + 50, y, x + 50, y + 20, x, y + 20), 1.0)

    assert visible_text([at("c", 120, 6), at("below", 0, 30), at("a", 0, 0), at("b", 60, 3)]) == (
        "a b c\nbelow"
    )
