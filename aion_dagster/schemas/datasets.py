"""Tables of a version of a dataset."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from aion_dagster.schemas.values import LOCATION

DATASET_IMAGES: Final = pa.schema(
    [
        ("image_id", pa.string()),
        ("sha256", pa.string()),
        ("file_name", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("orientation", pa.int8()),
        ("format", pa.string()),
        ("split", pa.string()),
        ("group_id", pa.string()),
        ("labelled", pa.bool_()),
        ("locations", pa.list_(LOCATION)),
    ]
)
"""`file_name`: POSIX path relative to the images root of an export, unique without regard to case or extension."""

ROW_HASHES: Final = pa.schema(
    [("image_id", pa.string()), ("content", pa.binary(32)), ("check", pa.uint64())]
)
"""One row per picture of a dataset version, in its order; see `curation.row_hashes`."""

LEFT_OUT: Final = pa.schema(
    [
        ("image_id", pa.string()),
        ("name", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
    ]
)
"""Pictures of the library that are not in a dataset: `reason` is deleted | no_size | not_selected | unlabelled |
near_duplicate | quality; the first of them that holds counts."""
