"""What a YOLO tree says of itself: class names, splits, keypoints."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from aion_dagster.errors import LabelError

DATA_FILES: Final = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
CLASS_FILES: Final = ("classes.txt", "obj.names", "classes.names", "_darknet.labels")


@dataclass(frozen=True)
class YoloSettings:
    """Class names by index, and which folders or lists of pictures belong to which split."""

    names: dict[int, str]
    places: tuple[tuple[str, str], ...] = ()
    keypoints: tuple[int, int] | None = None
    """Keypoints of an object, and numbers of each: 2, or 3 with whether it is seen."""
    folder: str = ""


def yolo_settings(root: Path, base: Path) -> YoloSettings:
    """The data file of a tree, else its list of classes.

    Raises:
        LabelError: there is neither, or it cannot be used.
    """
    for folder in dict.fromkeys((root, base)):
        for name in DATA_FILES:
            if (folder / name).is_file():
                return settings_file(folder / name)
        for name in CLASS_FILES:
            if (folder / name).is_file() or (folder / "labels" / name).is_file():
                path = folder / name if (folder / name).is_file() else folder / "labels" / name
                lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
                return YoloSettings({i: n.strip() for i, n in enumerate(lines) if n.strip()})
    raise LabelError(
        f"{root}: YOLO labels without class names; expected data.yaml with `names`, or classes.txt"
    )


def settings_file(path: Path) -> YoloSettings:
    """What a data file says.

    Raises:
        LabelError: it is not YAML, or names no classes.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        # BaseLoader makes strings of all values and no objects: a class called `no` stays `no`.
        content: Any = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - see above
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise LabelError(f"{path}: not a YAML file ({error})") from error
    if not isinstance(content, dict):
        raise LabelError(f"{path}: expected a mapping with `names`, train and val")
    folder = content.get("path")
    return YoloSettings(
        _names(content, path),
        tuple(_places(content)),
        _keypoint_shape(content.get("kpt_shape"), path),
        folder if isinstance(folder, str) else "",
    )


def _keypoint_shape(value: Any, path: Path) -> tuple[int, int] | None:
    if value is None:
        return None
    numbers = [int(v) for v in value if str(v).isdigit()] if isinstance(value, list) else []
    if len(numbers) != 2 or numbers[1] not in (2, 3) or not 0 < numbers[0] < 10_000:
        raise LabelError(f"{path}: expected kpt_shape: [number of keypoints, 2 or 3]")
    return numbers[0], numbers[1]


def folder_inside(base: Path, folder: str) -> Path:
    """The folder that a data file calls `path`, if it lies in the tree; else the tree."""
    if not folder:
        return base
    wanted = (base / folder).resolve()
    is_inside = wanted.is_relative_to(base.resolve())
    return base / folder if is_inside and wanted.is_dir() else base


def _names(content: dict[str, Any], path: Path) -> dict[int, str]:
    names = content.get("names")
    if isinstance(names, list) and names and all(isinstance(n, str) for n in names):
        return dict(enumerate(names))
    if isinstance(names, dict) and names and all(isinstance(n, str) for n in names.values()):
        try:
            return {int(i): n for i, n in sorted(names.items(), key=lambda item: int(item[0]))}
        except ValueError:
            raise LabelError(f"{path}: the keys of `names` are not whole numbers") from None
    if names is None and str(content.get("nc", "")).isdigit():
        return {i: f"class_{i}" for i in range(min(int(content["nc"]), 10_000))}
    raise LabelError(f"{path}: expected `names`, a list of class names or a mapping index: name")


def _places(content: dict[str, Any]) -> list[tuple[str, str]]:
    """(split, folder or list file) as the YAML names them, relative."""
    places = []
    for key, split in (("train", "train"), ("val", "val"), ("valid", "val"), ("test", "test")):
        value = content.get(key)
        for place in value if isinstance(value, list) else [value]:
            if isinstance(place, str) and place:
                parts = [p for p in place.replace("\\", "/").split("/") if p not in ("", ".", "..")]
                places.append((split, "/".join(parts)))
    return places
