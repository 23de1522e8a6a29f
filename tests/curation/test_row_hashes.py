"""Hashes of pictures that are made on from an earlier version are those that are made anew."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aion_dagster import identity, schemas
from aion_dagster.curation import row_checks
from aion_dagster.curation import row_hashes as making
from aion_dagster.curation.fingerprint import dataset_fingerprint, fingerprint_of, hashed
from aion_dagster.curation.row_hashes import row_hashes

Row = dict[str, Any]


@pytest.fixture(autouse=True, scope="module")
def small_blocks() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_checks, "ROWS_AT_ONCE", 3)
        yield


def picture(name: str, **columns: Any) -> Row:
    sha = identity.digest(name)
    row: Row = dict.fromkeys(schemas.DATASET_IMAGES.names)
    row |= {"image_id": identity.image_id(sha), "sha256": sha, "file_name": f"{name}.jpg"}
    return row | {"split": "train", "group_id": identity.image_id(sha), "labelled": True} | columns


def box(name: str, number: int, **columns: Any) -> Row:
    row: Row = dict.fromkeys(schemas.ANNOTATIONS.names)
    row |= {"annotation_id": identity.image_id(identity.digest([name, number]))}
    row |= {"image_id": picture(name)["image_id"], "category": "cat", "origin": "labels"}
    return row | {"iscrowd": False, "bbox": {"x": 1.0, "y": 2.0, "w": 3.0, "h": 4.0}} | columns


TEXTS = st.sampled_from([None, "", "a", "seven b", "eight by", "nine byte", "é" * 4, "z" * 511, "z" * 600])  # fmt: skip
NUMBERS = st.sampled_from([0.0, -0.0, 1.0, 2.0, 3.5, 1e300])
OUTLINES = st.fixed_dictionaries(
    {
        "polygons": st.none() | st.lists(st.lists(NUMBERS, max_size=4), max_size=2),
        "rle": st.none()
        | st.fixed_dictionaries({"height": st.integers(1, 2), "width": st.just(2), "counts": st.sampled_from(["", "04", "0" * 20])}),
    }
)  # fmt: skip
BOXES = st.fixed_dictionaries(
    {},
    optional={
        "category": st.sampled_from([None, "cat", "dog"]),
        "bbox": st.none() | st.fixed_dictionaries(dict.fromkeys("xywh", NUMBERS)),
        "score": st.none() | st.sampled_from([0.0, 0.5]),
        "segmentation": st.none() | OUTLINES,
        "iscrowd": st.sampled_from([None, False, True]),
        "text": TEXTS,
        "origin": st.sampled_from(["labels", "text"]),
        "keypoints": st.none() | st.lists(NUMBERS, max_size=3),
        "attributes": TEXTS,
    },
)
PICTURES = st.fixed_dictionaries(
    {},
    optional={
        "file_name": st.sampled_from(["a.jpg", "folder/b.jpg", "c" * 40]),
        "group_id": st.sampled_from([None, picture("0")["image_id"]]),
        "labelled": st.sampled_from([None, False, True]),
        "split": st.sampled_from(["train", "val"]),
    },
)
LIBRARIES = st.dictionaries(st.sampled_from("0123456789"), st.tuples(PICTURES, st.lists(BOXES, max_size=3)))  # fmt: skip
Library = Mapping[str, tuple[Row, Sequence[Row]]]


def tables(library: Library, rng: random.Random) -> tuple[pa.Table, pa.Table]:
    """Pictures and boxes in any order, in any number of chunks."""
    images = [picture(name, **columns) for name, (columns, _) in library.items()]
    boxes = [box(n, k, **columns) for n, (_, own) in library.items() for k, columns in enumerate(own)]  # fmt: skip
    rng.shuffle(images)
    rng.shuffle(boxes)
    return chunked(images, schemas.DATASET_IMAGES, rng), chunked(boxes, schemas.ANNOTATIONS, rng)


def chunked(rows: Sequence[Row], schema: pa.Schema, rng: random.Random) -> pa.Table:
    at = rng.randint(0, len(rows))
    return pa.concat_tables([pa.Table.from_pylist(part, schema=schema) for part in (rows[:at], rows[at:])])  # fmt: skip


@given(LIBRARIES, LIBRARIES, st.randoms(use_true_random=False))
def test_pictures_that_come_go_or_change_have_the_hashes_that_are_made_anew(
    before: Library, after: Library, rng: random.Random
) -> None:
    known = row_hashes(*tables(before, rng))
    images, boxes = tables({**before, **after}, rng)
    grown = row_hashes(images, boxes, known)
    anew = row_hashes(images, boxes)
    assert grown.equals(anew)
    assert fingerprint_of(images, grown, (), {}) == fingerprint_of(images, anew, (), {})
    images, boxes = tables(after, rng)
    assert row_hashes(images, boxes, grown).equals(row_hashes(images, boxes))


@given(LIBRARIES, LIBRARIES, st.integers(2, 5), st.randoms(use_true_random=False))
def test_one_pass_in_parts_gives_the_hashes_and_the_fingerprint_of_the_whole(
    before: Library, after: Library, at_once: int, rng: random.Random
) -> None:
    known = row_hashes(*tables(before, rng))
    images, boxes = tables({**before, **after}, rng)
    whole = row_hashes(images, boxes), dataset_fingerprint(images, boxes, (), {})
    images = images.sort_by("file_name")
    place = {name: at for at, name in enumerate(images["image_id"].to_pylist())}
    rows = sorted(boxes.to_pylist(), key=lambda r: (place[r["image_id"]], r["annotation_id"]))
    boxes = pa.Table.from_pylist(rows, schema=schemas.ANNOTATIONS)
    counts = Counter(place[r["image_id"]] for r in rows)
    starts = np.concatenate(([0], np.cumsum([counts[i] for i in range(len(place))]))).astype(int)
    names = ["val", "none", "train"]
    codes = np.array([names.index(s) for s in images["split"].to_pylist()], np.int8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(making, "PICTURES_AT_ONCE", at_once)
        hashes, print_ = hashed(images, boxes, (codes, names), (), {}, known, starts=starts)
    assert print_ == whole[1]
    assert hashes.sort_by("image_id").equals(whole[0].sort_by("image_id"))


@given(st.lists(st.tuples(PICTURES, st.lists(BOXES, max_size=2)), min_size=2, max_size=12))
def test_what_is_told_apart_by_hashes_is_told_apart_by_checks(given_rows: list[tuple[Row, list[Row]]]) -> None:  # fmt: skip
    """In whatever company a picture is, and whichever columns nobody has anything in."""
    made = [
        row_hashes(*tables({"0": given_rows[0], "1": row}, random.Random(0))) for row in given_rows
    ]
    rows = [r for table in made for r in table.to_pylist() if r["image_id"] == picture("1")["image_id"]]  # fmt: skip
    assert len({(r["check"], r["content"]) for r in rows}) == len({r["check"] for r in rows})


@given(LIBRARIES)
def test_a_check_does_not_hang_on_what_other_pictures_have(library: Library) -> None:
    together = row_hashes(*tables(library, random.Random(0)))
    alone = [row_hashes(*tables({name: own}, random.Random(0))) for name, own in library.items()]
    found = {row["image_id"]: row for table in alone for row in table.to_pylist()}
    assert {row["image_id"]: row for row in together.to_pylist()} == found


def test_a_hash_is_taken_over_where_nothing_changed_and_only_there() -> None:
    library: dict[str, tuple[Row, list[Row]]] = {name: ({}, [{}, {}]) for name in "0123456789"}
    first = row_hashes(*tables(library, random.Random(0)))
    marked = first.set_column(1, "content", pa.array([b"\0" * 32] * 10, pa.binary(32)))
    library["3"] = ({}, [{}, {"score": 0.5}])
    library["new"] = ({}, [{}])
    made = row_hashes(*tables(library, random.Random(1)), marked)
    own = {r["image_id"]: r["content"] for r in made.to_pylist()}
    fresh = {picture(name)["image_id"] for name in ("3", "new")}
    assert {i for i, content in own.items() if any(content)} == fresh


def test_checks_that_were_made_in_another_way_cost_time_and_nothing_else() -> None:
    images, boxes = tables({name: ({}, [{}, {}]) for name in "0123456789"}, random.Random(0))
    anew = row_hashes(images, boxes)
    other = anew.set_column(2, "check", pa.array(range(10), pa.uint64()))
    assert row_hashes(images, boxes, other).equals(anew)


def test_boxes_moved_by_whole_pixels_are_told_apart() -> None:
    """Whole numbers have few bits: those of one side must not make up for those of another."""
    sides = np.unique(np.random.default_rng(3).integers(1, 1000, (20_000, 4)), axis=0).astype(float)
    count = len(sides)

    def column(field: pa.Field, row: Row) -> pa.Array:
        return pa.array([row[field.name]], field.type).take(pa.array(np.zeros(count, np.int64)))

    images = pa.table([column(f, picture("0")) for f in schemas.DATASET_IMAGES], schema=schemas.DATASET_IMAGES)  # fmt: skip
    boxes = pa.StructArray.from_arrays([pa.array(s) for s in sides.T], fields=list(schemas.BBOX))
    rows = pa.table(
        [boxes if f.name == "bbox" else column(f, box("0", 0)) for f in schemas.ANNOTATIONS],
        schema=schemas.ANNOTATIONS,
    )
    made = row_hashes(images, rows, starts=np.arange(count + 1))
    assert len(made["check"].unique()) == len(made["content"].unique()) == count


def test_no_pictures_have_no_hashes() -> None:
    images, boxes = schemas.DATASET_IMAGES.empty_table(), schemas.ANNOTATIONS.empty_table()
    made = row_hashes(images, boxes)
    assert made.num_rows == 0
    assert row_hashes(images, boxes, made).equals(made)
