"""JPEG pictures brought upright without loss where that can be done, and the words for it in reports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aion_dagster.formats.encoding import Encoded
from aion_dagster.formats.lossless_turning import (
    NOT_ALIGNED,
    NOT_INSTALLED,
    REFUSED,
    NotTurnedError,
    is_installed,
    turned_losslessly,
)
from aion_dagster.formats.metadata import DamagedPictureError, Inspection
from aion_dagster.formats.orientation_marks import OddExifError, marked_upright
from aion_dagster.formats.stripping import copied

_WITHOUT_LOSS: Final = "turned upright without loss"
_ODD_EXIF: Final = "its EXIF cannot be changed in place"


def turned_jpeg(
    data: bytes,
    seen: Inspection,
    orientation: int,
    upright_size: tuple[int, int],
    *,
    keep_exif: bool,
) -> Encoded:
    """A JPEG with its blocks turned upright; its metadata is taken out, or kept but for its orientation and thumbnail.

    Args:
        data: the whole file.
        seen: what its structure says.
        orientation: its EXIF orientation, 2 to 8.
        upright_size: width and height in pixels that the dataset has for it.
        keep_exif: whether metadata stays.

    Raises:
        NotTurnedError: it has to be encoded again; the message says why.
    """
    if not is_installed():
        raise NotTurnedError(NOT_INSTALLED)
    if upright_size != (seen.size if orientation < 5 else seen.size[::-1]):
        raise NotTurnedError(REFUSED)
    try:
        whole = copied(data, seen, keep_exif=keep_exif)
        turned = turned_losslessly(whole.data, orientation, seen.size, progressive=seen.progressive)
        made = marked_upright(turned) if keep_exif else turned
    except DamagedPictureError as error:
        raise NotTurnedError(REFUSED) from error
    except OddExifError as error:
        raise NotTurnedError(_ODD_EXIF) from error
    change = f"{_WITHOUT_LOSS} (EXIF orientation {orientation})"
    return Encoded(made, "jpeg", (*whole.changes, change))


def is_without_loss(change: str) -> bool:
    """Whether this change of a picture lost nothing."""
    return change.startswith(_WITHOUT_LOSS)


def turned_without_loss(changes: Sequence[str]) -> bool:
    """Whether a picture to which this was done was turned by its blocks."""
    return any(map(is_without_loss, changes))


def is_outdated(changes: Sequence[str]) -> bool:
    """Whether a picture would be turned in another way today, because libturbojpeg came or went since."""
    if is_installed():
        return any(NOT_INSTALLED in change for change in changes)
    with_library = (_WITHOUT_LOSS, NOT_ALIGNED, REFUSED, _ODD_EXIF)
    return any(reason in change for change in changes for reason in with_library)
