"""Options of the export formats, and what a writer hands back."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from aion_dagster.formats.encoding import PictureFormat
from aion_dagster.formats.pictures import PictureRules
from aion_dagster.values import Loss


@dataclass(frozen=True, kw_only=True)
class PictureOptions:
    """What every format asks: keep EXIF, XMP and comments; hard-link pictures that need no change, or copy all.

    `picture_format`: what every picture becomes; `longest_side`: pictures with a longer one are made smaller, their
    boxes with them.
    """

    keep_exif: bool = False
    link_pictures: bool = True
    picture_format: PictureFormat = "keep"
    longest_side: int | None = None

    def rules(self) -> PictureRules:
        """What the format's loaders take."""
        return PictureRules(
            keep_exif=self.keep_exif,
            link=self.link_pictures,
            format=self.picture_format,
            longest_side=self.longest_side,
        )

    def picture_folder(self, split: str) -> str:
        """The folder of a split's pictures in the export."""
        return f"images/{split}"


@dataclass(frozen=True, kw_only=True)
class CocoOptions(PictureOptions):
    """COCO: ids of categories; boxes without a mask with an empty segmentation, or their four corners.

    `category_ids`: contiguous from `first_category_id` on, or those of the label files where every class has one of its
    own (else contiguous, and reported).
    """

    first_category_id: Literal[0, 1] = 1
    category_ids: Literal["contiguous", "keep"] = "contiguous"
    segmentation: Literal["as_is", "box"] = "as_is"

    def rules(self) -> PictureRules:
        """COCO loaders read CMYK too."""
        return replace(super().rules(), cmyk=True)


@dataclass(frozen=True, kw_only=True)
class YoloOptions(PictureOptions):
    """YOLO: rows of boxes, or of polygons (then a box without a polygon becomes its four corners)."""

    task: Literal["detect", "segment"] = "detect"

    def rules(self) -> PictureRules:
        """Ultralytics ignores pictures below 10 pixels."""
        return replace(super().rules(), smallest=10)


@dataclass(frozen=True, kw_only=True)
class VocOptions(PictureOptions):
    """Pascal VOC: the devkit's 1-based whole pixels, both ends inclusive, or 0-based numbers without loss."""

    coordinates: Literal["devkit", "float0"] = "devkit"

    def rules(self) -> PictureRules:
        """Torchvision looks for `<id>.jpg` only."""
        return replace(super().rules(), any_jpeg_extension=False)

    def picture_folder(self, split: str) -> str:  # noqa: ARG002 - the pictures of all splits lie together
        """The folder of a split's pictures in the export."""
        return "JPEGImages"


@dataclass(frozen=True, kw_only=True)
class ImagefolderOptions(PictureOptions):
    """Hugging Face's imagefolder: what is known of the pictures stands in metadata.parquet or metadata.jsonl.

    In JSON a split without any box has lists of no type, and `datasets` refuses splits of different types.
    """

    metadata: Literal["jsonl", "parquet"] = "parquet"

    def picture_folder(self, split: str) -> str:
        """The folder of a split's pictures in the export."""
        return split


@dataclass(frozen=True, kw_only=True)
class WebdatasetOptions(PictureOptions):
    """WebDataset: tar files of at most so many pictures and about so many bytes."""

    shard_pictures: int = 10_000
    shard_bytes: int = 1 << 30


@dataclass(frozen=True, kw_only=True)
class ParquetOptions(PictureOptions):
    """Parquet: the tables of the dataset as files. Holds no pictures."""


@dataclass(frozen=True, kw_only=True)
class CsvOptions(PictureOptions):
    """CSV: cells that a spreadsheet would run as a formula get an apostrophe in front. Holds no pictures."""

    neutralise: bool = True


Options = (
    CocoOptions
    | YoloOptions
    | VocOptions
    | CsvOptions
    | ParquetOptions
    | ImagefolderOptions
    | WebdatasetOptions
)


@dataclass(frozen=True)
class Written:
    """What a writer wrote: annotations on disk, and what it lost beyond what the frame had lost before.

    `turned`: pictures that it turned upright without loss.
    """

    annotations: int
    losses: tuple[Loss, ...] = ()
    captions: int = 0
    turned: int = 0


_WORDS: Final = {
    "segmentation": "masks",
    "score": "scores",
    "text": "texts",
    "keypoints": "lists of keypoints",
    "attributes": "sets of attributes",
    "captions": "captions",
    "tags": "tags",
}


def left_out(seen: Mapping[str, int], place: str, *, but: Collection[str] = ()) -> tuple[Loss, ...]:
    """One loss for all values of each kind that a format has no place for, but for those that it has one for."""
    return tuple(
        Loss(
            "converted" if kind == "segmentation" else "dropped",
            kind,
            f"{seen[kind]} {word} are not part of {place}"
            + (": boxes only" if kind == "segmentation" else ""),
        )
        for kind, word in _WORDS.items()
        if kind not in but and seen.get(kind)
    )
