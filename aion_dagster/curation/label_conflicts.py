"""Label files that call one object of a picture by two names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aion_dagster.values import Loss

SAME_OBJECT: Final = 0.9
"""Overlap (intersection over union) above which two boxes are taken for one object."""
_SIDES: Final = ("x", "y", "w", "h")


def label_conflicts(
    annotations: pa.Table, names: Mapping[str, str], files: Mapping[str, Sequence[str]]
) -> list[Loss]:
    """A loss "ambiguous" for every two boxes of a picture that are one object, of two classes, and from two label files.

    Both stay: which one is right is not ours to say, and a class map makes one of two names.

    Args:
        annotations: schema `ANNOTATIONS`, of labels.
        names: image_id → name of the picture.
        files: image_id → the label files that name the picture.
    """
    several = sorted(image_id for image_id, named in files.items() if len(set(named)) > 1)
    if not several:
        return []
    chosen = pc.and_(
        pc.is_in(annotations["image_id"], value_set=pa.array(several, pa.string())),
        pc.is_valid(annotations["bbox"]),
    )
    columns = ["image_id", "annotation_id", "category", "bbox", "origin_ref"]
    rows = annotations.select(columns).filter(chosen).sort_by("annotation_id").to_pylist()
    by_image: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_image.setdefault(row["image_id"], []).append(row)
    return [
        _loss(own[i], own[j], names[image_id])
        for image_id, own in sorted(by_image.items())
        for i, j in _same_objects(own)
        if own[i]["category"] != own[j]["category"]
        and _file(own[i]["origin_ref"], files[image_id])
        != _file(own[j]["origin_ref"], files[image_id])
    ]


def _same_objects(rows: Sequence[Mapping[str, Any]]) -> list[tuple[int, int]]:
    """Pairs of rows whose boxes are one object."""
    x, y, w, h = np.array([[r["bbox"][s] for s in _SIDES] for r in rows], dtype=np.float64).T
    found = []
    for i in range(len(rows) - 1):
        rest = slice(i + 1, None)
        across = np.minimum(x[i] + w[i], x[rest] + w[rest]) - np.maximum(x[i], x[rest])
        down = np.minimum(y[i] + h[i], y[rest] + h[rest]) - np.maximum(y[i], y[rest])
        shared = np.maximum(across, 0) * np.maximum(down, 0)
        same = shared >= SAME_OBJECT * (w[i] * h[i] + w[rest] * h[rest] - shared)
        found += [(i, i + 1 + int(j)) for j in np.flatnonzero(same & (shared > 0))]
    return found


def _file(reference: str, files: Sequence[str]) -> str:
    """The label file that a reference such as `a.json: annotation 3` names; the longest where one begins as another."""
    return max((f for f in set(files) if reference.startswith(f)), key=len, default=reference)


def _loss(one: Mapping[str, Any], two: Mapping[str, Any], picture: str) -> Loss:
    return Loss(
        "ambiguous",
        one["origin_ref"],
        f"calls an object of {picture} {one['category']!r}, {two['origin_ref']} calls it {two['category']!r}; both are kept",
    )
