"""Replies that are lost after the server did the work: everything is stored once, and what is paid is known."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from aionvision_server.fixtures import Server
from paid_pictures import (
    COMPLETION,
    KEY_VARIABLE,
    UPLOAD,
    asking,
    originals,
    picture,
    to_describe,
    uploading,
)
from small_library import Run

from aion_dagster.storage.call_records import Cap
from aion_dagster.storage.ledger_calls import PaidCalls
from aion_dagster.storage.ledger_database import Database
from aion_dagster.storage.ledger_spending import spending
from aion_dagster.storage.store import Store

SOAK = os.environ.get("AION_TEST_TIER") == "soak"
LOST = 100 if SOAK else 10
ALL = range(LOST)


@pytest.fixture
def server(aionvision: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv(KEY_VARIABLE, aionvision.key)
    aionvision.plan("UNLIMITED")
    aionvision.described_at_once()
    yield aionvision
    aionvision.assert_clean()


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_database")
    opened = Database(url)
    yield opened
    opened.close()


def lose_the_first_reply_about_each(server: Server, operation: str) -> None:
    """Of every picture: by the end of its name, or by its hash where no name is sent."""
    for original in originals(ALL):
        server.fault("reset_after", operation, about=f"-{original.name}$|{original.sha256}")


def assert_stored_and_described_once(server: Server) -> None:
    counted = server.counters()
    assert counted["remote_objects"] == {"image": LOST}
    assert counted["descriptions_billed"] == LOST
    assert counted["described_more_than_once"] == {}
    assert counted["faults"]["reset_after"] == LOST


def paid(database: Database) -> int:
    return sum(spent.calls for spent in spending(database))


def test_a_run_whose_every_upload_loses_a_reply_stores_and_pays_each_picture_once(
    run: Run, tmp_path: Path, server: Server
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in ALL:
        (folder / f"{number:04}.jpg").write_bytes(picture(number))
    remote: dict[str, Any] = {"base_url": server.url, "plan": "unlimited", "upload_batch": 1}
    remote |= {"polling_interval": 0.02, "retry_delay": 0.01}
    config = {"backend": "aionvision", "aionvision": remote, "text_model": "none"}
    file = tmp_path / "aion.yaml"
    file.write_text(yaml.safe_dump({**config, "datasets": [{"exports": ["csv"]}]}))
    lose_the_first_reply_about_each(server, UPLOAD)
    first = run(folder, "--config", file)
    assert (first["paid_calls"], first["errors"]) == (LOST, [])
    assert_stored_and_described_once(server)
    tables = Store.open(tmp_path / "store", create=False).tables
    (batch,) = tables.batches("descriptions")
    rows = tables.read("descriptions", batch=batch).to_pylist()
    assert [row["description_status"] for row in rows] == ["completed"] * LOST
    assert len({row["remote_id"] for row in rows}) == LOST
    (batch,) = tables.batches("uploads")
    assert not any(tables.read("uploads", batch=batch)["was_there"].to_pylist())
    requests = len(server.log(UPLOAD))
    assert run(folder, "--config", file)["paid_calls"] == 0
    assert len(server.log(UPLOAD)) == requests == 2 * LOST


@pytest.mark.parametrize("together", [1, 4])
def test_uploads_whose_replies_were_lost_are_found_by_the_next_run_for_nothing(
    server: Server, database: Database, together: int
) -> None:
    """Nothing is tried again within a run here: the journal alone knows that something was sent."""
    caps = [Cap("library", calls=LOST)]
    lost = server.fault("reset_after", UPLOAD, every=1)
    for run in range(2):
        calls = PaidCalls(database, run=f"run {run}", caps=caps)
        backend = uploading(server.url, calls, max_retries=0, upload_batch=together)
        rows = backend.upload(originals(ALL)).to_pylist()
        if run == 0:
            assert {row["error_type"] for row in rows} == {"network"}
            assert all(row["is_retryable"] for row in rows)
            assert server.counters()["replies_undelivered"] == len(server.log(UPLOAD))
            server.clear_faults(lost)
    assert [row["status"] for row in rows] == ["completed"] * LOST
    assert len({row["remote_id"] for row in rows}) == LOST
    assert not any(row["was_there"] for row in rows)
    counted = server.counters()
    assert counted["remote_objects"] == {"image": LOST}
    assert (counted["descriptions_billed"], counted["described_more_than_once"]) == (LOST, {})
    assert paid(database) == LOST


def test_an_endpoint_that_loses_replies_is_paid_twice_at_most_and_the_journal_knows_it(
    server: Server, database: Database
) -> None:
    """Such endpoints cannot be asked for an answer that was lost: asking again is another call of the budget."""
    lose_the_first_reply_about_each(server, COMPLETION)
    calls = PaidCalls(database, run="one", caps=[Cap("library", calls=LOST + LOST // 2)])
    rows = asking(server.endpoint_url, calls, parallel=2).describe(to_describe(ALL)).to_pylist()
    counted = server.counters()
    assert counted["completions_billed"] == LOST + LOST // 2 == paid(database)
    had = [row for row in rows if row["description_status"] == "completed"]
    assert len(had) == LOST + LOST // 2 - counted["undelivered_billed"]["completions"] > 0
    others = {row["description_error_type"] for row in rows if row not in had}
    assert others == {"budget"}
    raised = PaidCalls(database, run="two", caps=[Cap("library", calls=3 * LOST)])
    again = asking(server.endpoint_url, raised).describe(to_describe(ALL)).to_pylist()
    assert [row["description_status"] for row in again] == ["completed"] * LOST
    counted = server.counters()
    assert counted["completions_billed"] == paid(database) == 2 * LOST
    assert counted["undelivered_billed"] == {"completions": LOST}
    assert max(counted["described_more_than_once"].values()) == 2


def test_what_the_server_surely_did_not_begin_takes_nothing_of_the_budget(
    server: Server, database: Database
) -> None:
    caps = [Cap("library", calls=LOST)]
    fault = server.fault("rate_limit", UPLOAD, every=1, retry_after=0)
    refused = PaidCalls(database, run="refused", caps=caps)
    rows = uploading(server.url, refused, max_retries=0).upload(originals(ALL)).to_pylist()
    assert {(row["error_type"], row["is_retryable"]) for row in rows} == {("rate_limit", True)}
    assert paid(database) == 0
    server.clear_faults(fault)
    calls = PaidCalls(database, run="served", caps=caps)
    rows = uploading(server.url, calls).upload(originals(ALL)).to_pylist()
    assert [row["status"] for row in rows] == ["completed"] * LOST
    assert paid(database) == server.counters()["descriptions_billed"] == LOST


def test_an_endpoint_that_only_refuses_takes_nothing_of_the_budget_either(
    server: Server, database: Database
) -> None:
    caps = [Cap("library", calls=LOST)]
    fault = server.fault("rate_limit", COMPLETION, every=1, retry_after=0)
    refused = PaidCalls(database, run="refused", caps=caps)
    rows = asking(server.endpoint_url, refused, attempts=2).describe(to_describe(ALL)).to_pylist()
    assert all(row["description_is_retryable"] for row in rows)
    assert (paid(database), refused.tally.calls) == (0, 0)
    assert len(server.log(COMPLETION)) == 2 * LOST
    server.clear_faults(fault)
    calls = PaidCalls(database, run="served", caps=caps)
    rows = asking(server.endpoint_url, calls).describe(to_describe(ALL)).to_pylist()
    assert [row["description_status"] for row in rows] == ["completed"] * LOST
    assert paid(database) == server.counters()["completions_billed"] == LOST


def test_a_lost_reply_counts_though_the_tries_after_it_were_refused(
    server: Server, database: Database
) -> None:
    server.fault("reset_after", UPLOAD, times=1)
    server.fault("rate_limit", UPLOAD, every=1, retry_after=0)
    calls = PaidCalls(database, run="one", caps=[Cap("library", calls=LOST)])
    rows = uploading(server.url, calls, upload_batch=LOST).upload(originals(ALL)).to_pylist()
    assert {(row["error_type"], row["is_retryable"]) for row in rows} == {("rate_limit", True)}
    assert paid(database) == server.counters()["descriptions_billed"] == min(LOST, 50)
