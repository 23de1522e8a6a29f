"""The dataset card: one page that shows a dataset, and needs nothing but itself."""

from __future__ import annotations

import base64
import json
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import jinja2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from markupsafe import Markup

from aion_dagster.errors import ExportError
from aion_dagster.formats import card_statistics as statistics
from aion_dagster.values import Dataset

SHOWN_LOSSES: Final = 25
SHOWN_LABELS: Final = 12
"""Boxes of one picture that bear their class in letters; above that, color and tooltip must do."""

_UNPRINTABLE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
"""Control characters, signs that turn the direction of writing, lone surrogates."""

Thumbnails = Callable[[Sequence[str]], Mapping[str, bytes]]


@dataclass(frozen=True, slots=True)
class _Box:
    x: float
    y: float
    w: float
    h: float
    category: str
    text: str
    color: str


@dataclass(frozen=True, slots=True)
class _Picture:
    """A picture of the gallery; `unit` is a hundredth of its mean side, in which lettering is measured."""

    name: str
    width: int
    height: int
    split: str
    standing: str
    image: str
    boxes: tuple[_Box, ...]
    lettered: bool

    @property
    def aspect(self) -> float:
        return self.width / self.height

    @property
    def unit(self) -> float:
        # Gallery rows are about equally high, so lettering follows the height.
        return self.height / 100


def write_card(
    dataset: Dataset,
    folder: Path,
    thumbnails: Thumbnails,
    *,
    exports: Mapping[str, Mapping[str, Any]] | None = None,
    provenance: Mapping[str, str] | None = None,
    max_pictures: int = 60,
) -> Path:
    """Write `folder`/index.html: pictures with their boxes, classes, sizes, splits, losses, provenance.

    The page loads nothing and runs nothing; the same arguments give the same bytes. Labelled pictures come first.

    Args:
        dataset: what to show.
        folder: made if it is not there; the page is written beside its place and renamed.
        thumbnails: image ids → JPEG bytes of upright pictures; called once; pictures that it leaves out are shown
            as empty frames with their boxes.
        exports: format → numbers to list, as `images`, `annotations`, `losses`.
        provenance: facts to list: where the pictures are from, who made the labels, which engine ran.
        max_pictures: pictures in the gallery.

    Raises:
        ExportError: the page cannot be written.
    """
    chosen = _choose(dataset, max_pictures)
    images = thumbnails(chosen["image_id"].to_pylist()) if chosen.num_rows else {}
    splits = statistics.split_names(dataset)
    boxes = statistics.box_columns(dataset.annotations)
    sizes = [dataset.images[side].to_numpy() for side in ("width", "height")]
    colors = statistics.class_colors(dataset.categories)
    html = _template().render(
        dataset=dataset,
        pictures=_pictures(dataset, chosen, images, colors),
        total_pictures=dataset.images.num_rows,
        total_boxes=dataset.annotations.num_rows,
        splits=splits,
        split_rows=statistics.split_rows(dataset, splits),
        class_rows=statistics.class_rows(dataset, splits),
        colors=colors,
        areas=statistics.area_classes(boxes),
        box_sizes=statistics.doubling_histogram((boxes[:, 2] * boxes[:, 3]) ** 0.5, first=8),
        picture_sizes=statistics.doubling_histogram(
            _longest(*sizes) if len(sizes[0]) else boxes[:0, 0], first=64
        ),
        places=statistics.places(dataset, boxes),
        place_count=statistics.PLACES,
        losses=statistics.loss_groups(dataset.losses, shown=SHOWN_LOSSES),
        left_out=statistics.left_out_groups(dataset.left_out, shown=SHOWN_LOSSES),
        exports=_listed(exports),
        provenance=sorted((provenance or {}).items()),
        settings=_settings(dataset.settings),
    )
    return _write(folder / "index.html", html)


def _longest(width: Any, height: Any) -> statistics.Floats:
    longest: statistics.Floats = np.maximum(width, height).astype(float)
    return longest


def _choose(dataset: Dataset, limit: int) -> pa.Table:
    """Pictures for the gallery: with boxes first, then labelled, then the rest; every split has its turn."""
    has_boxes = pc.is_in(
        dataset.images["image_id"], value_set=pc.unique(dataset.annotations["image_id"])
    ).to_pylist()
    rank: list[tuple[Any, ...]] = []
    turns: dict[tuple[Any, ...], int] = {}
    columns = [dataset.images[c].to_pylist() for c in ("labelled", "split", "file_name")]
    order = {name: i for i, name in enumerate(statistics.split_names(dataset))}
    for boxed, labelled, split, name in zip(has_boxes, *columns, strict=True):
        standing = (not boxed, not labelled)
        # Two pictures of train for one of each other split, so that a short gallery shows them all.
        turn = turns[standing, split] = turns.get((standing, split), -1) + 1
        rank.append((standing, turn // 2 if split == "train" else turn, order[split], name))
    rows = sorted(range(len(rank)), key=lambda i: rank[i])[:limit]
    return dataset.images.take(pa.array(rows, pa.int64()))


def _pictures(
    dataset: Dataset, chosen: pa.Table, images: Mapping[str, bytes], colors: Mapping[str, str]
) -> list[_Picture]:
    wanted = pc.is_in(
        dataset.annotations["image_id"], value_set=chosen["image_id"].combine_chunks()
    )
    boxes: dict[str, list[_Box]] = {}
    columns = ["image_id", "category", "bbox", "text"]
    for row in dataset.annotations.filter(wanted).select(columns).to_pylist():
        b, category = row["bbox"], row["category"]
        box = _Box(b["x"], b["y"], b["w"], b["h"], category, row["text"] or "", colors[category])
        boxes.setdefault(row["image_id"], []).append(box)
    pictures = []
    for row in chosen.to_pylist():
        # Large boxes first, so that small ones lie on top and keep their tooltips.
        own = sorted(boxes.get(row["image_id"], ()), key=lambda b: -b.w * b.h)
        standing = "" if own else "no objects" if row["labelled"] else "unlabelled"
        jpeg = images.get(row["image_id"])
        pictures.append(
            _Picture(
                row["file_name"], row["width"], row["height"], row["split"], standing,
                base64.b64encode(jpeg).decode("ascii") if jpeg else "", tuple(own), len(own) <= SHOWN_LABELS,
            )
        )  # fmt: skip
    return pictures


def _listed(exports: Mapping[str, Mapping[str, Any]] | None) -> list[tuple[str, dict[str, Any]]]:
    return [(name, dict(sorted(facts.items()))) for name, facts in sorted((exports or {}).items())]


def _settings(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True))
        for name, value in sorted(settings.items())
    ]  # fmt: skip


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = _number
    environment.filters["thousands"] = lambda n: f"{n:,}".replace(",", "\u202f")
    environment.filters["percent"] = _percent
    return environment.get_template("card.html")


def _printable(value: Any) -> Any:
    """Text without control characters, lone surrogates and signs that turn the direction of writing."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return _UNPRINTABLE.sub("\ufffd", value)


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _percent(share: float) -> str:
    return f"{100 * share:.3g}\u202f%" if share >= 0.001 or not share else "< 0.1\u202f%"


def _write(path: Path, html: str) -> Path:
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            beside.write_text(html, encoding="utf-8", newline="\n")
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise ExportError(
            f"{path}: the dataset card cannot be written ({error}); "
            "check that the folder is writable and the disk not full"
        ) from error
    return path
