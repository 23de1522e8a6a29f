"""Google Drive into the ledger: a large tree once, then what changed; through limits, failures and lost places."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from drive_server.__main__ import fill
from drive_server.faults import Fault
from drive_server.fixtures import drive, source_on
from drive_server.refusals import broken, limited
from drive_server.server import DriveServer

from aion_dagster.errors import CredentialsError, SourceUnavailableError
from aion_dagster.ingest import Ingested, ingest
from aion_dagster.sources.drive import DriveSource
from aion_dagster.storage import Store

__all__ = ["drive"]

FILES = 20_000 if os.environ.get("AION_TEST_TIER") == "soak" else 900


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store")


@pytest.fixture
def made(drive: DriveServer) -> list[str]:
    """Files in nested folders."""
    return fill(drive.account, FILES)


def ticks(
    source: DriveSource, store: Store, cursor: str | None = None, seconds: float = 60.0
) -> list[Ingested]:
    """Ingests part by part, until a pass is complete; a part that fails is repeated from where it began."""
    done: list[Ingested] = []
    while not done or not done[-1].complete:
        try:
            part = ingest(source, store, cursor=cursor, deadline=time.monotonic() + seconds)
        except SourceUnavailableError:
            continue
        cursor = part.cursor
        done.append(part)
    return done


def current(store: Store) -> dict[str, str]:
    found = [(v.uri, v.version) for v in store.ledger.current_versions()]
    assert len(found) == len(dict(found))
    return dict(found)


def test_a_large_tree_is_taken_in_once_and_then_only_what_changed(
    drive: DriveServer, made: list[str], store: Store
) -> None:
    source = source_on(drive)
    first = ticks(source, store)
    assert sum(t.files for t in first) == FILES
    assert current(store).keys() == {f"drive://{i}" for i in made}
    account = drive.account
    new = account.file("new.jpg", account.items[made[7]].parent, b"new")
    before = current(store)[f"drive://{made[500]}"]
    account.write(made[500], b"overwritten", same_time=True)
    account.trash(made[700])
    drive.faults.count()
    (second,) = ticks(source, store)
    assert (second.files, second.deleted) == (2, 1)
    assert drive.requests < 20
    now = current(store)
    assert now.keys() == {f"drive://{i}" for i in {*made, new} - {made[700]}}
    assert now[f"drive://{made[500]}"] != before
    (third,) = ticks(source, store)
    assert (third.files, third.deleted, third.batches) == (0, 0, ())


def test_an_expired_token_has_everything_listed_again_and_nothing_twice(
    drive: DriveServer, made: list[str], store: Store
) -> None:
    source = source_on(drive)
    ticks(source, store)
    drive.account.trash(made[3])
    new = drive.account.file("new.jpg", content=b"new")
    drive.account.expire_tokens()
    (again,) = ticks(source, store)
    assert (again.scanned, again.files, again.deleted) == (FILES, 1, 1)
    assert current(store).keys() == {f"drive://{i}" for i in {*made, new} - {made[3]}}
    batches = [store.manifests.read(b.key) for b in store.ledger.batches()]
    versions = [(f.uri, f.version) for batch in batches for f in batch]
    assert len(versions) == len(set(versions)) == FILES + 1


def test_short_ticks_through_limits_and_failures_lose_and_repeat_nothing(
    drive: DriveServer, made: list[str], store: Store
) -> None:
    for number in range(0, 200, 5):
        fault = [
            Fault("files.list", limited("userRateLimitExceeded"), after=number),
            Fault("files.get", limited("rateLimitExceeded", 429), after=number),
            Fault("files.list", broken(500), after=number),
            Fault("files.list", how="reset", after=number),
        ][number // 5 % 4]
        drive.faults.add(fault)
    done = ticks(source_on(drive, page_files=100), store, seconds=0.02)
    assert len(done) > 1
    assert sum(t.files for t in done) == FILES
    assert current(store).keys() == {f"drive://{i}" for i in made}


def test_revoked_credentials_keep_the_place(
    drive: DriveServer, made: list[str], store: Store
) -> None:
    source = source_on(drive, page_files=300)
    part = ingest(source, store, deadline=0.0)
    assert part.cursor is not None
    drive.grants.revoke()
    with pytest.raises(CredentialsError, match="invalid_grant"):
        ingest(source, store, cursor=part.cursor)
    drive.grants.restore()
    drive.faults.count()
    rest = ticks(source, store, part.cursor)
    assert part.files + sum(t.files for t in rest) == FILES
    assert current(store).keys() == {f"drive://{i}" for i in made}
