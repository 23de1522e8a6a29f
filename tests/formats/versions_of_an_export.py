"""Two versions of one dataset over the same pictures: other boxes, other splits, one picture more."""

from __future__ import annotations

import random
from pathlib import Path

from .factory import Builder

PICTURES = 150


def builder_of(folder: Path, number: int, *, seed: int = 0) -> Builder:
    """Version 0 or 1; `seed` is the order in which pictures come, with their boxes."""
    builder = Builder(folder)
    for i in range(PICTURES + number):
        image = builder.image(
            f"{i % 7}/picture {i}.jpg", split=("train", "val")[(i + number) % 3 == 0]
        )
        for j in range(i % 4):
            builder.box(image, (1 + j, 2 + number, 10, 12), ("cat", "dog")[j % 2])
    if seed:
        random.Random(seed).shuffle(builder.images)
        place = {row["image_id"]: i for i, row in enumerate(builder.images)}
        builder.annotations.sort(key=lambda row: place[row["image_id"]])
    return builder
