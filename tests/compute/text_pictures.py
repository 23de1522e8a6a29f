"""Pictures whose text is known: drawn over photographs, on paper and on screens, the same on every machine.

Fonts are those inside Pillow (Aileron) and OpenCV (Rubik, upright and italic; Noto Sans), the photographs those inside
scikit-image and scikit-learn. Two pictures of scikit-image carry text of their own; what they say was typed by hand.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Pixels = NDArray[np.uint8]
Color = tuple[int, int, int]

FONTS = ("aileron", "rubik", "italic", "noto", "bold")
WORDS = """
harbour market station window orange garden silver paper kitchen museum ticket winter
bridge coffee morning railway pepper library mountain customs yellow engine delivery
basket welcome notice storage private parking closed entrance platform summer bottle
fragile handle quality fresh village bakery road north street open daily from with the
and for of your all new best only sale price gate exit push pull danger keep clear
""".split()  # noqa: SIM905 - a list of words reads best as text


@dataclass(frozen=True)
class TextPicture:
    """A JPEG and the text in it, line by line; no lines where there is none."""

    name: str
    kind: str
    jpeg: bytes
    lines: tuple[str, ...]

    @property
    def words(self) -> list[str]:
        return words_of(" ".join(self.lines))


def words_of(text: str) -> list[str]:
    """Runs of letters and digits, folded to lower case."""
    return re.findall(r"[^\W_]+", text.casefold())


@lru_cache(maxsize=1)
def photographs() -> dict[str, Pixels]:
    """Photographs in which nothing is written."""
    from skimage import data
    from sklearn.datasets import load_sample_image

    found = {name: getattr(data, name)() for name in ("chelsea", "coffee", "rocket", "retina")}
    found |= {"flower": load_sample_image("flower.jpg")}
    grey = {name: getattr(data, name)() for name in ("brick", "grass", "gravel", "coins", "moon")}
    found |= {name: np.repeat(a[..., None], 3, axis=2) for name, a in grey.items()}
    return {name: np.ascontiguousarray(a[..., :3], np.uint8) for name, a in found.items()}


def photograph(name: str, width: int, height: int) -> Pixels:
    """The middle of a photograph, enlarged or reduced to a size."""
    source = photographs()[name]
    scale = max(width / source.shape[1], height / source.shape[0])
    size = (max(width, round(source.shape[1] * scale)), max(height, round(source.shape[0] * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    whole = cv2.resize(source, size, interpolation=method)
    top, left = (whole.shape[0] - height) // 2, (whole.shape[1] - width) // 2
    return np.ascontiguousarray(whole[top : top + height, left : left + width])


def inked(text: str, font: str, size: int) -> Pixels:
    """A line as coverage (h, w), 0 to 255; `size` is that of the font in pixels."""
    if font == "aileron":
        face = ImageFont.load_default(size=size)
        left, top, right, bottom = face.getbbox(text)
        image = Image.new("L", (int(right - left) + 2, int(bottom - top) + 2))
        ImageDraw.Draw(image).text((1 - left, 1 - top), text, font=face, fill=255)
        return np.asarray(image)
    face = cv2.FontFace({"rubik": "sans", "bold": "sans", "italic": "italic", "noto": "uni"}[font])
    canvas = np.zeros((size * 2, size * (len(text) + 2), 3), np.uint8)
    cv2.putText(
        canvas,
        text,
        (size // 2, int(size * 1.4)),
        (255, 255, 255),
        face,
        size,
        800 if font == "bold" else 400,
    )
    ink = canvas[..., 0]
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def write(
    picture: Pixels, text: str, font: str, size: int, place: tuple[int, int], ink: Color
) -> int:
    """Write a line into the picture with its top left corner there; answers its width."""
    cover = inked(text, font, size)
    x, y = place
    region = picture[y : y + cover.shape[0], x : x + cover.shape[1]]
    if region.shape[:2] != cover.shape:
        raise ValueError(f"{text!r} ({cover.shape}) does not fit at {place} of {picture.shape}")
    share = cover[..., None].astype(np.float32) / 255
    region[:] = np.rint(region * (1 - share) + np.asarray(ink, np.float32) * share)
    return cover.shape[1]


def plate(lines: list[str], font: str, size: int, paper: Color, ink: Color) -> Pixels:
    """Lines one below the other on a plain ground with a margin."""
    covers = [inked(line, font, size) for line in lines]
    step = int(size * 1.5)
    shape = (step * len(lines) + size, max(c.shape[1] for c in covers) + 2 * size, 3)
    ground = np.full(shape, paper, np.uint8)
    for number, line in enumerate(lines):
        write(ground, line, font, size, (size, int(size * 0.75) + step * number), ink)
    return ground


def mounted(picture: Pixels, sign: Pixels, corners: list[tuple[float, float]]) -> Pixels:
    """A sign seen in the picture with its corners (clockwise from its top left) at shares of the picture's size."""
    height, width = sign.shape[:2]
    here = np.float32([[0, 0], [width, 0], [width, height], [0, height]])
    there = np.float32(corners) * np.float32(picture.shape[1::-1])
    shrink = np.linalg.norm(there[1] - there[0]) / width
    if shrink < 0.6:
        sign = cv2.GaussianBlur(sign, (0, 0), 0.4 / shrink)
    turn = cv2.getPerspectiveTransform(here, there.astype(np.float32))
    size = picture.shape[1::-1]
    seen = cv2.warpPerspective(
        sign, turn, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    share = cv2.warpPerspective(np.full(sign.shape[:2], 255, np.uint8), turn, size)[..., None] / 255
    return np.rint(picture * (1 - share) + seen * share).astype(np.uint8)


def turned(picture: Pixels, degrees: float) -> Pixels:
    """Turned about its middle, anticlockwise; its edges run on."""
    height, width = picture.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    return cv2.warpAffine(
        picture, turn, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )


def jpeg(picture: Pixels, quality: int, *, noise: float = 0.0, blur: float = 0.0) -> bytes:
    """As a camera or scanner would hand it over; `noise` and `blur` are standard deviations in levels and pixels."""
    if blur:
        picture = cv2.GaussianBlur(picture, (0, 0), blur)
    if noise:
        grain = np.random.default_rng(len(picture)).normal(0, noise, picture.shape)
        picture = (picture + grain).clip(0, 255).astype(np.uint8)
    encoded: bytes = simplejpeg.encode_jpeg(
        np.ascontiguousarray(picture), quality=quality, colorspace="RGB"
    )
    return encoded


def phrase(random: np.random.Generator, count: int) -> str:
    """Words and, now and then, a number, the first with a capital."""
    drawn = [
        str(random.integers(10, 9999)) if random.random() < 0.12 else str(random.choice(WORDS))
        for _ in range(count)
    ]
    return " ".join([drawn[0].capitalize(), *drawn[1:]])
