"""One closed outline for an annotation, as YOLO's segmentation rows want it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aion_dagster.formats.boxes import usable_polygon


def outline(
    segmentation: Mapping[str, Any] | None, box: tuple[float, float, float, float]
) -> tuple[list[float], str]:
    """The outline [x1, y1, x2, y2, …] in pixels, and what changed on the way (empty where nothing did).

    Several polygons are joined by bridges of no width between their nearest corners. Without a polygon it is the box.
    """
    rings = [r for r in (segmentation or {}).get("polygons") or [] if r and usable_polygon(r)]
    if len(rings) == 1:
        return rings[0], ""
    if rings:
        return _joined([np.reshape(r, (-1, 2)) for r in rings]), f"{len(rings)} polygons joined"
    x, y, w, h = box
    change = "its mask is run-length coded: the box was written" if segmentation else ""
    return [x, y, x + w, y, x + w, y + h, x, y + h], change


def _joined(rings: list[NDArray[np.float64]]) -> list[float]:
    whole = rings[0]
    for ring in rings[1:]:
        distance = ((whole[:, None, :] - ring[None, :, :]) ** 2).sum(axis=2)
        i, j = divmod(int(distance.argmin()), len(ring))
        turned = np.roll(ring, -j, axis=0)
        whole = np.concatenate([whole[: i + 1], turned, turned[:1], whole[i:]])
    flat: list[float] = whole.ravel().tolist()
    return flat
