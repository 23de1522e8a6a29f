"""Contents that were erased: their files have a row without anything in it, and are not looked at again."""

from __future__ import annotations

from typing import Any, Final

from aion_dagster import schemas
from aion_dagster.backends.file_columns import file_columns
from aion_dagster.values import FileRef

FORGOTTEN: Final = "this content was erased by 'aion-dagster forget', and is not taken in again"


def forgotten_picture(ref: FileRef, size: int) -> dict[str, Any]:
    """The row of `images` of a file that holds an erased content."""
    return {
        **dict.fromkeys(schemas.IMAGES.names),
        **file_columns(ref),
        "size_bytes": size,
        "status": "unsupported",
        "error": FORGOTTEN,
    }
