"""Datasets and pictures for the tests of formats."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from aion_dagster import schemas
from aion_dagster.errors import FileChangedError, FileVanishedError, SourceError
from aion_dagster.formats.export import PictureFile
from aion_dagster.identity import image_id
from aion_dagster.values import Category, Dataset, LabelSet


@dataclass(frozen=True)
class Pictures:
    """A picture source over files; `gone` raise what they are mapped to; `remote` ones have no path."""

    paths: dict[str, Path] = field(default_factory=dict)
    gone: dict[str, type[SourceError]] = field(default_factory=dict)
    remote: bool = False

    def open(self, image_id: str) -> PictureFile:
        if image_id in self.gone:
            raise self.gone[image_id](f"/home/somebody/{image_id}")
        path = self.paths[image_id]
        return PictureFile(None if self.remote else path, path.read_bytes)


VANISHED, CHANGED = FileVanishedError, FileChangedError


def photo(path: Path, size: tuple[int, int] = (64, 48), seed: int = 0, **save: Any) -> Path:
    """A smooth picture of its own, in the format of its extension."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).save(path, **save)
    return path


@dataclass
class Builder:
    """Makes a Dataset and the pictures that belong to it."""

    folder: Path
    categories: tuple[Category, ...] = (Category("cat", "animal"), Category("dog", ""))
    images: list[dict[str, Any]] = field(default_factory=list)
    annotations: list[dict[str, Any]] = field(default_factory=list)
    paths: dict[str, Path] = field(default_factory=dict)

    def image(
        self,
        name: str,
        *,
        path: Path | None = None,
        size: tuple[int, int] = (64, 48),
        split: str = "train",
        orientation: int = 1,
    ) -> str:
        if path is None:
            path = photo(self.folder / "originals" / name, size, seed=len(self.images))
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        key = image_id(sha256)
        self.paths[key] = path
        self.images.append(
            {
                "image_id": key,
                "sha256": sha256,
                "file_name": name,
                "width": size[0],
                "height": size[1],
                "orientation": orientation,
                "format": path.suffix[1:],
                "split": split,
                "group_id": key,
                "labelled": True,
                "locations": [],
            }
        )
        return key

    def box(self, image: str, bbox: tuple[float, ...], category: str = "cat", **more: Any) -> None:
        self.annotations.append(
            {
                "annotation_id": f"a{len(self.annotations):04d}",
                "image_id": image,
                "category": category,
                "bbox": dict(zip("xywh", bbox, strict=True)),
                "iscrowd": False,
                "origin": "labels",
                **more,
            }
        )

    def dataset(self, **more: Any) -> Dataset:
        images = sorted(self.images, key=lambda row: row["file_name"])
        return Dataset(
            name="pets",
            version="f00d",
            images=pa.Table.from_pylist(images, schema=schemas.DATASET_IMAGES),
            annotations=pa.Table.from_pylist(self.annotations, schema=schemas.ANNOTATIONS),
            categories=self.categories,
            **more,
        )

    def pictures(self, **more: Any) -> Pictures:
        return Pictures(self.paths, **more)


def two_pictures(folder: Path) -> Builder:
    """A labelled train picture, a val picture without boxes, in folders of their own."""
    builder = Builder(folder)
    first = builder.image("site a/é 图 1.v2.jpg")
    builder.image("b.png", split="val")
    builder.box(first, (10, 5, 20.5, 30), "dog")
    builder.box(first, (0, 0, 64, 48), "cat")
    return builder


def empty(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def boxes(labels: LabelSet, sizes: dict[str, tuple[int, int]]) -> dict[str, list[tuple[Any, ...]]]:
    """Sorted (category, x, y, w, h) in pixels by file name without extension."""
    names = {
        row["label_image"]: row["file_name"].rpartition(".")[0] or row["file_name"]
        for row in labels.images.to_pylist()
    }
    found: dict[str, list[tuple[Any, ...]]] = {name: [] for name in names.values()}
    for row in labels.annotations.to_pylist():
        name = names[row["label_image"]]
        scale = sizes[name] if row["normalized"] else (1, 1)
        box = [row["bbox"][k] * scale[i % 2] for i, k in enumerate("xywh")]
        found[name].append((row["category"], *box))
    return {name: sorted(rows) for name, rows in found.items()}
