"""Which column comes from which: column lineage as Dagster's UI shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import dagster as dg

from aion_dagster import schemas
from aion_dagster.resources.naming import Names

COLUMN_LINEAGE: Final = "dagster/column_lineage"

Columns = Mapping[str, Sequence[tuple[str, str]]]
"""Column → (table, column) that it is made from."""

_LIBRARY: Final[Columns] = {
    **{f.name: [("images", f.name)] for f in schemas.LIBRARY if f.name in schemas.IMAGES.names},
    "locations": [("images", c) for c in ("source", "uri", "name", "version", "size_bytes")],
    "superseded_by": [("images", "image_id"), ("images", "version")],
}

TABLES: Final[Mapping[str, Columns]] = {
    "library": _LIBRARY,
    "near_duplicates": {
        "image_id": [("library", "image_id")],
        "group_id": [("library", "image_id"), ("library", "phash")],
        "group_size": [("library", "phash")],
        "distance": [("library", "phash")],
        "is_representative": [("library", "width"), ("library", "height")],
    },
    "annotations": {
        "image_id": [("images", "image_id"), ("label_matches", "image_id")],
        "category": [("labels", "category")],
        "bbox": [("labels", "bbox"), ("images", "orientation")],
        "segmentation": [("labels", "segmentation"), ("images", "orientation")],
        "origin_ref": [("labels", "origin_ref")],
    },
    "label_matches": {
        "image_id": [("images", "image_id")],
        "uri": [("images", "uri")],
        "file_name": [("labels", "file_name")],
        "label_file": [("labels", "label_file")],
    },
    "descriptions": {
        "image_id": [("images", "image_id")],
        "tags": [("images", "image_id"), ("color_analyses", "dominant_colors")],
    },
    "embeddings": {
        "image_id": [("descriptions", "image_id")],
        "vector": [("descriptions", c) for c in ("description", "tags", "visible_text")],
    },
}
"""Tables of a library whose columns come from other tables of it; the rest is measured on the pictures themselves."""

_DETECTED: Final = {"text": "text_regions", "codes": "codes", "objects": "objects"}

_EXPORTED: Final[Columns] = {
    "file_name": [("", "file_name")],
    "image_id": [("", "image_id")],
    "width": [("", "width")],
    "height": [("", "height")],
    "split": [("", "split")],
    "category": [("", "category")],
    "bbox": [("", "bbox")],
    "segmentation": [("", "segmentation")],
    "score": [("", "score")],
}


def table_lineage(names: Names, table: str) -> dict[str, dg.TableColumnLineage]:
    """Metadata of a table; nothing where its columns come from no other table."""
    return _metadata(names, TABLES.get(table, {}))


def dataset_lineage(names: Names, origins: Sequence[str]) -> dict[str, dg.TableColumnLineage]:
    """Metadata of a dataset that takes annotations of these origins."""
    own = ("image_id", "sha256", "width", "height", "orientation", "format", "locations")
    boxes = [("annotations", "bbox"), *((_DETECTED[o], "regions") for o in origins if o in _DETECTED)]  # fmt: skip
    columns: Columns = {
        **{c: [("library", c)] for c in own},
        "file_name": [("library", "name"), ("library", "sha256")],
        "group_id": [("near_duplicates", "group_id"), ("library", "locations")],
        "split": [("near_duplicates", "group_id"), ("annotations", "category")],
        "labelled": [("label_matches", "image_id")],
        "category": [("annotations", "category")],
        "bbox": boxes,
        "segmentation": [("annotations", "segmentation")],
        "score": [("annotations", "score")],
    }
    return _metadata(names, columns)


def export_lineage(names: Names, dataset: str) -> dict[str, dg.TableColumnLineage]:
    """Metadata of an export of a dataset."""
    root = f"dataset/{dataset}"
    columns = {c: [(root, name) for _, name in sources] for c, sources in _EXPORTED.items()}
    return _metadata(names, columns)


def _metadata(names: Names, columns: Columns) -> dict[str, dg.TableColumnLineage]:
    if not columns:
        return {}
    deps = {
        column: [
            dg.TableColumnDep(asset_key=names.key(table), column_name=name)
            for table, name in sources
        ]
        for column, sources in columns.items()
    }
    return {COLUMN_LINEAGE: dg.TableColumnLineage(deps_by_column=deps)}
