"""Where things lie in an export: splits, images folders, names of pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

PICTURES = {".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}


def coco_splits(root: Path) -> dict[str, Path]:
    """Annotation file of each split of a COCO export."""
    files = sorted((root / "annotations").glob("instances_*.json"))
    return {file.stem.removeprefix("instances_"): file for file in files}


def voc_splits(root: Path) -> dict[str, list[str]]:
    """Picture names of each split of a Pascal VOC export, as `ImageSets/Main` lists them."""
    lists = sorted((root / "ImageSets" / "Main").glob("*.txt"))
    return {file.stem: [line for line in file.read_text().split("\n") if line] for file in lists}


def yolo_settings(root: Path) -> dict[str, Any]:
    """Content of `data.yaml`."""
    return yaml.safe_load((root / "data.yaml").read_text())


def yolo_splits(root: Path) -> dict[str, Path]:
    """Images folder of each split of a YOLO export."""
    settings = yolo_settings(root)
    return {s: root / settings[s] for s in ("train", "val", "test") if settings.get(s)}


def key(path: str | Path, below: Path | None = None) -> str:
    """Path below the images root, without suffix: what a picture is called in every format."""
    path = Path(path)
    return (path.relative_to(below) if below else path).with_suffix("").as_posix()


def picture_folders(root: Path) -> list[Path]:
    """Every folder below `root` that holds pictures, for loaders that do not look into subfolders."""
    return sorted({p.parent for p in root.rglob("*") if p.suffix.lower() in PICTURES})
