"""QR codes and barcodes are decoded where they are, and damaged ones are not made up."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aion_dagster.compute.codes import ENGINE, detect_codes

# ISO/IEC 15420: the L-code of each digit; G is R reversed, R the complement of L; the first digit chooses L and G.
L_CODES = [
    "0001101",
    "0011001",
    "0010011",
    "0111101",
    "0100011",
    "0110001",
    "0101111",
    "0111011",
    "0110111",
    "0001011",
]
PARITY = [
    "LLLLLL",
    "LLGLGG",
    "LLGGLG",
    "LLGGGL",
    "LGLLGG",
    "LGGLLG",
    "LGGGLL",
    "LGLGLG",
    "LGLGGL",
    "LGGLGL",
]


def ean13(digits, *, module=3, height=160):
    right = [code.translate(str.maketrans("01", "10")) for code in L_CODES]
    left = {"L": L_CODES, "G": [code[::-1] for code in right]}
    bars = "".join(
        left[kind][int(d)] for d, kind in zip(digits[1:7], PARITY[int(digits[0])], strict=True)
    )
    bars = f"101{bars}01010{''.join(right[int(d)] for d in digits[7:])}101"
    row = np.array([0 if bar == "1" else 255 for bar in f"{'0' * 11}{bars}{'0' * 11}"], np.uint8)
    return np.repeat(np.tile(row, (height, 1)), module, axis=1)


def ean8(digits, *, module=3, height=160):
    right = [code.translate(str.maketrans("01", "10")) for code in L_CODES]
    left = "".join(L_CODES[int(d)] for d in digits[:4])
    bars = f"{'0' * 11}101{left}01010{''.join(right[int(d)] for d in digits[4:])}101{'0' * 11}"
    row = np.array([0 if bar == "1" else 255 for bar in bars], np.uint8)
    return np.repeat(np.tile(row, (height, 1)), module, axis=1)


def with_check_digit(digits):
    total = sum(int(d) * (1 if i % 2 else 3) for i, d in enumerate(reversed(digits)))
    return f"{digits}{-total % 10}"


def qr(text, *, module=5):
    code = cv2.QRCodeEncoder.create().encode(text)
    code = cv2.resize(code, None, fx=module, fy=module, interpolation=cv2.INTER_NEAREST)
    return cv2.copyMakeBorder(code, *([4 * module] * 4), cv2.BORDER_CONSTANT, value=255)


def scene(*placed, size=(480, 640), seed=1):
    """A gray, slightly noisy and blurred scene with codes at (x, y), as a camera would give it."""
    picture = np.full(size, 150.0)
    for (x, y), code in placed:
        picture[y : y + code.shape[0], x : x + code.shape[1]] = code * 0.85 + 15
    picture += np.random.default_rng(seed).normal(0, 3, size)
    blurred = cv2.GaussianBlur(picture.clip(0, 255).astype(np.uint8), (3, 3), 0.7)
    return np.repeat(blurred[..., None], 3, axis=2)


def test_a_qr_code_is_decoded_where_it_stands():
    code = qr("https://example.org/ünïcode")
    (found,) = detect_codes(scene(((200, 100), code)))
    assert (found.kind, found.text) == ("qr", "https://example.org/ünïcode")
    # The encoder draws a rim of two modules, `qr` four more: 30 pixels on each side.
    side = code.shape[0] - 60
    assert (found.x, found.y, found.w, found.h) == pytest.approx((230, 130, side, side), abs=6)
    assert len(found.polygon) == 8


def test_several_codes_of_both_kinds_come_from_top_to_bottom():
    picture = scene(
        ((60, 260), qr("second", module=5)),
        ((380, 260), qr("third", module=5)),
        ((100, 40), ean13("4006381333931")),
    )
    found = detect_codes(picture)
    assert found[0].kind == "ean13"
    assert {c.text for c in found} == {"4006381333931", "second", "third"}


@pytest.mark.parametrize("quarter_turns", [0, 1, 2, 3])
def test_turned_codes_are_decoded(quarter_turns):
    picture = scene(((80, 120), ean13("9780201379624", module=3)), ((460, 120), qr("turned")))
    found = detect_codes(np.ascontiguousarray(np.rot90(picture, quarter_turns)))
    assert {(c.kind, c.text) for c in found} == {("ean13", "9780201379624"), ("qr", "turned")}
    assert all(c.x >= 0 and c.y >= 0 and c.w > 0 and c.h > 0 for c in found)


def test_a_barcode_that_fills_its_picture_is_found_in_its_own_pixels():
    code = cv2.copyMakeBorder(ean13("4006381333931"), 30, 30, 0, 0, cv2.BORDER_CONSTANT, value=255)
    (found,) = detect_codes(np.repeat(code[..., None], 3, axis=2))
    assert found.text == "4006381333931"
    assert found.x + found.w <= code.shape[1]
    assert found.w > 0.6 * code.shape[1]


def test_a_damaged_qr_code_is_not_reported():
    code = qr("https://example.org/a/long/enough/path")
    middle = slice(code.shape[0] // 4, -code.shape[0] // 4)
    code[middle, middle] = 255
    assert detect_codes(scene(((200, 100), code))) == []


def test_a_barcode_whose_check_digit_is_wrong_is_not_reported():
    assert detect_codes(scene(((150, 150), ean13("4006381333932")))) == []


def test_pictures_without_codes_have_none(lines_that_are_no_code):
    assert detect_codes(scene()) == []
    assert detect_codes(lines_that_are_no_code) == []


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (500, 20), (22, 22), (0, 5)])
def test_pictures_of_any_shape_are_answered(shape):
    assert detect_codes(np.full((*shape, 3), 255, np.uint8)) == []


def test_what_is_no_rgb_picture_is_refused():
    with pytest.raises(ValueError, match=r"\(height, width, 3\) uint8"):
        detect_codes(np.zeros((50, 50), np.uint8))


@pytest.mark.timeout(1200)
@given(st.from_regex(r"[1-9][0-9]{11}", fullmatch=True))
@example("666060028000")
def test_every_ean13_comes_back(twelve):
    digits = with_check_digit(twelve)
    found = detect_codes(scene(((150, 150), ean13(digits))))
    assert {(c.kind, c.text) for c in found} == {("ean13", digits)}


@pytest.mark.parametrize("digits", ["96385074", "40123455", "73513537"])
def test_an_ean8_is_decoded(digits):
    found = detect_codes(scene(((200, 150), ean8(digits))))
    assert {(c.kind, c.text) for c in found} == {("ean8", digits)}


def test_an_ean13_that_begins_with_zero_is_the_upc_a_it_comes_from():
    (found,) = detect_codes(scene(((150, 150), ean13("0036000291452"))))
    assert (found.kind, found.text) == ("upca", "036000291452")


@pytest.mark.timeout(1200)
@given(
    st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=0x24F), min_size=1, max_size=40)
)
def test_every_qr_text_comes_back(text):
    assert [c.text for c in detect_codes(scene(((150, 60), qr(text, module=6))))] == [text]


def test_the_engine_names_opencv_and_its_version():
    assert ENGINE.startswith(f"opencv-{cv2.__version__}/")


@pytest.fixture
def lines_that_are_no_code():
    """Something with edges in it that is no code."""
    picture = np.zeros((300, 400, 3), np.uint8)
    for i in range(0, 400, 7):
        cv2.line(picture, (i, 0), (400 - i, 299), (i % 255, 90, 255 - i % 255), 2)
    return picture
