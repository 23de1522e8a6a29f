"""Label files of any known format into one label set."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal, get_args

from aion_dagster.errors import LabelError
from aion_dagster.formats.archives import SUFFIXES, is_archive, unpack
from aion_dagster.formats.csv_layout import is_csv_labels
from aion_dagster.formats.json_stream import read_json
from aion_dagster.formats.label_sets import merge_labels
from aion_dagster.formats.read_coco import is_coco, read_coco
from aion_dagster.formats.read_csv import read_csv
from aion_dagster.formats.read_cvat import is_cvat, read_cvat
from aion_dagster.formats.read_label_studio import is_label_studio, read_label_studio
from aion_dagster.formats.read_voc import read_voc
from aion_dagster.formats.read_yolo import read_yolo
from aion_dagster.formats.text_files import files_below
from aion_dagster.formats.voc_xml import HOSTILE, UNREADABLE
from aion_dagster.formats.yolo_settings import CLASS_FILES, DATA_FILES
from aion_dagster.values import LabelSet, Loss

__all__ = ["LabelFormat", "merge_labels", "read_labels"]

LabelFormat = Literal["auto", "coco", "yolo", "voc", "csv", "label_studio", "cvat"]

_EXPECTED: Final = (
    "expected a COCO .json file or a folder of them (annotations/….json), a YOLO tree (data.yaml or classes.txt "
    "with labels/….txt), Pascal VOC files (Annotations/….xml), a CSV file of boxes, an export of Label Studio (.json) or "
    f"CVAT (.xml), or an archive of one of these ({', '.join(SUFFIXES)})"
)
_OWN_TABLES: Final = ("images.csv", "categories.csv", "losses.csv")
_LAYOUT: Final = frozenset(
    {"labels", "annotations", "images", "train", "val", "valid", "test", "xmls"}
)


def read_labels(path: Path, format: LabelFormat = "auto") -> LabelSet:
    """Labels of a file, folder or archive, in whichever of the known formats they are.

    One bad row does not stop the rest: it becomes a loss that names file and row. Boxes may reach outside their
    pictures; they are clipped when a dataset is built.

    Args:
        path: a file of COCO, Label Studio, CVAT, Pascal VOC or CSV, a folder that holds such files; a YOLO tree, its
            data.yaml or its labels folder; or an archive of one of these.
        format: which format it is, where that is not to be found out.

    Raises:
        LabelError: there is nothing to read, or a file is not what it claims to be; names the file.
    """
    if format not in get_args(LabelFormat):
        known = ", ".join(get_args(LabelFormat))
        raise LabelError(f"{path}: unknown label format {format!r}; known are {known}")
    if path.is_dir():
        return _read_folder(_unwrapped(path), format)
    if not path.is_file():
        raise LabelError(f"{path}: no such file or folder; {_EXPECTED}")
    if is_archive(path.name):
        return _read_archive(path, format)
    return _read_file(path, path.name, format)


def _read_archive(path: Path, format: LabelFormat) -> LabelSet:
    with tempfile.TemporaryDirectory(prefix="aion-labels-") as scratch:
        folder = Path(scratch, path.name)
        folder.mkdir()
        unpacked = unpack(path, folder)
        try:
            labels = _read_folder(_unwrapped(folder), format)
        except LabelError as error:
            raise LabelError(str(error).replace(str(folder), str(path))) from error
    closed = tuple(
        Loss("dropped", f"{path.name}/{name}", "an archive within an archive is not opened")
        for name in unpacked.nested
    )
    return replace(labels, losses=(*closed, *labels.losses))


def _unwrapped(folder: Path) -> Path:
    """The folder, or the only one in it: archives often hold one folder around everything."""
    for _ in range(4):
        inside = [p for p in folder.iterdir() if p.name not in ("__MACOSX", ".DS_Store")]
        if len(inside) != 1 or not inside[0].is_dir() or inside[0].name.lower() in _LAYOUT:
            break
        folder = inside[0]
    return folder


def _read_file(path: Path, name: str, format: LabelFormat) -> LabelSet:
    kind = _kind_of(path) if format == "auto" else format
    if kind == "json":
        content = read_json(path)
        is_tasks = is_label_studio(content)
        return read_label_studio(content, name) if is_tasks else read_coco(content, name)
    if kind == "xml":
        kind = "cvat" if _is_cvat_file(path) else "voc"
    readers: dict[str, Callable[[], LabelSet]] = {
        "coco": lambda: read_coco(read_json(path), name),
        "label_studio": lambda: read_label_studio(read_json(path), name),
        "cvat": lambda: read_cvat(path, name),
        "voc": lambda: read_voc(path.parent, [path]),
        "csv": lambda: read_csv(path, name),
        "yolo": lambda: read_yolo(path.parent, settings=path),
    }
    return readers[kind]()


def _kind_of(path: Path) -> str:
    """What a file's name says of its format."""
    kinds = {".json": "json", ".xml": "xml", ".csv": "csv", ".tsv": "csv", ".yaml": "yolo", ".yml": "yolo"}  # fmt: skip
    if path.suffix.lower() not in kinds:
        raise LabelError(f"{path}: not a label file; {_EXPECTED}")
    return kinds[path.suffix.lower()]


def _is_cvat_file(path: Path) -> bool:
    try:
        return is_cvat(path)
    except (HOSTILE, *UNREADABLE):
        return False  # the reader says what is wrong with it


def _read_folder(root: Path, format: LabelFormat) -> LabelSet:
    names = files_below(root)
    readers: dict[str, Callable[[Path, Sequence[str]], LabelSet | None]] = {
        "coco": _coco,
        "label_studio": _label_studio,
        "cvat": _cvat,
        "voc": _voc,
        "csv": _csv,
        "yolo": _yolo,
    }
    order: tuple[str, ...] = tuple(readers)
    if format != "auto":
        order = (format,)
    elif any((root / name).is_file() for name in DATA_FILES):
        order = ("yolo",)
    for kind in order:
        labels = readers[kind](root, names)
        if labels is not None:
            return labels
    wanted = "" if format == "auto" else f" of format {format}"
    raise LabelError(f"{root}: no labels{wanted} found; {_EXPECTED}")


def _merged(found: Sequence[LabelSet], *, declared: bool = False) -> LabelSet | None:
    """The files of one folder as one set; `declared`: each says which classes it knows."""
    return merge_labels(found, compare_classes=declared) if found else None


def _coco(root: Path, names: Sequence[str]) -> LabelSet | None:
    """The COCO files of a folder, and captions; where some are called instances_…, no others."""
    listed = [n for n in names if n.lower().endswith(".json")]
    instances = [n for n in listed if n.rpartition("/")[2].startswith(("instances_", "captions_"))]
    found = []
    for name in instances or listed:
        content = read_json(root / name)
        if is_coco(content):
            found.append(read_coco(content, name))
        elif instances:
            raise LabelError(
                f"{root / name}: expected a COCO object with images, annotations, categories"
            )
    labels = _merged(found, declared=True)
    if labels is None or not instances:
        return labels
    # Others of the official files say the same boxes once more: person_keypoints_…, panoptic_….
    others = [n for n in listed if n not in instances and is_coco(read_json(root / n))]
    detail = "not read beside the files called instances_…; name it to read it"
    return replace(labels, losses=(*(Loss("dropped", n, detail) for n in others), *labels.losses))


def _label_studio(root: Path, names: Sequence[str]) -> LabelSet | None:
    contents: list[tuple[str, Any]] = [
        (n, read_json(root / n)) for n in names if n.lower().endswith(".json")
    ]
    return _merged([read_label_studio(c, n) for n, c in contents if is_label_studio(c)])


def _cvat(root: Path, names: Sequence[str]) -> LabelSet | None:
    listed = [n for n in names if n.lower().endswith(".xml")]
    # A Pascal VOC tree has thousands of files; the first tells which of the two it is.
    if not listed or not any(_is_cvat_file(root / n) for n in listed[:3]):
        return None
    return _merged([read_cvat(root / n, n) for n in listed if _is_cvat_file(root / n)])


def _voc(root: Path, names: Sequence[str]) -> LabelSet | None:
    documents = [root / n for n in names if n.lower().endswith(".xml")]
    return read_voc(root, documents) if documents else None


def _csv(root: Path, names: Sequence[str]) -> LabelSet | None:
    listed = [n for n in names if n.lower().endswith((".csv", ".tsv"))]
    own = [n for n in listed if n.rpartition("/")[2] not in _OWN_TABLES]
    tables = [n for n in own if is_csv_labels(root / n)]
    labels = _merged([read_csv(root / n, n) for n in tables])
    if labels is None:
        return None
    left = [Loss("dropped", n, "its header does not say where boxes are") for n in own if n not in tables]  # fmt: skip
    return replace(labels, losses=(*left, *labels.losses))


def _yolo(root: Path, names: Sequence[str]) -> LabelSet | None:
    folders = {part for n in names for part in n.split("/")[:-1]}
    marked = root.name == "labels" or "labels" in folders
    bases = {n.rpartition("/")[2] for n in names}
    if marked or not bases.isdisjoint((*CLASS_FILES, *DATA_FILES)):
        return read_yolo(root)
    return None
