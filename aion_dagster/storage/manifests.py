"""Manifests: which files a batch consists of. Written before anything else knows of the batch."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from aion_dagster import schemas
from aion_dagster.errors import StorageError
from aion_dagster.identity import BATCH_KEY_PATTERN, manifest_digest
from aion_dagster.storage import durable
from aion_dagster.storage.durable import storage_errors
from aion_dagster.storage.parquet import FACTS, parquet_file, read_footer
from aion_dagster.storage.places import Place, write_bytes
from aion_dagster.values import FileRef

_WRITTEN, _MERGED = "written_at", "merged"
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class ManifestFacts(NamedTuple):
    """What a manifest says of itself: when it was written, and which batches its batch takes the place of."""

    written_at: datetime
    merged: tuple[str, ...]


class ManifestStore:
    """One Parquet file per batch, `<root>/<batch>.parquet`, schema `schemas.MANIFEST`."""

    def __init__(self, root: Place) -> None:
        """Manifests below `root`."""
        self.root = root

    def path(self, batch: str) -> Place:
        """Where the manifest of a batch is or would be."""
        if BATCH_KEY_PATTERN.fullmatch(batch) is None:
            raise StorageError(f"{batch!r} is no batch key (1 to 64 of a-z, 0-9 and -).")
        return self.root / f"{batch}.parquet"

    def write(self, batch: str, files: Sequence[FileRef], *, merged: Sequence[str] = ()) -> str:
        """Write the manifest of a batch, in the order of names; writing it again changes nothing.

        Args:
            batch: its key.
            files: what it consists of.
            merged: the batches that it takes the place of.

        Returns:
            The file's URI.

        Raises:
            StorageError: it cannot be written, or a manifest of other files has this key.
        """
        path = self.path(batch)
        if path.is_file():
            if self.digest(batch) != manifest_digest(files):
                raise StorageError(
                    f"The manifest {path} holds other files; a batch never changes. The ledger seems not to know it:"
                    " 'aion-dagster ledger rebuild' tells, and restores it from the manifests."
                )
            return path.as_uri()
        facts = {_WRITTEN: datetime.now(UTC).isoformat(), _MERGED: list(merged)}
        write_bytes(path, _encode(files, facts))
        return path.as_uri()

    def facts(self, batch: str) -> ManifestFacts:
        """When the manifest of a batch was written, and what it takes the place of; without reading its rows.

        Raises:
            StorageError: there is no such manifest, or it is damaged.
        """
        path = self.path(batch)
        facts = read_footer(path).facts
        if _WRITTEN in facts:
            written = datetime.fromisoformat(facts[_WRITTEN])
        elif isinstance(path, Path):  # of an earlier version of this package
            written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        else:
            written = max((f.modified_at for f in self.read(batch)), default=_LONG_AGO)
        return ManifestFacts(written, tuple(facts.get(_MERGED, ())))

    def rewrite(self, batch: str, files: Sequence[FileRef]) -> None:
        """Replace a manifest by one of fewer files. A batch never changes, but for what is erased from it.

        Raises:
            StorageError: it cannot be written; the old one is as it was.
        """
        path = self.path(batch)
        write_bytes(path, _encode(files, read_footer(path).facts))

    def read(self, batch: str) -> list[FileRef]:
        """The files of a batch, in the order of their names.

        Raises:
            StorageError: there is no such manifest, or it is damaged.
        """
        path = self.path(batch)
        if not path.is_file():
            raise StorageError(f"Batch {batch!r} has no manifest: {path} is missing.")
        try:
            with parquet_file(path) as file:
                rows = file.read(columns=schemas.MANIFEST.names).to_pylist()
        except (pa.ArrowInvalid, OSError) as error:
            raise StorageError(f"The manifest {path} cannot be read: {error}.") from error
        return [FileRef(**row) for row in rows]

    def digest(self, batch: str) -> str:
        """The digest of the files that the manifest lists, as `identity.manifest_digest`."""
        return manifest_digest(self.read(batch))

    def batches(self) -> list[str]:
        """The batches that have a manifest, sorted."""
        if not self.root.is_dir():
            return []
        with storage_errors("list", self.root):
            names = (p for p in self.root.iterdir() if p.suffix == ".parquet")
            return sorted(p.stem for p in names if BATCH_KEY_PATTERN.fullmatch(p.stem))

    def delete(self, batch: str) -> bool:
        """Remove a manifest; False where there was none."""
        path = self.path(batch)
        with storage_errors("delete", path):
            existed = path.is_file()
            path.unlink(missing_ok=True)
        return existed

    def sweep(self) -> int:
        """Remove the temporary files of killed processes; returns how many."""
        return durable.sweep(self.root) if isinstance(self.root, Path) else 0


def _encode(files: Sequence[FileRef], facts: Mapping[str, Any]) -> bytes:
    ordered = sorted(files, key=lambda f: (f.source, f.name, f.uri, f.version))
    columns = {n: [getattr(f, n) for f in ordered] for n in schemas.MANIFEST.names}
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, schemas.MANIFEST, compression="zstd") as writer:
        writer.write_table(pa.table(columns, schema=schemas.MANIFEST))
        writer.add_key_value_metadata({FACTS: orjson.dumps(dict(facts)).decode()})
    return sink.getvalue()
