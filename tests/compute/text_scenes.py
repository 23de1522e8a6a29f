"""The set of pictures with known text by name: `scenes` makes them one by one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
from text_pictures import (
    Color,
    TextPicture,
    jpeg,
    mounted,
    photograph,
    phrase,
    plate,
    turned,
    write,
)

Made = tuple[bytes, list[str]]
WHITE, BLACK = (255, 255, 255), (0, 0, 0)


def paper(
    seed: int,
    width: int,
    height: int,
    size: int,
    font: str,
    *,
    columns: int = 1,
    skew: float = 0.0,
    quality: int = 80,
    noise: float = 4.0,
    blur: float = 0.5,
    ground: Color = (243, 240, 232),
) -> Made:
    """A page of prose as a scanner sees it: grain, a little blur, perhaps askew."""
    random = np.random.default_rng(seed)
    page = np.full((height, width, 3), ground, np.uint8)
    margin, step = max(size * 2, width // 16), int(size * 1.55)
    column = (width - margin * (columns + 1)) // columns
    lines: list[str] = []
    for left in range(margin, margin + columns * (column + margin), column + margin):
        y = margin
        while y < height - margin - step:
            text, ink = phrase(random, 12), (35, 32, 38)
            while text and len(text) * size * 0.6 > column:
                text = text.rpartition(" ")[0]
            if random.random() < 0.88:
                write(page, text, font, size, (left, y), ink)
                lines.append(text)
            y += step
    return jpeg(turned(page, skew) if skew else page, quality, noise=noise, blur=blur), lines


def sign(
    seed: int,
    background: str,
    size: tuple[int, int],
    corners: list[tuple[float, float]],
    font: str,
    *,
    lines: int = 2,
    colors: tuple[Color, Color] = ((250, 248, 240), (30, 40, 90)),
    quality: int = 85,
    noise: float = 3.0,
    blur: float = 0.0,
) -> Made:
    """A sign in a photograph, seen at an angle."""
    random = np.random.default_rng(seed)
    texts = [phrase(random, 2) for _ in range(lines)]
    board = plate(texts, font, 64, *colors)
    picture = mounted(photograph(background, *size), board, corners)
    return jpeg(picture, quality, noise=noise, blur=blur), texts


def caption(
    seed: int,
    background: str,
    size: tuple[int, int],
    places: list[tuple[float, float, int]],
    font: str,
    *,
    ink: Color = WHITE,
    shadow: bool = True,
    angle: float = 0.0,
    quality: int = 80,
) -> Made:
    """Lines written straight onto a photograph; places are shares of its size, then the font's size in pixels."""
    random = np.random.default_rng(seed)
    picture, texts = photograph(background, *size), []
    for left, top, height in places:
        text = phrase(random, 3)
        x, y = int(left * size[0]), int(top * size[1])
        if shadow:
            dark = BLACK if sum(ink) > 380 else WHITE
            write(picture, text, font, height, (x + max(1, height // 16), y + 1), dark)
        write(picture, text, font, height, (x, y), ink)
        texts.append(text)
    return jpeg(turned(picture, angle) if angle else picture, quality, noise=2.0), texts


def screen(seed: int, width: int, height: int, size: int, *, dark: bool) -> Made:
    """A window with a menu, a list and buttons, small sharp text."""
    random = np.random.default_rng(seed)
    ground, ink = ((30, 31, 34), (212, 214, 218)) if dark else ((250, 250, 251), (45, 48, 54))
    picture, texts = np.full((height, width, 3), ground, np.uint8), []
    bar = int(size * 2.4)
    picture[:bar] = np.clip(np.asarray(ground, int) + (24 if dark else -24), 0, 255)
    picture[bar:, : width // 5] = np.clip(np.asarray(ground, int) + (10 if dark else -10), 0, 255)

    def put(text: str, x: int, y: int, color: Color = ink) -> int:
        texts.append(text)
        return write(picture, text, "noto" if seed % 2 else "rubik", size, (x, y), color)

    x = size
    for _ in range(5):
        x += put(phrase(random, 1), x, int(size * 0.8)) + size * 3
    for row in range(int((height - bar * 2) / (size * 2.5))):
        y = bar + size + int(row * size * 2.5)
        put(phrase(random, 1), size, y)
        put(phrase(random, 5), width // 5 + size * 2, y)
        if row % 3 == 0:
            left = width - size * 12
            cv2.rectangle(
                picture, (left, y - size // 2), (left + size * 9, y + size + 6), (40, 110, 220), -1
            )
            put(phrase(random, 1), left + size, y, WHITE)
    return jpeg(picture, 90), texts


def receipt(seed: int, width: int, size: int, *, angle: float = 0.0, quality: int = 70) -> Made:
    """A narrow till receipt on a table: names at the left, prices at the right."""
    random = np.random.default_rng(seed)
    rows = 14
    slip = np.full((int(size * 1.8 * (rows + 2)), width, 3), (248, 247, 243), np.uint8)
    texts = []
    for row in range(rows):
        name, price = phrase(random, 2), f"{random.integers(1, 90)}.{random.integers(10, 99)}"
        y = int(size * 1.8 * (row + 1))
        write(slip, name, "aileron", size, (size, y), (70, 68, 80))
        write(slip, price, "aileron", size, (width - size * 5, y), (70, 68, 80))
        texts.append(f"{name} {price}")
    table = photograph("gravel", int(width * 1.5), int(len(slip) * 1.15))
    top, left = (table.shape[0] - slip.shape[0]) // 2, (table.shape[1] - width) // 2
    table[top : top + slip.shape[0], left : left + width] = slip
    return jpeg(turned(table, angle), quality, noise=5.0, blur=0.6), texts


def turned_plate(seed: int, quarter_turns: int, font: str) -> Made:
    """A label photographed on its side or upside down."""
    random = np.random.default_rng(seed)
    texts = [phrase(random, 3) for _ in range(3)]
    picture = photograph("brick", 720, 540)
    board = cv2.resize(plate(texts, font, 40, (235, 230, 210), (20, 20, 20)), (520, 200))
    picture[170:370, 100:620] = board
    return jpeg(np.rot90(picture, quarter_turns), 82, noise=2.0), texts


def of_skimage_page() -> Made:
    from skimage import data

    lines = [
        "Region-based segmentation",
        "Let us first determine markers of the coins and the",
        "background. These markers are pixels that we can label",
        "unambiguously as either object or background. Here,",
        "the markers are found at the two extreme parts of the",
        "histogram of grey values:",
        ">>> markers = np.zeros_like(coins)",
    ]
    return jpeg(np.repeat(data.page()[..., None], 3, axis=2), 95), lines


def enlarged_page() -> Made:
    """The same page as a phone would have it: four times the size, with grain."""
    from skimage import data

    lines = of_skimage_page()[1]
    big = cv2.resize(data.page(), None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
    return jpeg(np.repeat(big[..., None], 3, axis=2), 85, noise=4.0), lines


def plain(background: str, size: tuple[int, int]) -> Made:
    """A photograph without text."""
    return jpeg(photograph(background, *size), 85, noise=2.0), []


TILTED = [(0.18, 0.25), (0.80, 0.33), (0.78, 0.66), (0.20, 0.72)]
SLANTED = [(0.10, 0.40), (0.62, 0.22), (0.68, 0.50), (0.14, 0.74)]
FAR = [(0.56, 0.55), (0.80, 0.57), (0.79, 0.68), (0.56, 0.67)]
STRIP = [(0.05, 0.70), (0.95, 0.62), (0.95, 0.80), (0.05, 0.90)]
PAINTED = ((120, 20, 25), (250, 235, 200))
FAINT = ((150, 152, 155), (112, 116, 120))
ACROSS = [(0.05, 0.06, 30), (0.08, 0.85, 24)]

_SCENES: dict[str, tuple[str, Callable[[], Made]]] = {
    "skimage-page": ("real", of_skimage_page),
    "skimage-page-x4": ("real", enlarged_page),
    "sign-aileron": ("sign", partial(sign, 1, "brick", (640, 480), TILTED, "aileron")),
    "sign-bold": ("sign", partial(sign, 2, "grass", (640, 480), SLANTED, "bold", colors=PAINTED)),
    "sign-faint": ("sign", partial(sign, 3, "gravel", (800, 600), TILTED, "noto", colors=FAINT)),
    "sign-strip": ("sign", partial(sign, 4, "coffee", (1024, 683), STRIP, "rubik", lines=1)),
    "sign-far": ("sign", partial(sign, 5, "rocket", (1280, 853), FAR, "aileron")),
    "sign-blurred": (
        "sign",
        partial(sign, 6, "flower", (800, 533), SLANTED, "italic", blur=1.6, quality=60),
    ),
    "caption-vga": ("caption", partial(caption, 11, "coffee", (640, 480), ACROSS, "rubik")),
    "caption-plain": (
        "caption",
        partial(caption, 12, "chelsea", (640, 480), ACROSS, "noto", shadow=False),
    ),
    "caption-blue": (
        "caption",
        partial(
            caption,
            13,
            "moon",
            (800, 600),
            [(0.1, 0.4, 44), (0.3, 0.7, 18)],
            "bold",
            ink=(120, 160, 255),
        ),
    ),
    "caption-italic": (
        "caption",
        partial(caption, 14, "flower", (1024, 683), [(0.04, 0.9, 26), (0.5, 0.05, 20)], "italic"),
    ),
    "caption-tiny": (
        "caption",
        partial(caption, 15, "rocket", (1024, 683), [(0.03, 0.95, 13), (0.6, 0.03, 12)], "aileron"),
    ),
    "caption-rough": (
        "caption",
        partial(
            caption,
            16,
            "grass",
            (640, 480),
            [(0.1, 0.3, 40), (0.1, 0.6, 32)],
            "aileron",
            quality=35,
        ),
    ),
    "paper-100dpi": ("paper", partial(paper, 21, 827, 1169, 15, "aileron")),
    "paper-150dpi": ("paper", partial(paper, 22, 1240, 1754, 22, "noto", skew=0.8)),
    "paper-columns": ("paper", partial(paper, 23, 1240, 1000, 17, "rubik", columns=2, noise=7.0)),
    "paper-skewed": ("paper", partial(paper, 24, 900, 700, 20, "italic", skew=-3.0)),
    "paper-note": (
        "paper",
        partial(paper, 25, 600, 400, 24, "aileron", ground=(250, 235, 150), blur=0.9),
    ),
    "screen-light": ("screen", partial(screen, 31, 1280, 800, 13, dark=False)),
    "screen-dark": ("screen", partial(screen, 32, 1366, 768, 14, dark=True)),
    "screen-small": ("screen", partial(screen, 33, 800, 600, 12, dark=False)),
    "receipt": ("receipt", partial(receipt, 41, 420, 18)),
    "receipt-turned": ("receipt", partial(receipt, 42, 520, 20, angle=9.0)),
    "label-90": ("turned", partial(turned_plate, 51, 1, "aileron")),
    "label-180": ("turned", partial(turned_plate, 52, 2, "rubik")),
    "label-270": ("turned", partial(turned_plate, 53, 3, "noto")),
    "caption-20-degrees": (
        "turned",
        partial(
            caption,
            54,
            "coins",
            (800, 600),
            [(0.2, 0.35, 40), (0.3, 0.55, 30)],
            "aileron",
            ink=(255, 230, 60),
            angle=20.0,
        ),
    ),
    "caption-45-degrees": (
        "turned",
        partial(
            caption,
            55,
            "gravel",
            (800, 800),
            [(0.2, 0.35, 48), (0.3, 0.55, 40)],
            "bold",
            ink=(20, 20, 120),
            angle=-45.0,
        ),
    ),
    "small-sign": ("small", partial(sign, 61, "brick", (320, 240), TILTED, "aileron")),
    "small-caption": (
        "small",
        partial(caption, 62, "coffee", (320, 213), [(0.04, 0.06, 16), (0.1, 0.8, 12)], "noto"),
    ),
    "small-note": ("small", partial(paper, 63, 320, 240, 13, "aileron", blur=0.0, noise=2.0)),
    "12mp-sign": (
        "12 MP",
        partial(sign, 71, "grass", (4000, 3000), TILTED, "bold", colors=PAINTED),
    ),
    "12mp-far-sign": ("12 MP", partial(sign, 72, "coffee", (4000, 3000), FAR, "aileron")),
    "12mp-caption": (
        "12 MP",
        partial(caption, 73, "rocket", (4000, 3000), [(0.02, 0.96, 56), (0.5, 0.03, 80)], "noto"),
    ),
    "12mp-paper": ("12 MP", partial(paper, 74, 3000, 4000, 64, "aileron", skew=0.5, blur=1.2)),
    "screen-2560": ("screen", partial(screen, 91, 2560, 1440, 14, dark=False)),
    "screen-1920": ("screen", partial(screen, 92, 1920, 1080, 12, dark=True)),
    "paper-200dpi": ("paper", partial(paper, 93, 1654, 2339, 16, "noto")),
    "12mp-distant-sign": (
        "12 MP",
        partial(
            sign,
            96,
            "grass",
            (4000, 3000),
            [(0.3, 0.3), (0.38, 0.31), (0.38, 0.36), (0.3, 0.35)],
            "rubik",
            lines=3,
        ),
    ),
    "3mp-caption": (
        "caption",
        partial(caption, 97, "coffee", (2000, 1500), [(0.03, 0.95, 16), (0.5, 0.05, 14)], "rubik"),
    ),
    "12mp-small-print": (
        "12 MP",
        partial(
            sign,
            75,
            "gravel",
            (4000, 3000),
            [(0.3, 0.3), (0.52, 0.31), (0.52, 0.46), (0.3, 0.45)],
            "noto",
            lines=4,
        ),
    ),
    **{
        f"plain-{name}": ("no text", partial(plain, name, size))
        for name, size in {
            "chelsea": (640, 480),
            "coffee": (800, 533),
            "rocket": (640, 427),
            "retina": (700, 700),
            "flower": (640, 427),
            "brick": (512, 512),
            "grass": (1024, 768),
            "gravel": (512, 512),
            "coins": (768, 606),
            "moon": (4000, 3000),
        }.items()
    },
}

SCENES = tuple(_SCENES)


def scene(name: str) -> TextPicture:
    """One of the set, made anew: the same bytes each time."""
    kind, make = _SCENES[name]
    data, lines = make()
    return TextPicture(name, kind, data, tuple(lines))
