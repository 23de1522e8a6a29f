"""Answers that were read and not yet noted survive the death of their process."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import time
from pathlib import Path

from aion_dagster.storage import process
from aion_dagster.storage.call_records import CallKey, Settlement, Standing
from aion_dagster.storage.ledger import Ledger

SPAWN = multiprocessing.get_context("spawn")
KEY = CallKey("ab" * 32, "describe", "1", "tiny@1")
ANSWER = Settlement({"title": "A lighthouse"}, "r-1", input_tokens=7, output_tokens=3)


def answered(ledger: Path) -> None:
    """What a process does about one call, up to its answer."""
    with Ledger.at(ledger) as opened:
        calls = opened.paid_calls("first")
        calls.begin([KEY])
        calls.sent([KEY])
        (ledger.parent / "sent").touch()
        while not (ledger.parent / "locked").exists():
            time.sleep(0.01)
        calls.settled({KEY: ANSWER})


def until_there(pattern: str, folder: Path) -> Path:
    while not (found := sorted(folder.glob(pattern))):
        time.sleep(0.01)
    return found[0]


def killed_while_noting(ledger: Path) -> Path:
    """Kill a process whose answer waits for the ledger; the file that it leaves."""
    child = SPAWN.Process(target=answered, args=(ledger,))
    child.start()
    until_there("sent", ledger.parent)
    writer = sqlite3.connect(ledger, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    (ledger.parent / "locked").touch()
    place = until_there("ledger.db-replies/*.replies", ledger.parent)
    while not place.stat().st_size:
        time.sleep(0.01)
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    writer.execute("ROLLBACK")
    writer.close()
    return place


def test_an_answer_that_waits_for_the_ledger_is_not_paid_again(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.db"
    place = killed_while_noting(ledger)
    with Ledger.at(ledger) as opened:
        (begun,) = opened.paid_calls("second").begin([KEY])
        assert begun.standing is Standing.SETTLED
        assert (begun.payload, begun.remote_id) == (ANSWER.payload, "r-1")
        (spent,) = opened.spending()
    assert (spent.calls, spent.input_tokens, spent.output_tokens) == (1, 7, 3)
    assert not place.exists()


def test_an_answer_that_was_noted_is_not_counted_again(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.db"
    place = killed_while_noting(ledger)
    left = place.read_bytes()
    for _ in range(2):
        with Ledger.at(ledger) as opened:
            opened.paid_calls("second").look([KEY])
            (spent,) = opened.spending()
        assert (spent.input_tokens, spent.output_tokens) == (7, 3)
        place.write_bytes(left)


def test_a_line_that_was_cut_off_leaves_its_call_in_doubt(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.db"
    place = killed_while_noting(ledger)
    place.write_bytes(place.read_bytes()[:-20])
    with Ledger.at(ledger) as opened:
        (begun,) = opened.paid_calls("second").begin([KEY])
        assert begun.standing is Standing.IN_DOUBT


def test_the_file_of_a_living_process_is_its_own(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.db"
    place = killed_while_noting(ledger)
    mine = place.with_name(f"{process.identity()}.replies")
    place.rename(mine)
    with Ledger.at(ledger) as opened:
        opened.paid_calls("second").look([KEY])
    assert mine.exists()


def test_nothing_is_left_behind_by_those_who_live(tmp_path: Path) -> None:
    (tmp_path / "locked").touch()
    answered(tmp_path / "ledger.db")
    assert list((tmp_path / "ledger.db-replies").iterdir()) == []
