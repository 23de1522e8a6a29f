"""Descriptions say what was measured and nothing else."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import picture_files as files
import pytest
from PIL import Image, ImageFilter
from skimage import data

from aion_dagster.compute.facts import Facts, describe
from aion_dagster.compute.picture_pass import PassSettings, run_pass


def measured(content: bytes, **more: object) -> Facts:
    (chunk,) = run_pass([files.picture("holiday in Rome.jpg", content)], PassSettings())
    image = chunk.images.to_pylist()[0]
    colors, features = chunk.color_analyses.to_pylist()[0], chunk.visual_features.to_pylist()[0]
    return Facts({**image, **more.pop("image", {})}, colors, features, **more)  # type: ignore[arg-type, dict-item]


def two_colors() -> bytes:
    pixels = np.zeros((30, 60, 3), np.uint8)
    pixels[:, :40], pixels[:, 40:] = (220, 30, 20), (20, 60, 200)
    return files.saved(pixels, "PNG")


def test_size_shape_and_colors_are_told() -> None:
    told = describe(measured(two_colors()))
    assert told.title == "Vivid panorama in red and blue"
    assert told.description.startswith(
        "PNG, 60 × 30 pixels, panorama. Main colors: red #dc1e14 (67 %)"
    )
    assert {"panorama", "vivid", "red", "blue"} <= set(told.tags)
    assert "Rome" not in f"{told}"


def test_the_same_facts_give_the_same_words() -> None:
    facts = measured(files.jpeg())
    assert describe(facts) == describe(facts)


@pytest.mark.parametrize(
    ("size", "shape"),
    [((40, 30), "landscape"), ((30, 40), "portrait"), ((40, 40), "square"), ((90, 40), "panorama")],
)
def test_the_shape_is_that_of_the_upright_picture(size: tuple[int, int], shape: str) -> None:
    assert shape in describe(measured(files.saved(files.scene(*size), "PNG"))).tags


def test_time_and_place_are_told_where_the_camera_wrote_them() -> None:
    place = {"latitude": -33.5, "longitude": 18.25, "altitude": None}
    when = {"captured_at": datetime(2020, 5, 6, 7, 8), "gps": place}
    told = describe(measured(files.jpeg(), image=when)).description
    assert "Taken on 2020-05-06 at 07:08." in told
    assert "Place: 33.5000° S, 18.2500° E." in told


def test_text_and_codes_are_quoted_on_one_line_without_control_characters() -> None:
    facts = measured(
        files.jpeg(),
        visible_text="EXIT\n\x1b[31m\u202eleft\x00" + "x" * 1000,
        codes=[("qr", "https://a.example"), ("ean13", "")],
    )
    told = describe(facts)
    assert "Text in it: “EXIT [31mleftx" in told.description
    assert "QR code in it: “https://a.example”. EAN13 barcode in it." in told.description
    assert "\x1b" not in told.description
    assert len(told.description) < 900
    assert {"text", "qr code", "ean13 barcode"} <= set(told.tags)


def test_what_nobody_looked_for_is_not_denied() -> None:
    assert "text" not in describe(measured(files.jpeg(), visible_text=None)).description.lower()
    assert "text" not in describe(measured(files.jpeg(), visible_text=" ")).tags


def test_without_colors_and_features_there_is_still_a_title() -> None:
    facts = measured(files.jpeg())
    told = describe(Facts(facts.image))
    assert told.title == "Landscape picture"
    assert told.tags == ("landscape",)


def test_no_tag_sounds_like_a_thing() -> None:
    coffee = np.full((30, 40, 3), (0x4B, 0x36, 0x26), np.uint8)
    facts = measured(files.saved(coffee, "PNG"))
    assert facts.colors is not None
    assert facts.colors["dominant_colors"][0]["name"] == "coffee"
    told = describe(facts)
    assert "coffee" not in f"{told}"
    assert "brown" in told.tags


def photographs() -> dict[str, Image.Image]:
    arrays = {name: getattr(data, name)() for name in ("astronaut", "chelsea", "coffee", "rocket")}
    return {name: Image.fromarray(array) for name, array in arrays.items()}


def tags_of(image: Image.Image, **more: object) -> tuple[str, ...]:
    return describe(measured(files.saved(np.asarray(image), "PNG"), **more)).tags


@pytest.mark.parametrize("name", photographs())
def test_a_sharp_photograph_is_not_called_blurred_and_a_blurred_copy_is(name: str) -> None:
    photograph = photographs()[name]
    assert "blurred" not in tags_of(photograph)
    radius = 0.006 * max(photograph.size)
    assert "blurred" in tags_of(photograph.filter(ImageFilter.GaussianBlur(radius)))


def test_a_plain_area_is_nearly_uniform_and_not_blurred() -> None:
    noise = np.random.default_rng(0).normal(0, 1, (100, 100, 3))
    plain = Image.fromarray((np.array([120, 125, 122]) + noise).astype(np.uint8))
    found = tags_of(plain)
    assert "near-uniform" in found
    assert not {"blurred", "low contrast"} & set(found)


def test_exposure_is_told() -> None:
    photograph = photographs()["coffee"]
    darker, lighter = (photograph.point(lambda v, f=f: v * f // 10) for f in (1, 60))
    assert "underexposed" in tags_of(photograph.point(lambda v: max(0, v - 190)))
    assert "overexposed" in tags_of(lighter)
    assert "low contrast" in tags_of(darker)
    assert not {"underexposed", "overexposed", "low contrast"} & set(tags_of(photograph))


def test_greys_are_told_from_colors() -> None:
    photograph = photographs()["chelsea"]
    assert "grayscale" in tags_of(photograph.convert("L").convert("RGB"))
    assert "grayscale" not in tags_of(photograph)


def test_the_family_of_the_largest_color_and_what_was_found_are_tags() -> None:
    found = describe(measured(two_colors(), visible_text="STOP", codes=[("qr", "x")])).tags
    assert {"vibrant", "has_text", "has_code"} <= set(found)
    assert not {"has_text", "has_code"} & set(describe(measured(two_colors())).tags)
