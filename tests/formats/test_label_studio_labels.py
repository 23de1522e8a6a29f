"""Label Studio's exports: percentages become pixels, and what has no place is a loss."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as oracle

from aion_dagster.formats.label_studio_values import (
    BadValueError,
    Frame,
    brush_mask,
    picture_name,
)
from aion_dagster.formats.labels import read_labels
from aion_dagster.formats.read_label_studio import read_label_studio
from aion_dagster.values import LabelSet

SIZE = {"original_width": 200, "original_height": 100, "image_rotation": 0}
RECTANGLE = {"x": 10, "y": 20, "width": 30, "height": 40, "rotation": 0}


def result(
    kind: str = "rectangle", labels: tuple[str, ...] = ("car",), **more: Any
) -> dict[str, Any]:
    value = more.pop("value", RECTANGLE)
    key = f"{kind}labels"
    return {"type": key, "id": "r1", **SIZE, "value": {**value, key: list(labels)}, **more}


def task(*results: Any, **more: Any) -> dict[str, Any]:
    data = {"image": "/data/upload/3/0a1b2c3d-my-car.jpg"}
    return {"id": 7, "data": data, "annotations": [{"id": 1, "result": list(results)}]} | more


def read(tmp_path: Path, *tasks: Any) -> LabelSet:
    (tmp_path / "export.json").write_text(json.dumps(tasks))
    return read_labels(tmp_path / "export.json")


def box(labels: LabelSet, row: int = 0) -> list[float]:
    return list(labels.annotations["bbox"][row].as_py().values())


def kinds(labels: LabelSet) -> list[str]:
    return [x.kind for x in labels.losses]


def test_rectangles_and_polygons_in_percent_become_pixels(tmp_path):
    polygon = result(
        "polygon", ("dog",), value={"points": [[0, 0], [50, 0], [50, 50]], "closed": True}
    )
    labels = read(tmp_path, task(result(), polygon | {"id": "r2"}))
    assert labels.images.to_pylist()[0] | {"attributes": None} == {
        **dict.fromkeys(labels.images.column_names),
        "label_image": 0,
        "file_name": "my-car.jpg",
        "width": 200,
        "height": 100,
        "label_file": "export.json",
    }
    assert box(labels) == [20, 20, 60, 40]
    assert labels.annotations["segmentation"][1].as_py()["polygons"] == [[0, 0, 100, 0, 100, 50]]
    assert [c.name for c in labels.categories] == ["car", "dog"]
    assert labels.annotations["origin_ref"].to_pylist() == [
        f"export.json: task 7, r{i}" for i in (1, 2)
    ]
    assert labels.losses == ()


def test_a_turned_rectangle_turns_about_its_corner_in_pixels(tmp_path):
    labels = read(tmp_path, task(result(value=RECTANGLE | {"x": 50, "rotation": 90})))
    assert box(labels) == pytest.approx([60, 20, 40, 60])
    assert labels.annotations["segmentation"][0].as_py()["polygons"][0] == pytest.approx(
        [100, 20, 100, 80, 60, 80, 60, 20]
    )
    assert kinds(labels) == ["converted"]


def encoded(channels: np.ndarray, sizes: tuple[int, ...] = (3, 4, 8, 16)) -> list[int]:
    """Label Studio's run-length code of bytes, written by its description: runs and literals of any length."""
    bits = f"{len(channels):032b}{7:05b}" + "".join(f"{s - 1:04b}" for s in sizes)
    at = 0
    while at < len(channels):
        same = 1
        while at + same < len(channels) and channels[at + same] == channels[at] and same < 2**16:
            same += 1
        length = same if same > 2 else min(3, len(channels) - at)
        kind = next(i for i, s in enumerate(sizes) if length - 1 < 2**s)
        bits += f"{int(same > 2)}{kind:02b}{length - 1:0{sizes[kind]}b}"
        words = channels[at : at + 1] if same > 2 else channels[at : at + length]
        bits += "".join(f"{w:08b}" for w in words)
        at += length
    bits += "0" * (-len(bits) % 8)
    return [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_brush_strokes_are_the_same_pixels(width, height, seed, share):
    drawn = np.random.default_rng(seed).random((height, width)) < share
    codes = encoded(np.repeat(np.where(drawn, 255, 0).astype(np.uint8).ravel(), 4))
    assert (brush_mask(codes, Frame(width, height)) == drawn).all()


@given(st.lists(st.integers(0, 255), max_size=60))
def test_damaged_brush_strokes_are_refused(codes):
    with pytest.raises(BadValueError):
        brush_mask(codes, Frame(30, 20))


def test_brush_strokes_become_masks(tmp_path):
    drawn = np.zeros((100, 200), dtype=bool)
    drawn[10:30, 50:150] = True
    codes = encoded(np.repeat(np.where(drawn, 255, 0).astype(np.uint8).ravel(), 4))
    labels = read(tmp_path, task(result("brush", value={"format": "rle", "rle": codes})))
    rle = labels.annotations["segmentation"][0].as_py()["rle"]
    decoded = oracle.decode({"size": [rle["height"], rle["width"]], "counts": rle["counts"]})
    assert (decoded == drawn).all()
    assert box(labels) == [50, 10, 100, 20]


def test_choices_are_tags_texts_are_captions_or_belong_to_their_region(tmp_path):
    choices = {
        "type": "choices",
        "id": "c",
        "from_name": "weather",
        "value": {"choices": ["sun", "dry"]},
    }
    text = {"type": "textarea", "id": "t", "value": {"text": ["a car"]}}
    own = {"type": "textarea", "id": "r1", "value": {"text": ["B-XY 12"]}}
    about = {"type": "choices", "id": "r1", "from_name": "color", "value": {"choices": ["red"]}}
    labels = read(tmp_path, task(choices, result(score=0.5), own, about, text))
    found = labels.annotations.to_pylist()
    assert [(r["origin"], r["category"], r["text"]) for r in found] == [
        ("tags", "sun", None),
        ("tags", "dry", None),
        (None, "car", "B-XY 12"),
        ("captions", None, "a car"),
    ]
    assert json.loads(found[2]["attributes"]) == {"color": ["red"]}
    assert found[2]["score"] == 0.5
    assert labels.losses == ()


def test_labels_in_a_result_of_their_own_belong_to_the_shape_of_their_id(tmp_path):
    shape = {"type": "rectangle", "id": "x", **SIZE, "value": RECTANGLE}
    named = {"type": "labels", "id": "x", **SIZE, "value": RECTANGLE | {"labels": ["car", "red"]}}
    labels = read(tmp_path, task(shape, named))
    assert labels.annotations["category"].to_pylist() == ["car", "red"]
    assert kinds(labels) == ["converted"]


def test_keypoints_and_ellipses(tmp_path):
    point = result("keypoint", value={"x": 50, "y": 50, "width": 2})
    oval = result("ellipse", value={"x": 50, "y": 50, "radiusX": 10, "radiusY": 10, "rotation": 0})
    labels = read(tmp_path, task(point, oval | {"id": "r2"}))
    assert labels.annotations["keypoints"].to_pylist() == [[100, 50, 2], None]
    assert box(labels) == [98, 48, 4, 4]
    assert box(labels, 1) == pytest.approx([80, 40, 40, 20])
    assert kinds(labels) == ["converted", "converted"]


@pytest.mark.parametrize(
    "bad",
    [
        result(value={"x": 1}),
        result(value=RECTANGLE | {"width": 0}),
        result(value=RECTANGLE | {"x": "1"}),
        result(labels=()),
        result(image_rotation=90),
        result("polygon", value={"points": [[1, 2], [3, 4]]}),
        result("polygon", value={"points": [[1, 2], [3, 4], [5]]}),
        result("polygon", value={"points": [[1, 2], [3, 4], [5, 6]], "closed": False}),
        result("brush", value={"format": "rle", "rle": [1, 2, 3]}),
        result("brush", value={"format": "rle", "rle": [300]}),
        {"type": "relation", "from_id": "a"},
        {"type": "rating", "value": {"rating": 5}},
        "nothing",
    ],
)
def test_what_cannot_be_kept_is_a_loss_and_the_rest_is_read(tmp_path, bad):
    labels = read(tmp_path, task(bad, result(id="good")))
    assert labels.annotations["category"].to_pylist() == ["car"]
    assert len(labels.losses) == 1


def test_rule_27_only_labelled_tasks_name_pictures(tmp_path):
    labels = read(
        tmp_path,
        task(data={"image": "negative.jpg"}),
        task(data={"image": "never.jpg"}, annotations=[], predictions=[{"result": [result()]}]),
        task(data={"image": "skipped.jpg"}, annotations=[{"result": [], "was_cancelled": True}]),
        {"id": 1, "data": {"text": "no picture"}, "annotations": []},
    )
    assert labels.images["file_name"].to_pylist() == ["negative.jpg"]
    assert sorted(kinds(labels)) == ["dropped", "dropped", "dropped", "invalid"]


def test_of_several_annotations_the_ground_truth_counts_else_the_latest(tmp_path):
    made = [
        {"result": [result(labels=("a",))], "updated_at": "2024-01-01", "ground_truth": False},
        {"result": [result(labels=("b",))], "updated_at": "2024-02-01", "ground_truth": False},
    ]
    labels = read(
        tmp_path,
        task(annotations=made),
        task(annotations=[{**made[0], "ground_truth": True}, made[1]]),
    )
    assert labels.annotations["category"].to_pylist() == ["b", "a"]
    assert kinds(labels) == ["dropped", "dropped"]


def test_json_min_is_read(tmp_path):
    regions = [
        {**RECTANGLE, **SIZE, "rectanglelabels": ["car"]},
        {**SIZE, "points": [[0, 0], [50, 0], [50, 50]], "polygonlabels": ["dog"]},
    ]
    item = {
        "image": "s3://bucket/a/b.jpg",
        "id": 1,
        "label": regions,
        "choice": "sunny",
        "city": "Köln",
        "annotator": 1,
        "annotation_id": 5,
    }
    labels = read(tmp_path, item)
    assert labels.images["file_name"].to_pylist() == ["s3://bucket/a/b.jpg"]
    assert json.loads(labels.images["attributes"][0].as_py())["city"] == "Köln"
    assert sorted(map(str, labels.annotations["category"].to_pylist())) == ["car", "dog", "sunny"]
    assert labels.losses == ()


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("/data/upload/1/0a1b2c3d-a b.jpg", "a b.jpg"),
        ("/data/upload/0a1b2c3d-x%20y.jpg", "x y.jpg"),
        ("http://localhost:8080/data/upload/1/0a1b2c3d-a.jpg", "a.jpg"),
        ("/data/upload/1/deadbeef.jpg", "deadbeef.jpg"),
        ("/data/local-files/?d=photos%2Fa%20b.jpg", "photos/a b.jpg"),
        ("http://host/data/local-files/?d=c:\\x\\a.jpg", "c:/x/a.jpg"),
        ("s3://bucket/p/a.jpg", "s3://bucket/p/a.jpg"),
        ("https://host/p/a%20b.jpg?X-Amz-Signature=1#x", "https://host/p/a b.jpg"),
        ("/tasks/1/resolve/?fileuri=czM6Ly9iL2EuanBn", "s3://b/a.jpg"),
        ("data:image/png;base64,AAAA", None),
        ("a.jpg", "a.jpg"),
    ],
)  # fmt: skip
def test_the_names_of_pictures(reference, name):
    assert picture_name(reference) == name


anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.floats(), st.text(max_size=4), st.integers(-3, 300)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["x", "y", "width", "height", "points", "rle", "choices", "text", "type", "value", "id", "rectanglelabels", "result", "image"]),
            inner,
            max_size=5,
        ),
    ),
    max_leaves=12,
)  # fmt: skip


@given(
    st.lists(
        st.one_of(anything, st.builds(lambda r: task(*r), st.lists(anything, max_size=4))),
        max_size=5,
    )
)
def test_whatever_stands_in_an_export_it_is_read_or_lost_and_never_fails(tasks):
    labels = read_label_studio(tasks, "a.json")
    assert labels.images.num_rows + len(labels.losses) >= len(tasks) > 0 or not tasks
