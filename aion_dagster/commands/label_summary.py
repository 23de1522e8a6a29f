"""What a run says of its labels: what they gave, what fitted no picture, what could not be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from aion_dagster.config import DatasetConfig, LibraryConfig
from aion_dagster.formats.label_sets import is_about_class
from aion_dagster.storage.store import Store
from aion_dagster.values import Dataset, Loss, losses_from_table
from aion_dagster.wording import plural

_LOSSES: Final = "losses.csv"
_FATES: Final = (
    ("unmatched", "fits no picture", "fit no picture"),
    ("ambiguous", "fits several pictures and was not guessed", "fit several pictures and were not guessed"),
    ("mismatched", "was made for another size of picture", "were made for another size of picture"),
)  # fmt: skip


def label_lines(
    config: LibraryConfig, store: Store, dataset: DatasetConfig, version: Dataset
) -> list[str]:
    """What became of the labels: pictures without any do not pass silently for pictures without objects."""
    boxes = version.annotations.filter(pc.is_valid(version.annotations["bbox"]))
    with_boxes = pc.count_distinct(boxes["image_id"]).as_py()
    without = version.images.num_rows - with_boxes
    first = (
        f"labels   {plural(boxes.num_rows, 'box')} of {plural(len(version.categories), 'class')}"
    )
    first += f" on {plural(with_boxes, 'picture')}"
    lines = [f"{first}, {plural(without, 'picture')} without" if without else first]
    if not config.labels and dataset.origins == ("labels",):
        return [*lines, "  no labels were given (--labels): no picture has boxes"]
    told = [*_told(store, version)]
    where = _losses_of(store, dataset) if told else None
    return [*lines, *told, *([f"  which and why: {where}"] if where else [])]


def _told(store: Store, version: Dataset) -> Iterator[str]:
    names, losses = _imported(store)
    kinds = Counter(loss.kind for loss in version.losses if not is_about_class(loss))
    if kinds["unlabelled"]:
        stand = "stands" if kinds["unlabelled"] == 1 else "stand"
        yield (
            f"  {plural(kinds['unlabelled'], 'picture')} that no label file names {stand} among those without "
            "objects; 'unlabelled: exclude' leaves them out"
        )
    # What two label files say of one row or class is no label that fits several pictures.
    own = (loss for loss in losses if not is_about_class(loss))
    kinds["ambiguous"] -= sum(loss.kind == "ambiguous" for loss in own)
    for kind, one, several in _FATES:
        if kinds[kind] > 0:
            yield f"  {plural(kinds[kind], 'label')} {one if kinds[kind] == 1 else several}"
    bad = sum(loss.kind == "invalid" for loss in losses)
    if bad:
        yield f"  {plural(bad, 'row')} of the label files could not be used"
    classes = [loss for loss in losses if is_about_class(loss) and loss.kind == "unmatched"]
    if classes:
        unknown = ", ".join(loss.subject.removeprefix("class ") for loss in classes[:10])
        yield f"  the class map names what no label has: {unknown}"
    if len(names) and kinds["unmatched"] >= len(names):
        yield (
            f"  no label fits any picture: the labels say {names[0].as_py()!r}, the library has"
            f" {version.images['file_name'][0].as_py()!r}; 'match: name' looks at the file's name alone, 'prefix' puts a"
            " folder in front (docs/labels.md)"
        )


def _imported(store: Store) -> tuple[pa.ChunkedArray, tuple[Loss, ...]]:
    """The file names that the labels say, and what was lost when they were read."""
    version = store.sets.current("labels")
    if version is None:
        return pa.chunked_array([[]], pa.string()), ()
    names = store.sets.read_table("labels", version, "images", ["file_name"])["file_name"]
    return names, losses_from_table(store.sets.read_table("labels", version, "losses"))


def _losses_of(store: Store, dataset: DatasetConfig) -> str | None:
    """The loss report of the first export that has one."""
    for name in dataset.exports:
        place = store.exports.place(dataset.name, name)
        if place is not None and (place / _LOSSES).is_file():
            return str(place / _LOSSES)
    return None
