"""Reading labels: what is bad in a row costs the row, what is bad in a file is said."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from pycocotools import mask as oracle

from aion_dagster import schemas
from aion_dagster.errors import LabelError
from aion_dagster.formats.boxes import areas
from aion_dagster.formats.labels import merge_labels, read_labels
from aion_dagster.values import LabelSet

from .factory import photo


def coco(**more: Any) -> dict[str, Any]:
    return {
        "images": [{"id": 0, "file_name": "sub\\a.jpg", "width": 200, "height": 100}],
        "categories": [{"id": 7, "name": "dog", "supercategory": "pet"}, {"id": 0, "name": "cat"}],
        "annotations": [],
    } | more


def row(**more: Any) -> dict[str, Any]:
    return {"id": 1, "image_id": 0, "category_id": 7, "bbox": [10, 10, 50, 40]} | more


def read(path: Path, content: Any) -> LabelSet:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    labels = read_labels(path)
    assert labels.images.schema == schemas.LABEL_IMAGES
    assert labels.annotations.schema == schemas.LABEL_ANNOTATIONS
    return labels


def lost(labels: LabelSet) -> list[tuple[str, str]]:
    return [(x.kind, x.subject) for x in labels.losses]


# COCO


def test_rule_01_02_coco_ids_may_begin_at_zero_and_have_gaps(tmp_path):
    labels = read(tmp_path / "val.json", coco(annotations=[row(id=0), row(id=90, category_id=0)]))
    assert [c.name for c in labels.categories] == ["cat", "dog"]
    assert labels.categories[1].supercategory == "pet"
    assert labels.annotations["category"].to_pylist() == ["dog", "cat"]
    assert labels.annotations["origin_ref"][1].as_py() == "val.json: annotation 90"
    assert labels.images["file_name"].to_pylist() == ["sub/a.jpg"]
    assert labels.images["split"].to_pylist() == ["val"]
    assert labels.losses == ()


@pytest.mark.parametrize(
    "bad",
    [
        {"bbox": [10, 10, 0, 40]},
        {"bbox": [60, 10, -50, 40]},
        {"bbox": [float("nan"), 10, 5, 40]},
        {"bbox": [1, 2, 3]},
        {"bbox": "1 2 3 4"},
        {"bbox": None},
        {"bbox": {"x": 1}},
        {"bbox": [1, 2, 10**400, 4]},
        {"image_id": 99},
        {"image_id": [0]},
        {"category_id": 3},
        {"category_id": None},
    ],
)
def test_rule_06_a_bad_row_is_a_loss_and_the_rest_is_read(tmp_path, bad):
    labels = read(tmp_path / "a.json", coco(annotations=[row(**bad), row(id=2), "no object"]))
    assert labels.annotations.num_rows == 1
    assert lost(labels) == [
        ("invalid", "a.json: annotation 1"),
        ("invalid", "a.json: annotations[2]"),
    ]


def test_rule_03_boxes_outside_missing_iscrowd_and_wrong_areas_are_kept_clean(tmp_path):
    rows = [
        row(bbox=[150, 50, 100, 100], area=-3),
        row(id=2, iscrowd=None),
        row(id=3, iscrowd=1),
        row(id=4, bbox=["1", "2.5", 3, 4]),
    ]
    labels = read(tmp_path / "a.json", coco(annotations=rows))
    assert labels.losses == ()
    assert labels.annotations["iscrowd"].to_pylist() == [False, False, True, False]
    assert labels.annotations["bbox"][0].as_py() == {"x": 150, "y": 50, "w": 100, "h": 100}


def test_duplicate_ids_are_kept_under_their_places(tmp_path):
    labels = read(tmp_path / "a.json", coco(annotations=[row(), row(), row(id=None)]))
    assert labels.annotations["origin_ref"].to_pylist() == [
        f"a.json: annotations[{i}]" for i in range(3)
    ]
    assert lost(labels) == [("renamed", "a.json: annotation 1")]


def test_a_second_picture_of_one_id_and_a_second_category_of_one_name_are_ambiguous(tmp_path):
    content = coco(annotations=[row()])
    content["images"].append({"id": 0, "file_name": "b.jpg"})
    content["images"].append({"file_name": "no id"})
    content["categories"].append({"id": 8, "name": "dog"})
    labels = read(tmp_path / "a.json", content)
    assert labels.images.num_rows == 1
    assert len(labels.categories) == 2
    assert [kind for kind, _ in lost(labels)] == ["ambiguous", "ambiguous", "invalid"]


def test_rule_07_masks_are_nested_and_compressed(tmp_path):
    flat = [10, 10, 60, 10, 60, 50]
    counts = [100, 50, 19850]
    rows = [
        row(segmentation=flat),
        row(id=2, segmentation=[[1, 1, 5, 5], flat]),
        row(id=3, segmentation={"size": [100, 200], "counts": counts}, iscrowd=1),
        row(id=4, segmentation=[]),
        row(id=5, segmentation=[flat], bbox=None),
    ]
    labels = read(tmp_path / "a.json", coco(annotations=rows))
    masks = labels.annotations["segmentation"].to_pylist()
    assert masks[0] == masks[1] == {"polygons": [[float(v) for v in flat]], "rle": None}
    expected = oracle.frPyObjects({"size": [100, 200], "counts": counts}, 100, 200)
    assert masks[2]["rle"] == {"height": 100, "width": 200, "counts": expected["counts"].decode()}
    assert masks[3] is None
    assert labels.annotations["bbox"][4].as_py() == {"x": 10, "y": 10, "w": 50, "h": 40}
    assert lost(labels) == [("invalid", "a.json: annotation 2")]


@pytest.mark.parametrize(
    "mask",
    [
        {"size": [200, 100], "counts": [100, 50, 19850]},
        {"size": [100, 200], "counts": [100, 50]},
        {"size": [100, 200], "counts": "~~~"},
        {"size": [100, 200], "counts": [-1, 20001]},
        {"counts": [1]},
        [[1, 2, "x", 4, 5, 6]],
        [1, 2, None],
        "polygon",
        [[1, 1, 1e9, 1, 1e9, 1e9]],
        [[1, 1, float("nan"), 1, 5, 5]],
    ],
)
def test_a_bad_mask_is_a_loss_and_its_box_stays(tmp_path, mask):
    labels = read(tmp_path / "a.json", coco(annotations=[row(segmentation=mask)]))
    assert labels.annotations["segmentation"].to_pylist() == [None]
    assert labels.annotations.num_rows == 1
    assert lost(labels) == [("invalid", "a.json: annotation 1")]


def test_rule_08_captions_are_kept_apart_from_boxes(tmp_path):
    captions = [{"id": 2, "image_id": 0, "caption": "hi"}, {"id": 3, "image_id": 0, "caption": 5}]
    labels = read(tmp_path / "a.json", coco(annotations=[row(), *captions]))
    assert labels.annotations["origin"].to_pylist() == [None, "captions"]
    assert labels.annotations["text"].to_pylist() == [None, "hi"]
    assert labels.annotations["bbox"][1].as_py() is None
    assert lost(labels) == [("invalid", "a.json: annotation 3")]


@pytest.mark.parametrize(
    "text", ["", "[]", "3", '{"images": [', '{"a": 1}', "[" * 100_000, '{"images": 5}', "\x00\x01"]
)
def test_what_is_no_coco_file_is_refused_by_name(tmp_path, text):
    with pytest.raises(LabelError, match=r"odd\.json"):
        read(tmp_path / "odd.json", text)


def test_a_byte_order_mark_and_nan_are_read(tmp_path):
    labels = read(
        tmp_path / "a.json", "\ufeff" + json.dumps(coco(annotations=[row(area=float("nan"))]))
    )
    assert labels.annotations.num_rows == 1


def test_a_folder_of_coco_files_is_one_set_and_instances_are_preferred(tmp_path):
    read(tmp_path / "annotations/instances_train2017.json", coco(annotations=[row()]))
    read(tmp_path / "annotations/instances_val2017.json", coco(annotations=[row(), row(id=2)]))
    read(tmp_path / "annotations/person_keypoints_val2017.json", coco(annotations=[row()]))
    labels = read_labels(tmp_path)
    assert labels.images["split"].to_pylist() == ["train", "val"]
    assert labels.images["label_file"].to_pylist()[0] == "annotations/instances_train2017.json"
    assert labels.annotations["label_image"].to_pylist() == [0, 1, 1]
    assert [c.name for c in labels.categories] == ["cat", "dog"]
    assert lost(labels) == [("dropped", "annotations/person_keypoints_val2017.json")]
    keypoints = read_labels(tmp_path / "annotations/person_keypoints_val2017.json")
    assert keypoints.annotations.num_rows == 1


def test_rule_08_captions_beside_instances_are_read_with_them(tmp_path):
    read(tmp_path / "annotations/instances_val2017.json", coco(annotations=[row()]))
    captions = {
        "images": coco()["images"],
        "annotations": [{"id": 1, "image_id": 0, "caption": "a"}],
    }
    read(tmp_path / "annotations/captions_val2017.json", captions)
    labels = read_labels(tmp_path)
    assert labels.annotations["origin"].to_pylist() == ["captions", None]
    assert labels.losses == ()


@pytest.mark.parametrize("wanted", ["label_studio", "cvat", "voc", "yolo", "csv"])
def test_a_format_that_is_named_is_the_one_that_is_read(tmp_path, wanted):
    read(tmp_path / "a.json", coco(annotations=[row()]))
    assert read_labels(tmp_path / "a.json", "coco").annotations.num_rows == 1
    for path in (tmp_path / "a.json", tmp_path):
        with pytest.raises(LabelError):
            read_labels(path, wanted)


@pytest.mark.needs_shared
def test_rule_03_the_areas_of_a_real_file_are_put_right(shared_data):
    labels = read_labels(shared_data / "labelled")
    assert (labels.images.num_rows, labels.annotations.num_rows) == (2, 12)
    assert len(labels.categories) == 3
    assert labels.losses == ()
    content = json.loads((shared_data / "labelled/annotations_coco.json").read_text())
    own = labels.annotations.rename_columns(
        ["image_id" if n == "label_image" else n for n in labels.annotations.schema.names]
    )
    size = {i["id"]: (i["height"], i["width"]) for i in content["images"]}
    expected = [
        float(
            oracle.area(oracle.merge(oracle.frPyObjects(a["segmentation"], *size[a["image_id"]])))
        )
        for a in content["annotations"]
    ]
    assert areas(own).tolist() == expected
    assert expected != [a["area"] for a in content["annotations"]]


# YOLO


def yolo(tmp_path: Path, text: str, data: str = "names: [cat, no, '5']\n") -> LabelSet:
    (tmp_path / "labels/train").mkdir(parents=True)
    (tmp_path / "data.yaml").write_text(data)
    (tmp_path / "labels/train/a.txt").write_bytes(text.encode())
    return read_labels(tmp_path)


@pytest.mark.parametrize(
    "bad",
    [
        *(
            "0 .5 .5 .2",
            "0 .1 .1 .2 .2 .3 .3 .4",
            "3 .5 .5 .2 .2",
            "-1 .5 .5 .2 .2",
            "cat .5 .5 .2 .2",
        ),
        *(
            "0 nan .5 .2 .2",
            "0 inf .5 .2 .2",
            "0 0,5 0,5 0,2 0,2",
            "0 .5 .5 0 .2",
            "0 .5 .5 -0.2 .2",
        ),
        *("0 320 240 20 20", "0 1.02 .5 .2 .2", "0.5 .5 .5 .2 .2", "0 .1 .1 .2 .1 .3 .1", "0"),
    ],
)
def test_rule_13_a_bad_yolo_row_is_a_loss_and_the_rest_is_read(tmp_path, bad):
    labels = yolo(tmp_path, f"1 .5 .5 .2 .4\n{bad}\n")
    assert labels.annotations["category"].to_pylist() == ["no"]
    assert lost(labels) == [("invalid", "labels/train/a.txt:2")]


def test_rule_13_boxes_polygons_confidences_and_windows_files_are_read(tmp_path):
    text = (
        "\ufeff0 .5 .5 .2 .4\r\n1.0 .5 .5 .2 .2 .9\r\n2 .1 .1 .3 .1 .3 .4\r\n\r\n0 1.005 .5 .2 .2"
    )
    labels = yolo(tmp_path, text)
    rows = labels.annotations.to_pylist()
    assert [r["category"] for r in rows] == ["cat", "no", "5", "cat"]
    assert rows[0]["bbox"] == pytest.approx({"x": 0.4, "y": 0.3, "w": 0.2, "h": 0.4})
    assert rows[1]["score"] == pytest.approx(0.9)
    assert rows[2]["bbox"] == pytest.approx({"x": 0.1, "y": 0.1, "w": 0.2, "h": 0.3})
    assert rows[2]["segmentation"]["polygons"] == [[0.1, 0.1, 0.3, 0.1, 0.3, 0.4]]
    assert all(r["normalized"] for r in rows)
    assert lost(labels) == [("clipped", "labels/train/a.txt:5")]


@pytest.mark.parametrize(
    ("data", "names"),
    [
        ("names: [yes, no, null]\n", ["yes", "no", "null"]),
        ("names: {1: b, 0: a}\n", ["a", "b"]),
        ("names:\n  0: a\n  2: c\nnc: 3\n", ["a", "c"]),
        ("nc: 2\n", ["class_0", "class_1"]),
    ],
)
def test_rule_17_class_names_come_from_a_list_or_a_mapping(tmp_path, data, names):
    assert [c.name for c in yolo(tmp_path, "0 .5 .5 .2 .2\n", data).categories] == names


@pytest.mark.parametrize(
    "data",
    ["names: []\n", "names: [[a]]\n", "names: {x: a}\n", "[1, 2]\n", "a: [b\n", "train: x\n"],
)
def test_yolo_settings_that_say_no_names_are_refused_by_name(tmp_path, data):
    with pytest.raises(LabelError, match=r"data\.yaml"):
        yolo(tmp_path, "0 .5 .5 .2 .2\n", data)


def test_labels_without_any_class_names_are_refused(tmp_path):
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/a.txt").write_text("0 .5 .5 .2 .2\n")
    with pytest.raises(LabelError, match=r"classes\.txt"):
        read_labels(tmp_path)


def test_rule_27_only_named_pictures_without_rows_are_negatives(tmp_path):
    for name in ("images/train/sub/a.JPG", "images/val/b.png", "images/train/unnamed.jpg"):
        photo(tmp_path / name)
    for name, text in (("train/sub/a", "0 .5 .5 .1 .1"), ("val/b", ""), ("val/nowhere", "")):
        path = tmp_path / f"labels/{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    expected = [("sub/a.JPG", "train"), ("b.png", "val"), ("nowhere", "val")]
    for path in (tmp_path, tmp_path / "labels"):
        labels = read_labels(path)
        images = labels.images.to_pylist()
        assert [(i["file_name"], i["split"]) for i in images] == expected
        assert labels.annotations["label_image"].to_pylist() == [0]


def test_other_trees_of_yolo_are_understood(tmp_path):
    for split in ("train", "valid"):
        photo(tmp_path / f"robo/{split}/images/{split}.jpg")
        (tmp_path / f"robo/{split}/labels").mkdir()
        (tmp_path / f"robo/{split}/labels/{split}.txt").write_text("0 .5 .5 .1 .1\n")
    (tmp_path / "robo/data.yaml").write_text(
        "train: ../train/images\nval: ../valid/images\nnames: [a]\n"
    )
    images = read_labels(tmp_path / "robo/data.yaml").images.to_pylist()
    assert [(i["file_name"], i["split"]) for i in images] == [
        ("train.jpg", "train"),
        ("valid.jpg", "val"),
    ]
    photo(tmp_path / "flat/a.jpg")
    (tmp_path / "flat/a.txt").write_text("0 .5 .5 .1 .1\n")
    (tmp_path / "flat/classes.txt").write_text("cat\n")
    assert read_labels(tmp_path / "flat").images["file_name"].to_pylist() == ["a.jpg"]
    photo(tmp_path / "lists/images/x.jpg")
    (tmp_path / "lists/labels").mkdir()
    (tmp_path / "lists/train.txt").write_text("./images/x.jpg\n")
    (tmp_path / "lists/data.yaml").write_text("train: train.txt\nval: train.txt\nnames: [a]\n")
    images = read_labels(tmp_path / "lists").images.to_pylist()
    assert [(i["file_name"], i["split"]) for i in images] == [("x.jpg", "train")]


# Pascal VOC

VOC = """<annotation><filename>{name}</filename><size><width>200</width><height>100</height></size>
{objects}</annotation>"""
OBJECT = (
    "<object><name>x</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax>"
    "</bndbox></object>"
)


def voc(tmp_path: Path, *objects: str, folder: str = "Annotations") -> LabelSet:
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / folder / "a.xml").write_text(VOC.format(name="a.jpg", objects="".join(objects)))
    return read_labels(tmp_path)


@pytest.mark.parametrize(
    ("corners", "box"),
    [
        ((1, 1, 200, 100), [0, 0, 200, 100]),
        ((11, 11, 60, 50), [10, 10, 50, 40]),
        ((0, 0, 200, 100), [0, 0, 200, 100]),
        ((1.5, 1.5, 20.25, 10.5), [1.5, 1.5, 18.75, 9]),
    ],
)
def test_rule_19_coordinates_are_devkit_or_zero_based(tmp_path, corners, box):
    labels = voc(tmp_path, OBJECT.format(*corners))
    assert list(labels.annotations["bbox"][0].as_py().values()) == box
    assert labels.images["width"].to_pylist() == [200]


def test_rule_20_swapped_corners_are_turned_and_bad_objects_are_losses(tmp_path):
    labels = voc(
        tmp_path,
        OBJECT.format(60, 50, 11, 11),
        OBJECT.format("x", 1, 2, 3),
        OBJECT.format("nan", 1, 2, 3),
        "<object><name>x</name></object>",
        OBJECT.format(11, 11, 60, 50).replace("<name>x</name>", ""),
    )
    assert list(labels.annotations["bbox"][0].as_py().values()) == [10, 10, 50, 40]
    assert [kind for kind, _ in lost(labels)] == ["converted"] + ["invalid"] * 4


def test_a_cut_off_xml_file_costs_only_itself(tmp_path):
    (tmp_path / "xmls").mkdir()
    (tmp_path / "xmls/b.xml").write_text("<annotation><filename>b.jpg")
    (tmp_path / "xmls/c.xml").write_text("<html/>")
    (tmp_path / "xmls/a.xml").write_text(VOC.format(name="", objects=""))
    labels = read_labels(tmp_path)
    assert labels.images["file_name"].to_pylist() == ["a"]
    assert lost(labels) == [("invalid", "xmls/b.xml"), ("invalid", "xmls/c.xml")]
    (tmp_path / "xmls/a.xml").unlink()
    with pytest.raises(LabelError, match="Pascal VOC"):
        read_labels(tmp_path)


def test_entity_bombs_are_refused(tmp_path):
    bomb = '<!DOCTYPE a [<!ENTITY x "xxxx"><!ENTITY y "&x;&x;">]>'
    (tmp_path / "a.xml").write_text(bomb + VOC.format(name="&y;", objects=""))
    with pytest.raises(LabelError, match=r"a\.xml"):
        read_labels(tmp_path)


def test_nothing_to_read_is_said_with_what_was_expected(tmp_path):
    with pytest.raises(LabelError, match=r"not there.*COCO"):
        read_labels(tmp_path / "not there")
    with pytest.raises(LabelError, match="no labels found"):
        read_labels(tmp_path)
    photo(tmp_path / "a.jpg")
    with pytest.raises(LabelError, match=r"a\.jpg"):
        read_labels(tmp_path / "a.jpg")


def test_what_a_voc_object_says_beside_its_box_is_kept_and_its_parts_are_losses(tmp_path):
    part = "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>"
    one = OBJECT.format(11, 11, 60, 50).replace(
        "</object>",
        f"<pose>Left</pose><truncated>0</truncated><difficult>1</difficult>{part}{part}</object>",
    )
    labels = voc(tmp_path, one)
    assert json.loads(labels.annotations["attributes"][0].as_py()) == {
        "pose": "Left",
        "difficult": True,
    }
    assert [(x.kind, x.detail) for x in labels.losses] == [("dropped", "2 times <part>: not read")]


def test_a_turned_voc_box_becomes_the_polygon_of_its_corners(tmp_path):
    numbers = "<cx>50</cx><cy>50</cy><w>40</w><h>20</h><angle>1.5707963267948966</angle>"
    turned = f"<object><name>ship</name><robndbox>{numbers}</robndbox></object>"
    labels = voc(tmp_path, turned, turned.replace("<cx>50</cx>", ""))
    assert list(labels.annotations["bbox"][0].as_py().values()) == pytest.approx([40, 30, 20, 40])
    assert lost(labels) == [
        ("converted", "Annotations/a.xml: object 1"),
        ("invalid", "Annotations/a.xml: object 2"),
    ]


def test_keypoints_of_a_yolo_tree_are_kept(tmp_path):
    data = "names: [cat]\nkpt_shape: [2, 3]\n"
    labels = yolo(tmp_path, "0 .5 .5 .2 .2 .1 .2 2 0 0 0\n0 .5 .5 .2 .2 .1 .2 2\n", data)
    assert labels.annotations["keypoints"].to_pylist() == [[0.1, 0.2, 2, 0, 0, 0]]
    assert lost(labels) == [("invalid", "labels/train/a.txt:2")]
    (tmp_path / "data.yaml").write_text("names: [cat]\nkpt_shape: [1, 2]\n")
    (tmp_path / "labels/train/a.txt").write_text("0 .5 .5 .2 .2 .1 .2\n0 .5 .5 .2 .2 0 0\n")
    labels = read_labels(tmp_path)
    assert labels.annotations["keypoints"].to_pylist() == [[0.1, 0.2, 2], [0, 0, 0]]
    (tmp_path / "data.yaml").write_text("names: [cat]\nkpt_shape: many\n")
    with pytest.raises(LabelError, match="kpt_shape"):
        read_labels(tmp_path)


def test_a_yolo_data_file_of_another_name_leads_to_the_tree_that_it_names(tmp_path):
    (tmp_path / "set/labels/val").mkdir(parents=True)
    (tmp_path / "set/labels/val/a.txt").write_text("0 .5 .5 .2 .2\n")
    (tmp_path / "coco8.yaml").write_text("path: set\nval: images/val\nnames: {0: cat}\n")
    labels = read_labels(tmp_path / "coco8.yaml")
    assert labels.images["split"].to_pylist() == ["val"]
    assert labels.images["label_file"].to_pylist() == ["labels/val/a.txt"]
    (tmp_path / "coco8.yaml").write_text("path: ../..\nnames: {0: cat}\n")
    assert read_labels(tmp_path / "coco8.yaml").images["label_file"].to_pylist() == [
        "set/labels/val/a.txt"
    ]


def test_label_files_whose_names_are_not_utf_8_are_read(tmp_path):
    voc(tmp_path, OBJECT.format(11, 11, 60, 50))
    name = os.fsdecode(b"Annotations/b\xff.xml")
    (tmp_path / name).write_text(VOC.format(name="b.jpg", objects=OBJECT.format(1, 1, 1, "x")))
    labels = read_labels(tmp_path)
    assert labels.images["label_file"].to_pylist() == ["Annotations/a.xml", "Annotations/b?.xml"]
    assert lost(labels) == [("invalid", "Annotations/b?.xml: object 1")]


# Merging


def test_merged_sets_have_unique_numbers_and_one_list_of_classes(tmp_path):
    one = read(tmp_path / "1.json", coco(annotations=[row()]))
    content = coco(annotations=[row(category_id=1), row(id=9, bbox=[0, 0, 0, 0])])
    content["categories"] = [
        {"id": 1, "name": "zebra"},
        {"id": 7, "name": "dog", "supercategory": "x"},
    ]
    two = read(tmp_path / "2.json", content)
    both = merge_labels([one, two])
    assert both.images["label_image"].to_pylist() == [0, 1]
    assert both.annotations["label_image"].to_pylist() == [0, 1]
    assert [(c.name, c.supercategory) for c in both.categories] == [
        *(("cat", ""), ("dog", "pet"), ("zebra", ""))
    ]
    assert lost(both) == [
        ("invalid", "2.json: annotation 9"),
        *(("ambiguous", subject) for subject in ("class dog", "1.json", "2.json")),
    ]
    assert "zebra" in both.losses[2].detail
    assert merge_labels([]).images.num_rows == 0
    assert both.annotations.schema == schemas.LABEL_ANNOTATIONS
