"""The sensor on a folder of Google Drive: a pass in many ticks, credentials that are revoked amid it, a lost place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from drive_server.__main__ import fill
from drive_server.fixtures import drive
from drive_server.server import DriveServer
from watched_library import Watch, WatchedLibrary, configuration

from aion_dagster.sensors import new_files

__all__ = ["drive"]


@pytest.fixture
def library(drive: DriveServer, watch: Watch, tmp_path: Path) -> WatchedLibrary:
    """A library over all of the drive."""
    source = {
        "type": "drive",
        "name": "drive",
        "credentials_file": drive.key,
        "api_endpoint": drive.api_endpoint,
    }
    return watch(configuration(tmp_path / "store", sources=[source], batch_files=1000))


def look(library: WatchedLibrary) -> Any:
    """A tick whose runs are not started."""
    result = library.tick()
    library.store_partitions(result)
    library.cursor = result.cursor
    return result


def places(library: WatchedLibrary) -> dict[str, str]:
    found: dict[str, str] = json.loads(library.cursor or "{}").get("places", {})
    return found


def known(library: WatchedLibrary) -> set[str]:
    return {version.uri for version in library.store.ledger.current_versions()}


def test_revoked_credentials_are_noted_by_ticks_and_the_place_is_kept(
    drive: DriveServer, library: WatchedLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [drive.account.folder(f"f{n}") for n in range(6)]
    ids = [drive.account.file(f"{n}.jpg", folder) for folder in folders for n in range(10)]
    made = {f"drive://{i}" for i in ids}
    monkeypatch.setattr(new_files, "TICK_SECONDS", 0.0)
    while len(known(library)) < 20:
        look(library)
    cursor = places(library)["drive"]
    drive.grants.revoke()
    for _ in range(2):
        look(library)
        assert places(library)["drive"] == cursor
    problem = library.store.ledger.source_state("drive").problem or ""
    assert "invalid_grant: Token has been expired or revoked" in problem
    drive.grants.restore()
    monkeypatch.setattr(new_files, "TICK_SECONDS", 40.0)
    look(library)
    assert places(library) == {}
    assert known(library) == made
    assert library.store.ledger.counts().files == 60


def test_after_the_first_pass_ticks_ask_for_changes_until_the_token_expires(
    drive: DriveServer, library: WatchedLibrary
) -> None:
    made = fill(drive.account, 60, per_folder=20)
    look(library)
    drive.faults.count()
    look(library)
    assert drive.faults.asked["files.list"] == 0
    drive.account.trash(made[0])
    new = drive.account.file("new.jpg", content=b"new")
    look(library)
    expected = {f"drive://{i}" for i in [*made[1:], new]}
    assert known(library) == expected
    drive.account.expire_tokens()
    drive.faults.count()
    look(library)
    assert drive.faults.asked["files.list"] > 100
    assert known(library) == expected
    assert library.store.ledger.counts().files == 61
