"""COCO files: whatever stands in one is in the label set or in its losses, at any size, in bounded memory."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as oracle

from aion_dagster.errors import LabelError
from aion_dagster.formats.json_stream import Elements, pieces, read_json
from aion_dagster.formats.labels import read_labels
from aion_dagster.formats.read_coco import read_coco
from aion_dagster.values import LabelSet

IMAGES = [{"id": i, "file_name": f"{i}.jpg", "width": 200, "height": 100} for i in range(3)]
CATEGORIES = [{"id": 7, "name": "dog", "supercategory": "pet"}, {"id": "c", "name": "cat"}]
SQUARE = [10, 10, 60, 10, 60, 50, 10, 50]


def read(path: Path, *annotations: Any, **more: Any) -> LabelSet:
    content = {"images": IMAGES, "categories": CATEGORIES, "annotations": [*annotations]} | more
    path.write_text(json.dumps(content), "utf-8")
    return read_labels(path)


def box(**more: Any) -> dict[str, Any]:
    return {"id": 1, "image_id": 0, "category_id": 7, "bbox": [10, 10, 50, 40]} | more


def test_keypoints_their_names_and_their_skeleton_are_kept(tmp_path):
    person = {"id": 7, "name": "person", "keypoints": ["nose", "tail"], "skeleton": [[1, 2], "x"]}
    points = [[1, 2, 2, 0, 0, 0], [1, 2], ["x", 1, 2], [1, 2, float("nan")], None, []]
    rows = [box(id=i, keypoints=p, num_keypoints=1) for i, p in enumerate(points)]
    labels = read(tmp_path / "a.json", *rows, categories=[person])
    assert labels.annotations["keypoints"].to_pylist() == [points[0], None, None, None, None, None]
    assert [x.subject for x in labels.losses] == [f"a.json: annotation {i}" for i in (1, 2, 3)]
    assert labels.categories[0].keypoints == ("nose", "tail")
    assert labels.categories[0].skeleton == ((1, 2),)


def test_fields_that_the_format_does_not_know_are_kept_as_attributes(tmp_path):
    rows = [
        box(attributes={"occluded": True, "text": "ab", "score": 0.5}, track_id=3),
        box(id=2, attributes=[1], score=0.25),
        box(id=3, attributes={}),
    ]
    images = [{**IMAGES[0], "coco_url": "http://x/0.jpg", "license": 0}]
    labels = read(tmp_path / "a.json", *rows, images=images)
    assert [json.loads(a) if a else a for a in labels.annotations["attributes"].to_pylist()] == [
        {"occluded": True, "track_id": 3},
        {"attributes": [1]},
        None,
    ]
    assert labels.annotations["text"].to_pylist() == ["ab", None, None]
    assert labels.annotations["score"].to_pylist() == [0.5, 0.25, None]
    assert labels.images["attributes"].to_pylist() == ['{"coco_url":"http://x/0.jpg"}']
    assert labels.losses == ()


def test_fields_of_categories_that_are_not_kept_are_counted(tmp_path):
    labels = read(tmp_path / "a.json", categories=[{"id": 1, "name": "a", "color": [1, 2, 3]}])
    assert [(x.kind, x.detail) for x in labels.losses] == [
        ("dropped", "fields that are not kept: color (1)")
    ]


@pytest.mark.parametrize("score", ["high", 1e40, float("nan"), [1], True])
def test_a_score_that_is_no_number_is_a_loss_and_its_box_stays(tmp_path, score):
    labels = read(tmp_path / "a.json", box(score=score), box(id=2, score=0.5))
    assert labels.annotations["score"].to_pylist() == [1.0 if score is True else None, 0.5]
    assert len(labels.losses) == (score is not True)


def test_ids_of_any_kind_begin_anywhere_and_numbers_are_not_texts(tmp_path):
    images = [{"id": "0", "file_name": "a.jpg"}, {"id": 0, "file_name": "b.jpg"}]
    rows = [
        box(id="1", image_id="0", category_id="c"),
        box(id=1, image_id=0),
        box(id=-5, image_id=0.0),
        box(id=2**70),
        box(id=[2]),
    ]
    labels = read(tmp_path / "a.json", *rows, images=images)
    assert labels.annotations["label_image"].to_pylist() == [0, 1, 1, 1, 1]
    assert [r.partition(": ")[2] for r in labels.annotations["origin_ref"].to_pylist()] == [
        *("annotations[0]", "annotations[1]", "annotation -5"),
        *("annotations[3]", "annotations[4]"),
    ]
    assert [(x.kind, x.subject) for x in labels.losses] == [("renamed", "a.json: annotation 1")]


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_a_mask_without_a_box_has_the_box_around_it(width, height, seed):
    drawn = np.random.default_rng(seed).random((height, width)) < 0.2
    rle = oracle.encode(np.asfortranarray(drawn.astype(np.uint8)))
    row = box(bbox=None, segmentation={"size": rle["size"], "counts": rle["counts"].decode()})
    images = [{"id": 0, "file_name": "a.jpg", "width": width, "height": height}]
    content = {"images": images, "categories": CATEGORIES, "annotations": [row]}
    labels = read_coco(content, "a.json")
    found = [list(b.values()) for b in labels.annotations["bbox"].to_pylist()]
    assert found == ([oracle.toBbox(rle).tolist()] if drawn.any() else [])
    assert len(labels.losses) == (not drawn.any())


def test_rule_27_a_picture_without_annotations_is_named_all_the_same(tmp_path):
    labels = read(tmp_path / "a.json")
    assert labels.images["file_name"].to_pylist() == ["0.jpg", "1.jpg", "2.jpg"]
    assert labels.annotations.num_rows == 0


def test_text_that_utf_8_cannot_hold_is_replaced(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"images": [{"id": 1, "file_name": "\\ud800.jpg"}], "categories": []}')
    assert read_labels(path).images["file_name"].to_pylist() == ["?.jpg"]


numbers = st.one_of(
    st.integers(-5, 300),
    st.floats(-10, 300),
    st.sampled_from([None, "5", "x", float("nan"), 10**400, True, [], {}]),
)
scalars = st.one_of(numbers, st.text(max_size=5))
masks = st.one_of(
    st.lists(st.lists(numbers, max_size=9), max_size=3),
    st.lists(numbers, max_size=8),
    st.sampled_from([[SQUARE], {"size": [100, 200], "counts": [100, 50, 19850]}, {}, "x", 5]),
    st.fixed_dictionaries({"size": st.lists(numbers, max_size=3), "counts": scalars}),
)
annotations = st.one_of(
    st.fixed_dictionaries(
        {
            "id": st.one_of(st.integers(0, 9), scalars),
            "image_id": st.one_of(st.integers(0, 2), scalars),
            "category_id": st.one_of(st.sampled_from([7, "c"]), scalars),
            "bbox": st.one_of(
                st.tuples(*[st.floats(0.5, 50)] * 4).map(list), st.lists(numbers, max_size=5)
            ),
        },
        optional={
            "iscrowd": scalars,
            "score": numbers,
            "segmentation": masks,
            "keypoints": st.lists(numbers, max_size=7),
            "attributes": st.dictionaries(st.text(max_size=3), scalars, max_size=2),
            "caption": scalars,
            "more": scalars,
        },
    ),
    st.fixed_dictionaries({"image_id": st.integers(0, 4), "caption": scalars}),
    scalars,
)


@given(st.lists(annotations, max_size=60))
def test_every_annotation_of_any_file_is_in_the_table_or_in_the_losses(rows):
    labels = read_coco({"images": IMAGES, "categories": CATEGORIES, "annotations": rows}, "a.json")
    named = {r.partition(": ")[2] for r in labels.annotations["origin_ref"].to_pylist()}
    named |= {x.subject.partition(": ")[2] for x in labels.losses}
    for place, row in enumerate(rows):
        own = row.get("id") if isinstance(row, dict) else None
        assert f"annotations[{place}]" in named or f"annotation {own}" in named
    assert len(labels.annotations) <= len(rows)
    assert (
        labels.annotations["bbox"].null_count == labels.annotations["origin"].drop_null().length()
    )


@given(st.lists(annotations, max_size=40))
def test_many_annotations_are_read_as_each_would_be_by_itself(rows):
    content = {"images": IMAGES, "categories": CATEGORIES}
    rows = [{**row, "id": i} for i, row in enumerate(rows) if isinstance(row, dict)]
    together = read_coco(content | {"annotations": rows}, "a.json")
    apart = [read_coco(content | {"annotations": [row]}, "a.json") for row in rows]
    assert str(together.annotations.to_pylist()) == str(
        [r for one in apart for r in one.annotations.to_pylist()]
    )
    assert sorted(together.losses, key=str) == sorted(
        (x for one in apart for x in one.losses), key=str
    )


values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**60), 2**60), st.text('ab"\\[]{},: é')),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text('a"\\[]{'), inner)),
    max_leaves=20,
)


def whole(content: Any) -> Any:
    """A streamed document as plain values."""
    if isinstance(content, Elements):
        return [e for piece in pieces(content) for e in piece]
    return {k: whole(v) for k, v in content.items()} if isinstance(content, dict) else content


@given(values, st.integers(1, 40), st.sampled_from([None, 2]), st.booleans())
def test_any_json_is_read_in_pieces_as_it_is_in_one(value, block, indent, ascii_only):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.json")
        path.write_text(json.dumps(value, indent=indent, ensure_ascii=ascii_only), "utf-8")
        assert whole(read_json(path, block=block)) == value


@given(values, st.integers(1, 40), st.data())
def test_a_file_that_is_cut_off_or_damaged_is_never_read_as_another(value, block, data):
    text = json.dumps({"images": [value], "x": value}).encode()
    place = data.draw(st.integers(0, len(text) - 1))
    damaged = text[:place] + data.draw(st.sampled_from([b"", b",", b"]", b'"', b"x", b"{"]))
    if data.draw(st.booleans()):
        damaged += text[place + 1 :]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.json")
        path.write_bytes(damaged)
        try:
            expected = json.loads(damaged)
        except ValueError:
            with pytest.raises(LabelError, match=r"a\.json"):
                whole(read_json(path, block=block))
        else:
            assert whole(read_json(path, block=block)) == expected
