"""Class order: explicit, and frozen with the dataset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from aion_dagster.errors import ConfigError
from aion_dagster.values import Category, Loss

DEFAULT_SUPERCATEGORY: Final = "object"
"""Where a label source gives none; some trainers drop classes whose supercategory is "none" (RF-DETR)."""


def class_order(
    found: Iterable[str],
    categories: Sequence[Category],
    *,
    explicit: Sequence[str] | None = None,
    previous: Sequence[str] = (),
) -> tuple[tuple[Category, ...], tuple[Loss, ...]]:
    """The classes of a dataset in order.

    Args:
        found: the category of every annotation.
        categories: what the label sources declare, in their order; classes without a box stay.
        explicit: this order and no other; annotations of other classes are to be left out.
        previous: class names of the earlier version, which keep their index unless `explicit` says otherwise.

    Returns:
        Classes: `explicit`, else previous, then declared, then the rest by name; and losses: classes left out
        ("dropped", with the number of annotations) and classes whose index changed ("converted").

    Raises:
        ConfigError: `explicit` names a class twice or is empty.
    """
    counts = Counter(found)
    declared = [c.name for c in categories]
    if explicit is None:
        names = list(dict.fromkeys([*previous, *declared, *sorted(counts)]))
    else:
        names = list(explicit)
        if not names or len(set(names)) != len(names):
            raise ConfigError("classes: name each class once, or leave the setting out")
    declared_as: dict[str, Category] = {}
    for category in categories:
        declared_as.setdefault(category.name, category)
    losses = [
        Loss(
            "dropped",
            name,
            f"{counts[name]} annotations: the class is not among the dataset's classes",
        )
        for name in sorted(counts.keys() - set(names))
    ]
    place = {name: index for index, name in enumerate(names)}
    losses += [
        Loss(
            "converted",
            name,
            f"class index was {index}, is {place.get(name, 'gone')} by the setting classes",
        )
        for index, name in enumerate(previous)
        if place.get(name) != index
    ]
    return tuple(_named(n, declared_as.get(n)) for n in names), tuple(losses)


def _named(name: str, declared: Category | None) -> Category:
    if declared is None:
        return Category(name, DEFAULT_SUPERCATEGORY)
    above = declared.supercategory
    usable = above and above.strip().casefold() != "none"
    return replace(declared, supercategory=above if usable else DEFAULT_SUPERCATEGORY)
