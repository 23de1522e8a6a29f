"""A look at the sources of a library within limits of time and number, fair to all of them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from aion_dagster.config import LibraryConfig, SourceConfig
from aion_dagster.errors import SourceError
from aion_dagster.ingest import Ingested, ingest
from aion_dagster.resources.sources import build_source
from aion_dagster.storage.store import Store
from aion_dagster.values import Loss


@dataclass(frozen=True)
class Cursor:
    """What a tick leaves to the next one.

    Attributes:
        places: source → where its pass goes on, where it came to no end.
        first: the source to begin with, so that a large one does not take every tick for itself.
        overdue: sources that are known not to have been scanned for too long.
    """

    places: Mapping[str, str] = field(default_factory=dict)
    first: str = ""
    overdue: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str | None) -> Cursor:
        """From what a sensor remembers; earlier versions of this package remembered places alone."""
        data = json.loads(text) if text else {}
        if "places" not in data:
            return cls(data)
        return cls(data["places"], data["first"], tuple(data["overdue"]))

    def dump(self) -> str:
        """The reverse of `parse`."""
        return json.dumps(
            {"places": dict(self.places), "first": self.first, "overdue": list(self.overdue)},
            sort_keys=True,
        )


@dataclass
class Scan:
    """What a look at the sources came to.

    Attributes:
        places: as `Cursor.places`.
        first: as `Cursor.first`.
        problems: why sources could not be listed.
        losses: what sources could not list.
        batches: how many batches were recorded.
        deleted: how many files were found to be gone.
        unsettled: how many files are left for later because they changed too lately.
        reason: why the sources were not looked at.
    """

    places: dict[str, str] = field(default_factory=dict)
    first: str = ""
    problems: list[str] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    batches: int = 0
    deleted: int = 0
    unsettled: int = 0
    reason: str = ""

    @classmethod
    def none(cls, cursor: Cursor, reason: str) -> Scan:
        """Sources that are not looked at in this tick."""
        return cls(dict(cursor.places), cursor.first, reason=reason)

    def add(self, source: str, result: Ingested) -> None:
        """Add what was done about a source."""
        self.batches += len(result.batches)
        self.deleted += result.deleted
        self.unsettled += result.unsettled
        self.losses.extend(result.problems)
        if result.cursor is not None:
            self.places[source] = result.cursor


def scan_sources(
    config: LibraryConfig,
    store: Store,
    cursor: Cursor,
    *,
    deadline: float | None = None,
    most: int | None = None,
) -> Scan:
    """Record the new files of every source as batches; a source that cannot be listed does not hold up the others.

    Args:
        config: the library.
        store: its store.
        cursor: where an earlier look ended.
        deadline: a moment of `time.monotonic()` to end at; every source has its share of the time until then.
        most: new batches, at most.
    """
    found = Scan()
    ordered = _in_turn(config.sources, cursor.first)
    for number, source in enumerate(ordered):
        left = None if most is None else most - found.batches
        if left == 0:
            # The next tick begins with those that got nothing.
            found.first = found.first or source.name
            _keep(found, cursor, source.name)
            continue
        now = time.monotonic()
        share = None if deadline is None else now + (deadline - now) / (len(ordered) - number)
        try:
            result = _ingested(config, source, store, cursor, share, left)
        except SourceError as error:
            found.problems.append(str(error))
            store.ledger.note_problem(source.name, str(error))
            _keep(found, cursor, source.name)
            continue
        found.add(source.name, result)
        if result.cursor is not None and number + 1 < len(ordered):
            found.first = found.first or ordered[number + 1].name
    return found


def _ingested(
    config: LibraryConfig,
    source: SourceConfig,
    store: Store,
    cursor: Cursor,
    deadline: float | None,
    most: int | None,
) -> Ingested:
    return ingest(
        build_source(source, max_bytes=config.max_file_bytes, documents=config.documents),
        store,
        batch_files=config.batch_files,
        batch_bytes=config.batch_bytes,
        cursor=cursor.places.get(source.name),
        deadline=deadline,
        max_batches=most,
        settle_seconds=source.settle_seconds,
        may_be_empty=source.may_be_empty,
    )


def _in_turn(sources: tuple[SourceConfig, ...], first: str) -> list[SourceConfig]:
    """The sources, beginning with the one of this name."""
    begin = next((i for i, s in enumerate(sources) if s.name == first), 0)
    return [*sources[begin:], *sources[:begin]]


def _keep(found: Scan, cursor: Cursor, source: str) -> None:
    """Leave a source's place as it was."""
    if source in cursor.places:
        found.places[source] = cursor.places[source]
