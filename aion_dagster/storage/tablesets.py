"""Table sets: named, versioned groups of tables (label sets, dataset versions) with some facts beside them."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from aion_dagster.errors import StorageError
from aion_dagster.storage import durable, swap
from aion_dagster.storage.bucket import BucketPath
from aion_dagster.storage.durable import storage_errors
from aion_dagster.storage.parquet import parquet_file
from aion_dagster.storage.places import Place, write_bytes

_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_TABLE = re.compile(r"[a-z0-9_]{1,64}")
_INFO = "info.json"
_CURRENT = "current.json"


@dataclass(frozen=True, slots=True)
class SetVersion:
    """A version of a set: when it was written first, and which one was current then; unknown of older stores."""

    version: str
    written_at: datetime | None = None
    after: str | None = None
    is_current: bool = False


class TableSetStore:
    """`<root>/<name>/<version>/` holds one Parquet file per table and `info.json`; a version never changes.

    `<root>/<name>/current.json` names the version written last.
    """

    def __init__(self, root: Place) -> None:
        """Sets below `root`."""
        self.root = root

    def path(self, name: str, version: str | None = None) -> Place:
        """The folder of a set or of one version of it.

        Raises:
            StorageError: a name (parts between `/`) or version has other characters than letters, digits, . _ and -.
        """
        parts = [*name.split("/"), *([] if version is None else [version])]
        for part in parts:
            if _PART.fullmatch(part) is None or part == _CURRENT:
                raise StorageError(
                    f"{part!r} in {name!r} cannot name a set: use letters, digits, '.', '_' and '-'."
                )
        return self.root.joinpath(*parts)

    def write(
        self,
        name: str,
        version: str,
        tables: Mapping[str, pa.Table],
        info: Mapping[str, Any],
        *,
        renew: bool = False,
    ) -> Place:
        """Write a version and make it the current one. A version that exists is not written again.

        Args:
            name: the set's name, which may hold `/`.
            version: what tells its contents, such as a fingerprint.
            tables: name → table.
            info: facts that JSON can hold.
            renew: write a version that exists again, for what its name does not tell, such as a loss report.

        Returns:
            The version's folder.

        Raises:
            StorageError: it cannot be written; the current version stays what it was.
        """
        place = self.path(name, version)
        exists = (place / _INFO).is_file()
        if renew or not exists:
            if not exists and isinstance(place, Path) and place.exists():
                raise StorageError(f"Cannot write version {version!r}: {place} is another set.")
            self._write_version(place, tables, info)
        write_bytes(place.parent / _CURRENT, orjson.dumps({"version": version}))
        return place

    def read(
        self, name: str, version: str | None = None, *, but: Collection[str] = ()
    ) -> tuple[dict[str, pa.Table], dict[str, Any]]:
        """The tables and facts of a version, by default the current one; tables in `but` are not read.

        Raises:
            StorageError: there is no such set or version, or it is damaged.
        """
        found = self.current(name) if version is None else version
        if found is None:
            raise StorageError(f"The set {name!r} has not been written in {self.root}.")
        place = self.path(name, found)
        if not (place / _INFO).is_file():
            raise StorageError(f"The set {name!r} has no version {found!r}: {place} is missing.")
        try:
            facts = orjson.loads((place / _INFO).read_bytes())
            tables = {t: _read(place / f"{t}.parquet") for t in facts["tables"] if t not in but}
        except (pa.ArrowInvalid, OSError, orjson.JSONDecodeError, KeyError) as error:
            raise StorageError(f"The set {place} cannot be read: {error}.") from error
        return tables, facts["info"]

    def versions(self, name: str) -> list[str]:
        """The versions of a set, sorted by name."""
        folder = self.path(name)
        if not folder.is_dir():
            return []
        with storage_errors("list", folder):
            return sorted(
                p.name for p in folder.iterdir() if p.name[0] != "." and (p / _INFO).is_file()
            )

    def current(self, name: str) -> str | None:
        """The version written last; None where the set has not been written."""
        path = self.path(name) / _CURRENT
        with storage_errors("read", path):
            try:
                version: str = orjson.loads(path.read_bytes())["version"]
            except FileNotFoundError:
                return None
            except (orjson.JSONDecodeError, KeyError) as error:
                raise StorageError(
                    f"{path} is damaged: {error}. Delete it and write the set again."
                ) from error
        return version

    def history(self, name: str) -> list[SetVersion]:
        """The versions of a set in the order in which they were written first."""
        current = self.current(name)
        found = []
        for version in self.versions(name):
            facts = self._facts(self.path(name, version))
            at = facts.get("written_at")
            found.append(
                SetVersion(
                    version,
                    datetime.fromisoformat(at) if at else None,
                    facts.get("after"),
                    version == current,
                )
            )
        unknown = datetime.min.replace(tzinfo=UTC)
        return sorted(found, key=lambda v: (v.written_at or unknown, v.version))

    def facts(self, name: str, version: str) -> dict[str, Any]:
        """What stands beside the tables of a version.

        Raises:
            StorageError: there is no such version, or it is damaged.
        """
        found: dict[str, Any] = self._facts(self.path(name, version)).get("info", {})
        return found

    def read_table(
        self, name: str, version: str, table: str, columns: Sequence[str] | None = None
    ) -> pa.Table:
        """One table of a version, or some of its columns.

        Raises:
            StorageError: there is no such version or table, or it is damaged.
        """
        place = self.path(name, version) / f"{table}.parquet"
        if not place.is_file():
            raise StorageError(
                f"The set {name!r} has no table {table!r} in version {version!r}: {place} is missing."
            )
        try:
            with parquet_file(place) as file:
                return file.read(columns=None if columns is None else list(columns))
        except (pa.ArrowInvalid, OSError) as error:
            raise StorageError(f"{place} cannot be read: {error}.") from error

    def referenced_pictures(self, prefix: str = "dataset") -> pa.Table:
        """The pictures that any kept version of the sets below `prefix` consists of: image_id and sha256, each once.

        Their media and originals are needed as long as these versions are kept.
        """
        columns = ["image_id", "sha256"]
        parts = [pa.table({c: pa.array([], pa.string()) for c in columns})]
        for name in self.names():
            kept = self.versions(name) if name.split("/")[0] == prefix else []
            parts += [self.read_table(name, version, "images", columns) for version in kept]
        return pa.concat_tables(parts).group_by(columns).aggregate([])

    def remove(self, name: str, version: str) -> None:
        """Remove a version that is not the current one.

        Raises:
            StorageError: it is the current one, there is no such version, or it cannot be removed.
        """
        place = self.path(name, version)
        if version == self.current(name) or version not in self.versions(name):
            raise StorageError(
                f"Version {version!r} of {name!r} is the current one, or none at all."
            )
        if isinstance(place, BucketPath):
            # The facts go first: without them it is no version any more.
            (place / _INFO).unlink()
            place.remove_tree()
            return
        with storage_errors("remove", place):
            hidden = durable.hidden_sibling(place, "staging")
            place.rename(hidden)
            shutil.rmtree(hidden)

    def names(self) -> list[str]:
        """Every set that has been written, sorted."""
        if isinstance(self.root, BucketPath):
            start = len(self.root.key) + 1
            named = (f for f in self.root.files() if f.name == _CURRENT)
            return sorted(f.parent.key[start:] for f in named)
        found = []
        for folder, below, files in os.walk(self.root):
            if _CURRENT in files:
                found.append(Path(folder).relative_to(self.root).as_posix())
            below[:] = [n for n in below if n[0] != "." and not Path(folder, n, _INFO).is_file()]
        return sorted(found)

    def sweep(self) -> int:
        """Remove what killed processes left; returns how many files and folders."""
        if not isinstance(self.root, Path):
            return 0
        return sum(durable.sweep(Path(folder)) for folder, _, _ in list(os.walk(self.root)))

    def _write_version(
        self, place: Place, tables: Mapping[str, pa.Table], info: Mapping[str, Any]
    ) -> None:
        for table in tables:
            if _TABLE.fullmatch(table) is None:
                raise StorageError(f"{table!r} cannot name a table: use a-z, 0-9 and _.")
        try:
            facts = orjson.dumps(
                {"format": 1, "tables": list(tables), "info": dict(info), **self._beginning(place)}
            )
        except TypeError as error:
            raise StorageError(f"The facts of {place} are not JSON: {error}.") from error
        if isinstance(place, BucketPath):
            # The facts come last: a version is there when they are.
            for table, data in tables.items():
                (place / f"{table}.parquet").write_bytes(_encoded(data).to_pybytes())
            (place / _INFO).write_bytes(facts)
            return
        staging = swap.staging_folder(place)
        try:
            with storage_errors("write", place):
                for table, data in tables.items():
                    (staging / f"{table}.parquet").write_bytes(_encoded(data))
                (staging / _INFO).write_bytes(facts)
            swap.swap_folder(staging, place)
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def _beginning(self, place: Place) -> dict[str, Any]:
        """When a version was written first, and what was current then; a version that is written again keeps that."""
        if (place / _INFO).is_file():
            known = self._facts(place)
            return {key: known[key] for key in ("written_at", "after") if key in known}
        name = str(place.parent)[len(str(self.root)) :].strip("/")
        return {"written_at": datetime.now(UTC).isoformat(), "after": self.current(name)}

    def _facts(self, place: Place) -> dict[str, Any]:
        with storage_errors("read", place):
            try:
                facts: dict[str, Any] = orjson.loads((place / _INFO).read_bytes())
            except orjson.JSONDecodeError as error:
                raise StorageError(f"The set {place} cannot be read: {error}.") from error
        return facts


def _encoded(table: pa.Table) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    whole = table.replace_schema_metadata(None).combine_chunks()
    pq.write_table(whole, sink, compression="zstd")
    return sink.getvalue()


def _read(place: Place) -> pa.Table:
    with parquet_file(place) as file:
        return file.read()
