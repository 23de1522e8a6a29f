"""A dataset version: which pictures, with which annotations, in which splits."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.compute as pc

from aion_dagster import schemas
from aion_dagster.curation.classes import class_order
from aion_dagster.curation.cleaning import clean_annotations, conflicts
from aion_dagster.curation.fingerprint import VERSION_LENGTH, dataset_fingerprint
from aion_dagster.curation.groups import group_ids
from aion_dagster.curation.splits import assign_splits
from aion_dagster.values import Category, Dataset, Loss

DEFAULT_SHARES: Final[Mapping[str, float]] = {"train": 0.8, "val": 0.1, "test": 0.1}
MakeNames = Callable[[Sequence[str], Sequence[str]], tuple[list[str], tuple[Loss, ...]]]
Row = dict[str, Any]


@dataclass(frozen=True)
class DatasetSettings:
    """What a dataset is made of.

    `origins`: whose annotations count (labels, text, codes). `unlabelled`: what becomes of pictures that no label
    source names. `classes`: an explicit order that also leaves other classes out; None takes the order of the
    label sources. `shares`: split → share. `near_duplicates`: "group" keeps them in one split, "keep_one" keeps the
    best of each group, "ignore" treats them as strangers. `group_by`: what else must stay together. `min_score`:
    annotations with a lower score are left out; those without a score stay.
    """

    name: str = "main"
    origins: tuple[str, ...] = ("labels",)
    unlabelled: Literal["include", "exclude"] = "include"
    classes: tuple[str, ...] | None = None
    shares: Mapping[str, float] = field(default_factory=lambda: dict(DEFAULT_SHARES))
    seed: int = 0
    near_duplicates: Literal["group", "keep_one", "ignore"] = "group"
    group_by: tuple[Literal["folder", "source"], ...] = ()
    min_score: float | None = None

    def fingerprintable(self) -> dict[str, Any]:
        """The settings as JSON-serialisable values, for the fingerprint and for storage."""
        values = asdict(self)
        values["origins"], values["group_by"] = list(self.origins), list(self.group_by)
        values["classes"] = None if self.classes is None else list(self.classes)
        values["shares"] = {name: float(share) for name, share in sorted(self.shares.items())}
        return values


def build_dataset(
    *,
    library: pa.Table,
    annotations: pa.Table,
    near_duplicates: pa.Table,
    categories: tuple[Category, ...],
    labelled: Collection[str],
    settings: DatasetSettings,
    make_names: MakeNames,
    losses: Sequence[Loss] = (),
    previous_splits: Mapping[str, str] | None = None,
    previous_categories: tuple[str, ...] = (),
) -> Dataset:
    """Build one version of a dataset; the same content gives the same version, whatever the order of rows.

    Args:
        library: schema `LIBRARY`; superseded and deleted rows are left out.
        annotations: schema `ANNOTATIONS`, of all origins, of byte-equal copies under their one image_id.
        near_duplicates: schema `NEAR_DUPLICATES`.
        categories: the classes that label sources declare, in their order.
        labelled: ids of the pictures that a label source names, with boxes or without.
        settings: what is wanted.
        make_names: export names for (names, SHA-256s), with the losses of renaming.
        losses: of reading and matching labels, passed through.
        previous_splits: image_id → split of the earlier version; those pictures do not move.
        previous_categories: class names of the earlier version, whose indices are kept.

    Raises:
        ConfigError: shares or classes cannot be used.
    """
    found = list(losses)
    previous = dict(previous_splits or {})
    live, unusable = _live(library)
    found += unusable
    cleaned, classes, problems = _usable(
        annotations, live, categories, previous_categories, settings
    )
    found += problems
    named = set(labelled) | set(cleaned["image_id"].to_pylist())
    rows = sorted(live.to_pylist(), key=lambda r: (r["name"], r["sha256"]))
    rows, negatives = _unlabelled(rows, named, settings.unlabelled)
    found += negatives
    boxes = Counter(cleaned["image_id"].to_pylist())
    if settings.near_duplicates == "keep_one":
        rows, dropped = _keep_one(rows, near_duplicates, named, boxes, previous)
        found += dropped
    cleaned = _of(cleaned, rows)
    groups = group_ids([r["image_id"] for r in rows], _keys(rows, near_duplicates, settings))
    splits, split_losses = assign_splits(
        [r["image_id"] for r in rows], groups, _label_counts(rows, cleaned, named),
        settings.shares, seed=settings.seed, previous=previous,
    )  # fmt: skip
    file_names, renamed = make_names([r["name"] for r in rows], [r["sha256"] for r in rows])
    found += [*split_losses, *renamed, *_conflicts(rows, cleaned)]
    for row, group, file_name in zip(rows, groups, file_names, strict=True):
        row |= {"group_id": group, "file_name": file_name, "split": splits[row["image_id"]]}
        row |= {"labelled": row["image_id"] in named, "locations": _ordered(row["locations"])}
    return _assemble(settings, rows, cleaned, classes, found)


def _live(library: pa.Table) -> tuple[pa.Table, list[Loss]]:
    """Current pictures, and losses for those without a size."""
    current = pc.and_(pc.is_null(library["superseded_by"]), pc.is_null(library["deleted_at"]))
    rows = library.filter(current)
    sized = pc.and_(pc.greater(rows["width"], 0), pc.greater(rows["height"], 0))
    sized = pc.fill_null(sized, fill_value=False)
    bad = rows.filter(pc.invert(sized))["name"].to_pylist()
    return rows.filter(sized), [
        Loss("invalid", n, "the picture has no size; left out") for n in bad
    ]


def _usable(
    annotations: pa.Table,
    pictures: pa.Table,
    categories: Sequence[Category],
    previous: Sequence[str],
    settings: DatasetSettings,
) -> tuple[pa.Table, tuple[Category, ...], tuple[Loss, ...]]:
    """Clean annotations of the dataset's classes, and those classes in order."""
    cleaned, problems = clean_annotations(
        annotations, pictures, origins=settings.origins, min_score=settings.min_score
    )
    classes, class_losses = class_order(
        cleaned["category"].to_pylist(),
        categories if "labels" in settings.origins else (),
        explicit=settings.classes,
        previous=previous,
    )
    known = pa.array([c.name for c in classes], pa.string())
    kept = cleaned.filter(pc.is_in(cleaned["category"], value_set=known))
    return kept, classes, (*problems, *class_losses)


def _unlabelled(
    rows: list[Row], named: Collection[str], choice: Literal["include", "exclude"]
) -> tuple[list[Row], list[Loss]]:
    what = "left out" if choice == "exclude" else "stands among the pictures without objects"
    losses = [
        Loss("unlabelled", row["name"], f"no label source names it; {what}")
        for row in rows
        if row["image_id"] not in named
    ]
    return [r for r in rows if choice == "include" or r["image_id"] in named], losses


def _keep_one(
    rows: list[Row],
    near_duplicates: pa.Table,
    named: Collection[str],
    boxes: Mapping[str, int],
    previous: dict[str, str],
) -> tuple[list[Row], list[Loss]]:
    """The best picture of each near-duplicate group; it inherits the split of the ones it replaces.

    Labelled before unlabelled, then the largest area, most boxes, earliest capture, smallest id.
    """
    group_of = _group_of(near_duplicates)
    members: dict[str, list[Row]] = {}
    for row in rows:
        image_id: str = row["image_id"]
        members.setdefault(group_of.get(image_id, image_id), []).append(row)

    def order(row: Row) -> tuple[Any, ...]:
        return (
            row["image_id"] not in named,
            -row["width"] * row["height"],
            -boxes.get(row["image_id"], 0),
            row["captured_at"] or dt.datetime.max,
            row["image_id"],
        )

    kept: list[Row] = []
    losses: list[Loss] = []
    for same in members.values():
        best, *rest = sorted(same, key=order)
        kept.append(best)
        for row in rest:
            if row["image_id"] in previous:
                previous.setdefault(best["image_id"], previous[row["image_id"]])
            count = boxes.get(row["image_id"], 0)
            detail = f"near-duplicate of {best['name']}, which is kept (labelled, largest, most boxes, earliest)"
            losses.append(Loss("deduplicated", row["name"], f"{detail}; {count} boxes go with it"))
    return kept, losses


def _group_of(near_duplicates: pa.Table) -> dict[str, str]:
    ids, groups = near_duplicates["image_id"].to_pylist(), near_duplicates["group_id"].to_pylist()
    return dict(zip(ids, groups, strict=True))


def _keys(
    rows: Sequence[Row], near_duplicates: pa.Table, settings: DatasetSettings
) -> list[list[Hashable]]:
    """What binds each picture to others."""
    group_of = _group_of(near_duplicates) if settings.near_duplicates == "group" else {}
    keys: list[list[Hashable]] = []
    for row in rows:
        own: list[Hashable] = []
        if row["image_id"] in group_of:
            own.append(("near", group_of[row["image_id"]]))
        for place in row["locations"] or [row]:
            if "source" in settings.group_by:
                own.append(("source", place["source"]))
            if "folder" in settings.group_by:
                own.append(("folder", place["source"], place["name"].rpartition("/")[0]))
        keys.append(own)
    return keys


def _label_counts(
    rows: Sequence[Row], annotations: pa.Table, named: Collection[str]
) -> list[Counter[str]]:
    """Per picture its boxes by class, and one of the nameless class if a label source names it at all.

    The nameless class spreads labelled pictures evenly, negatives included.
    """
    counts: dict[str, Counter[str]] = {r["image_id"]: Counter() for r in rows}
    ids, names = annotations["image_id"].to_pylist(), annotations["category"].to_pylist()
    for image_id, name in zip(ids, names, strict=True):
        counts[image_id][name] += 1
    for image_id, own in counts.items():
        if image_id in named:
            own[""] += 1
    return [counts[r["image_id"]] for r in rows]


def _of(annotations: pa.Table, rows: Sequence[Row]) -> pa.Table:
    kept = pa.array([r["image_id"] for r in rows], pa.string())
    return annotations.filter(pc.is_in(annotations["image_id"], value_set=kept))


def _conflicts(rows: Sequence[Row], annotations: pa.Table) -> tuple[Loss, ...]:
    names = {r["image_id"]: r["name"] for r in rows}
    copied = [r["image_id"] for r in rows if len(r["locations"] or ()) > 1]
    return conflicts(annotations, names, copied)


def _ordered(locations: Sequence[Row] | None) -> list[Row]:
    return sorted(locations or (), key=lambda p: tuple(str(v) for v in p.values()))


def _assemble(
    settings: DatasetSettings,
    rows: Sequence[Row],
    annotations: pa.Table,
    classes: tuple[Category, ...],
    losses: Sequence[Loss],
) -> Dataset:
    by_name = sorted(rows, key=lambda row: str(row["file_name"]))
    images = pa.Table.from_pylist(by_name, schema=schemas.DATASET_IMAGES)
    place = pc.index_in(annotations["image_id"], value_set=images["image_id"].combine_chunks())
    order = annotations.append_column("place", place).sort_by(
        [("place", "ascending"), ("annotation_id", "ascending")]
    )
    annotations = order.drop_columns("place").combine_chunks()
    chosen = settings.fingerprintable()
    return Dataset(
        name=settings.name,
        version=dataset_fingerprint(images, annotations, classes, chosen)[:VERSION_LENGTH],
        images=images,
        annotations=annotations,
        categories=classes,
        losses=tuple(sorted(set(losses), key=lambda x: (x.kind, x.subject, x.detail))),
        settings=chosen,
    )
