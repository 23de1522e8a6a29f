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


class KnownVersion(NamedTuple):
    """A version of a file that is in some batch; `id` is its number in the ledger."""

    id: int
    version: str
    is_current: bool


class Deletion(NamedTuple):
    """A file that is gone, and when that was noticed."""

    source: str
    uri: str
    deleted_at: datetime


@dataclass(frozen=True, slots=True)
class SourceState:
    """How passes over a source ended.

    Attributes:
        name: the source.
        resume: where the next pass may follow changes; None where it has to list everything.
        listed_at: when the last pass that listed everything came to its end.
        scanned_at: when the last pass of any kind did.
        problem: why the latest attempt failed; None after one that did not.
        failed_at: when.
    """

    name: str
    resume: str | None = None
    listed_at: datetime | None = None
    scanned_at: datetime | None = None
    problem: str | None = None
    failed_at: datetime | None = None


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
