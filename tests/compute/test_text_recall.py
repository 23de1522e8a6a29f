"""Text in pictures is read at least as well as by rapidocr as it comes, and nothing is read where there is none."""

from __future__ import annotations

from collections import Counter

import cv2
import numpy as np
import pytest
from text_pictures import words_of
from text_scenes import SCENES, scene

from aion_dagster.compute.decode import upright_rgb
from aion_dagster.compute.text_finding import boxes, thickness
from aion_dagster.compute.text_regions import TextDetector, visible_text

pytest.importorskip("rapidocr", reason="the extra `ocr` is not installed")

READ_IN_FULL = (
    "skimage-page",
    "sign-bold",
    "sign-faint",
    "sign-strip",
    "caption-rough",
    "caption-tiny",
    "paper-note",
    "receipt-turned",
    "label-90",
    "label-180",
    "label-270",
    "caption-45-degrees",
    "small-sign",
    "small-caption",
    "3mp-caption",
    "12mp-distant-sign",
)
"""Of these, rapidocr 3.10 as it comes reads 40 of 49 words of the page, 0 of 2 of the strip, 54 of 56 of the receipt, 2 of
6 of the distant sign, and all of the others."""


@pytest.fixture(scope="module")
def detector():
    return TextDetector.load()


def read(detector, picture):
    return words_of(visible_text(detector.detect(upright_rgb(picture.jpeg)[0])))


@pytest.mark.parametrize("name", READ_IN_FULL)
def test_every_word_is_read_and_none_invented(detector, name):
    picture = scene(name)
    assert Counter(read(detector, picture)) == Counter(picture.words)


@pytest.mark.parametrize("name", ["plain-coffee", "plain-brick", "plain-grass", "plain-rocket"])
def test_nothing_is_read_where_nothing_is_written(detector, name):
    assert read(detector, scene(name)) == []


def test_the_set_is_large_enough_and_the_same_every_time():
    pictures = [scene(name) for name in SCENES if not name.startswith("12mp")]
    assert sum(bool(p.lines) for p in pictures) >= 20
    assert scene("receipt") == next(p for p in pictures if p.name == "receipt")


def test_small_print_on_a_sign_far_away_stands_where_it_was_put(detector):
    picture = scene("12mp-distant-sign")
    regions = detector.detect(upright_rgb(picture.jpeg)[0])
    assert all(r.x > 0.29 * 4000 and r.x + r.w < 0.39 * 4000 for r in regions)
    assert all(r.y > 0.29 * 3000 and r.y + r.h < 0.37 * 3000 for r in regions)


def test_a_mark_in_the_map_becomes_a_box_grown_by_its_area_by_its_perimeter():
    likely = np.zeros((96, 160), np.float32)
    likely[40:51, 30:111] = 0.9  # corners of the mark: (30, 40) and (110, 50)
    (quad,) = boxes(likely)
    growth = 81 * 11 * 1.6 / (2 * (81 + 11))  # dilation by one pixel to the right and below
    assert np.allclose(quad.mean(axis=0), (71, 46), atol=0.6)
    assert thickness(quad[None])[0] == pytest.approx(11 + 2 * growth, abs=1.0)
    assert quad[0].sum() < quad[2].sum()


def test_weak_thin_and_hollow_marks_are_no_lines():
    likely = np.zeros((96, 160), np.float32)
    likely[10:30, 10:60] = 0.4
    likely[50:52, 10:11] = 0.9
    assert len(boxes(likely)) == 0
    ring = np.zeros((96, 160), np.float32)
    cv2.rectangle(ring, (20, 20), (140, 80), 0.9, 3)
    assert len(boxes(ring)) == 0
