"""Photograph-like 640 × 480 JPEGs, the same ones for the same count on every machine.

    python benchmarks/pictures.py FOLDER COUNT

Each is a random crop of a photograph that ships inside scikit-image or scikit-learn, scaled,
sometimes mirrored, with another saturation, brightness and tint, and sensor noise, so that no two
have the same bytes and all cost about as much to decode as a camera's picture of this size.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

WIDTH, HEIGHT = 640, 480
QUALITY = 90
BOXES_PER_PICTURE = 3
CATEGORIES = ("person", "vehicle", "animal", "plant")


def originals() -> list[Image.Image]:
    """The coloured photographs to crop from, in RGB."""
    from skimage import data
    from sklearn.datasets import load_sample_images

    names = ("astronaut", "chelsea", "coffee", "rocket", "hubble_deep_field")
    arrays = [getattr(data, name)() for name in (*names, "immunohistochemistry")]
    arrays += load_sample_images().images
    return [Image.fromarray(array[..., :3]).convert("RGB") for array in arrays]


def picture(seed: int, photographs: list[Image.Image]) -> Image.Image:
    """One picture; `seed` decides everything about it."""
    random = np.random.default_rng(seed)
    photograph = photographs[int(random.integers(len(photographs)))]
    width = int(
        min(photograph.width, photograph.height * WIDTH / HEIGHT) * random.uniform(0.35, 0.95)
    )
    height = int(width * HEIGHT / WIDTH)
    left = int(random.integers(0, photograph.width - width + 1))
    top = int(random.integers(0, photograph.height - height + 1))
    crop = photograph.crop((left, top, left + width, top + height))
    result = crop.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    if random.random() < 0.5:
        result = ImageOps.mirror(result)
    result = ImageEnhance.Color(result).enhance(random.uniform(0.3, 1.8))
    result = ImageEnhance.Brightness(result).enhance(random.uniform(0.6, 1.4))
    pixels = np.asarray(result).astype(np.float32) * random.uniform(0.7, 1.3, 3)
    pixels = pixels + random.normal(0, 3, pixels.shape)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def make(folder: Path, count: int) -> None:
    """Write `count` pictures into `folder`; those that are already there stay."""
    folder.mkdir(parents=True, exist_ok=True)
    photographs: list[Image.Image] = []
    for number in range(count):
        file = folder / f"img_{number:06d}.jpg"
        if not file.exists():
            photographs = photographs or originals()
            picture(number, photographs).save(file, quality=QUALITY)


def label(folder: Path, file: Path) -> None:
    """Write COCO labels for the pictures in `folder`: the same random boxes every time."""
    random = np.random.default_rng(0)
    names = sorted(p.name for p in folder.glob("*.jpg"))
    annotations = []
    for image_id in range(1, len(names) + 1):
        for _ in range(BOXES_PER_PICTURE):
            x, y = int(random.integers(0, WIDTH - 64)), int(random.integers(0, HEIGHT - 64))
            w, h = int(random.integers(16, WIDTH - x)), int(random.integers(16, HEIGHT - y))
            box = {"id": len(annotations) + 1, "image_id": image_id, "bbox": [x, y, w, h]}
            category = int(random.integers(1, len(CATEGORIES) + 1))
            annotations.append(box | {"category_id": category, "area": w * h, "iscrowd": 0})
    content = {
        "images": [
            {"id": i, "file_name": name, "width": WIDTH, "height": HEIGHT}
            for i, name in enumerate(names, 1)
        ],
        "annotations": annotations,
        "categories": [{"id": i, "name": name} for i, name in enumerate(CATEGORIES, 1)],
    }
    file.write_text(json.dumps(content))


def main() -> int:
    """Make the pictures that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("count", type=int)
    arguments = parser.parse_args()
    make(arguments.folder, arguments.count)
    return 0


if __name__ == "__main__":
    sys.exit(main())
