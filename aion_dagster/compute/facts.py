"""A title, a description and tags made of measured facts alone: sizes, colors, light, text that was read. No guess at meaning."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aion_dagster.compute.color_names import plain_color

FACTS_VERSION: Final = 2
"""Changes with the wording, so that stored descriptions are known to be older."""

_NAMED_COLORS: Final = 3
_LEAST_SHARE: Final = 10.0
_QUOTED_CHARACTERS: Final = 300
_PANORAMA: Final = 2.0
_SQUARE: Final = 1.02

_BLURRED: Final = 150.0
_BLURRED_SHARE: Final = 0.2
"""Sharpness (variance of the Laplacian at 256 pixels), and its share of the variance of grey levels, below which a picture
is blurred. Of 43 sharp photographs none is below both (the lowest: 208); of their copies blurred with a sigma of 0.4 % of
the longer side 95 % are, with 0.6 % all.
"""
_UNIFORM_CONTRAST: Final = 0.03
_UNIFORM_COLORFULNESS: Final = 8.0
_LOW_CONTRAST: Final = 0.12
"""Of the same photographs the lowest contrast is 0.145."""
_CLIPPED: Final = 0.25
_DARK, _BRIGHT = 30.0, 75.0
_GRAYSCALE: Final = 2.0
"""Colorfulness below which nobody sees a color."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Facts:
    """What was measured of one picture.

    Args:
        image: a row of `images` with status ok.
        colors: its row of `color_analyses`, or None.
        features: its row of `visual_features`, or None.
        visible_text: text that was read in the picture; None where nobody looked, empty where there is none.
        codes: (category, content) of each QR code or barcode that was read.
    """

    image: Row
    colors: Row | None = None
    features: Row | None = None
    visible_text: str | None = None
    codes: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Described:
    """Plain text, to be escaped where it is shown; `tags` in lower case, each once."""

    title: str
    description: str
    tags: tuple[str, ...]


def describe(facts: Facts) -> Described:
    """Put the facts into words; the same facts give the same words."""
    sentences = [
        _size(facts.image),
        *_origin(facts.image),
        *_color_sentences(facts.colors),
        *_feature_sentences(facts),
        *_text_sentences(facts),
    ]
    return Described(_title(facts), " ".join(sentences), tuple(dict.fromkeys(_tags(facts))))


def _title(facts: Facts) -> str:
    shape = _shape(facts.image)
    words = f"{shape} picture" if shape != "panorama" else "panorama"
    if facts.colors is not None:
        looks = [*_brightness_tag(facts.colors), *_saturation_tag(facts.colors)]
        words = f"{', '.join(looks)} {words}".strip()
        words += f" in {_listed(_main_colors(facts.colors))}"
    return words[:1].upper() + words[1:]


def _size(image: Row) -> str:
    frames = image.get("frame_count") or 1
    several = f" with {frames} frames" if frames > 1 else ""
    name = str(image["format"]).upper()
    return f"{name}{several}, {image['width']} × {image['height']} pixels, {_shape(image)}."


def _shape(image: Row) -> str:
    ratio = image["width"] / image["height"]
    if ratio >= _PANORAMA:
        return "panorama"
    if 1 / _SQUARE <= ratio <= _SQUARE:
        return "square"
    return "landscape" if ratio > 1 else "portrait"


def _origin(image: Row) -> Iterator[str]:
    if image.get("captured_at") is not None:
        yield f"Taken on {image['captured_at']:%Y-%m-%d at %H:%M}."
    place = image.get("gps")
    if place is not None:
        north, east = place["latitude"], place["longitude"]
        latitude = f"{abs(north):.4f}° {'N' if north >= 0 else 'S'}"
        yield f"Place: {latitude}, {abs(east):.4f}° {'E' if east >= 0 else 'W'}."


def _color_sentences(colors: Row | None) -> Iterator[str]:
    if colors is None:
        return
    shares = ", ".join(
        f"{_plain(c)} {c['hex']} ({c['percentage']:.0f} %)"
        for c in colors["dominant_colors"][:_NAMED_COLORS]
    )
    yield f"Main colors: {shares}."
    yield (
        f"Brightness {colors['brightness']:.0f} of 100, saturation {colors['saturation']:.0f} of 100, "
        f"{_temperature(colors)}."
    )


def _temperature(colors: Row) -> str:
    category = str(colors["temperature"])
    return "neither warm nor cool" if category == "neutral" else category


_QUALITY: Final = {
    "near-uniform": "It is nearly of one color.",
    "blurred": "It is blurred.",
    "low contrast": "Its contrast is low.",
    "underexposed": "It is underexposed.",
    "overexposed": "It is overexposed.",
    "grayscale": "It has no colors but greys.",
}
"""What is wrong, or special, about how a picture was taken: tag → sentence."""


def _quality_tags(features: Row | None, colors: Row | None) -> Iterator[str]:
    if features is None:
        return
    contrast, sharpness = features["contrast"], features["sharpness"]
    uniform = contrast < _UNIFORM_CONTRAST and features["colorfulness"] < _UNIFORM_COLORFULNESS
    if uniform:
        yield "near-uniform"  # nothing there to be sharp or of contrast
    elif sharpness < _BLURRED and sharpness < _BLURRED_SHARE * (contrast * 127.5) ** 2:
        yield "blurred"
    if not uniform and contrast < _LOW_CONTRAST:
        yield "low contrast"
    brightness = None if colors is None else colors["brightness"]
    if features["clipped_shadows"] >= _CLIPPED and (brightness is None or brightness < _DARK):
        yield "underexposed"
    if features["clipped_highlights"] >= _CLIPPED and (brightness is None or brightness >= _BRIGHT):
        yield "overexposed"
    if features["colorfulness"] < _GRAYSCALE:
        yield "grayscale"


def _feature_sentences(facts: Facts) -> Iterator[str]:
    features = facts.features
    if features is None:
        return
    yield (
        f"Contrast {features['contrast']:.2f}, sharpness {features['sharpness']:.0f}, "
        f"colorfulness {features['colorfulness']:.0f}."
    )
    yield from (_QUALITY[tag] for tag in _quality_tags(features, facts.colors))
    for column, where in (("clipped_shadows", "black"), ("clipped_highlights", "white")):
        if features[column] >= 0.05:
            yield f"{features[column] * 100:.0f} % of it is plain {where}."


def _text_sentences(facts: Facts) -> Iterator[str]:
    text = _printable(facts.visible_text or "")
    if text:
        yield f"Text in it: “{text}”."
    for category, content in facts.codes:
        shown = _printable(content)
        yield f"{_spoken(category)} in it: “{shown}”." if shown else f"{_spoken(category)} in it."


def _spoken(category: str) -> str:
    words = category.replace("_", " ").strip()
    return {"qr": "QR code"}.get(words, f"{words.upper()} barcode")


def _printable(text: str) -> str:
    """One line without control and formatting characters, cut to a length that fits a description."""
    kept = (" " if c.isspace() else c for c in text if c.isspace() or not _is_control(c))
    line = " ".join("".join(kept).split())
    return line if len(line) <= _QUOTED_CHARACTERS else line[: _QUOTED_CHARACTERS - 1] + "…"


def _is_control(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn")


def _tags(facts: Facts) -> Iterator[str]:
    yield _shape(facts.image)
    if (facts.image.get("frame_count") or 1) > 1:
        yield "several frames"
    if facts.colors is not None:
        yield from _brightness_tag(facts.colors)
        yield from _saturation_tag(facts.colors)
        if facts.colors["temperature"] != "neutral":
            yield str(facts.colors["temperature"])
        yield from _main_colors(facts.colors)
        if facts.colors["dominant_colors"]:
            yield str(facts.colors["dominant_colors"][0]["family"]).replace("_", " ")
    yield from _quality_tags(facts.features, facts.colors)
    if _printable(facts.visible_text or ""):
        yield from ("has_text", "text")
    if facts.codes:
        yield "has_code"
    yield from (_spoken(category).lower() for category, _ in facts.codes)


def _brightness_tag(colors: Row) -> list[str]:
    return [c for c in (str(colors["brightness_category"]),) if c != "medium"]


def _saturation_tag(colors: Row) -> list[str]:
    return [c for c in (str(colors["saturation_category"]),) if c != "moderate"]


def _main_colors(colors: Row) -> list[str]:
    """Everyday words of the largest colors, by their shares together; at least one."""
    shares: dict[str, float] = {}
    for color in colors["dominant_colors"]:
        word = _plain(color)
        shares[word] = shares.get(word, 0.0) + color["percentage"]
    ranked = sorted(shares, key=lambda word: -shares[word])
    return [w for i, w in enumerate(ranked[:_NAMED_COLORS]) if not i or shares[w] >= _LEAST_SHARE]


def _plain(color: Row) -> str:
    """Not the table's name: "coffee" would claim, to who searches for it, what nobody has seen."""
    return plain_color((color["lab_l"], color["lab_a"], color["lab_b"]))


def _listed(names: Sequence[str]) -> str:
    if len(names) == 1:
        return names[0]
    return f"{', '.join(names[:-1])} and {names[-1]}"
