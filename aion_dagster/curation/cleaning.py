"""Annotations made fit for a dataset: known pictures, boxes inside them, nothing twice."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from aion_dagster import schemas
from aion_dagster.curation.outlines import extent, inside
from aion_dagster.values import Loss

SAME_PIXELS: Final = 0.01
"""Boxes are the same to a hundredth of a pixel; below that, formats differ by rounding alone."""

WHOLE_PICTURE: Final = ("captions", "tags")
"""Origins whose annotations are about a whole picture: a text, or a class without a box."""

SAME_OBJECT: Final = 0.9
"""Overlap (intersection over union) above which two boxes are taken for one object."""

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass
class _Rows:
    """Annotations on their way: the table, boxes [n, 4] as x, y, w, h, and the place of each one's picture."""

    table: pa.Table
    boxes: Floats
    places: npt.NDArray[np.int64]
    names: Sequence[str]
    losses: list[Loss] = field(default_factory=list)

    def keep(self, kept: Mask, kind: str = "", why: str = "") -> None:
        """Leave out the other rows; each of them is a loss where `kind` is given."""
        if kept.all():
            return
        if kind:
            for row in np.flatnonzero(~kept).tolist():
                self.losses.append(Loss(kind, self.names[self.places[row]], self.tell(row) + why))
        self.table = self.table.filter(pa.array(kept))
        self.boxes, self.places = self.boxes[kept], self.places[kept]

    def tell(self, row: int) -> str:
        """Which annotation it is, for a loss."""
        box = ", ".join(f"{v:g}" for v in self.boxes[row].round(2).tolist())
        category = self.table["category"][row].as_py()
        return f"{category} [{box}] ({self.table['annotation_id'][row].as_py()}): "


def clean_annotations(
    annotations: pa.Table,
    pictures: pa.Table,
    *,
    origins: Sequence[str],
    min_score: float | None = None,
    min_scores: Mapping[str, float] | None = None,
) -> tuple[pa.Table, tuple[Loss, ...]]:
    """The annotations that a dataset can use.

    Kept are rows of the wanted origins, of a known picture, with a category, with a score of at least `min_score`
    (rows without a score are kept). A missing box is taken from the outline. Boxes and outlines are cut at the
    picture's borders; what is not finite or has no area left is dropped. Rows that say the same twice, as labels
    of byte-equal copies do, become one: the one with an outline, then without a score, then of the higher score,
    then of the earlier origin, then of the smaller id.

    What is about a whole picture (origins `WHOLE_PICTURE`) needs no box, and is kept once.

    Args:
        annotations: schema `ANNOTATIONS`.
        pictures: the pictures of the dataset, schema `LIBRARY`, with sizes.
        origins: which origins count.
        min_score: 0 to 1.
        min_scores: the same by origin, in place of `min_score`.

    Returns:
        Rows of schema `ANNOTATIONS` in no particular order, and losses: dropped, clipped, deduplicated, invalid.
    """
    wanted = pc.is_in(annotations["origin"], value_set=pa.array(list(origins), pa.string()))
    table = annotations.filter(wanted)
    losses: list[Loss] = []
    for origin in origins:
        least = (min_scores or {}).get(origin, min_score)
        if least is not None:
            low = pc.less(table["score"], pa.scalar(least, pa.float32()))
            enough = pc.invert(pc.and_(pc.fill_null(low, False), pc.equal(table["origin"], origin)))
            losses += _counted(
                table, enough, "scores", f"annotations of {origin} score below {least:g}"
            )
            table = table.filter(enough)
    place = pc.index_in(table["image_id"], value_set=pictures["image_id"].combine_chunks())
    losses += _counted(
        table,
        pc.is_valid(place),
        "annotations",
        "annotations of pictures that are not in the dataset",
    )
    table = table.filter(pc.is_valid(place)).combine_chunks()
    place = place.drop_null()
    whole = pc.is_in(table["origin"], value_set=pa.array(WHOLE_PICTURE, pa.string()))
    said = _said_once(table.filter(whole)) if pc.any(whole).as_py() else None
    if said is not None:
        table, place = table.filter(pc.invert(whole)), place.filter(pc.invert(whole))
    rows = _Rows(
        table,
        _boxes(table),
        place.to_numpy().astype(np.int64),
        pictures["name"].to_pylist(),
        losses,
    )
    named = pc.fill_null(
        pc.not_equal(pc.utf8_trim_whitespace(table["category"]), ""), fill_value=False
    )
    rows.keep(named.to_numpy(), "invalid", "has no category")
    sizes = np.stack([pictures["width"].to_numpy(), pictures["height"].to_numpy()], 1).astype(float)
    _clip(rows, sizes)
    _deduplicate(rows, origins)
    cleaned = _rebuilt(rows)
    return cleaned if said is None else pa.concat_tables([cleaned, said]), tuple(rows.losses)


def _said_once(table: pa.Table) -> pa.Table:
    """Of captions and tags that say the same of a picture, the one with the smallest id."""
    by_id = table.sort_by("annotation_id").combine_chunks()
    numbered = by_id.append_column("row", pa.array(np.arange(len(by_id))))
    same = ["image_id", "origin", "category", "text"]
    first = numbered.group_by(same).aggregate([("row", "min")])["row_min"].sort()
    return by_id.take(first).cast(schemas.ANNOTATIONS)


def _counted(table: pa.Table, kept: Any, subject: str, what: str) -> list[Loss]:
    gone = len(table) - (pc.sum(kept).as_py() or 0)
    return [Loss("dropped", subject, f"{gone} {what}")] if gone else []


def _boxes(table: pa.Table) -> Floats:
    """Boxes [n, 4]; NaN where there is neither a box nor a polygon."""
    bbox = pa.concat_arrays(table["bbox"].chunks or [pa.array([], schemas.BBOX)])
    boxes = np.stack(
        [pc.struct_field(bbox, side).to_numpy(zero_copy_only=False) for side in "xywh"], axis=1
    ).astype(np.float64)
    for row in np.flatnonzero(pc.is_null(bbox).to_numpy(zero_copy_only=False)).tolist():
        outline = table["segmentation"][row].as_py()
        around = extent(outline) if outline else None
        boxes[row] = around if around else np.nan
    return boxes


def _clip(rows: _Rows, sizes: Floats) -> None:
    finite: Mask = np.logical_and.reduce(np.isfinite(rows.boxes), axis=1)
    rows.keep(finite, "dropped", "has no finite box")
    given, size = rows.boxes, sizes[rows.places]
    ends = given[:, :2] + given[:, 2:]
    low, high = np.clip(given[:, :2], 0, size), np.clip(ends, 0, size)
    # Numbers that lie inside stay what they are: (x + w) - x is not always w.
    inside_already = (low == given[:, :2]) & (high == ends)
    clipped = np.where(np.tile(inside_already, 2), given, np.concatenate([low, high - low], axis=1))
    has_area: Mask = np.minimum(clipped[:, 2:], given[:, 2:]).min(axis=1, initial=np.inf) > 0
    noticed = has_area & (np.abs(clipped - given) > SAME_PIXELS).any(axis=1)
    for row in np.flatnonzero(noticed).tolist():
        width, height = size[row].astype(int).tolist()
        why = f"cut at the borders of {width}x{height} pixels"
        rows.losses.append(Loss("clipped", rows.names[rows.places[row]], rows.tell(row) + why))
    rows.keep(has_area, "dropped", "has no area inside the picture")
    rows.boxes = clipped[has_area]
    _clip_outlines(rows, sizes)


def _clip_outlines(rows: _Rows, sizes: Floats) -> None:
    column = rows.table["segmentation"]
    if column.null_count == len(column):
        return
    outlines = [
        outline and inside(outline, *sizes[place].tolist())
        for outline, place in zip(column.to_pylist(), rows.places.tolist(), strict=True)
    ]
    index = rows.table.schema.get_field_index("segmentation")
    rows.table = rows.table.set_column(
        index, "segmentation", pa.array(outlines, schemas.SEGMENTATION)
    )


def _deduplicate(rows: _Rows, origins: Sequence[str]) -> None:
    """Leave one of the rows that say the same; only rows whose hash occurs twice are looked at one by one."""
    rounded = np.round(rows.boxes / SAME_PIXELS).astype(np.int64)
    codes = rows.table["category"].combine_chunks().dictionary_encode().indices.to_numpy()
    mixed = np.zeros(len(codes), dtype=np.uint64)
    for column in (rows.places, codes, *rounded.T):
        mixed = (mixed ^ column.astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    _, inverse, counts = np.unique(mixed, return_inverse=True, return_counts=True)
    suspects = np.flatnonzero(counts[inverse] > 1)
    details = rows.table.take(pa.array(suspects)).to_pylist()
    alike: dict[tuple[Any, ...], list[tuple[int, dict[str, Any]]]] = {}
    for row, detail in zip(suspects.tolist(), details, strict=True):
        key = (
            rows.places[row],
            detail["category"],
            *rounded[row],
            detail["iscrowd"],
            detail["text"],
        )
        alike.setdefault(key, []).append((row, detail))
    kept = np.ones(len(codes), dtype=bool)
    for same in alike.values():
        same.sort(key=lambda pair: _preference(pair[1], origins))
        shapes: list[Any] = []
        for row, detail in same:
            shape = detail["segmentation"]
            kept[row] = not shapes or (shape is not None and shape not in shapes)
            shapes.append(shape)
    rows.keep(kept, "deduplicated", "is there already")


def _preference(row: Mapping[str, Any], origins: Sequence[str]) -> tuple[Any, ...]:
    score = row["score"]
    return (
        row["segmentation"] is None,
        score is not None,
        -(score or 0.0),
        origins.index(row["origin"]),
        row["annotation_id"],
    )


def _rebuilt(rows: _Rows) -> pa.Table:
    table = rows.table.select(schemas.ANNOTATIONS.names)
    # Adding zero turns -0.0 into 0.0, which would be another text in an export.
    columns = [pa.array(column + 0.0) for column in rows.boxes.T]
    boxes = pa.StructArray.from_arrays(columns, fields=list(schemas.BBOX))
    table = table.set_column(table.schema.get_field_index("bbox"), "bbox", boxes)
    crowd = table["iscrowd"].fill_null(False)
    table = table.set_column(table.schema.get_field_index("iscrowd"), "iscrowd", crowd)
    return table.cast(schemas.ANNOTATIONS)


def conflicts(
    annotations: pa.Table, names: Mapping[str, str], copied: Collection[str]
) -> tuple[Loss, ...]:
    """Losses "ambiguous" for pictures with byte-equal copies whose labels call one object by two classes.

    Both annotations stay: which one is right is not ours to say. `names` gives the name of a picture for its id,
    `copied` the ids of pictures that stand in several places.
    """
    several = annotations.filter(
        pc.is_in(annotations["image_id"], value_set=pa.array(sorted(copied), pa.string()))
    )
    by_image: dict[str, list[dict[str, Any]]] = {}
    columns = ["annotation_id", "image_id", "category", "bbox"]
    for row in several.select(columns).sort_by("annotation_id").to_pylist():
        by_image.setdefault(row["image_id"], []).append(row)
    losses = []
    for image_id, rows in sorted(by_image.items()):
        for i, one in enumerate(rows):
            for two in rows[i + 1 :]:
                if one["category"] != two["category"] and _overlap(one, two) >= SAME_OBJECT:
                    detail = (
                        f"labels of its copies disagree: {one['category']} ({one['annotation_id']}) and "
                        f"{two['category']} ({two['annotation_id']}) are the same box; both are kept"
                    )
                    losses.append(Loss("ambiguous", names[image_id], detail))
    return tuple(losses)


def _overlap(one: Mapping[str, Any], two: Mapping[str, Any]) -> float:
    a, b = one["bbox"], two["bbox"]
    across = min(a["x"] + a["w"], b["x"] + b["w"]) - max(a["x"], b["x"])
    down = min(a["y"] + a["h"], b["y"] + b["h"]) - max(a["y"], b["y"])
    shared: float = max(across, 0.0) * max(down, 0.0)
    union: float = a["w"] * a["h"] + b["w"] * b["h"] - shared
    return shared / union
