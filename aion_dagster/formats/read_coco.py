"""COCO label files into label sets, forgiving about rows, strict about the file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any, Final

from aion_dagster.errors import LabelError
from aion_dagster.formats.coco_columns import CocoAnnotations
from aion_dagster.formats.coco_rows import CocoFile, Size, id_key, shown
from aion_dagster.formats.json_stream import Elements, pieces
from aion_dagster.formats.label_rows import LabelRows, positive_size, split_named
from aion_dagster.values import Category, LabelSet

_CATEGORY: Final = frozenset({"id", "name", "supercategory", "keypoints", "skeleton"})
_IMAGE: Final = frozenset({"id", "file_name", "width", "height"})


def is_coco(content: Any) -> bool:
    """Whether JSON content looks like COCO: an object with a list of images."""
    return isinstance(content, dict) and isinstance(content.get("images"), (list, Elements))


def read_coco(content: Any, label_file: str) -> LabelSet:
    """One COCO file as a label set: boxes, masks, keypoints and captions.

    Ids may be any JSON value, begin anywhere and have gaps; `area` and `num_keypoints` are not read (they follow from
    the rest), nor are `info` and `licenses`; `iscrowd` may be missing. Fields that the format does not know are kept as
    attributes. A row that cannot be used is a loss that names it.

    Args:
        content: what `read_json` says is in the file, or parsed JSON.
        label_file: the name of the file in losses and `origin_ref`.

    Raises:
        LabelError: the content is no COCO object.
    """
    if not is_coco(content):
        raise LabelError(
            f"{label_file}: expected a COCO object with the lists images, annotations and categories"
        )
    rows = LabelRows()
    names, categories = _categories(content.get("categories"), rows, label_file)
    images, sizes = _images(content["images"], rows, label_file)
    annotations = content.get("annotations")
    if not isinstance(annotations, (list, Elements)):
        rows.lose("invalid", label_file, "it has no list of annotations: every picture is empty")
    found = CocoAnnotations(CocoFile(images, sizes, names))
    for piece in pieces(annotations):
        found.add(piece)
    if not names and not found.only_captions:
        rows.lose("invalid", label_file, "it has no categories")
    found.finish(rows, label_file)
    return rows.label_set(categories)


def _categories(
    listed: Any, rows: LabelRows, label_file: str
) -> tuple[dict[Hashable, str], list[Category]]:
    """Category names by id, and the classes in the order of their ids."""
    entries = [c for piece in pieces(listed) for c in piece if isinstance(c, dict)]
    if all(isinstance(c.get("id"), int) for c in entries):
        entries = sorted(entries, key=lambda c: int(c["id"]))
    names: dict[Hashable, str] = {}
    found: dict[str, Category] = {}
    unknown: Counter[str] = Counter()
    for entry in entries:
        name = entry.get("name")
        if "id" not in entry or not isinstance(name, (str, int)) or not str(name).strip():
            rows.lose("invalid", f"{label_file}: categories", f"no id or name: {shown(entry)}")
            continue
        if str(name) in found:
            rows.lose("ambiguous", f"{label_file}: category {name}", "two ids have this name")
        found.setdefault(str(name), _category(str(name), entry))
        if names.setdefault(id_key(entry["id"]), str(name)) != str(name):
            rows.lose("ambiguous", f"{label_file}: category {name}", "its id is taken")
        unknown.update(k for k, v in entry.items() if k not in _CATEGORY and v not in (None, ""))
    if unknown:
        listed_keys = ", ".join(f"{key} ({n})" for key, n in sorted(unknown.items())[:20])
        rows.lose(
            "dropped", f"{label_file}: categories", f"fields that are not kept: {listed_keys}"
        )
    return names, list(found.values())


def _category(name: str, entry: Mapping[str, Any]) -> Category:
    parent, points, joined = (entry.get(k) for k in ("supercategory", "keypoints", "skeleton"))
    named = isinstance(points, list) and all(isinstance(p, str) for p in points)
    return Category(
        name,
        parent if isinstance(parent, str) else "",
        tuple(points) if named and points else (),
        tuple((p[0], p[1]) for p in joined if _is_pair(p)) if isinstance(joined, list) else (),
        entry["id"] if type(entry["id"]) is int and 0 <= entry["id"] < 1 << 31 else None,
    )


def _is_pair(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(type(v) is int and 0 <= v < 1 << 31 for v in value)
    )


def _images(
    listed: Any, rows: LabelRows, label_file: str
) -> tuple[dict[Hashable, int], list[Size]]:
    """The number of every picture by its id, and the size of every number."""
    split = split_named(*reversed(Path(label_file).parts))
    numbers: dict[Hashable, int] = {}
    sizes: list[Size] = []
    place = -1
    for piece in pieces(listed):
        for entry in piece:
            place += 1
            name = entry.get("file_name") if isinstance(entry, dict) else None
            if not isinstance(name, str) or not name or "id" not in entry:
                subject = f"{label_file}: images[{place}]"
                rows.lose("invalid", subject, "a picture without id or file_name")
                continue
            key = id_key(entry["id"])
            if key in numbers:
                detail = f"{name}: its id {shown(entry['id'])} is taken by another picture"
                rows.lose("ambiguous", f"{label_file}: images[{place}]", detail)
                continue
            size = positive_size(entry.get("width"), entry.get("height"))
            more = {} if entry.keys() <= _IMAGE else _more(entry)
            numbers[key] = rows.add_image(
                name.replace("\\", "/"), label_file, size=size, split=split, **more
            )
            sizes.append(size)
    return numbers, sizes


def _more(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What else a file says of a picture."""
    extra = {k: v for k, v in entry.items() if k not in _IMAGE and v not in (None, "", 0)}
    sha256 = extra.pop("sha256", None)
    return {"sha256": sha256 if isinstance(sha256, str) else None, "attributes": extra}
