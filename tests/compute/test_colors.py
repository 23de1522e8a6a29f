"""Colors: exact L*a*b*, published differences, shares that add up, the same answer every time."""

from __future__ import annotations

import numpy as np
import picture_files as files
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ImageColor

from aion_dagster.compute.color_names import FAMILIES, name_indices, nearest_names, plain_color
from aion_dagster.compute.color_space import hsl_of_rgb, lab_of_rgb, lab_points, rgb_of_lab
from aion_dagster.compute.colors import (
    ANALYSIS_SIDE,
    ColorAnalysis,
    analysis_pixels,
    analyze_colors,
    delta_e_2000,
    hex_to_lab,
    named_colors,
)

# G. Sharma, W. Wu, E. Dalal (2005), table 1.
SHARMA = [
    ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
    ((50, 3.1571, -77.2803), (50, 0, -82.7485), 2.8615),
    ((50, 2.8361, -74.0200), (50, 0, -82.7485), 3.4412),
    ((50, -1.3802, -84.2814), (50, 0, -82.7485), 1.0000),
    ((50, -1.1848, -84.8006), (50, 0, -82.7485), 1.0000),
    ((50, -0.9009, -85.5211), (50, 0, -82.7485), 1.0000),
    ((50, 0, 0), (50, -1, 2), 2.3669),
    ((50, -1, 2), (50, 0, 0), 2.3669),
    ((50, 2.4900, -0.0010), (50, -2.4900, 0.0009), 7.1792),
    ((50, 2.4900, -0.0010), (50, -2.4900, 0.0010), 7.1792),
    ((50, 2.4900, -0.0010), (50, -2.4900, 0.0011), 7.2195),
    ((50, 2.4900, -0.0010), (50, -2.4900, 0.0012), 7.2195),
    ((50, -0.0010, 2.4900), (50, 0.0009, -2.4900), 4.8045),
    ((50, -0.0010, 2.4900), (50, 0.0010, -2.4900), 4.8045),
    ((50, -0.0010, 2.4900), (50, 0.0011, -2.4900), 4.7461),
    ((50, 2.5, 0), (50, 0, -2.5), 4.3065),
    ((50, 2.5, 0), (73, 25, -18), 27.1492),
    ((50, 2.5, 0), (61, -5, 29), 22.8977),
    ((50, 2.5, 0), (56, -27, -3), 31.9030),
    ((50, 2.5, 0), (58, 24, 15), 19.4535),
    ((50, 2.5, 0), (50, 3.1736, 0.5854), 1.0000),
    ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ((63.0109, -31.0961, -5.8663), (62.8187, -29.7946, -4.0864), 1.2630),
    ((61.2901, 3.7196, -5.3901), (61.4292, 2.2480, -4.9620), 1.8731),
    ((35.0831, -44.1164, 3.7933), (35.0232, -40.0716, 1.5901), 1.8645),
    ((22.7233, 20.0904, -46.6940), (23.0331, 14.9730, -42.5619), 2.0373),
    ((36.4612, 47.8580, 18.3852), (36.2715, 50.5065, 21.2231), 1.4146),
    ((90.8027, -2.0831, 1.4410), (91.1528, -1.6435, 0.0447), 1.4441),
    ((6.7747, -0.2908, -2.4247), (5.8714, -0.0985, -2.2286), 0.6377),
    ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
]

bytes_ = st.integers(0, 255)
colors = st.tuples(bytes_, bytes_, bytes_)


@pytest.mark.parametrize(("first", "second", "expected"), SHARMA)
def test_differences_agree_with_the_published_pairs(
    first: tuple[float, ...], second: tuple[float, ...], expected: float
) -> None:
    assert float(delta_e_2000(first, second)) == pytest.approx(expected, abs=5e-5)


@given(colors, colors)
def test_differences_are_symmetric_and_zero_only_for_the_same(
    first: tuple[int, ...], second: tuple[int, ...]
) -> None:
    there = float(delta_e_2000(lab_of_rgb(first), lab_of_rgb(second)))
    back = float(delta_e_2000(lab_of_rgb(second), lab_of_rgb(first)))
    assert there == pytest.approx(back, abs=1e-9)
    assert (there < 1e-9) == (first == second)


def test_differences_broadcast() -> None:
    lab = lab_of_rgb(np.arange(30).reshape(10, 3) * 8)
    table = delta_e_2000(lab[:, None], lab[None])
    assert table.shape == (10, 10)
    assert np.diag(table).max() < 1e-9


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("#ffffff", (100, 0, 0)),
        ("000000", (0, 0, 0)),
        ("#FF0000", (53.24, 80.09, 67.20)),
        ("#00ff00", (87.73, -86.18, 83.18)),
        ("#0000ff", (32.30, 79.19, -107.86)),
        ("#808080", (53.585, 0, 0)),
    ],
)
def test_lab_of_a_hex_value(value: str, expected: tuple[float, ...]) -> None:
    np.testing.assert_allclose(hex_to_lab(value), expected, atol=0.02)


@pytest.mark.parametrize("value", ["#fff", "red", "", "#gggggg", "#12345678"])
def test_what_is_no_hex_value_is_refused_with_an_example(value: str) -> None:
    with pytest.raises(ValueError, match="#c4a87c"):
        hex_to_lab(value)


@given(colors)
def test_lab_and_back_is_the_same_color(color: tuple[int, ...]) -> None:
    assert tuple(rgb_of_lab(lab_of_rgb(color)).tolist()) == color


@given(colors)
def test_hsl_stays_in_its_ranges(color: tuple[int, ...]) -> None:
    hue, saturation, lightness = hsl_of_rgb(color).tolist()
    assert 0 <= hue < 360
    assert 0 <= saturation <= 100
    assert 0 <= lightness <= 100


@given(colors)
def test_a_picture_of_one_color_has_that_color(color: tuple[int, ...]) -> None:
    analysis = analyze_colors(np.full((9, 16, 3), color, np.uint8))
    named = named_colors([analysis])
    assert named.rgb.tolist() == [list(color)]
    assert analysis.percentages.tolist() == [100.0]
    assert named.families[0] in FAMILIES
    assert analysis.brightness == pytest.approx(float(lab_of_rgb(color)[0]), abs=0.01)


@given(st.integers(0, 10_000))
def test_lab_from_tables_is_near_the_exact_one(seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    points = lab_points(pixels)
    np.testing.assert_allclose(points[:, :3], lab_of_rgb(pixels).reshape(-1, 3), atol=0.1)
    assert (points[:, 3] == 1).all()


def test_halving_for_the_analysis_keeps_the_shares_of_colors() -> None:
    pixels = np.full((301, 403, 3), (200, 30, 30), np.uint8)
    pixels[:100] = (20, 60, 200)
    small = analysis_pixels(pixels)
    assert max(small.shape) <= ANALYSIS_SIDE
    np.testing.assert_allclose(analyze_colors(small).percentages[:2], [66.8, 33.2], atol=2)


@given(st.integers(0, 10_000), st.integers(3, 16))
def test_shares_add_up_and_fall(seed: int, n_colors: int) -> None:
    analysis = analyze_colors(files.scene(48, 36, seed), n_colors=n_colors)
    shares = analysis.percentages
    assert 1 <= len(shares) <= n_colors
    assert float(shares.sum()) == pytest.approx(100, abs=1e-3)
    assert (np.diff(shares) <= 0).all()
    assert (shares > 0).all()
    assert -1 <= analysis.temperature_score <= 1
    assert 0 <= analysis.brightness <= 100
    assert 0 <= analysis.saturation <= 100


@given(st.integers(0, 10_000))
def test_more_pixels_than_are_assigned_at_once_add_up_too(seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    assert float(analyze_colors(pixels).percentages.sum()) == pytest.approx(100, abs=1e-3)


def test_the_same_picture_gives_the_same_colors() -> None:
    pixels = files.scene(128, 96, 5)
    first, second = analyze_colors(pixels), analyze_colors(pixels.copy())
    np.testing.assert_array_equal(first.lab, second.lab)
    np.testing.assert_array_equal(first.percentages, second.percentages)


def test_colors_are_found_in_the_shares_they_have() -> None:
    pixels = np.zeros((10, 100, 3), np.uint8)
    pixels[:, :60], pixels[:, 60:90], pixels[:, 90:] = (200, 30, 30), (20, 60, 200), (240, 240, 235)
    analysis = analyze_colors(pixels)
    named = named_colors([analysis])
    np.testing.assert_allclose(analysis.percentages, [60, 30, 10], atol=1e-4)
    assert named.hexes == ["#c81e1e", "#143cc8", "#f0f0eb"]
    assert named.families == ["vibrant", "vibrant", "neutral"]


def test_colors_that_nobody_can_tell_apart_are_one() -> None:
    pixels = np.full((10, 10, 3), (120, 80, 40), np.uint8)
    pixels[:, 5:] = (121, 81, 41)
    assert len(analyze_colors(pixels).percentages) == 1


def one(value: str) -> ColorAnalysis:
    return analyze_colors(np.full((4, 4, 3), ImageColor.getrgb(value), np.uint8))


@pytest.mark.parametrize(
    ("value", "name", "family"),
    [
        ("#ff7f50", "coral", "vibrant"),
        ("#000000", "black", "neutral"),
        ("#5c4033", "walnut", "earth_tone"),
        ("#9c4a3c", "brick", "earth_tone"),
        ("#b87333", "copper", "metallic"),
        ("#b9a04a", "brass", "metallic"),
        ("#5b6770", "slate", "neutral"),
        ("#add8e6", "lightblue", "pastel"),
        ("#4682b4", "steelblue", "cool"),
        ("#0000ff", "blue", "vibrant"),
    ],
)
def test_names_and_families(value: str, name: str, family: str) -> None:
    named = named_colors([one(value)])
    assert (named.names, named.families) == ([name], [family])


def test_near_a_named_color_its_name_is_said() -> None:
    named = named_colors([one("#5d4134"), one("#0202fc")])
    assert named.names == ["walnut", "blue"]


def test_everyday_words_fit_the_css_colors_of_that_name() -> None:
    words = ("black", "white", "gray", "red", "orange", "yellow", "green", "blue", "purple", "pink")
    for word in words:
        assert plain_color(lab_of_rgb(ImageColor.getrgb(word)).tolist()) == word
    assert plain_color(hex_to_lab("#8b4513").tolist()) == "brown"
    assert plain_color(hex_to_lab("#40e0d0").tolist()) == "turquoise"


def test_categories_follow_what_is_seen() -> None:
    assert one("#ff8c00").temperature == "warm"
    assert one("#1e90ff").temperature == "cool"
    assert one("#777777").temperature == "neutral"
    assert [one(c).brightness_category for c in ("#101010", "#777777", "#f8f8f8")] == [
        "dark",
        "medium",
        "bright",
    ]
    assert [one(c).saturation_category for c in ("#777777", "#996644", "#ff2200")] == [
        "muted",
        "vivid",
        "vivid",
    ]


def test_no_analyses_have_no_colors() -> None:
    assert named_colors([]).names == []


def test_the_shipped_cells_hold_the_names_that_are_computed() -> None:
    cells = np.random.default_rng(0).integers(0, 64**3, 3000).astype(np.int32)
    middles = np.stack([cells >> 12, cells >> 6 & 63, cells & 63], axis=1) * 4 + 1
    told = name_indices(middles.astype(np.uint8))
    # A color that has a name of its own keeps it, whatever its cell's middle is called.
    assert np.mean(told == nearest_names(cells)) > 0.999
