"""What rows of `images` and `documents` say of the file they are about, whatever its content is."""

from __future__ import annotations

from typing import Any

from aion_dagster.values import FileRef


def file_columns(ref: FileRef) -> dict[str, Any]:
    """Column → value; the size is that of what was read."""
    return {
        "source": ref.source,
        "uri": ref.uri,
        "name": ref.name,
        "version": ref.version,
        "modified_at": ref.modified_at,
    }
