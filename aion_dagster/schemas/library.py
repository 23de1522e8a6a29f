"""Tables about all batches together, and about a remote account."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from aion_dagster.schemas.pictures import IMAGES
from aion_dagster.schemas.values import LOCATION

USAGE: Final = pa.schema(
    [
        ("day", pa.date32()),
        ("period", pa.string()),
        ("operation", pa.string()),
        ("origin", pa.string()),
        ("quantity", pa.float64()),
        ("credits", pa.float64()),
        ("input_tokens", pa.int64()),
        ("output_tokens", pa.int64()),
    ]
)
"""What was used of a remote account, in the order of days. `period` is day, or month where only the month is known (`day`
is its first then). `origin` is platform, whose account may have other users, or journal: what this library's calls came
to. `quantity` counts requests, files, messages or calls, whichever the operation consists of; null is not known."""

LIBRARY: Final = pa.schema(
    [
        *(f for f in IMAGES if f.name not in ("status", "error")),
        pa.field("batch", pa.string()),
        pa.field("locations", pa.list_(LOCATION)),
        pa.field("superseded_by", pa.string()),
        pa.field("deleted_at", pa.timestamp("us", tz="UTC")),
    ]
)
"""One row per image_id; source, uri, name and version are those of its first current location."""

NEAR_DUPLICATES: Final = pa.schema(
    [
        ("image_id", pa.string()),
        ("group_id", pa.string()),
        ("group_size", pa.int32()),
        ("distance", pa.int32()),
        ("is_representative", pa.bool_()),
    ]
)
"""Only pictures that have a near-duplicate; `distance` is to the group's representative, in bits."""
