"""CSV tables of boxes: told by their header, read as columns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aion_dagster import schemas
from aion_dagster.errors import LabelError
from aion_dagster.formats.export import CsvOptions, write_export
from aion_dagster.formats.labels import read_labels
from aion_dagster.values import LabelSet

from .factory import Builder, empty, two_pictures


def read(tmp_path: Path, text: str | bytes, name: str = "a.csv") -> LabelSet:
    data = text if isinstance(text, bytes) else text.encode()
    (tmp_path / name).write_bytes(data)
    labels = read_labels(tmp_path / name)
    assert labels.images.schema == schemas.LABEL_IMAGES
    assert labels.annotations.schema == schemas.LABEL_ANNOTATIONS
    return labels


def boxes(labels: LabelSet) -> list[list[float]]:
    return [list(b.values()) for b in labels.annotations["bbox"].to_pylist()]


@pytest.mark.parametrize(
    ("header", "row", "size"),
    [
        ("filename,xmin,ymin,xmax,ymax,class", "a.jpg,10,20,40,60,cat", None),
        ("filename,width,height,class,xmin,ymin,xmax,ymax", "a.jpg,200,100,cat,10,20,40,60", 200),
        ("image_path;label;x1;y1;x2;y2", "a.jpg;cat;10;20;40;60", None),
        ("File Name\tLabel\tX\tY\tWidth\tHeight", "a.jpg\tcat\t10\t20\t30\t40", None),
        ("image,bbox_x,bbox_y,bbox_width,bbox_height,category,image_width,image_height",
         "a.jpg,10,20,30,40,cat,200,100", 200),
        ("\ufefffilename,x,y,w,h,name", "a.jpg,10.0,2e1,30,+40,cat", None),
    ],
)  # fmt: skip
def test_the_usual_layouts_are_told_by_their_header(tmp_path, header, row, size):
    labels = read(tmp_path, f"{header}\r\n{row}\r\n")
    assert boxes(labels) == [[10, 20, 30, 40]]
    assert labels.annotations["category"].to_pylist() == ["cat"]
    assert labels.images["file_name"].to_pylist() == ["a.jpg"]
    assert labels.images["width"].to_pylist() == [size]
    assert labels.losses == ()


@pytest.mark.parametrize(
    "text",
    [
        *("", "\n", "a.jpg,1,2,3,4,cat\n", "filename,xmin,ymin,xmax,class\na.jpg,1,2,3,cat\n"),
        *("xmin,ymin,xmax,ymax\n", "filename,class,class,xmin,ymin,xmax,ymax\n", b"\xff\xfe\x00"),
        b"filename,xmin,ymin,xmax,ymax,class\na.jpg,1,2,3,4,\xff\n",
    ],
)
def test_a_file_that_does_not_say_where_its_boxes_are_is_refused_by_name(tmp_path, text):
    with pytest.raises(LabelError, match=r"a\.csv"):
        read(tmp_path, text)


def test_rule_06_a_bad_row_is_a_loss_and_the_rest_is_read(tmp_path):
    rows = [
        "a.jpg,1,2,3,4,cat",
        "a.jpg,1,2,x,4,cat",
        'a.jpg,"1,5",2,3,4,cat',
        "a.jpg,nan,2,3,4,cat",
        "a.jpg,5,2,3,4,cat",
        ",1,2,3,4,cat",
        "a.jpg,1,2,3,4,",
        "a.jpg,1,2,3",
        "a.jpg,1,2,3,4,dog",
    ]
    labels = read(tmp_path, "\n".join(["filename,xmin,ymin,xmax,ymax,class", *rows]))
    assert labels.annotations["category"].to_pylist() == ["cat", "dog"]
    assert len(labels.losses) == 7
    assert {x.subject for x in labels.losses} >= {f"a.csv:{n}" for n in (3, 4, 5, 6, 7, 8)}


def test_rule_27_a_row_without_a_box_names_a_picture_without_objects(tmp_path):
    labels = read(tmp_path, "filename,xmin,ymin,xmax,ymax,class\na.jpg,,,,,\nb.jpg,1,2,3,4,cat\n")
    assert labels.images["file_name"].to_pylist() == ["a.jpg", "b.jpg"]
    assert labels.annotations["label_image"].to_pylist() == [1]
    assert labels.losses == ()


def test_fractions_are_told_and_said(tmp_path):
    text = "ImageID,LabelName,Confidence,XMin,XMax,YMin,YMax,IsGroupOf\nabc,cat,1,0.1,0.3,0.5,1,1\n"
    labels = read(tmp_path, text)
    assert boxes(labels) == [pytest.approx([0.1, 0.5, 0.2, 0.5])]
    assert labels.annotations["normalized"].to_pylist() == [True]
    assert labels.annotations["iscrowd"].to_pylist() == [True]
    assert [x.kind for x in labels.losses] == ["converted"]


def test_columns_that_are_not_known_are_attributes(tmp_path):
    text = "filename,x,y,w,h,class,score,site,split\na.jpg,1,2,3,4,cat,.5,Köln,valid\n"
    labels = read(tmp_path, text)
    assert json.loads(labels.annotations["attributes"][0].as_py()) == {"site": "Köln"}
    assert labels.annotations["score"].to_pylist() == [0.5]
    assert labels.images["split"].to_pylist() == ["val"]


@pytest.mark.parametrize("neutralise", [True, False])
def test_rule_24_our_own_export_comes_back_with_negatives_names_and_classes(tmp_path, neutralise):
    builder = Builder(tmp_path)
    image = builder.image("=cmd é.jpg")
    builder.image("b.png", split="val")
    builder.image("never labelled.png", split="val")
    builder.images[-1]["labelled"] = False
    builder.box(image, (1.5, 2, 3, 4), "dog", score=0.5, text="-x")
    out = empty(tmp_path / "out")
    write_export(
        "csv", builder.dataset(), out, builder.pictures(), CsvOptions(neutralise=neutralise)
    )
    labels = read_labels(out)
    assert labels.images["file_name"].to_pylist() == ["=cmd é.jpg", "b.png"]
    assert labels.images["split"].to_pylist() == ["train", "val"]
    assert labels.images["sha256"].null_count == 0
    row = labels.annotations.to_pylist()[0]
    assert (row["category"], row["score"], row["text"]) == ("dog", 0.5, "-x")
    assert boxes(labels) == [[1.5, 2, 3, 4]]
    assert [c.name for c in labels.categories] == ["cat", "dog"]
    assert labels.losses == ()


def test_a_folder_of_tables_is_one_set(tmp_path):
    write_export(
        "csv", (b := two_pictures(tmp_path)).dataset(), empty(tmp_path / "o"), b.pictures()
    )
    (tmp_path / "t").mkdir()
    (tmp_path / "t/1.csv").write_text("filename,x,y,w,h,class\na.jpg,1,2,3,4,cat\n")
    (tmp_path / "t/2.csv").write_text("filename,x,y,w,h,class\nb.jpg,1,2,3,4,dog\n")
    (tmp_path / "t/notes.csv").write_text("who,when\nme,now\n")
    labels = read_labels(tmp_path / "t")
    assert labels.images["file_name"].to_pylist() == ["a.jpg", "b.jpg"]
    assert [(x.kind, x.subject) for x in labels.losses] == [("dropped", "notes.csv")]


cell = st.one_of(
    st.sampled_from(["", "1", "2.5", "-3", "nan", "x", '"', "1,5", "a.jpg", "cat", "1e400"]),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=4),
)


@given(st.lists(st.lists(cell, min_size=6, max_size=6), max_size=20))
def test_every_row_is_in_the_table_or_in_the_losses_or_names_an_empty_picture(
    tmp_path_factory, rows
):
    text = "filename,xmin,ymin,xmax,ymax,class\r\n"
    text += "".join(
        ",".join('"' + c.replace('"', '""') + '"' for c in row) + "\r\n" for row in rows
    )
    labels = read(tmp_path_factory.mktemp("csv"), text)
    lost = [x for x in labels.losses if x.kind == "invalid"]
    bare = [r for r in rows if r[0].strip() and not any(c.strip() for c in r[1:5])]
    assert len(labels.annotations) + len(lost) + len(bare) == len(rows)
