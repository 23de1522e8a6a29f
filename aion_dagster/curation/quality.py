"""Quality filters: which pictures are good enough for a dataset."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from aion_dagster.curation.columns import flat, places_in
from aion_dagster.curation.left_out import Choice

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Quality:
    """What a picture must satisfy; None does not count. A picture without a measured value satisfies a condition on it.

    Attributes:
        min_width: pixels of the upright picture; likewise `min_height`.
        min_aspect: width divided by height, at least; `max_aspect` at most.
        max_bytes: size of the file.
        min_sharpness: `sharpness` of `visual_features`: of photographs mostly 200 to 6000, of blurred ones below 20.
        min_contrast: `contrast` of `visual_features`, 0 to 1.
        min_brightness: `brightness` of `color_analyses`, 0 to 100; likewise `max_brightness`.
    """

    min_width: int | None = None
    min_height: int | None = None
    min_aspect: float | None = None
    max_aspect: float | None = None
    max_bytes: int | None = None
    min_sharpness: float | None = None
    min_contrast: float | None = None
    min_brightness: float | None = None
    max_brightness: float | None = None

    @property
    def measured(self) -> frozenset[str]:
        """Columns that have to be measured: sharpness, contrast, brightness."""
        wanted = {
            "sharpness": (self.min_sharpness,),
            "contrast": (self.min_contrast,),
            "brightness": (self.min_brightness, self.max_brightness),
        }
        return frozenset(c for c, values in wanted.items() if any(v is not None for v in values))


def keep_good(choice: Choice, quality: Quality, measures: pa.Table | None) -> None:
    """Leave out the pictures that do not satisfy `quality`; `measures` has image_id and columns of `Quality.measured`."""
    for column, sign, limit, name in _conditions(quality):
        values = _values(choice.pictures, column, measures)
        failed = values < limit if sign > 0 else values > limit
        if failed.any():
            texts = [f"{name} {limit:g}: has {v:.6g}" for v in values[failed].tolist()]
            choice.keep(~failed, "quality", texts)


def _conditions(quality: Quality) -> Iterator[tuple[str, int, float, str]]:
    for name in (
        "min_width", "min_height", "min_aspect", "max_aspect", "max_bytes", "min_sharpness", "min_contrast",
        "min_brightness", "max_brightness",
    ):  # fmt: skip
        limit = getattr(quality, name)
        if limit is not None:
            bound, _, column = name.partition("_")
            yield column, 1 if bound == "min" else -1, limit, name


def _values(pictures: pa.Table, column: str, measures: pa.Table | None) -> Floats:
    """NaN where nothing is known, which satisfies everything."""
    if column == "aspect":
        return _numbers(pictures["width"]) / _numbers(pictures["height"])
    if column == "bytes":
        return _numbers(pictures["size_bytes"])
    if column in pictures.column_names:
        return _numbers(pictures[column])
    if measures is None or column not in measures.column_names:
        return np.full(pictures.num_rows, np.nan)
    places = places_in(pictures["image_id"], measures["image_id"])
    known = np.append(_numbers(measures[column]), np.nan)
    return known[places]


def _numbers(column: pa.ChunkedArray) -> Floats:
    values = flat(column, pa.float64())
    return np.asarray(pc.fill_null(values, np.nan).to_numpy(zero_copy_only=False))
