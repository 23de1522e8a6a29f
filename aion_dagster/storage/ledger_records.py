"""What the ledger hands out: batches, builds, current versions, counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple

from aion_dagster.errors import StorageError

BatchStatus = Literal["waiting", "started", "finished", "blocked"]


class OverlapError(StorageError):
    """Some files of the batch are already in another batch; group the others anew."""


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """A batch as the ledger knows it; `seq` counts batches in the order in which they were recorded."""

    key: str
    source: str
    manifest_digest: str
    file_count: int
    size_bytes: int
    seq: int = 0
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    blocked_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Build:
    """The latest build of an asset (and partition): what it was made from, and what came out."""

    asset: str
    partition: str
    fingerprint: str
    rows: int
    info: Mapping[str, Any]
    built_at: datetime


class CurrentVersion(NamedTuple):
    """The version of a file that was seen last, and its batch."""

    source: str
    uri: str
    version: str
    batch: str
    seq: int


@dataclass(frozen=True, slots=True)
class Counts:
    """How many entries the ledger has."""

    batches: int
    waiting: int
    finished: int
    blocked: int
    files: int
    results: int
    builds: int
