"""What a store still refers to: batches, contents, and versions of datasets."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from aion_dagster.storage.parquet import parquet_file
from aion_dagster.storage.store import Store


def known_batches(store: Store) -> set[str]:
    """Batches that the ledger or a manifest knows."""
    return {b.key for b in store.ledger.batches()} | set(store.manifests.batches())


def referred_batches(store: Store) -> set[str]:
    """Batches that the library or a version of a dataset takes pictures from."""
    found: set[str] = set()
    if store.tables.exists("library"):
        rows = store.tables.read("library", columns=["batch", "locations"])
        found |= set(rows["batch"].to_pylist()) | _batches_of(rows["locations"])
    for images in _dataset_images(store):
        if "locations" in images.column_names:
            found |= _batches_of(images["locations"])
    return found


def _dataset_images(store: Store) -> Iterator[pa.Table]:
    """Contents and locations of the pictures of every version of every dataset."""
    for name in store.sets.names():
        for version in store.sets.versions(name):
            place = store.sets.path(name, version) / "images.parquet"
            if not place.is_file():
                continue
            with parquet_file(place) as file:
                names = file.schema_arrow.names
                yield file.read(columns=[c for c in ("sha256", "locations") if c in names])


def _batches_of(locations: pa.ChunkedArray) -> set[str]:
    flat = pc.list_flatten(locations)
    if not pa.types.is_struct(flat.type) or flat.type.get_field_index("batch") < 0:
        return set()
    return set(pc.struct_field(flat, "batch").unique().to_pylist())


def wanted_contents(store: Store) -> set[str]:
    """Contents that the library has, superseded and deleted ones too, or a version of a dataset."""
    # Where the library is about to be made anew, whatever was decoded may be in it.
    table = "library" if store.tables.exists("library") else "images"
    found: set[str] = set()
    if store.tables.exists(table):
        found |= set(store.tables.read(table, columns=["sha256"])["sha256"].to_pylist())
    for images in _dataset_images(store):
        if "sha256" in images.column_names:
            found |= set(images["sha256"].to_pylist())
    return found


def exported_versions(store: Store, name: str) -> set[str]:
    """Versions that the exports of a dataset were made of, or may be being made of."""
    kind, _, dataset = name.partition("/")
    if kind != "dataset" or not dataset:
        return set()
    builds = (store.ledger.build(f"{name}/{e}") for e in store.exports.names(dataset))
    return {str(build.info.get("version")) for build in builds if build is not None}
