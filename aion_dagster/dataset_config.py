"""`DatasetConfig`: which pictures and annotations a dataset has, how it is split, and what is exported."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from aion_dagster.curation.keep_rule import DEFAULT_KEEP, KeepRule
from aion_dagster.engines import Strict
from aion_dagster.export_config import ExportFormat, ExportOptionsConfig
from aion_dagster.search.selection import SelectConfig

__all__ = [
    "DatasetConfig",
    "ExportFormat",
    "ExportOptionsConfig",
    "GroupKeyConfig",
    "QualityConfig",
    "SelectConfig",
]

Origin = Literal["labels", "text", "codes", "objects", "captions", "tags"]

_SPLITS_FROM: Final = re.compile(
    r"previous|labels|version:[0-9a-f]{16}|dataset:[a-z0-9][a-z0-9_]{0,39}"
)


class QualityConfig(Strict):
    """What a picture must satisfy to be in the dataset; one that fails stands in the report of what was left out.

    A picture whose value was not measured satisfies a condition on it.

    Attributes:
        min_width: pixels of the upright picture; likewise `min_height`.
        min_aspect: width divided by height, at least; `max_aspect` at most.
        max_bytes: size of the file.
        min_sharpness: `sharpness` of the table `visual_features`; of photographs mostly 200 to 6000, of blurred ones below 20.
        min_contrast: `contrast` of the table `visual_features`, 0 to 1.
        min_brightness: `brightness` of the table `color_analyses`, 0 to 100; likewise `max_brightness`.
    """

    min_width: int | None = Field(default=None, ge=1)
    min_height: int | None = Field(default=None, ge=1)
    min_aspect: float | None = Field(default=None, gt=0)
    max_aspect: float | None = Field(default=None, gt=0)
    max_bytes: int | None = Field(default=None, ge=1)
    min_sharpness: float | None = Field(default=None, ge=0)
    min_contrast: float | None = Field(default=None, ge=0)
    min_brightness: float | None = Field(default=None, ge=0, le=100)
    max_brightness: float | None = Field(default=None, ge=0, le=100)


class GroupKeyConfig(Strict):
    """What binds pictures, so that they stay in one split; exactly one of `pattern`, `file` and `attribute`.

    Attributes:
        pattern: a regular expression over the picture's name: what its groups find (or the whole match) is the key.
        file: a CSV file with a header: a column that names pictures, and one with their key.
        image: the column of `file` that names pictures: by name, by the last part of it, by image id or by SHA-256.
        group: the column of `file` with the key.
        attribute: a field of what the labels say of a picture or of its annotations, such as patient_id.
    """

    pattern: str | None = Field(default=None, min_length=1)
    file: str | None = Field(default=None, min_length=1)
    image: str = "image"
    group: str = "group"
    attribute: str | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _one(self) -> Self:
        given = [k for k in ("pattern", "file", "attribute") if getattr(self, k) is not None]
        if len(given) != 1:
            raise ValueError("name exactly one of pattern, file and attribute")
        try:
            re.compile(self.pattern or "")
        except re.error as error:
            raise ValueError(f"pattern: {self.pattern!r} is no regular expression: {error}") from error  # fmt: skip
        return self


def _kind(value: Any) -> str:
    return "[name]" if isinstance(value, str) else "[key]"


GroupBy = Annotated[
    Annotated[Literal["folder", "source"], Tag("[name]")] | Annotated[GroupKeyConfig, Tag("[key]")],
    Discriminator(_kind),
]
"""What pictures are bound by."""


class DatasetConfig(Strict):
    """A dataset: which pictures and annotations, how they are split, and what is exported.

    Attributes:
        name: of the dataset; its assets are `dataset/<name>` and `dataset/<name>/<export>`.
        select: which pictures of the library are asked for; all by default.
        quality: what a picture must satisfy besides.
        origins: whose annotations count.
        min_score: annotations with a lower score are left out; those without a score stay.
        min_scores: the same by origin, in place of `min_score`.
        unlabelled: what becomes of pictures that no label source names: they stand among those without objects, or are
            left out.
        classes: the classes in this order, and no others; by default the order of the labels.
        near_duplicates: pictures that look alike stay in one split, or only one of each group is kept, or they are
            treated as strangers.
        keep: which one `keep_one` keeps: by the first of these that tells them apart.
        group_by: what else must stay in one split.
        splits: share of pictures (and of boxes of each class) by split.
        splits_from: who says in which split a picture is before shares do, in the order in which they are asked: the
            version before (`previous`), the folders or files of the labels (`labels`), an older version
            (`version:<16 digits>`) or another dataset (`dataset:<name>`).
        seed: another seed gives another assignment.
        leaks: whether a group that lies in several splits blocks exports, or is warned about.
        exports: formats that are written whenever the dataset changes.
        keep_exif: whether exported pictures keep their metadata.
        link_pictures: whether pictures of exports in the store are hard links where they may be.
        coco_first_category_id: the id of the first class in COCO.
        coco_segmentation: what stands in COCO for a box without an outline.
        voc_coordinates: whole numbers from 1 as the devkit has them, or fractions from 0.
        export_options: how exports are written: format and size of pictures, archives, a copy elsewhere.
    """

    name: str = Field(default="main", pattern=r"^[a-z0-9][a-z0-9_]{0,39}$")
    select: SelectConfig = SelectConfig()
    quality: QualityConfig = QualityConfig()
    origins: tuple[Origin, ...] = ("labels",)
    unlabelled: Literal["include", "exclude"] = "include"
    classes: tuple[str, ...] | None = None
    splits: dict[Literal["train", "val", "test"], float] = Field(
        default={"train": 0.8, "val": 0.1, "test": 0.1}
    )
    splits_from: tuple[str, ...] = ("previous",)
    seed: int = 0
    near_duplicates: Literal["group", "keep_one", "ignore"] = "group"
    keep: tuple[KeepRule, ...] = DEFAULT_KEEP
    group_by: tuple[GroupBy, ...] = ()
    leaks: Literal["block", "warn"] = "block"
    min_score: float | None = Field(default=None, ge=0, le=1)
    min_scores: dict[Origin, float] = Field(default={})
    exports: tuple[ExportFormat, ...] = ("coco", "yolo", "voc", "csv")
    keep_exif: bool = False
    link_pictures: bool = True
    coco_first_category_id: Literal[0, 1] = 1
    coco_segmentation: Literal["as_is", "box"] = "as_is"
    voc_coordinates: Literal["devkit", "float0"] = "devkit"
    export_options: ExportOptionsConfig = ExportOptionsConfig()

    @field_validator("exports", "origins", "group_by", "keep", "splits_from")
    @classmethod
    def _once(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(dict.fromkeys(value))

    @field_validator("splits")
    @classmethod
    def _shares(cls, value: dict[str, float]) -> dict[str, float]:
        if min(value.values(), default=0) < 0 or abs(sum(value.values()) - 1) > 1e-6:
            raise ValueError("shares must be ≥ 0 and add up to 1, such as {train: 0.8, val: 0.2}")
        if not value.get("train"):
            raise ValueError("'train' needs a share above 0")
        return value

    @field_validator("splits_from")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            if not _SPLITS_FROM.fullmatch(one):
                raise ValueError(
                    f"{one!r} is none of previous, labels, version:<16 digits of a version>, dataset:<name>"
                )
        return value

    @field_validator("min_scores")
    @classmethod
    def _scores(cls, value: dict[str, float]) -> dict[str, float]:
        if not all(0 <= score <= 1 for score in value.values()):
            raise ValueError("scores are 0 to 1, such as {objects: 0.5}")
        return value
