"""What a file of an export is about: the picture behind a file name, the annotation behind an id."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from aion_dagster.dataset_versions import dataset_names, load
from aion_dagster.errors import ConfigError
from aion_dagster.storage.store import Store
from aion_dagster.values import Dataset

_ROOTS: Final = ("images/train", "images/val", "images/test", "images", "JPEGImages", "labels/train", "labels/val", "labels/test", "Annotations")  # fmt: skip
_SAME_PIXELS: Final = 0.02


def dataset_of(store: Store, path: Path) -> tuple[Dataset, Path] | None:
    """The version that an exported file was made of, and the export's folder; None where it lies in no export."""
    for folder in path.absolute().parents:
        facts = folder / "export.json"
        if facts.is_file():
            told = orjson.loads(facts.read_bytes())
            if told.get("dataset") not in dataset_names(store):
                raise ConfigError(f"{folder} is an export of dataset {told.get('dataset')!r}, which {store.root} does not have")  # fmt: skip
            return load(store, told["dataset"], told["version"]), folder
    return None


def image_of_file(dataset: Dataset, folder: Path, path: Path) -> str:
    """The id of the picture that an exported picture, label or XML file is about.

    Raises:
        ConfigError: the version has no such picture.
    """
    inside = path.absolute().relative_to(folder).as_posix()
    for root in _ROOTS:
        if inside.startswith(f"{root}/"):
            inside = inside[len(root) + 1 :]
            break
    names = dataset.images["file_name"].to_pylist()
    wanted = {inside, inside.rpartition(".")[0]}
    # Pictures may have another extension in an export, which no two of them differ in alone.
    for row, name in enumerate(names):
        if name in wanted or name.rpartition(".")[0] in wanted:
            image: str = dataset.images["image_id"][row].as_py()
            return image
    raise ConfigError(f"{path}: version {dataset.version} of {dataset.name} has no such picture")


def annotation_in_coco(dataset: Dataset, path: Path, number: int) -> Mapping[str, Any]:
    """The annotation of a version that an id in a COCO file stands for.

    Raises:
        ConfigError: the file is no COCO file or has no such id, or the version has no such annotation.
    """
    try:
        told = orjson.loads(path.read_bytes())
        row = next((a for a in told["annotations"] if a["id"] == number), None)
        if row is None:
            raise ConfigError(f"{path} has no annotation {number}")
        image = next(i for i in told["images"] if i["id"] == row["image_id"])
        classes = {c["id"]: c["name"] for c in told["categories"]} if "categories" in told else {}
    except (orjson.JSONDecodeError, KeyError, TypeError, StopIteration) as error:
        raise ConfigError(f"{path} is no COCO file: {error}") from error
    stems = pc.replace_substring_regex(dataset.images["file_name"], r"\.[^./]*$", "")
    own = dataset.images.filter(pc.equal(stems, image["file_name"].rpartition(".")[0]))
    boxes = dataset.annotations.filter(pc.is_in(dataset.annotations["image_id"], value_set=own["image_id"]))  # fmt: skip
    found = _same(boxes, row, classes.get(row.get("category_id")))
    if found is None:
        raise ConfigError(f"{path}: annotation {number} is not in version {dataset.version}")
    return found


def _same(
    boxes: pa.Table, row: Mapping[str, Any], category: str | None
) -> Mapping[str, Any] | None:
    for box in boxes.to_pylist():
        plain = {k: v for k, v in box.items() if v is not None}
        if "bbox" not in row:
            if box["text"] == row.get("caption"):
                return plain
        elif box["bbox"] and box["category"] == category:
            apart = zip(box["bbox"].values(), row["bbox"], strict=True)
            if all(abs(a - b) < _SAME_PIXELS for a, b in apart):
                return plain
    return None
