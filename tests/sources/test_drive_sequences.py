"""Whatever happens in Google Drive, between passes and during them: after a quiet pass, what is known is what is there."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
from drive_server.account import Account
from drive_server.fixtures import Seen, drive, source_on
from drive_server.items import ROOT, Item
from drive_server.server import DriveServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import aion_dagster.sources.drive
from aion_dagster.errors import CursorExpiredError
from aion_dagster.sources.drive import DriveSource

__all__ = ["drive"]

STEPS = 40 if os.environ.get("AION_TEST_TIER") == "soak" else 20


def truth(account: Account, folder: str) -> dict[str, str]:
    """URI → a mark of the content, of everything that a source of this folder should know."""
    found: dict[str, str] = {}
    waiting, done = [folder], set[str]()
    while waiting:
        at = waiting.pop()
        if at in done or at == ROOT:
            continue
        done.add(at)
        for child in account.children[at]:
            item = account.items[child]
            if account.is_trashed(item) or not item.is_shared:
                continue
            target = account.visible(item.target) if item.target else item
            if target is None or account.is_trashed(target):
                continue
            if target.is_folder:
                waiting.append(target.id)
            elif item.name.endswith(".jpg"):
                found[f"drive://{child}"] = mark(target)
    return found


def mark(item: Item) -> str:
    return str(item.resource(trashed=False, target_type="")["md5Checksum"])


class Person:
    """Somebody who works in the drive, at random."""

    def __init__(self, account: Account, photos: str, random: Random) -> None:
        self.account = account
        self.random = random
        self.photos = photos
        self.attic = account.folder("attic")
        self.far = account.folder("far")
        self.far_folders = [self.far, account.folder("inner", self.far)]
        self.deeds: list[Callable[[], None]] = [
            self.add, self.add, self.add_folder, self.write, self.write, self.rename, self.move, self.move_folder,
            self.trash, self.untrash, self.trash_folder, self.delete, self.delete_folder, self.link, self.link_folder,
            self.add_far, self.hide,
        ]  # fmt: skip

    def acts(self) -> None:
        self.random.choice(self.deeds)()

    def some(self, *, folders: bool, links: bool = False) -> Iterator[str]:
        """An entry below photos or in the attic, where there is one."""
        below = [*self.account._below(self.photos), *self.account._below(self.attic)]
        items = [self.account.items[i] for i in below if self.account.items[i].is_shared]
        chosen = [i.id for i in items if i.is_folder == folders and (links or not i.target)]
        return iter([self.random.choice(chosen)] if chosen else [])

    def folder(self) -> str:
        return next(self.some(folders=True), self.photos)

    def add(self) -> None:
        self.account.file(self.random.choice(["a.jpg", "b.jpg", "c.txt"]), self.folder(), b"0")

    def add_far(self) -> None:
        self.account.file("far.jpg", self.random.choice(self.far_folders), b"0")

    def add_folder(self) -> None:
        self.account.folder("sub", self.folder())

    def write(self) -> None:
        for file_id in self.some(folders=False):
            self.account.write(file_id, self.random.randbytes(1), same_time=True)

    def rename(self) -> None:
        for file_id in self.some(folders=False, links=True):
            self.account.rename(file_id, self.random.choice(["x.jpg", "y.txt"]))

    def move(self) -> None:
        for file_id in self.some(folders=False, links=True):
            self.account.move(file_id, self.random.choice([self.folder(), self.attic]))

    def move_folder(self) -> None:
        for folder in self.some(folders=True):
            place = self.random.choice([self.folder(), self.attic])
            if place != folder and place not in [*self.account._below(folder)]:
                self.account.move(folder, place)

    def trash(self) -> None:
        for file_id in self.some(folders=False, links=True):
            self.account.trash(file_id)

    def untrash(self) -> None:
        trashed = [i.id for i in self.account.items.values() if i.trashed]
        if trashed:
            self.account.trash(self.random.choice(trashed), trashed=False)

    def trash_folder(self) -> None:
        for folder in self.some(folders=True):
            self.account.trash(folder)

    def delete(self) -> None:
        for file_id in self.some(folders=False, links=True):
            self.account.delete(file_id)

    def delete_folder(self) -> None:
        for folder in self.some(folders=True):
            self.account.delete(folder)

    def hide(self) -> None:
        for file_id in self.some(folders=False):
            self.account.hide(file_id)

    def link(self) -> None:
        for file_id in self.some(folders=False):
            self.account.shortcut("link.jpg", file_id, self.folder())

    def link_folder(self) -> None:
        self.account.shortcut("link", self.random.choice(self.far_folders), self.folder())


class Watcher:
    """Goes through pass after pass as a sensor would."""

    def __init__(self, server: DriveServer, photos: str, random: Random) -> None:
        self.server, self.photos, self.random = server, photos, random
        self.seen = Seen()
        self.resume: str | None = None
        self.last: DriveSource | None = None

    def passes(self, meanwhile: Callable[[], None]) -> None:
        """One pass; something may happen before each page."""
        cursor = self.resume
        self.seen.begin(lists_all=cursor is None)
        while True:
            source = self.source()
            meanwhile()
            try:
                page = source.scan(cursor)
            except CursorExpiredError:
                cursor = None
                self.seen.begin(lists_all=True)
                continue
            self.seen.apply(page)
            cursor = page.cursor
            if cursor is None:
                self.resume = page.resume
                return

    def source(self) -> DriveSource:
        """The one that was used before, or a new one, as in another process."""
        if self.last is None or self.random.random() < 0.5:
            self.last = source_on(
                self.server,
                self.photos,
                page_files=self.random.choice([1, 3, 100]),
                connections=self.random.choice([1, 3]),
            )
        return self.last

    def comes_to_rest(self) -> dict[str, str]:
        self.passes(lambda: None)
        while self.resume is None or json.loads(self.resume)["is_doubtful"]:
            self.passes(lambda: None)
        return {uri: f.version[4:36] for uri, f in self.seen.files.items()}


@settings(
    max_examples=60 if os.environ.get("AION_TEST_TIER") == "soak" else 4,
    suppress_health_check=[*HealthCheck],
)
@given(seed=st.integers(0, 2**32), logs_descendants=st.booleans())
def test_what_is_known_is_what_is_there(
    seed: int, logs_descendants: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    random = Random(seed)
    server = DriveServer()
    key: Path = tmp_path_factory.mktemp("key") / "key.json"
    key.write_text(json.dumps(server.grants.service_account(server.url)))
    server.key = str(key)
    account = server.account
    account.logs_descendants = logs_descendants
    server.operations.largest_page = random.choice([1, 2, 1000])
    photos = account.folder("photos")
    person = Person(account, photos, random)
    watcher = Watcher(server, photos, random)

    def sometimes() -> None:
        if random.random() < 0.3:
            person.acts()
        if random.random() < 0.03:
            account.expire_tokens()

    with pytest.MonkeyPatch.context() as patch, server.running():
        patch.setattr(aion_dagster.sources.drive, "DOUBT_SECONDS", 0)
        for _ in range(STEPS // 5):
            for _ in range(random.randrange(10)):
                person.acts()
            watcher.passes(sometimes)
            assert watcher.comes_to_rest() == truth(account, photos)
