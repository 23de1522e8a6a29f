"""Boxes and masks as columns, with pycocotools as the oracle."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as oracle

from aion_dagster import schemas
from aion_dagster.formats.boxes import areas, clip_box
from aion_dagster.formats.masks import decode_counts, encode_counts

H, W = 40, 60
coordinate = st.floats(-20, 80, allow_nan=False).map(lambda v: round(v, 2))
polygon = st.lists(st.tuples(coordinate, coordinate), min_size=3, max_size=8).map(
    lambda points: [c for p in points for c in p]
)
IMAGES = pa.table({"image_id": ["i"], "width": [W], "height": [H]})


def annotations(masks: list[dict | None]) -> pa.Table:
    rows = [
        {
            "annotation_id": str(i),
            "image_id": "i",
            "category": "c",
            "bbox": {"x": 0.0, "y": 0.0, "w": 10.0, "h": 5.0},
            "segmentation": mask,
            "iscrowd": False,
        }
        for i, mask in enumerate(masks)
    ]
    return pa.Table.from_pylist(rows, schema=schemas.ANNOTATIONS)


def oracle_area(polygons: list[list[float]]) -> float:
    return float(oracle.area(oracle.merge(oracle.frPyObjects(polygons, H, W))))


@given(st.lists(st.lists(polygon, min_size=1, max_size=3), min_size=1, max_size=5))
def test_polygon_areas_are_those_of_pycocotools(masks):
    table = annotations([{"polygons": polygons, "rle": None} for polygons in masks])
    assert areas(table, IMAGES).tolist() == [oracle_area(polygons) for polygons in masks]


def test_many_large_polygons_are_counted_in_several_chunks():
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    masks, expected = [], []
    for radius in range(1000, 1300, 8):
        ring = np.stack([1500 + radius * np.cos(angle), 1500 + radius * np.sin(angle)], axis=1)
        polygons = [ring.ravel().tolist(), (ring + 7).ravel().tolist()]
        masks.append({"polygons": polygons, "rle": None})
        if radius % 100 == 0:
            merged = oracle.merge(oracle.frPyObjects(polygons, 3000, 3000))
            expected.append((len(masks) - 1, float(oracle.area(merged))))
    images = pa.table({"image_id": ["i"], "width": [3000], "height": [3000]})
    measured = areas(annotations(masks), images)
    assert [(i, measured[i]) for i, _ in expected] == expected


def test_without_sizes_a_polygon_counts_beyond_any_picture():
    table = annotations([{"polygons": [[100, 100, 120, 100, 120, 110, 100, 110]], "rle": None}])
    assert areas(table).tolist() == [200.0]


def test_a_box_without_mask_counts_as_box_and_a_flat_polygon_is_no_mask():
    table = annotations(
        [None, {"polygons": [[1, 1, 5, 5]], "rle": None}, {"polygons": [], "rle": None}]
    )
    assert areas(table, IMAGES).tolist() == [50.0, 50.0, 50.0]


@given(hnp.arrays(np.uint8, (7, 11), elements=st.integers(0, 1)))
def test_run_lengths_are_coded_as_pycocotools_codes_them(mask):
    flat = np.asfortranarray(mask).ravel(order="F")
    edges = np.flatnonzero(np.diff(flat, prepend=0)).tolist()
    counts = np.diff([0, *edges, flat.size]).tolist()
    expected = oracle.encode(np.asfortranarray(mask))["counts"].decode()
    assert encode_counts(counts) == expected
    assert decode_counts(expected).tolist() == counts
    rle = {"polygons": None, "rle": {"height": 7, "width": 11, "counts": expected}}
    assert areas(annotations([rle])).tolist() == [float(mask.sum())]


@given(st.lists(st.integers(0, 10**8), min_size=1, max_size=30))
def test_any_run_lengths_survive_coding(counts):
    assert decode_counts(encode_counts(counts)).tolist() == counts


@pytest.mark.parametrize("text", ["~~~", "é", "P", " "])
def test_what_is_not_a_compressed_rle_is_refused(text):
    with pytest.raises(ValueError, match="RLE"):
        decode_counts(text)


def test_boxes_are_cut_at_the_edges_and_empty_ones_are_not_kept():
    x = [-5, 10, 95, 200, 10, 10, np.nan, np.inf]
    y = [-5, 10, 40, 10, 10, 10, 1, 1]
    w = [10, 20, 10, 5, 0, -4, 5, 5]
    h = [10, 20, 20, 5, 5, 5, 5, 5]
    cut = clip_box(x, y, w, h, np.full(8, 100), np.full(8, 50))
    assert cut.kept.tolist() == [True, True, True, False, False, False, False, False]
    assert cut.changed.tolist() == [True, False, True, False, False, False, False, False]
    assert np.stack(cut[:4], axis=1)[:3].tolist() == [
        [0, 0, 5, 5],
        [10, 10, 20, 20],
        [95, 40, 5, 10],
    ]


numbers = st.floats(-50, 150) | st.sampled_from([float("nan"), float("inf"), -float("inf")])


@given(st.lists(st.tuples(numbers, numbers, numbers, numbers), min_size=1, max_size=20))
def test_a_clipped_box_lies_inside_and_clipping_twice_changes_nothing(rows):
    x, y, w, h = np.array(rows, dtype=float).T
    cut = clip_box(x, y, w, h, 100, 50)
    kept = cut.kept
    assert (cut.x[kept] >= 0).all()
    assert (cut.x[kept] + cut.w[kept] <= 100 + 1e-9).all()
    assert (cut.w[kept] > 0).all()
    assert (cut.h[kept] > 0).all()
    again = clip_box(cut.x[kept], cut.y[kept], cut.w[kept], cut.h[kept], 100, 50)
    assert np.allclose(again.x, cut.x[kept])
    assert np.allclose(again.w, cut.w[kept])
