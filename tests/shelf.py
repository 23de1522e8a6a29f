"""A source in memory that behaves like a bucket, with or without a log of its changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from aion_dagster.errors import CursorExpiredError, SourceUnavailableError
from aion_dagster.sources import ScanPage, Source
from aion_dagster.values import FileRef

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Thing:
    """An object: its content stands for the ETag; size and time may be equal where the content is not."""

    content: int
    size: int
    moment: int


class Shelf(Source):
    """Objects by key, listed in the order of the keys.

    `follows`: later passes follow a log of changes. `before_return` is called when a page has been made and the caller
    has not got it yet, so that things may happen between; `outages` counts calls that will fail.
    """

    def __init__(self, name: str, *, follows: bool = False, page_files: int = 3) -> None:
        self._name = name
        self._follows = follows
        self.page_files = page_files
        self.things: dict[str, Thing] = {}
        self.log: list[str] = []
        self.forgotten = 0
        self.before_return: Callable[[], None] | None = None
        self.outages = 0

    @property
    def name(self) -> str:
        return self._name

    def put(self, key: str, thing: Thing) -> None:
        self.things[key] = thing
        self.log.append(key)

    def remove(self, key: str) -> None:
        del self.things[key]
        self.log.append(key)

    def check(self) -> None:
        return

    def versions(self) -> dict[str, str]:
        """URI → version of what is there."""
        return {file.uri: file.version for file in map(self._file, self.things)}

    def scan(self, cursor: str | None = None, deadline: float | None = None) -> ScanPage:
        if self.outages:
            self.outages -= 1
            raise SourceUnavailableError(f"{self._name}: is out of order.")
        kind, _, rest = (cursor or "").partition(":")
        page = self._changes(int(rest)) if kind == "log" else self._listing(rest)
        hook, self.before_return = self.before_return, None
        if hook is not None:
            hook()
        return page

    def _listing(self, place: str) -> ScanPage:
        began, _, after = place.partition(":")
        position = int(began) if began else len(self.log)
        keys = sorted(key for key in self.things if key > after)
        taken = keys[: self.page_files]
        more = len(keys) > len(taken)
        return ScanPage(
            tuple(map(self._file, taken)),
            f"list:{position}:{taken[-1]}" if more else None,
            resume=None if more or not self._follows else f"log:{position}",
        )

    def _changes(self, position: int) -> ScanPage:
        if position < self.forgotten:
            raise CursorExpiredError(f"{self._name}: the log no longer reaches back that far.")
        end = position + self.page_files
        changed = dict.fromkeys(self.log[position:end])
        here = [key for key in changed if key in self.things]
        gone = [key for key in changed if key not in self.things]
        more = end < len(self.log)
        return ScanPage(
            tuple(map(self._file, here)),
            f"log:{end}" if more else None,
            removed=tuple(f"shelf://{key}" for key in gone),
            resume=None if more else f"log:{len(self.log)}",
        )

    def read(self, ref: FileRef) -> bytes:
        return str(self.things[ref.uri.removeprefix("shelf://")].content).encode()

    def _file(self, key: str) -> FileRef:
        thing = self.things[key]
        return FileRef(
            source=self._name,
            uri=f"shelf://{key}",
            name=key,
            version=f"{thing.content}-{thing.size}",
            size_bytes=thing.size,
            modified_at=EPOCH + timedelta(seconds=thing.moment),
        )
