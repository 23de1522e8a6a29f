"""The state of the server: what it was told, what it keeps, how it is set up."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import uuid
from collections import Counter
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, TypeVar

from .books import Books
from .clock import Clock
from .contents import Collector, Stored
from .exchange import Asked
from .faults import Faults
from .holds import Holds
from .plans import PLANS, Counting, Limiter, Plan
from .sides import Sides
from .specification import Specification
from .work import Failure, Work

T = TypeVar("T")

TEST_KEY: Final = "aion_test_0123456789abcdefghij"
TENANT: Final = "3f1c9a52-7d0e-4c55-9c1e-7a1f00000001"
USER: Final = "3f1c9a52-7d0e-4c55-9c1e-7a1f00000002"
KINDS_OF_WORK: Final = (
    "description", "document", "crawl", "color", "material", "batch", "job", "video", "export",
)  # fmt: skip


@dataclass
class Settings:
    """What can be set while the server runs.

    Args:
        looks: by kind of work, how often one must look before it is over.
        seconds: by kind of work, how long it takes on the server's clock.
        immediate: batches of at most so many files answer with their results at once.
        counting: how requests per minute are counted.
        storage_limit: bytes that a tenant may store.
        session_hours: how long an upload session can be asked for.
        keep_bytes: larger files are hashed, not kept.
        plan_actions: messages to a chat that begin with "plan" answer with a plan to approve.
        credits_told: credits that each description says it cost; None where, as published, it says nothing.
        answers_checked: answers of each operation that are held against the specification; None for all.
        one_link_per_page: addresses that differ in a slash at their end have one link.
        drive: what connected cloud storages hold: files as Google describes them, with `content` in base64.
    """

    looks: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS_OF_WORK, 1))
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(KINDS_OF_WORK, 0.0))
    immediate: int = 5
    counting: Counting = "sliding"
    storage_limit: int | None = None
    session_hours: float = 24.0
    keep_bytes: int = 64 * 1024 * 1024
    credits_told: float | None = None
    answers_checked: int | None = None
    one_link_per_page: bool = False
    drive: list[dict[str, Any]] = field(default_factory=list)

    def change(self, changes: dict[str, Any]) -> None:
        """Raises ValueError for a name that there is not."""
        names = {f.name for f in fields(self)}
        for name, value in changes.items():
            if name not in names:
                raise ValueError(f"no setting {name!r}; there are {', '.join(sorted(names))}")
            if isinstance(value, dict):
                unknown = value.keys() - set(KINDS_OF_WORK)
                if unknown:
                    raise ValueError(f"{name}: no kind of work {', '.join(sorted(unknown))}")
                getattr(self, name).update(value)
            else:
                setattr(self, name, value)


@dataclass(slots=True)
class Key:
    """An API key."""

    text: str
    active: bool = True
    expired: bool = False
    limiter: Limiter = field(default_factory=Limiter)


class World:
    """Everything that one server knows."""

    def __init__(self, specification: Specification | None, keys: tuple[str, ...]) -> None:
        self.specification = specification
        self.books = Books()
        self.first_keys = keys
        self.folder = Path(tempfile.mkdtemp(prefix="aionvision_"))
        self.base_url = self.storage_url = self.foreign_url = ""
        self.first_plan = "UNLIMITED"
        self.begin()

    def begin(self) -> None:
        """As if nothing had ever been asked."""
        for path in self.folder.iterdir():
            path.unlink()
        self.books.clear()
        self.clock = Clock()
        self.sides = Sides()
        self.faults = Faults()
        self.holds = Holds()
        self.settings = Settings()
        self.plan: Plan = PLANS[self.first_plan]
        self.keys = {text: Key(text) for text in self.first_keys}
        self.uploading = 0
        self._rooms: dict[type, Any] = {}
        self._numbers: Counter[str] = Counter()

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def room(self, kind: type[T]) -> T:
        """The state of one part of the API, made when it is first asked for."""
        if kind not in self._rooms:
            self._rooms[kind] = kind()
        room: T = self._rooms[kind]
        return room

    def new_id(self, kind: str) -> str:
        """The next id of a kind: the same requests in the same order get the same ids."""
        self._numbers[kind] += 1
        digest = hashlib.sha256(f"{kind} {self._numbers[kind]}".encode()).digest()
        return str(uuid.UUID(bytes=digest[:16], version=4))

    def now(self) -> float:
        return self.clock.now()

    def collector(self) -> Collector:
        return Collector(self.folder, self.settings.keep_bytes)

    def work(self, kind: str, asked: Asked | None = None, *subjects: str) -> Work:
        """Work of a kind that begins now; fails or never ends where a fault says so of the request or a subject."""
        stuck = asked is not None and asked.stuck
        failing = asked.failing if asked is not None else ()
        fault = next((f for f in failing if not subjects or any(map(f.concerns, subjects))), None)
        return Work(
            self.settings.looks[kind],
            self.now() + self.settings.seconds[kind],
            stuck,
            Failure.of(fault.options) if fault is not None else None,
        )

    def place(self, stored: Stored, name: str) -> str:
        """A URL of the storage host, good for an hour, where bytes can be fetched."""
        return self.room(Storage).place(self, stored, name)


class Storage:
    """The storage host: another origin, which must never see a key."""

    def __init__(self) -> None:
        self.objects: dict[str, Stored] = {}
        self.given: dict[str, tuple[Stored, float, str]] = {}
        self.awaited: dict[str, tuple[str, float]] = {}
        """Object keys by upload token, with the moment after which it is not taken any more."""
        self.requests: Counter[str] = Counter()
        self.keys_seen: list[str] = []

    def place(self, world: World, stored: Stored, name: str) -> str:
        token = world.new_id("download")
        self.given[token] = (stored, world.now() + 3600, name)
        return f"{world.storage_url}/get/{token}?X-Amz-Expires=3600&X-Amz-Signature={token[:8]}"

    def expect(self, world: World, object_key: str, seconds: float = 3600) -> str:
        """A URL to which a file can be sent."""
        token = world.new_id("upload")
        self.awaited[token] = (object_key, world.now() + seconds)
        return f"{world.storage_url}/put/{token}?X-Amz-Signature={token[:8]}"
