"""Options of the export formats, and what a writer hands back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aion_dagster.formats.pictures import PictureRules
from aion_dagster.values import Loss


@dataclass(frozen=True, kw_only=True)
class PictureOptions:
    """What every format asks: keep EXIF, XMP and comments; hard-link pictures that need no change, or copy all."""

    keep_exif: bool = False
    link_pictures: bool = True

    def rules(self) -> PictureRules:
        """What the format's loaders take."""
        return PictureRules(keep_exif=self.keep_exif, link=self.link_pictures)


@dataclass(frozen=True, kw_only=True)
class CocoOptions(PictureOptions):
    """COCO: ids of categories from 1 or 0; boxes without a mask with an empty segmentation, or their four corners."""

    first_category_id: Literal[0, 1] = 1
    segmentation: Literal["as_is", "box"] = "as_is"

    def rules(self) -> PictureRules:
        """COCO loaders read CMYK too."""
        return PictureRules(keep_exif=self.keep_exif, link=self.link_pictures, cmyk=True)


@dataclass(frozen=True, kw_only=True)
class YoloOptions(PictureOptions):
    """YOLO: rows of boxes, or of polygons (then a box without a polygon becomes its four corners)."""

    task: Literal["detect", "segment"] = "detect"

    def rules(self) -> PictureRules:
        """Ultralytics ignores pictures below 10 pixels."""
        return PictureRules(keep_exif=self.keep_exif, link=self.link_pictures, smallest=10)


@dataclass(frozen=True, kw_only=True)
class VocOptions(PictureOptions):
    """Pascal VOC: the devkit's 1-based whole pixels, both ends inclusive, or 0-based numbers without loss."""

    coordinates: Literal["devkit", "float0"] = "devkit"

    def rules(self) -> PictureRules:
        """Torchvision looks for `<id>.jpg` only."""
        return PictureRules(
            keep_exif=self.keep_exif, link=self.link_pictures, any_jpeg_extension=False
        )


@dataclass(frozen=True, kw_only=True)
class CsvOptions(PictureOptions):
    """CSV: cells that a spreadsheet would run as a formula get an apostrophe in front. Holds no pictures."""

    neutralise: bool = True


Options = CocoOptions | YoloOptions | VocOptions | CsvOptions


@dataclass(frozen=True)
class Written:
    """What a writer wrote: annotations on disk, and what it lost beyond what the frame had lost before."""

    annotations: int
    losses: tuple[Loss, ...] = ()


def left_out_masks(count: int, place: str) -> tuple[Loss, ...]:
    """One loss for all masks that a format has no place for, none if there are none."""
    if not count:
        return ()
    return (
        Loss("converted", "segmentation", f"{count} masks are not part of {place}: boxes only"),
    )
