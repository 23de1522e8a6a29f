"""The account that a server answers for: its drives, and the log of what changed in them."""

from __future__ import annotations

import random
import string
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import RLock
from typing import Final

from .items import DOCUMENT, DOCX, FOLDER, PDF, ROOT, SHORTCUT, Item

_ID_LETTERS: Final = string.ascii_letters + string.digits + "_-"
_BEGIN: Final = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Logged:
    """A line of the change log."""

    number: int
    file_id: str
    drive_id: str
    removed: bool


class Account:
    """Everything an account sees. Times are the server's own: a millisecond for each change."""

    def __init__(self, seed: int = 0) -> None:
        self.lock = RLock()
        self.items: dict[str, Item] = {}
        self.children: dict[str, dict[str, None]] = {}
        self.log: deque[Logged] = deque()
        self.latest: dict[str, int] = {}
        self.number = 100
        self.oldest_token = 0
        self.logs_descendants = False
        self._ids = random.Random(seed)
        self._put(Item(ROOT, "My Drive", FOLDER, "", 0, self._now(), self._now()))

    # What a person does.

    def folder(self, name: str, parent: str = ROOT) -> str:
        return self._new(name, FOLDER, parent)

    def shared_drive(self, name: str) -> str:
        with self.lock:
            drive_id = "0A" + self._id()[:17]
            item = Item(drive_id, name, FOLDER, "", self.number, self._now(), self._now(), drive_id)
            self._put(item)
            return drive_id

    def file(
        self, name: str, parent: str = ROOT, content: bytes = b"", mime_type: str = "image/jpeg"
    ) -> str:
        return self._new(name, mime_type, parent, content=content)

    def document(
        self,
        name: str,
        parent: str = ROOT,
        *,
        mime_type: str = DOCUMENT,
        exports: Mapping[str, bytes] | None = None,
    ) -> str:
        given = exports or {PDF: b"%PDF-1.4 " + name.encode(), DOCX: b"PK docx " + name.encode()}
        return self._new(name, mime_type, parent, exports=given)

    def shortcut(self, name: str, target: str, parent: str = ROOT) -> str:
        return self._new(name, SHORTCUT, parent, target=target)

    def write(self, file_id: str, content: bytes, *, same_time: bool = False) -> None:
        """New content; `same_time` keeps `modifiedTime` as it is."""
        with self.lock:
            item = self.items[file_id]
            item.content = content
            item.revision += 1
            self._changed(item, modified=not same_time)

    def edit(self, file_id: str, exports: Mapping[str, bytes]) -> None:
        """New text of a document."""
        with self.lock:
            item = self.items[file_id]
            item.exports = exports
            self._changed(item)

    def rename(self, file_id: str, name: str) -> None:
        with self.lock:
            self.items[file_id].name = name
            self._changed(self.items[file_id], modified=False)

    def move(self, file_id: str, parent: str) -> None:
        with self.lock:
            item = self.items[file_id]
            self.children[item.parent].pop(file_id)
            item.parent = parent
            self.children[parent][file_id] = None
            self._changed(item, modified=False)

    def trash(self, file_id: str, *, trashed: bool = True) -> None:
        with self.lock:
            self.items[file_id].trashed = trashed
            self._changed(self.items[file_id], modified=False)
            self._log_below(file_id)

    def delete(self, file_id: str) -> None:
        """For good, with all that is in it."""
        with self.lock:
            for inner in [*self._below(file_id)]:
                self._forget(inner, logged=self.logs_descendants)
            self._forget(file_id, logged=True)

    def hide(self, file_id: str) -> None:
        """The account's right to see it is taken away, and to all that is in it."""
        with self.lock:
            for inner in [*self._below(file_id)]:
                self.items[inner].is_shared = False
                if self.logs_descendants:
                    self._log(self.items[inner], removed=True)
            self.items[file_id].is_shared = False
            self._log(self.items[file_id], removed=True)

    def abuse(self, file_id: str) -> None:
        """It is found to be malware."""
        self.items[file_id].is_abusive = True

    def expire_tokens(self) -> None:
        """No page token of changes given out so far is good any more."""
        with self.lock:
            self.number += 1
            self.oldest_token = self.number + 1

    # What the API asks.

    def visible(self, file_id: str) -> Item | None:
        item = self.items.get(ROOT if file_id == "root" else file_id)
        return item if item is not None and item.is_shared else None

    def is_trashed(self, item: Item) -> bool:
        """Itself, or a folder that it is in."""
        while not item.trashed:
            if item.parent not in self.items:
                return False
            item = self.items[item.parent]
        return True

    def changes(self, since: int, drive_id: str, shared: bool) -> Iterator[Logged]:
        """The latest change of each file, from a number on."""
        for entry in self.log:
            if entry.number < since or self.latest[entry.file_id] != entry.number:
                continue
            if entry.drive_id == drive_id or (not drive_id and shared):
                yield entry

    # How it is kept.

    def _new(self, name: str, mime_type: str, parent: str, **more: object) -> str:
        with self.lock:
            now = self._now()
            drive_id = self.items[parent].drive_id
            item = Item(
                self._id(), name, mime_type, parent, self.number, now, now, drive_id, **more
            )  # type: ignore[arg-type]
            self._put(item)
            self._log(item)
            return item.id

    def _put(self, item: Item) -> None:
        self.items[item.id] = item
        if item.is_folder:
            self.children.setdefault(item.id, {})
        if item.parent:
            self.children[item.parent][item.id] = None

    def _forget(self, file_id: str, *, logged: bool) -> None:
        item = self.items.pop(file_id)
        self.children.pop(file_id, None)
        self.children.get(item.parent, {}).pop(file_id, None)
        if logged:
            self._log(item, removed=True)

    def _below(self, file_id: str) -> Iterator[str]:
        for child in self.children.get(file_id, ()):
            yield child
            yield from self._below(child)

    def _log_below(self, file_id: str) -> None:
        if self.logs_descendants:
            for inner in self._below(file_id):
                self._log(self.items[inner])

    def _changed(self, item: Item, *, modified: bool = True) -> None:
        item.version += 1
        if modified:
            item.modified = self._now()
        self._log(item)

    def _log(self, item: Item, *, removed: bool = False) -> None:
        self.number += 1
        self.log.append(Logged(self.number, item.id, item.drive_id, removed))
        self.latest[item.id] = self.number

    def _now(self) -> str:
        moment = _BEGIN + timedelta(milliseconds=self.number)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def _id(self) -> str:
        return "1" + "".join(self._ids.choices(_ID_LETTERS, k=32))
