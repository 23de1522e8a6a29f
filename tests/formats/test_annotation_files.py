"""Annotations read from their file a part at a time make the same export as those in memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from aion_dagster import schemas
from aion_dagster.errors import ExportError
from aion_dagster.formats.annotation_files import ParquetAnnotations
from aion_dagster.formats.export import FORMATS, ImagefolderOptions, write_export

from .factory import VANISHED, Builder, empty
from .versions_of_an_export import builder_of


def tree(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def stored(dataset, path: Path, **options) -> tuple:
    """The dataset without its annotations, which are in a file."""
    pq.write_table(dataset.annotations, path, **options)
    bare = replace(dataset, annotations=schemas.ANNOTATIONS.empty_table())
    return bare, ParquetAnnotations(str(path))


def crowded(folder: Path) -> Builder:
    """Many pictures with many boxes on few of them, so that parts begin and end inside of pictures."""
    builder = builder_of(folder, 0)
    order = {row["image_id"]: i for i, row in enumerate(sorted(builder.images, key=lambda r: r["file_name"]))}  # fmt: skip
    full = sorted(order, key=order.get)[3]
    for i in range(40_000):
        builder.annotations.append(
            {
                "annotation_id": f"x{i:06}",
                "image_id": full,
                "category": "cat",
                "bbox": {"x": i % 40, "y": i // 1000, "w": 1 + i % 7, "h": 1.5},
                "iscrowd": False,
                "origin": "labels",
            }
        )
    builder.annotations.sort(key=lambda row: order[row["image_id"]])
    return builder


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Builder:
    return crowded(tmp_path_factory.mktemp("many"))


@pytest.mark.parametrize("name", [*(n for n in FORMATS if n != "webdataset"), "hf jsonl"])
def test_a_file_read_in_parts_gives_the_bytes_of_a_table_in_memory(tmp_path, many, name):
    dataset = many.dataset()
    options = None
    if name == "hf jsonl":
        name, options = "imagefolder", ImagefolderOptions(metadata="jsonl")
    gone = many.images[5]["image_id"]
    pictures = many.pictures(gone={gone: VANISHED}) if name != "csv" else None
    one = write_export(name, dataset, empty(tmp_path / "one"), pictures, options)
    bare, rows = stored(dataset, tmp_path / "rows.parquet", row_group_size=3000)
    two = write_export(name, bare, empty(tmp_path / "two"), pictures, options, rows=rows)
    assert tree(tmp_path / "one") == tree(tmp_path / "two")
    assert one == two
    assert two.rows == len(many.annotations)


def test_a_file_of_an_earlier_release_may_lack_columns(tmp_path, many):
    dataset = many.dataset()
    write_export("coco", dataset, empty(tmp_path / "one"), None)
    old = dataset.annotations.drop_columns(["keypoints", "attributes"])
    bare, rows = stored(replace(dataset, annotations=old), tmp_path / "rows.parquet")
    write_export("coco", bare, empty(tmp_path / "two"), None, rows=rows)
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


def test_annotations_in_another_order_than_the_pictures_are_refused(tmp_path, many):
    dataset = many.dataset()
    turned = dataset.annotations.take(list(range(dataset.annotations.num_rows - 1, -1, -1)))
    bare, rows = stored(replace(dataset, annotations=turned), tmp_path / "rows.parquet")
    with pytest.raises(ExportError, match="not in the order of the pictures"):
        write_export("coco", bare, empty(tmp_path / "two"), None, rows=rows)
