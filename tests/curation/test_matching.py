"""Labels meet pictures: by path, without guesses, in upright pixels."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps
from pycocotools import mask as coco_mask

from aion_dagster import identity, schemas
from aion_dagster.curation.matching import (
    index_labels,
    match_labels,
    unmatched_labels,
)
from aion_dagster.values import LabelSet


def pictures(*names: str, **columns: Any) -> pa.Table:
    """A batch of pictures, 100 x 50 upright unless said otherwise; the name decides the content."""
    rows = []
    for name in names:
        row = dict.fromkeys(schemas.IMAGES.names)
        sha = identity.digest(name)
        row |= {
            "source": "s",
            "uri": f"/data/{name}",
            "name": name,
            "image_id": identity.image_id(sha),
        }
        row |= {
            "sha256": sha,
            "width": 100,
            "height": 50,
            "orientation": 1,
            "status": "ok",
            **columns,
        }
        rows.append(row)
    return pa.Table.from_pylist(rows, schema=schemas.IMAGES)


def labels(
    *names: str,
    box: tuple[float, float, float, float] | None = (1.0, 2.0, 3.0, 4.0),
    size: tuple[int | None, int | None] = (100, 50),
    **columns: Any,
) -> LabelSet:
    """One annotation for each file name."""
    images = [
        {
            "label_image": i,
            "file_name": n,
            "width": size[0],
            "height": size[1],
            "label_file": "l.json",
        }
        for i, n in enumerate(names)
    ]
    annotations = [
        {
            "label_image": i,
            "category": "cat",
            "bbox": box and dict(zip("xywh", box, strict=True)),
            "normalized": False,
            "origin_ref": f"l.json#{i}",
            **columns,
        }
        for i in range(len(names))
    ]
    return LabelSet(
        pa.Table.from_pylist(images, schema=schemas.LABEL_IMAGES),
        pa.Table.from_pylist(annotations, schema=schemas.LABEL_ANNOTATIONS),
        (),
    )


def matched(names: list[str], in_batch: list[str], **options: Any) -> dict[str, str]:
    """file_name of a label → uri of its picture."""
    found = match_labels(labels(*names), pictures(*in_batch), **options)
    return {r["file_name"]: r["uri"].removeprefix("/data/") for r in found.matches.to_pylist()}


@pytest.mark.parametrize(
    ("label", "picture"),
    [
        ("a.jpg", "a.jpg"),
        ("a.jpg", "deep/down/a.jpg"),
        ("./train/a.jpg", "train/a.jpg"),
        ("train\\a.jpg", "train/a.jpg"),
        ("C:\\Users\\me\\set\\train\\a.jpg", "train/a.jpg"),
        ("/home/me/set/train/a.jpg", "train/a.jpg"),
        ("/home/me/set/train/a.jpg", "other/a.jpg"),
        ("train/0001", "images/train/0001.jpg"),
        ("train/0001", "train/images/0001.png"),
        ("scan.v2", "scan.v2.tif"),
        ("my%20cat%20%C3%A9.jpg", "my cat é.jpg"),
        ("100%25.jpg", "100%25.jpg"),
        ("caf\u0065\u0301.jpg", "caf\u00e9.jpg"),
        ("A.JPG", "a.jpg"),
        ("val2017/a.jpg", "a.jpg"),
        ("https://host/bucket/train/a.jpg", "train/a.jpg"),
    ],
)
def test_a_label_finds_its_picture(label: str, picture: str) -> None:
    assert matched([label], [picture, "something/else.jpg"]) == {label: picture}


@pytest.mark.parametrize(
    ("label", "picture"),
    [
        ("a.jpg", "b.jpg"),
        ("a.jpg", "a.png"),
        ("a.jpg", "aa.jpg"),
        ("train/a.jpg", "val/a.jpg"),
        ("labels/train/a", "images/val2017/a.jpg"),
        ("", "a.jpg"),
    ],
)
def test_a_label_does_not_take_a_picture_that_is_not_its_own(label: str, picture: str) -> None:
    assert matched([label], [picture]) == {}


def test_the_same_relative_path_wins_over_a_longer_one() -> None:
    assert matched(["x/a.jpg"], ["x/a.jpg", "y/x/a.jpg", "a.jpg"]) == {"x/a.jpg": "x/a.jpg"}


def test_the_longest_common_suffix_wins() -> None:
    assert matched(["/r/x/y/a.jpg"], ["p/y/a.jpg", "q/x/y/a.jpg", "a.jpg"]) == {
        "/r/x/y/a.jpg": "q/x/y/a.jpg"
    }


def test_equally_good_pictures_are_ambiguous_and_not_matched() -> None:
    found = match_labels(labels("a.jpg"), pictures("x/a.jpg", "y/a.jpg"))
    assert found.annotations.num_rows == found.matches.num_rows == 0
    assert [(x.kind, x.subject) for x in found.losses] == [("ambiguous", "a.jpg")]
    assert "x/a.jpg, y/a.jpg" in found.losses[0].detail


def test_a_name_without_extension_is_ambiguous_between_jpg_and_png() -> None:
    assert matched(["a"], ["a.jpg", "a.png"]) == {}
    assert matched(["a.png"], ["a.jpg", "a.png"]) == {"a.png": "a.png"}


def test_ambiguity_is_seen_across_batches() -> None:
    assert matched(["a.jpg"], ["x/a.jpg"], elsewhere={"a.jpg": ["y/a.jpg"]}) == {}
    assert matched(["a"], ["x/a.jpg"], elsewhere={"a.png": ["y/a.PNG"]}) == {}


def test_a_better_picture_in_another_batch_takes_the_label_without_a_loss() -> None:
    found = match_labels(labels("y/a.jpg"), pictures("a.jpg"), elsewhere={"a.jpg": ["y/a.jpg"]})
    assert found.matches.num_rows == 0
    assert found.losses == ()


def test_an_older_version_of_the_same_file_is_no_rival() -> None:
    assert matched(["a.jpg"], ["x/a.jpg"], elsewhere={"a.jpg": ["x/a.jpg"]}) == {"a.jpg": "x/a.jpg"}


def test_rule_28_byte_equal_copies_are_one_picture_and_so_not_ambiguous() -> None:
    table = pictures("x/a.jpg", "y/a.jpg")
    same = table.set_column(
        table.schema.get_field_index("image_id"), "image_id", pa.array(["one", "one"])
    )
    found = match_labels(labels("a.jpg"), same)
    assert found.matches["image_id"].to_pylist() == ["one"]


def test_case_is_ignored_only_where_nothing_else_fits() -> None:
    assert matched(["a.jpg"], ["x/A.jpg", "y/a.jpg"]) == {"a.jpg": "y/a.jpg"}
    assert matched(["a.jpg"], ["x/A.jpg", "y/A.JPG"]) == {}


def test_two_labels_that_could_both_mean_the_only_picture_are_ambiguous() -> None:
    found = match_labels(labels("train/1.jpg", "val/1.jpg"), pictures("1.jpg"))
    assert found.matches.num_rows == 0
    assert [x.kind for x in found.losses] == ["ambiguous", "ambiguous"]


def test_a_label_that_fits_in_part_yields_to_one_that_fits_fully() -> None:
    assert matched(["p/1.jpg", "/r/q/1.jpg"], ["p/1.jpg"]) == {"p/1.jpg": "p/1.jpg"}


def test_rule_27_a_label_without_boxes_still_names_its_picture() -> None:
    one = labels("a.jpg", "b.jpg")
    only_first = LabelSet(one.images, one.annotations.slice(0, 1), ())
    found = match_labels(only_first, pictures("a.jpg", "b.jpg"))
    assert found.matches.schema.equals(schemas.LABEL_MATCHES)
    assert found.matches["file_name"].to_pylist().count("b.jpg") == 1
    assert found.annotations.num_rows == 1


def test_an_unreadable_picture_is_a_loss_and_no_match() -> None:
    found = match_labels(labels("a.jpg"), pictures("a.jpg", status="unreadable", error="cut short"))
    assert found.matches.num_rows == 0
    assert [(x.kind, x.subject) for x in found.losses] == [("invalid", "a.jpg")]
    assert "cut short" in found.losses[0].detail


def test_labels_that_no_batch_matched_are_unmatched() -> None:
    one = labels("a.jpg", "b.jpg")
    found = match_labels(one, pictures("a.jpg"))
    losses = unmatched_labels(one, found.matches["label_image"].to_pylist())
    assert [(x.kind, x.subject) for x in losses] == [("unmatched", "b.jpg")]


def test_annotation_ids_are_the_same_each_time_and_differ_between_rows() -> None:
    one = match_labels(labels("a.jpg", "b.jpg"), pictures("b.jpg", "a.jpg"))
    two = match_labels(index_labels(labels("a.jpg", "b.jpg")), pictures("a.jpg", "b.jpg"))
    assert one.annotations.equals(two.annotations)
    assert len(set(one.annotations["annotation_id"].to_pylist())) == 2
    assert one.annotations.schema.equals(schemas.ANNOTATIONS)
    assert set(one.annotations["origin"].to_pylist()) == {"labels"}


def test_fractions_are_scaled_by_the_upright_size() -> None:
    outline = {"polygons": [[0.0, 0.0, 0.5, 0.0, 0.5, 1.0]], "rle": None}
    found = match_labels(
        labels(
            "a", box=(0.1, 0.2, 0.5, 0.5), size=(None, None), normalized=True, segmentation=outline
        ),
        pictures("a.jpg", orientation=6),
    )
    row = found.annotations.to_pylist()[0]
    assert row["bbox"] == {"x": 10.0, "y": 10.0, "w": 50.0, "h": 25.0}
    assert row["segmentation"]["polygons"] == [[0.0, 0.0, 50.0, 0.0, 50.0, 50.0]]
    assert found.losses == ()


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_another_size_is_mismatched_and_the_box_kept(orientation: int) -> None:
    found = match_labels(labels("a.jpg", size=(60, 60)), pictures("a.jpg", orientation=orientation))
    assert found.annotations["bbox"].to_pylist() == [{"x": 1.0, "y": 2.0, "w": 3.0, "h": 4.0}]
    assert [(x.kind, x.subject) for x in found.losses] == [("mismatched", "a.jpg")]
    assert "60x60" in found.losses[0].detail


def test_a_size_turned_round_without_an_orientation_is_mismatched() -> None:
    found = match_labels(labels("a.jpg", size=(50, 100)), pictures("a.jpg", orientation=1))
    assert [x.kind for x in found.losses] == ["mismatched"]


def test_a_label_without_a_box_keeps_having_none() -> None:
    found = match_labels(labels("a.jpg", box=None, text="a caption"), pictures("a.jpg"))
    assert found.annotations["bbox"].to_pylist() == [None]


def upright(stored: np.ndarray[Any, Any], orientation: int) -> np.ndarray[Any, Any]:
    """What Pillow makes of a stored picture with that EXIF tag."""
    picture = Image.fromarray(stored)
    exif = Image.Exif()
    exif[274] = orientation
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", exif=exif)
    return np.asarray(ImageOps.exif_transpose(Image.open(buffer)))


@given(st.data(), st.sampled_from([5, 6, 7, 8]))
def test_boxes_and_outlines_drawn_on_the_stored_picture_are_turned_upright(
    data: st.DataObject, orientation: int
) -> None:
    width, height = data.draw(st.integers(2, 40)), data.draw(st.integers(2, 40))
    if width == height:
        width += 1
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    w, h = data.draw(st.integers(1, width - x)), data.draw(st.integers(1, height - y))
    stored = np.zeros((height, width), dtype=np.uint8)
    stored[y : y + h, x : x + w] = 1
    turned = upright(stored, orientation)
    mask = coco_mask.encode(np.asfortranarray(stored))
    corners = [float(v) for v in (x, y, x + w, y, x + w, y + h, x, y + h)]
    outline = {
        "polygons": [corners],
        "rle": {"height": height, "width": width, "counts": mask["counts"].decode()},
    }
    found = match_labels(
        labels("a.jpg", box=(x, y, w, h), size=(width, height), segmentation=outline),
        pictures("a.jpg", width=height, height=width, orientation=orientation),
    )
    row = found.annotations.to_pylist()[0]
    ys, xs = np.nonzero(turned)
    assert row["bbox"] == {
        "x": xs.min(), "y": ys.min(), "w": np.ptp(xs) + 1, "h": np.ptp(ys) + 1
    }  # fmt: skip
    polygon = np.array(row["segmentation"]["polygons"][0]).reshape(-1, 2)
    assert polygon.min(0).tolist() == [xs.min(), ys.min()]
    assert polygon.max(0).tolist() == [xs.max() + 1, ys.max() + 1]
    rle = row["segmentation"]["rle"]
    decoded = coco_mask.decode({"size": [rle["height"], rle["width"]], "counts": rle["counts"]})
    assert np.array_equal(decoded, turned)
    assert found.losses == ()


@pytest.mark.needs_shared
@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_a_box_on_a_real_turned_photo_shows_the_same_pixels(
    shared_data: Path, orientation: int
) -> None:
    with Image.open(shared_data / "orientation" / f"landscape_{orientation}.jpg") as photo:
        stored = np.asarray(photo)
        right = np.asarray(ImageOps.exif_transpose(photo))
    height, width = stored.shape[:2]
    x, y, w, h = width // 5, height // 3, width // 4, height // 7
    found = match_labels(
        labels("p.jpg", box=(x, y, w, h), size=(width, height)),
        pictures("p.jpg", width=height, height=width, orientation=orientation),
    )
    b = {k: int(v) for k, v in found.annotations.to_pylist()[0]["bbox"].items()}
    seen = right[b["y"] : b["y"] + b["h"], b["x"] : b["x"] + b["w"]]
    patch = Image.fromarray(stored[y : y + h, x : x + w])
    turn = {
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }[orientation]
    assert np.array_equal(seen, np.asarray(patch.transpose(turn)))


def test_a_batch_finds_its_labels_among_many() -> None:
    many = labels(*(f"/far/away/{i % 7}/{i:06}.jpg" for i in range(20_000)))
    index = index_labels(many)
    names = [f"{i % 7}/{i:06}.jpg" for i in range(11, 20_000, 997)]
    found = match_labels(index, pictures(*names))
    assert sorted(found.matches["uri"].to_pylist()) == sorted(f"/data/{n}" for n in names)
    assert found.annotations.num_rows == len(names)


def test_many_pictures_of_one_name_are_told_apart_by_their_folder() -> None:
    many = labels(*(f"scene{i:05}/rgb.png" for i in range(3000)))
    found = match_labels(many, pictures("d/scene00017/rgb.png", "d/scene02999/rgb.png"))
    assert found.matches["label_image"].to_pylist() != []
    assert set(found.matches["label_image"].to_pylist()) == {17, 2999}


def by(way: str | None, found: LabelSet, sha256: list[str | None] | None = None) -> LabelSet:
    """The labels, to be matched in this way, with these digests."""
    rows = found.images.to_pylist()
    for i, row in enumerate(rows):
        row |= {"match": way, "sha256": sha256[i] if sha256 else None}
    return replace(found, images=pa.Table.from_pylist(rows, schema=schemas.LABEL_IMAGES))


def uris(found: LabelSet, batch: pa.Table, **options: Any) -> list[str]:
    matches = match_labels(found, batch, **options).matches
    return [u.removeprefix("/data/") for u in matches["uri"].to_pylist()]


@pytest.mark.parametrize("way", [None, "hash"])
def test_a_label_that_gives_a_sha_256_means_the_picture_of_these_bytes(way: str | None) -> None:
    sha = identity.digest("x/a.jpg")
    batch = pictures("x/a.jpg", "other.jpg")
    assert uris(by(way, labels("other.jpg"), [sha.upper()]), batch) == ["x/a.jpg"]
    assert uris(by(way, labels(f"images/{sha}.jpg")), batch) == ["x/a.jpg"]
    assert uris(by(way, labels(sha)), batch) == ["x/a.jpg"]


def test_without_a_picture_of_these_bytes_the_path_counts_unless_only_the_hash_may() -> None:
    unknown = identity.digest("nothing")
    assert uris(by(None, labels("a.jpg"), [unknown]), pictures("a.jpg")) == ["a.jpg"]
    assert uris(by("hash", labels("a.jpg"), [unknown]), pictures("a.jpg")) == []
    assert uris(by("path", labels(unknown)), pictures(unknown + ".jpg")) == [unknown + ".jpg"]


def test_a_hash_is_surer_than_a_part_of_a_path_and_the_rival_is_reported() -> None:
    found = by(None, labels("elsewhere/a.jpg", "b.jpg"), [None, identity.digest("x/a.jpg")])
    result = match_labels(found, pictures("x/a.jpg"))
    assert result.matches["file_name"].to_pylist() == ["b.jpg"]
    assert [(x.kind, x.subject) for x in result.losses] == [("ambiguous", "elsewhere/a.jpg")]


def test_matched_by_name_folders_do_not_count_and_twins_are_ambiguous() -> None:
    found = by("name", labels("train/1.jpg"))
    assert uris(found, pictures("val/1.jpg")) == ["val/1.jpg"]
    result = match_labels(found, pictures("train/1.jpg", "val/1.jpg"))
    assert result.matches.num_rows == 0
    assert [x.kind for x in result.losses] == ["ambiguous"]
    there = {"1.jpg": ["b/1.jpg"]}
    assert match_labels(found, pictures("a/1.jpg"), elsewhere=there).matches.num_rows == 0


def test_matched_by_path_a_part_of_it_is_not_enough() -> None:
    assert uris(by(None, labels("x/a.jpg")), pictures("y/a.jpg")) == ["y/a.jpg"]
    assert uris(by("path", labels("x/a.jpg")), pictures("y/a.jpg")) == []
    assert uris(by("path", labels("x/a.jpg")), pictures("z/x/a.jpg")) == ["z/x/a.jpg"]


def test_why_a_label_has_no_picture_is_said() -> None:
    names = ["a.jpg", f"{'0' * 32}.jpg", f"{'0' * 64}.jpg"]
    assert [
        x.detail.partition("and ")[2] for x in unmatched_labels(by("hash", labels(*names)), [])
    ] == [
        "no picture has this SHA-256",
        "no picture fits: its name looks like an MD5; pictures are known by their SHA-256",
        "no picture has this SHA-256",
    ]
    (path,) = unmatched_labels(by("path", labels("a.jpg")), [])
    assert path.detail.endswith("no picture has this path")


def test_keypoints_captions_and_tags_come_into_upright_pixels() -> None:
    found = labels(
        "a.jpg", size=(50, 100), keypoints=[10.0, 20.0, 2.0, 0.0, 0.0, 0.0], attributes="{}"
    )
    rows = [
        *found.annotations.to_pylist(),
        {"label_image": 0, "text": "a cat", "origin": "captions", "origin_ref": "c"},
        {"label_image": 0, "category": "dark", "origin": "tags", "origin_ref": "t"},
    ]
    found = replace(found, annotations=pa.Table.from_pylist(rows, schema=schemas.LABEL_ANNOTATIONS))
    result = match_labels(found, pictures("a.jpg", orientation=6)).annotations.to_pylist()
    by_origin = {r["origin"]: r for r in result}
    assert by_origin["labels"]["keypoints"] == [80, 10, 2, 0, 0, 0]
    assert by_origin["labels"]["attributes"] == "{}"
    assert (by_origin["captions"]["text"], by_origin["captions"]["bbox"]) == ("a cat", None)
    assert (by_origin["tags"]["category"], by_origin["tags"]["bbox"]) == ("dark", None)
    assert len({r["annotation_id"] for r in result}) == 3


def test_two_label_files_that_name_one_object_differently_are_reported_and_both_stay() -> None:
    found = labels("a.jpg", "x/a.jpg", "b.jpg", box=(10, 10, 20, 20))
    images, rows = found.images.to_pylist(), found.annotations.to_pylist()
    images[1]["label_file"] = "m.json"
    rows[1] |= {
        "category": "tiger",
        "origin_ref": "m.json#1",
        "bbox": dict(zip("xywh", (10, 10, 20, 20.5), strict=True)),
    }
    rows.append(
        {**rows[1], "category": "far", "bbox": dict(zip("xywh", (50, 10, 20, 20), strict=True))}
    )
    rows.append({**rows[0], "category": "of the same file"})
    found = replace(
        found,
        images=pa.Table.from_pylist(images, schema=schemas.LABEL_IMAGES),
        annotations=pa.Table.from_pylist(rows, schema=schemas.LABEL_ANNOTATIONS),
    )
    result = match_labels(found, pictures("x/a.jpg", "b.jpg"))
    assert [x.kind for x in result.losses] == ["ambiguous", "ambiguous"]
    for loss in result.losses:
        assert "m.json#1" in {loss.subject, *loss.detail.split()}
        assert "of x/a.jpg " in loss.detail
        assert "'tiger'" in loss.detail
    assert result.annotations.num_rows == 5
