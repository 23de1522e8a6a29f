"""What one loader saw in one split of an export, and how two of them are compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

EXACT_PX = 1e-3
"""How far a box may lie off where a format keeps fractions of a pixel (single precision included)."""

YOLO_PX = 2e-4
"""How far a YOLO box may lie off in a picture of 4,000 pixels: eight decimals, and single precision in some readers."""

DEVKIT_PX = 1.0
"""How far a Pascal VOC box may lie off: outward to whole pixels, or 1-based for some readers."""

Box = tuple[str, float, float, float, float]
"""Class name, left, top, right, bottom, in pixels, origin at the top left corner."""


class NotForThisLoaderError(Exception):
    """The export is right, but this loader is known not to read this kind of it."""


@dataclass(frozen=True)
class Reading:
    """The pictures of one split as one loader saw them.

    `pictures` maps the path below the images root, without suffix, to the boxes in the picture;
    `classes` is None where the loader knows only the classes that have boxes; a box may lie
    `tolerance` pixels off.
    """

    format: str
    loader: str
    split: str
    pictures: Mapping[str, list[Box]]
    classes: tuple[str, ...] | None
    tolerance: float = EXACT_PX

    @property
    def boxes(self) -> int:
        """Number of boxes in all pictures."""
        return sum(map(len, self.pictures.values()))

    @property
    def empty_pictures(self) -> int:
        """Number of pictures without a box."""
        return sum(not boxes for boxes in self.pictures.values())

    @property
    def boxed_classes(self) -> Counter[str]:
        """Number of boxes of each class that has any."""
        return Counter(box[0] for boxes in self.pictures.values() for box in boxes)


def differences(reference: Reading, reading: Reading) -> list[str]:
    """Say in words what `reading` has otherwise than `reference`; nothing where they agree."""
    found = []
    missing = sorted(reference.pictures.keys() - reading.pictures.keys())
    extra = sorted(reading.pictures.keys() - reference.pictures.keys())
    if missing:
        found.append(f"{len(missing)} pictures missing, first {missing[0]!r}")
    if extra:
        found.append(f"{len(extra)} pictures too many, first {extra[0]!r}")
    if reading.boxes != reference.boxes:
        found.append(f"{reading.boxes} boxes instead of {reference.boxes}")
    if reading.boxed_classes != reference.boxed_classes:
        wanted, got = reference.boxed_classes, reading.boxed_classes
        name = min(n for n in wanted | got if wanted[n] != got[n])
        found.append(f"{got[name]} boxes of class {name!r} instead of {wanted[name]}")
    if reading.classes is not None and reading.classes != reference.classes:
        found.append(f"classes {reading.classes} instead of {reference.classes}")
    if not found and (off := largest_distance(reference, reading)) > reading.tolerance:
        found.append(f"a box lies {off:.3f} px off, {reading.tolerance:g} px are allowed")
    return found


def largest_distance(reference: Reading, reading: Reading) -> float:
    """Largest distance of an edge, in pixels, between boxes that both readings have in common.

    Boxes of one picture and class are paired nearest first, because loaders keep no common order.
    """
    largest = 0.0
    for picture, boxes in reference.pictures.items():
        candidates = list(reading.pictures.get(picture, ()))
        for box in boxes:
            same_class = [other for other in candidates if other[0] == box[0]]
            if not same_class:
                continue
            nearest = min(same_class, key=lambda other: edge_distance(box, other))
            candidates.remove(nearest)
            largest = max(largest, edge_distance(box, nearest))
    return largest


def edge_distance(one: Box, other: Box) -> float:
    """Largest distance, in pixels, between corresponding edges of two boxes."""
    return max(abs(a - b) for a, b in zip(one[1:], other[1:], strict=True))
