"""Label sets put together, and their classes renamed, merged and left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from aion_dagster import schemas
from aion_dagster.values import Category, LabelSet, Loss

_SHOWN: Final = 10
_CLASS: Final = "class "
"""What the subjects of losses begin with that are about a class, not about a label file."""


def merge_labels(sets: Sequence[LabelSet], *, compare_classes: bool = True) -> LabelSet:
    """Several label sets as one: pictures numbered anew, categories united by name in order of appearance.

    What may be wrong with that is a loss "ambiguous": a class that two sets describe differently, classes whose names
    differ in case or blanks only, and classes that one set has and another has not, since in pictures that only the other
    names nobody may have looked for them. The last is not said without `compare_classes`: files that declare no classes have
    those that occur.
    """
    if len(sets) == 1:
        return sets[0]
    if not sets:
        return LabelSet.empty()
    images, annotations, offset = [], [], 0
    for one in sets:
        images.append(_renumbered(one.images, offset))
        annotations.append(_renumbered(one.annotations, offset))
        offset += 1 + (pc.max(one.images["label_image"]).as_py() if len(one.images) else -1)
    categories, conflicts = _united(sets)
    return LabelSet(
        pa.concat_tables(images),
        pa.concat_tables(annotations),
        categories,
        (
            *(loss for one in sets for loss in one.losses),
            *conflicts,
            *(_lacking(sets) if compare_classes else ()),
        ),
    )


def told_apart(sets: Sequence[LabelSet], folders: Sequence[str]) -> list[LabelSet]:
    """Label sets whose files have the same names with so much of their folders in front as tells them apart.

    `a/ann.json` and `b/ann.json` are both read as `ann.json`: losses and annotations of both would name the same row. Sets
    whose files nobody can mistake for another's stay as they are, and so do their annotations' ids.

    Args:
        sets: of one source of labels each.
        folders: what the names of a set's files are relative to, as `a/b`.
    """
    names = [_file_names(one) for one in sets]
    alike = [
        any(mine & other for place, other in enumerate(names) if place != own)
        for own, mine in enumerate(names)
    ]
    parts = [folder.strip("/").split("/") for folder in folders]
    taken = [own for own, is_alike in zip(parts, alike, strict=True) if is_alike]
    different = len({tuple(own) for own in taken})
    if different < 2:  # nothing, or the same files read in two ways
        return list(sets)
    tail = next(
        (
            n
            for n in range(1, max(map(len, taken), default=1))
            if len({tuple(own[-n:]) for own in taken}) == different
        ),
        max(map(len, taken), default=1),
    )
    return [
        _below(one, "/".join(own[-tail:])) if is_alike else one
        for one, own, is_alike in zip(sets, parts, alike, strict=True)
    ]


def _file_names(labels: LabelSet) -> set[str]:
    files = set(labels.images["label_file"].unique().to_pylist()) - {None}
    subjects = {loss.subject for loss in labels.losses if not is_about_class(loss)}
    return files | {subject.partition(":")[0] for subject in subjects}


def _below(labels: LabelSet, folder: str) -> LabelSet:
    """The labels with a folder in front of every name of a label file."""
    if not folder:
        return labels
    return replace(
        labels,
        images=_prefixed(labels.images, "label_file", folder),
        annotations=_prefixed(labels.annotations, "origin_ref", folder),
        losses=tuple(
            loss if is_about_class(loss) else replace(loss, subject=f"{folder}/{loss.subject}")
            for loss in labels.losses
        ),
    )


def is_about_class(loss: Loss) -> bool:
    """Whether a loss is about a class as a whole, not about a label file or a row of one."""
    return loss.subject.startswith(_CLASS)


def _prefixed(table: pa.Table, column: str, folder: str) -> pa.Table:
    place = table.schema.get_field_index(column)
    field = table.schema.field(place)
    longer = pc.binary_join_element_wise(pa.scalar(folder, field.type), table[column], "/")
    return table.set_column(place, field, longer)


def map_classes(labels: LabelSet, classes: Mapping[str, str | None]) -> LabelSet:
    """The labels with classes called by other names, several by one, or (None) left out.

    Classes that the mapping does not name stay what they are. What is left out is a loss "dropped" with its number of
    annotations; its pictures stay, without them. A name that no label has is a loss "unmatched".
    """
    if not classes:
        return labels
    table = labels.annotations
    counts = {r["values"]: r["counts"] for r in table["category"].value_counts().to_pylist()}
    known = {c.name for c in labels.categories} | counts.keys() - {None}
    losses = [
        Loss("unmatched", f"{_CLASS}{old}", "the class map names it, and no label does")
        for old in sorted(classes.keys() - known)
    ]
    for old, new in sorted(classes.items()):
        if new is None and old in known:
            count = counts.get(old, 0)
            detail = f"the class map leaves it out: {count} annotation{'' if count == 1 else 's'}"
            losses.append(Loss("dropped", f"{_CLASS}{old}", detail))
    return LabelSet(
        labels.images,
        _mapped(table, classes),
        _mapped_categories(labels.categories, classes),
        (*labels.losses, *losses),
    )


def placed(labels: LabelSet, *, prefix: str = "", match: str = "auto") -> LabelSet:
    """The labels with a folder in front of every file name, to be matched with pictures in one way only."""
    images = labels.images
    if prefix.strip("/"):
        names = pc.binary_join_element_wise(prefix.strip("/"), images["file_name"], "/")
        images = images.set_column(1, images.schema.field("file_name"), names)
    if match != "auto":
        place = images.schema.get_field_index("match")
        column = pa.array([match] * len(images), pa.string())
        images = images.set_column(place, images.schema.field("match"), column)
    return replace(labels, images=images)


def _mapped(table: pa.Table, classes: Mapping[str, str | None]) -> pa.Table:
    gone = pa.array([old for old, new in classes.items() if new is None], pa.string())
    # A caption has no class, and stays.
    table = table.filter(pc.invert(pc.is_in(table["category"], value_set=gone)))
    old = pa.array([o for o, new in classes.items() if new is not None], pa.string())
    new = pa.array([n for n in classes.values() if n is not None], pa.string())
    place = pc.index_in(table["category"], value_set=old, skip_nulls=True)
    named = pc.coalesce(new.take(place.combine_chunks()), table["category"].combine_chunks())
    index = table.schema.get_field_index("category")
    return table.set_column(index, table.schema.field(index), named)


def _mapped_categories(
    categories: Sequence[Category], classes: Mapping[str, str | None]
) -> tuple[Category, ...]:
    found: dict[str, Category] = {}
    for category in categories:
        name = classes.get(category.name, category.name)
        if name is not None:
            renamed = replace(category, name=name)
            known = found.setdefault(name, renamed)
            if known.keypoints != renamed.keypoints:  # numbers of keypoints would mean two things
                found[name] = replace(known, keypoints=(), skeleton=())
    return tuple(found.values())


def _united(sets: Sequence[LabelSet]) -> tuple[tuple[Category, ...], list[Loss]]:
    found: dict[str, Category] = {}
    losses: list[Loss] = []
    for category in (c for one in sets for c in one.categories):
        known = found.setdefault(category.name, category)
        if known.supercategory and category.supercategory not in ("", known.supercategory):
            detail = f"its supercategory is {known.supercategory!r} in one set and {category.supercategory!r} in another"
            losses.append(Loss("ambiguous", f"{_CLASS}{category.name}", f"{detail}; the first is kept"))  # fmt: skip
        if known.keypoints and category.keypoints and known.keypoints != category.keypoints:
            detail = "two sets name its keypoints differently; the first names are kept"
            losses.append(Loss("ambiguous", f"{_CLASS}{category.name}", detail))
        found[category.name] = Category(
            category.name,
            known.supercategory or category.supercategory,
            known.keypoints or category.keypoints,
            known.skeleton if known.keypoints else category.skeleton,
            category.number if known.number is None else known.number,
        )
    alike: dict[str, list[str]] = {}
    for name in found:
        alike.setdefault(" ".join(name.casefold().replace("_", " ").split()), []).append(name)
    for names in alike.values():
        if len(names) > 1:
            detail = f"{' and '.join(map(repr, names))} are two classes; a class map makes them one"
            losses.append(Loss("ambiguous", f"{_CLASS}{names[0]}", detail))
    return tuple(found.values()), list(dict.fromkeys(losses))


def _lacking(sets: Sequence[LabelSet]) -> list[Loss]:
    """Classes that only some of the sets have, though each of these names classes."""
    named = [({c.name for c in one.categories}, one) for one in sets if one.categories]
    everything = {name for names, _ in named for name in names}
    losses = []
    for names, one in named:
        lacking = sorted(everything - names)
        if lacking:
            files = one.images["label_file"].unique().to_pylist()
            more = f" and {len(lacking) - _SHOWN} more" if len(lacking) > _SHOWN else ""
            detail = (
                f"it does not know the classes {', '.join(lacking[:_SHOWN])}{more} of other label files: pictures that "
                "only it names may show some, and count as without"
            )
            losses.append(Loss("ambiguous", files[0] if files else "labels", detail))
    return losses


def _renumbered(table: pa.Table, offset: int) -> pa.Table:
    numbers = pc.add(table.column("label_image"), offset)
    schema = (
        schemas.LABEL_IMAGES if "file_name" in table.schema.names else schemas.LABEL_ANNOTATIONS
    )
    place = table.schema.get_field_index("label_image")
    return table.set_column(place, schema.field("label_image"), numbers)
