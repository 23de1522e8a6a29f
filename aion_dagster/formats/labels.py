"""Label files of any known format into one label set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from aion_dagster import schemas
from aion_dagster.errors import LabelError
from aion_dagster.formats.json_stream import read_json
from aion_dagster.formats.read_coco import is_coco, read_coco
from aion_dagster.formats.read_voc import read_voc
from aion_dagster.formats.read_yolo import CLASS_FILES, DATA_FILES, read_yolo
from aion_dagster.formats.text_files import files_below
from aion_dagster.values import Category, LabelSet

_EXPECTED = (
    "expected a COCO .json file or a folder of them (annotations/….json), a YOLO tree (data.yaml or classes.txt "
    "with labels/….txt), or Pascal VOC files (Annotations/….xml)"
)


def read_labels(path: Path) -> LabelSet:
    """Labels of a file or folder, in whichever of COCO, YOLO and Pascal VOC they are.

    One bad row does not stop the rest: it becomes a loss that names file and row. Boxes may reach outside their
    pictures; they are clipped when a dataset is built.

    Args:
        path: a COCO file or a folder that holds COCO files; a YOLO tree, its data.yaml or its labels folder; a Pascal
            VOC folder, its folder of annotations, or one XML file.

    Raises:
        LabelError: there is nothing to read, or a file is not what it claims to be; names the file.
    """
    if path.is_dir():
        return _read_folder(path)
    if not path.is_file():
        raise LabelError(f"{path}: no such file or folder; {_EXPECTED}")
    suffix = path.suffix.lower()
    if suffix == ".json":
        return read_coco(read_json(path), path.name)
    if suffix in (".yaml", ".yml"):
        return read_yolo(path.parent)
    if suffix == ".xml":
        return read_voc(path.parent, [path])
    raise LabelError(f"{path}: not a label file; {_EXPECTED}")


def _read_folder(root: Path) -> LabelSet:
    if any((root / name).is_file() for name in DATA_FILES):
        return read_yolo(root)
    found = _coco_files(root)
    if found:
        return merge_labels([read_coco(content, name) for name, content in found])
    documents = [root / n for n in files_below(root) if n.lower().endswith(".xml")]
    if documents:
        return read_voc(root, documents)
    if root.name == "labels" or any((root / n).exists() for n in ("labels", *CLASS_FILES)):
        return read_yolo(root)
    if next(root.rglob("labels"), None) is not None:
        return read_yolo(root)
    raise LabelError(f"{root}: no labels found; {_EXPECTED}")


def _coco_files(root: Path) -> list[tuple[str, Any]]:
    """Name and content of the COCO files of a folder; where some are called instances_…, only those."""
    paths = [root / n for n in files_below(root) if n.endswith(".json")]
    instances = [p for p in paths if p.name.startswith("instances_")]
    found = []
    for path in instances or paths:
        content = read_json(path)
        if is_coco(content):
            found.append((path.relative_to(root).as_posix(), content))
        elif instances:
            raise LabelError(f"{path}: expected a COCO object with images, annotations, categories")
    return found


def merge_labels(sets: Sequence[LabelSet]) -> LabelSet:
    """Several label sets as one: pictures numbered anew, categories united by name in order of appearance."""
    if len(sets) == 1:
        return sets[0]
    if not sets:
        return LabelSet.empty()
    images, annotations, offset = [], [], 0
    for one in sets:
        images.append(_renumbered(one.images, offset))
        annotations.append(_renumbered(one.annotations, offset))
        numbers = one.images.column("label_image")
        offset += 1 + max(numbers.to_pylist(), default=-1)
    categories: dict[str, Category] = {}
    for category in (c for one in sets for c in one.categories):
        known = categories.setdefault(category.name, category)
        if not known.supercategory and category.supercategory:
            categories[category.name] = category
    return LabelSet(
        pa.concat_tables(images).combine_chunks(),
        pa.concat_tables(annotations).combine_chunks(),
        tuple(categories.values()),
        tuple(loss for one in sets for loss in one.losses),
    )


def _renumbered(table: pa.Table, offset: int) -> pa.Table:
    numbers = pc.add(table.column("label_image"), offset)
    schema = (
        schemas.LABEL_IMAGES if "file_name" in table.schema.names else schemas.LABEL_ANNOTATIONS
    )
    place = table.schema.get_field_index("label_image")
    return table.set_column(place, schema.field("label_image"), numbers)
