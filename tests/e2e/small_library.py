"""A small real library for tests of the whole: pictures, labels, and what to compare."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

Run = Callable[..., dict[str, Any]]


def draw_picture(path: Path, seed: int, size: tuple[int, int] = (320, 240)) -> None:
    """A picture with large soft shapes, different for each seed."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)
    picture = Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(picture)
    for _ in range(3):
        x, y = int(rng.integers(0, size[0] - 60)), int(rng.integers(0, size[1] - 60))
        color = tuple(int(c) for c in rng.integers(0, 255, 3))
        pen.ellipse((x, y, x + 50, y + 50), fill=color)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, quality=90)


def coco(
    images: list[tuple[str, int, int]], boxes: list[tuple[int, str, list[float]]]
) -> dict[str, Any]:
    """A COCO document; boxes name their picture by its place in `images`."""
    names = list(dict.fromkeys([category for _, category, _ in boxes] + ["never drawn"]))
    return {
        "images": [
            {"id": i, "file_name": n, "width": w, "height": h} for i, (n, w, h) in enumerate(images)
        ],
        "annotations": [
            {
                "id": i + 1,
                "image_id": image,
                "category_id": names.index(category) + 1,
                "bbox": box,
                "area": box[2] * box[3],
                "iscrowd": 0,
            }
            for i, (image, category, box) in enumerate(boxes)
        ],
        "categories": [{"id": i + 1, "name": n} for i, n in enumerate(names)],
    }


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its bytes."""
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }
