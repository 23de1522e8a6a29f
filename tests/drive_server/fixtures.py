"""A running server as a fixture, and what tests do with a source on it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aion_dagster.sources import ScanPage
from aion_dagster.sources.drive import DriveSource
from aion_dagster.sources.drive_access import DriveAccess
from aion_dagster.values import FileRef, Loss

from .server import DriveServer


@pytest.fixture
def drive(tmp_path: Path) -> Iterator[DriveServer]:
    """A server with an empty drive; the key of its service account is `key.json`."""
    server = DriveServer()
    (tmp_path / "key.json").write_text(json.dumps(server.grants.service_account(server.url)))
    server.key = str(tmp_path / "key.json")
    with server.running():
        yield server


def source_on(server: DriveServer, folder: str = "root", **more: Any) -> DriveSource:
    """A source that looks at a folder of the server, in no mood to wait."""
    settings: dict[str, Any] = {
        "access": DriveAccess(file=server.key),
        "api_endpoint": server.api_endpoint,
        "backoff_seconds": 0.002,
        "connections": 4,
    }
    return DriveSource("drive", folder, **{**settings, **more})


def pages(source: DriveSource, cursor: str | None = None, **how: Any) -> list[ScanPage]:
    """A whole pass."""
    found = [source.scan(cursor, **how)]
    while found[-1].cursor is not None:
        found.append(source.scan(found[-1].cursor, **how))
    return found


def whole(source: DriveSource, cursor: str | None = None) -> ScanPage:
    """A whole pass as if it were one page."""
    found = pages(source, cursor)
    return ScanPage(
        files=tuple({f.uri: f for p in found for f in p.files}.values()),
        cursor=None,
        problems=tuple(x for p in found for x in p.problems),
        present=tuple(x for p in found for x in p.present),
        unlisted=tuple(x for p in found for x in p.unlisted),
        removed=tuple(x for p in found for x in p.removed),
        resume=found[-1].resume,
    )


def listed(source: DriveSource) -> list[FileRef]:
    """The files of a whole pass, by name."""
    return sorted(whole(source).files, key=lambda f: f.name)


def names(source: DriveSource) -> list[str]:
    return [f.name for f in listed(source)]


def problems(source: DriveSource) -> list[Loss]:
    return list(whole(source).problems)


class Seen:
    """What somebody knows who applies every pass to what was known before."""

    def __init__(self) -> None:
        self.files: dict[str, FileRef] = {}
        self._named: set[str] = set()
        self._lists_all = True

    def begin(self, *, lists_all: bool) -> None:
        self._lists_all = lists_all
        self._named = set()

    def apply(self, page: ScanPage) -> None:
        for uri in page.removed:
            self.files.pop(uri, None)
            self._named.discard(uri)
        for file in page.files:
            self.files[file.uri] = file
            self._named.add(file.uri)
        self._named.update(page.present)
        if page.cursor is None and self._lists_all and not page.unlisted:
            self.files = {uri: f for uri, f in self.files.items() if uri in self._named}
