"""Boxes and outlines of matched labels as annotations in upright pixels."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from aion_dagster import schemas
from aion_dagster.curation.label_index import LabelIndex
from aion_dagster.curation.turning import SWAPPING, turn_boxes, turn_mask, turn_points, turn_polygon
from aion_dagster.identity import digest
from aion_dagster.values import Loss

ORIGIN: Final = "labels"


@dataclass(frozen=True, slots=True)
class Placement:
    """A label and its picture: sizes are (width, height) in pixels, `size` upright, `label_size` (0, 0) if unknown."""

    label_image: int
    file_name: str
    image_id: str
    size: tuple[int, int]
    orientation: int
    label_size: tuple[int, int]

    @property
    def turned(self) -> bool:
        """Whether the label was drawn on the stored picture, before its EXIF orientation."""
        return (
            self.orientation in SWAPPING
            and self.label_size != self.size
            and self.label_size == self.size[::-1]
        )

    @property
    def frame(self) -> tuple[int, int]:
        """The size that the label's numbers refer to, as far as the picture tells."""
        return self.size[::-1] if self.turned else self.size

    @property
    def mismatched(self) -> bool:
        """Whether the label gives a size that is neither the upright nor the stored one."""
        return all(self.label_size) and self.label_size != self.frame


def placed_annotations(
    index: LabelIndex, placements: Sequence[Placement]
) -> tuple[pa.Table, list[Loss]]:
    """The annotations of matched labels, schema `ANNOTATIONS`, sorted by id, and losses "mismatched"."""
    owners = np.array([p.label_image for p in placements], dtype=np.int64)
    rows, places = index.annotation_rows(owners)
    table = index.annotations.take(pa.array(rows)).combine_chunks()
    normalized = table["normalized"].fill_null(False).to_numpy()
    boxes = _upright_boxes(table, normalized, placements, places)
    outlines = [
        _upright_outline(outline, placements[place], normalized=bool(fractions))
        for outline, place, fractions in zip(
            table["segmentation"].to_pylist(), places.tolist(), normalized.tolist(), strict=True
        )
    ] if table["segmentation"].null_count < len(table) else [None] * len(table)  # fmt: skip
    image_ids = [placements[place].image_id for place in places.tolist()]
    absent = np.isnan(boxes).all(axis=1) if len(boxes) else np.empty(0, dtype=bool)
    annotations = pa.table(
        {
            "annotation_id": _ids(image_ids, table, boxes),
            "image_id": pa.array(image_ids, pa.string()),
            "category": table["category"],
            "bbox": pa.StructArray.from_arrays(
                [pa.array(column) for column in boxes.T],
                fields=list(schemas.BBOX),
                mask=pa.array(absent),
            ),
            "score": table["score"],
            "segmentation": pa.array(outlines, schemas.SEGMENTATION),
            "iscrowd": table["iscrowd"].fill_null(False),
            "text": table["text"],
            "origin": table["origin"].fill_null(ORIGIN),
            "origin_ref": table["origin_ref"],
            "keypoints": _upright_keypoints(table, placements, places, normalized),
            "attributes": table["attributes"],
        },
        schema=schemas.ANNOTATIONS,
    )
    losses = [_mismatch(p) for p in placements if p.mismatched]
    return annotations.sort_by([("annotation_id", "ascending")]), losses


def _mismatch(placement: Placement) -> Loss:
    (width, height), (own_width, own_height) = placement.label_size, placement.size
    return Loss(
        "mismatched",
        placement.file_name,
        f"the label says {width}x{height} pixels, the picture has {own_width}x{own_height}; "
        "boxes are kept as given",
    )


def _upright_boxes(
    table: pa.Table,
    normalized: npt.NDArray[np.bool_],
    placements: Sequence[Placement],
    places: npt.NDArray[np.int64],
) -> npt.NDArray[np.float64]:
    """Boxes [n, 4] in upright pixels; NaN where the label has no box."""
    bbox = table["bbox"].combine_chunks()
    boxes = np.stack(
        [pc.struct_field(bbox, side).to_numpy(zero_copy_only=False) for side in "xywh"], axis=1
    ).astype(np.float64)
    frames = np.array([p.frame for p in placements], dtype=np.float64).reshape(-1, 2)[places]
    boxes[normalized] *= np.concatenate([frames, frames], axis=1)[normalized]
    turned = np.array([p.turned for p in placements], dtype=bool)
    for place in np.flatnonzero(turned).tolist():
        p, own = placements[place], places == place
        boxes[own] = turn_boxes(boxes[own], p.orientation, *p.frame)
    return boxes


def _upright_outline(
    outline: Mapping[str, Any] | None, placement: Placement, *, normalized: bool
) -> dict[str, Any] | None:
    if outline is None:
        return None
    polygons, rle = outline["polygons"], outline["rle"]
    width, height = placement.frame
    if polygons and normalized:
        polygons = [
            [v * (height if i % 2 else width) for i, v in enumerate(polygon)]
            for polygon in polygons
        ]
    if placement.turned:
        if polygons:
            polygons = [turn_polygon(p, placement.orientation, width, height) for p in polygons]
        if rle and (rle["width"], rle["height"]) == (width, height):
            rle = turn_mask(rle, placement.orientation)
    return {"polygons": polygons, "rle": rle}


def _upright_keypoints(
    table: pa.Table,
    placements: Sequence[Placement],
    places: npt.NDArray[np.int64],
    normalized: npt.NDArray[np.bool_],
) -> pa.Array:
    """Keypoints [x, y, v, …] in upright pixels; those that are not labelled (v = 0) stay what they are."""
    column = table["keypoints"]
    rows: list[list[float] | None] = [None] * len(table)
    for row in np.flatnonzero(column.is_valid().to_numpy()).tolist():
        points = np.array(column[row].as_py(), dtype=np.float64).reshape(-1, 3)
        placement, seen = placements[places[row]], points[:, 2] > 0
        if normalized[row]:
            points[:, :2] *= placement.frame
        if placement.turned:
            x, y = turn_points(points[:, 0], points[:, 1], placement.orientation, *placement.frame)
            points[seen, 0], points[seen, 1] = x[seen], y[seen]
        rows[row] = points.ravel().tolist()
    return pa.array(rows, pa.list_(pa.float64()))


def _ids(image_ids: Sequence[str], table: pa.Table, boxes: npt.NDArray[np.float64]) -> list[str]:
    """Ids made from what an annotation is and where it stands, so that the same label always has the same id."""
    return [
        str(uuid.UUID(hex=digest([image_id, category, repr(box), reference])[:32], version=5))
        for image_id, category, box, reference in zip(
            image_ids,
            table["category"].to_pylist(),
            boxes.tolist(),
            table["origin_ref"].to_pylist(),
            strict=True,
        )
    ]
