"""Pictures copied without their metadata: never decoded, so nothing that is seen is lost."""

from __future__ import annotations

from aion_dagster.formats.encoding import Encoded
from aion_dagster.formats.metadata import Inspection, stripped


def copied(data: bytes, seen: Inspection, *, keep_exif: bool) -> Encoded:
    """The picture without metadata, or with it but nothing after its end; what was done beyond that.

    Args:
        data: the whole file.
        seen: what its structure says.
        keep_exif: whether metadata stays.

    Raises:
        DamagedPictureError: the structure cannot be followed.
    """
    changes = []
    made = stripped(data, seen.kind, keep_metadata=keep_exif)
    if seen.animated:
        changes.append("animation: only the first picture is kept")
    if seen.kind == "jpeg" and not seen.complete and made[-32:] not in data:
        changes.append("its end marker was missing and was added")
    return Encoded(made, seen.kind, tuple(changes))
