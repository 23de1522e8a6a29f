"""CVAT's XML: shapes that annotations know come over, the others are losses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as oracle

from aion_dagster.errors import LabelError
from aion_dagster.formats.labels import read_labels
from aion_dagster.values import LabelSet

META = """<version>1.1</version><meta><task><labels><label><name>car</name><type>any</type></label>
<label><name>sunny</name><type>tag</type></label><label><name>cat</name></label>
<label><name>nose</name><type>points</type><parent>cat</parent></label></labels>
<original_size><width>200</width><height>100</height></original_size></task></meta>"""


def read(tmp_path: Path, *shapes: str, image: str = "") -> LabelSet:
    image = image or '<image id="0" name="a/b.jpg" width="200" height="100" subset="Validation">'
    return document(tmp_path, f"{image}{''.join(shapes)}</image>")


def document(tmp_path: Path, body: str) -> LabelSet:
    text = f'<?xml version="1.0" encoding="utf-8"?><annotations>{META}{body}</annotations>'
    (tmp_path / "annotations.xml").write_text(text, "utf-8")
    return read_labels(tmp_path)


def rows(labels: LabelSet) -> list[dict[str, Any]]:
    return labels.annotations.to_pylist()


def attributes(labels: LabelSet) -> list[Any]:
    return [json.loads(a) if a else None for a in labels.annotations["attributes"].to_pylist()]


BOX = '<box label="{label}" occluded="0" source="manual" xtl="10" ytl="20.5" xbr="40" ybr="60" z_order="0"{more}>{inner}</box>'


def box(label: str = "car", more: str = "", inner: str = "") -> str:
    return BOX.format(label=label, more=more, inner=inner)


def test_boxes_polygons_and_what_is_said_of_them_are_kept(tmp_path):
    inner = '<attribute name="brand">VW &amp; co</attribute>'
    polygon = '<polygon label="cat" occluded="1" points="1,2;30,2;30,40.5" z_order="3"></polygon>'
    labels = read(tmp_path, box(inner=inner), polygon)
    assert labels.losses == ()
    assert [list(r["bbox"].values()) for r in rows(labels)] == [
        [10, 20.5, 30, 39.5],
        [1, 2, 29, 38.5],
    ]
    assert rows(labels)[1]["segmentation"]["polygons"] == [[1, 2, 30, 2, 30, 40.5]]
    assert attributes(labels) == [{"brand": "VW & co"}, {"occluded": True, "z_order": 3}]
    assert [c.name for c in labels.categories] == ["car", "cat"]
    assert labels.images.to_pylist()[0]["file_name"] == "a/b.jpg"
    assert labels.images.to_pylist()[0]["split"] == "val"


def test_a_turned_box_is_the_polygon_of_its_corners(tmp_path):
    turned = '<box label="car" xtl="0" ytl="0" xbr="40" ybr="20" rotation="90.0"></box>'
    labels = read(tmp_path, turned)
    assert list(rows(labels)[0]["bbox"].values()) == pytest.approx([10, -10, 20, 40])
    corners = rows(labels)[0]["segmentation"]["polygons"][0]
    assert corners == pytest.approx([30, -10, 30, 30, 10, 30, 10, -10])
    assert attributes(labels) == [{"rotation": 90.0}]
    assert [x.kind for x in labels.losses] == ["converted"]


def test_a_mask_is_the_same_pixels_in_coco_s_order(tmp_path):
    rng = np.random.default_rng(0)
    part = rng.random((7, 5)) < 0.5
    part[0, 0], part[-1, -1] = False, True
    flat = part.ravel()
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff([0, *edges, len(flat)])
    for left, top in ((0, 0), (195, 93), (13, 20)):
        mask = f'<mask label="cat" rle="{", ".join(map(str, runs))}" left="{left}" top="{top}" width="5" height="7"/>'
        labels = read(tmp_path, mask)
        rle = rows(labels)[0]["segmentation"]["rle"]
        decoded = oracle.decode({"size": [rle["height"], rle["width"]], "counts": rle["counts"]})
        expected = np.zeros((100, 200), dtype=np.uint8)
        expected[top : top + 7, left : left + 5] = part
        assert (decoded == expected).all()
        found = oracle.toBbox({"size": [100, 200], "counts": rle["counts"]})
        assert list(rows(labels)[0]["bbox"].values()) == found.tolist()
        assert labels.losses == ()


@pytest.mark.parametrize(
    "bad",
    [
        '<mask label="cat" rle="1,2" left="0" top="0" width="5" height="7"/>',
        '<mask label="cat" rle="-1,36" left="0" top="0" width="5" height="7"/>',
        '<mask label="cat" rle="35" left="0" top="0" width="5" height="7"/>',
        '<mask label="cat" rle="0,35" left="198" top="0" width="5" height="7"/>',
        '<mask label="cat" rle="x" left="0" top="0" width="5" height="7"/>',
        '<mask label="cat" rle="0,9" left="0" top="0" width="1e8" height="1e8"/>',
        '<box label="" xtl="1" ytl="1" xbr="2" ybr="2"/>',
        '<box label="car" xtl="1" ytl="1" xbr="nan" ybr="2"/>',
        '<box label="car" xtl="1" ytl="1" xbr="1" ybr="2"/>',
        '<box label="car" xtl="1"/>',
        '<polygon label="car" points="1,2;3,4"/>',
        '<polygon label="car" points="1,2;3"/>',
        '<ellipse label="car" cx="1" cy="1" rx="0" ry="2"/>',
        '<skeleton label="cat"><points label="nose" outside="1" points="1,1"/></skeleton>',
        '<tag label=""/>',
    ],
)
def test_a_bad_shape_is_a_loss_and_the_rest_is_read(tmp_path, bad):
    labels = read(tmp_path, bad, box())
    assert len(labels.annotations) == 1
    assert [(x.kind, x.subject) for x in labels.losses] == [
        ("invalid", "annotations.xml: image 0, 1")
    ]


@pytest.mark.parametrize(
    "shape",
    [
        '<polyline label="car" points="1,2;3,4"/>',
        '<points label="car" points="1,2"/>',
        '<cuboid label="car" xtl1="1"/>',
        '<sphere label="car"/>',
    ],
)
def test_shapes_that_have_no_place_are_losses(tmp_path, shape):
    labels = read(tmp_path, shape)
    assert labels.annotations.num_rows == 0
    assert [x.kind for x in labels.losses] == ["dropped"]


def test_tags_ellipses_and_skeletons(tmp_path):
    skeleton = (
        '<skeleton label="cat"><points label="nose" occluded="0" outside="0" points="10,20"/>'
        '<points label="tail" occluded="1" outside="0" points="50,60"/>'
        '<points label="ear" occluded="0" outside="1" points="0,0"/></skeleton>'
    )
    tag = '<tag label="sunny"><attribute name="sure">yes</attribute></tag>'
    labels = read(tmp_path, tag, '<ellipse label="car" cx="50" cy="50" rx="20" ry="10"/>', skeleton)
    tagged, round_, cat = rows(labels)
    assert (tagged["origin"], tagged["category"], tagged["bbox"]) == ("tags", "sunny", None)
    assert list(round_["bbox"].values()) == pytest.approx([30, 40, 40, 20])
    assert cat["keypoints"] == [10, 20, 2, 50, 60, 1, 0, 0, 0]
    assert list(cat["bbox"].values()) == [10, 20, 40, 40]
    assert attributes(labels)[0] == {"sure": "yes"}
    assert attributes(labels)[2] == {"keypoints": ["nose", "tail", "ear"]}
    assert [c.name for c in labels.categories] == ["car", "cat"]


def test_each_frame_of_a_track_is_a_picture(tmp_path):
    track = (
        '<track id="3" label="car"><box frame="0" outside="0" occluded="0" keyframe="1" xtl="1" ytl="2" xbr="5" ybr="9"/>'
        '<box frame="12" outside="0" xtl="1" ytl="2" xbr="5" ybr="9"/>'
        '<box frame="13" outside="1" xtl="1" ytl="2" xbr="5" ybr="9"/><box frame="x" xtl="1"/></track>'
    )
    labels = document(tmp_path, track)
    assert labels.images["file_name"].to_pylist() == ["frame_000000", "frame_000012"]
    assert labels.images["width"].to_pylist() == [200, 200]
    assert attributes(labels) == [{"track_id": 3}] * 2
    assert [x.kind for x in labels.losses] == ["converted", "invalid"]


def test_numbers_that_are_none_are_kept_as_text(tmp_path):
    shape = '<box label="car" xtl="1" ytl="1" xbr="9" ybr="9" z_order="--5" group_id="7"/>'
    labels = read(tmp_path, shape)
    assert attributes(labels) == [{"z_order": "--5", "group_id": 7}]
    track = f'<track id="{"9" * 5000}" label="car"><box frame="{"1" * 30}" xtl="1"/></track>'
    assert [x.kind for x in document(tmp_path, track).losses] == ["converted", "invalid"]


def test_rule_27_a_picture_without_shapes_is_named(tmp_path):
    assert read(tmp_path).images["file_name"].to_pylist() == ["a/b.jpg"]
    assert read(tmp_path, image='<image id="0">').losses[0].kind == "invalid"


def test_hostile_and_broken_xml_is_refused(tmp_path):
    path = tmp_path / "annotations.xml"
    for text in (
        '<!DOCTYPE a [<!ENTITY x "xx">]><annotations><version>1.1</version>&x;</annotations>',
        '<!DOCTYPE a SYSTEM "http://localhost/x.dtd"><annotations><version>&y;</version></annotations>',
        "<annotations><version>1.1",
        "<svg/>",
    ):
        path.write_text(text)
        with pytest.raises(LabelError, match=r"annotations\.xml|Pascal"):
            read_labels(path)
        with pytest.raises(LabelError, match=r"annotations\.xml"):
            read_labels(path, "cvat")
