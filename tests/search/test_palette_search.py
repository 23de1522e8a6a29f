"""A prepared palette finds exactly what comparing every color would, whatever is asked."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aion_dagster import schemas
from aion_dagster.compute.color_space import delta_e_2000, lab_of_rgb
from aion_dagster.search.color_cells import ColorCells
from aion_dagster.search.color_distance import TOLERANCE, rough_delta_e
from aion_dagster.search.color_query import ColorQuery, lab_of_hex
from aion_dagster.search.palettes import PaletteIndex

COLORS_EACH = 4
KINDS = ("any", "greys", "blues", "one", "photograph")


def colors(kind, count, random):
    """`count` sRGB colors, (count, 3)."""
    if kind == "greys":
        return np.clip(
            random.integers(0, 256, (count, 1)) + random.integers(-3, 4, (count, 3)), 0, 255
        )
    if kind == "blues":
        return np.c_[random.integers(0, 160, (count, 2)), random.integers(200, 256, count)]
    if kind == "one":
        return np.clip(random.integers(0, 256, 3) + random.integers(-9, 10, (count, 3)), 0, 255)
    if kind == "photograph":
        light = random.normal(110, 55, (count, 1))
        return np.clip(light + random.normal(0, 22, (count, 3)) + [12, 3, -12], 0, 255).astype(int)
    return random.integers(0, 256, (count, 3))


def hex_of(rgb):
    return f"#{bytes(rgb).hex()}"


def analyses(rgb, random):
    """Pictures of `COLORS_EACH` colors each, schema `COLOR_ANALYSES` as far as it is searched."""
    count = len(rgb)
    lab = lab_of_rgb(rgb).astype(np.float32)
    known = {
        "hex": pa.array([hex_of(c) for c in rgb.tolist()]),
        "percentage": pa.array(random.choice([1, 5, 10, 40], count).astype(np.float32)),
        "name": pa.array(random.choice(["oak", "slate"], count)),
        "family": pa.array(random.choice(["cool", "warm"], count)),
        **{c: pa.array(lab[:, i]) for i, c in enumerate(("lab_l", "lab_a", "lab_b"))},
    }
    struct = pa.StructArray.from_arrays(
        [known.get(f.name, pa.nulls(count, f.type)) for f in schemas.DOMINANT_COLOR],
        fields=list(schemas.DOMINANT_COLOR),
    )
    offsets = pa.array(np.arange(0, count + 1, COLORS_EACH, dtype=np.int32))
    ids = [f"{i:05d}" for i in range(count // COLORS_EACH)]
    return pa.table({"image_id": ids, "dominant_colors": pa.ListArray.from_arrays(offsets, struct)})


def brute_force(table, query, limit):
    """(id, difference) of the best pictures, by comparing every color."""
    best = {}
    wanted = lab_of_hex(query.hex)
    for row in table.to_pylist():
        usable = [
            c
            for c in row["dominant_colors"]
            if c["percentage"] >= query.min_percentage - 1e-4
            and query.family in (None, c["family"])
        ]
        if not usable:
            continue
        lab = np.array([[c["lab_l"], c["lab_a"], c["lab_b"]] for c in usable])
        differences = delta_e_2000(lab, wanted)
        place = min(range(len(usable)), key=lambda i: (differences[i], -usable[i]["percentage"]))
        if differences[place] < query.delta_e_threshold:
            key = (differences[place], -usable[place]["percentage"], row["image_id"])
            best[row["image_id"]] = key
    ordered = sorted(best.values())[:limit]
    return [(image, difference) for difference, _, image in ordered]


@given(
    kind=st.sampled_from(KINDS),
    asked=st.sampled_from(KINDS),
    threshold=st.one_of(st.floats(0.2, 60), st.just(15.0)),
    limit=st.sampled_from([1, 3, 10, 1000]),
    min_percentage=st.sampled_from([0, 5, 30]),
    family=st.sampled_from([None, "cool"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_it_finds_what_comparing_every_color_finds(
    kind, asked, threshold, limit, min_percentage, family, seed
):
    random = np.random.default_rng(seed)
    table = analyses(colors(kind, 400, random), random)
    code = hex_of(colors(asked, 1, random)[0].tolist())
    query = ColorQuery(code, None, family, threshold, min_percentage)
    hits = PaletteIndex.from_table(table).search(query, limit)
    expected = brute_force(table, query, limit)
    assert [h.image_id for h in hits] == [image for image, _ in expected]
    assert [h.delta_e for h in hits] == pytest.approx([d for _, d in expected], abs=1e-6)
    assert [h.match_score for h in hits] == pytest.approx(
        [max(0, 1 - d / threshold) for _, d in expected], abs=1e-6
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("code", ["#0000ff", "#808080", "#c4a87c", "#ff00ff"])
def test_none_of_very_many_colors_is_missed(kind, code):
    random = np.random.default_rng(len(kind))
    rgb = colors(kind, 60_000, random)
    index = PaletteIndex.from_table(analyses(rgb, random))
    lab = lab_of_rgb(rgb).astype(np.float32)
    differences = delta_e_2000(lab, lab_of_hex(code)).reshape(-1, COLORS_EACH).min(axis=1)
    for limit in (10, 500):
        hits = index.search(ColorQuery(code, min_percentage=0), limit)
        expected = np.sort(differences[differences < 15])[:limit]
        assert [h.delta_e for h in hits] == pytest.approx(expected.tolist(), abs=1e-6)
    having = index.having(ColorQuery(code, min_percentage=0))
    assert having.tolist() == (differences < 15).tolist()


def test_only_pictures_that_are_allowed_are_found_and_fill_the_limit():
    random = np.random.default_rng(1)
    table = analyses(colors("photograph", 4000, random), random)
    index = PaletteIndex.from_table(table)
    among = np.arange(table.num_rows) % 5 == 2
    query = ColorQuery("#6e6458", delta_e_threshold=30)
    expected = brute_force(table.filter(pa.array(among)), query, 20)
    assert len(expected) == 20
    assert [h.image_id for h in index.search(query, 20, among=among)] == [i for i, _ in expected]
    named = index.search(ColorQuery(name="OAK"), 7, among=among)
    assert len(named) == 7
    assert all(int(h.image_id) % 5 == 2 for h in named)


def test_a_name_that_very_many_have_gives_the_largest_shares_by_id():
    random = np.random.default_rng(2)
    table = analyses(colors("any", 8000, random), random)
    hits = PaletteIndex.from_table(table).search(ColorQuery(name="oak"), 6)
    largest = [
        row["image_id"]
        for row in table.to_pylist()
        if any(c["name"] == "oak" and c["percentage"] == 40 for c in row["dominant_colors"])
    ]
    assert [h.image_id for h in hits] == largest[:6]


@given(st.sampled_from(KINDS), st.sampled_from(KINDS), st.integers(0, 2**32 - 1))
def test_bounds_of_cells_and_rough_differences_hold(kind, asked, seed):
    random = np.random.default_rng(seed)
    lab = lab_of_rgb(colors(kind, 3000, random)).astype(np.float32)
    wanted = lab_of_rgb(colors(asked, 1, random)[0])
    exact = delta_e_2000(lab, wanted)
    cells = ColorCells.of(lab)
    nearest = np.minimum.reduceat(exact[cells.order], cells.starts[:-1])
    assert (cells.least_delta_e(tuple(wanted.tolist())) <= nearest + 1e-6).all()
    channels = tuple(np.ascontiguousarray(c) for c in lab.T)
    rough = rough_delta_e(channels, tuple(wanted.tolist()))
    assert (np.abs(rough - exact)[rough > 0] < TOLERANCE / 2).all()


@given(st.floats(0, 6.28), st.floats(0, 100), st.integers(0, 2**32 - 1))
def test_hues_opposite_to_the_last_digit_are_left_to_the_exact_formula(hue, chroma, seed):
    random = np.random.default_rng(seed)
    turn = np.pi + random.normal(0, 10.0 ** random.uniform(-7, -1), 2000)
    own = random.uniform(0, 30, 2000)
    lab = np.stack(
        [random.uniform(0, 100, 2000), own * np.cos(hue + turn), own * np.sin(hue + turn)]
    )
    lab = lab.astype(np.float32)
    wanted = (50.0, float(chroma * np.cos(hue)), float(chroma * np.sin(hue)))
    rough = rough_delta_e((lab[0], lab[1], lab[2]), wanted)
    exact = delta_e_2000(lab.T, wanted)
    assert (np.abs(rough - exact)[rough > 0] < TOLERANCE / 2).all()


def test_colors_that_nobody_knows_are_never_near():
    rows = [{f.name: None for f in schemas.DOMINANT_COLOR} | {"percentage": 50.0, "name": "oak"}]
    table = pa.Table.from_pylist(
        [{"image_id": "a", "dominant_colors": rows}], schema=schemas.COLOR_ANALYSES
    )
    index = PaletteIndex.from_table(table)
    assert index.search(ColorQuery("#000")) == []
    assert [h.image_id for h in index.search(ColorQuery(name="oak"))] == ["a"]
