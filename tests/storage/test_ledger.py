"""The ledger: every file version once, in one transaction, from several processes; and what was computed."""

from __future__ import annotations

import multiprocessing
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aion_dagster import identity
from aion_dagster.errors import StorageError
from aion_dagster.storage import BatchRecord, Ledger, OverlapError
from aion_dagster.storage.ledger_records import BatchStatus
from aion_dagster.values import FileRef

MOMENT = datetime(2024, 5, 6, tzinfo=UTC)


def ref(name: str, version: str = "1", source: str = "pics") -> FileRef:
    return FileRef(source, f"file:///p/{name}", name, version, 1, MOMENT)


def batch(files: list[FileRef]) -> BatchRecord:
    source = files[0].source
    return BatchRecord(
        identity.batch_key(source, files),
        source,
        identity.manifest_digest(files),
        len(files),
        len(files),
    )


def record(ledger: Ledger, *files: FileRef) -> str:
    made = batch(list(files))
    assert ledger.record_batch(made, files)
    return made.key


def current(ledger: Ledger) -> dict[str, str]:
    return {row.uri.rpartition("/")[2]: row.version for row in ledger.current_versions()}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.at(tmp_path / "ledger.sqlite") as opened:
        yield opened


def test_a_batch_is_recorded_once(ledger: Ledger) -> None:
    files = [ref("a"), ref("b")]
    assert ledger.record_batch(batch(files), files)
    assert not ledger.record_batch(batch(files), files)
    (found,) = ledger.batches()
    assert (found.key, found.seq, found.file_count) == (batch(files).key, 1, 2)
    assert found.created_at is not None
    assert abs(datetime.now(UTC) - found.created_at) < timedelta(minutes=5)
    assert ledger.known_versions("pics", ["file:///p/a", "file:///p/z"]) == {"file:///p/a": {"1"}}
    assert ledger.known_versions("other", ["file:///p/a"]) == {}


def test_a_batch_that_overlaps_another_is_refused_whole(ledger: Ledger) -> None:
    record(ledger, ref("a"))
    with pytest.raises(OverlapError, match="file:///p/a is in another batch"):
        record(ledger, ref("b"), ref("a"))
    assert ledger.known_versions("pics", ["file:///p/b"]) == {}
    assert ledger.counts().batches == 1


def test_a_batch_passes_through_its_states(ledger: Ledger) -> None:
    key, other = record(ledger, ref("a")), record(ledger, ref("b", source="scans"))

    def keys(status: BatchStatus) -> list[str]:
        return [b.key for b in ledger.batches(status)]

    assert keys("waiting") == [key, other]
    ledger.mark_started(key)
    begun = ledger.batch(key)
    assert keys("started") == [key]
    ledger.mark_finished(key)
    ledger.mark_started(key)
    again = ledger.batch(key)
    assert begun is not None
    assert again is not None
    assert again.started_at == begun.started_at is not None
    assert keys("finished") == [key]
    ledger.mark_blocked(key, "7 of 9 pictures unreadable")
    assert [b.blocked_reason for b in ledger.batches("blocked")] == ["7 of 9 pictures unreadable"]
    ledger.mark_blocked(key, None)
    assert keys("blocked") == []
    assert [b.key for b in ledger.batches(source="scans")] == [other]
    assert ledger.batch("unknown") is None
    with pytest.raises(StorageError, match="knows no batch 'unknown'"):
        ledger.mark_finished("unknown")


def test_the_version_seen_last_is_current_also_when_an_old_one_comes_back(ledger: Ledger) -> None:
    first = record(ledger, ref("a", "1"), ref("b", "1"))
    second = record(ledger, ref("a", "2"))
    assert [(r.version, r.batch, r.seq) for r in ledger.current_versions()] == [
        ("1", first, 1),
        ("2", second, 2),
    ]
    assert ledger.mark_current([ref("a", "1"), ref("b", "1")]) == 1
    assert current(ledger) == {"a": "1", "b": "1"}
    record(ledger, ref("a", "3"))
    assert current(ledger) == {"a": "3", "b": "1"}
    assert list(ledger.current_versions(source="none")) == []


def test_names_are_found_in_every_batch_whatever_their_case_and_accents(ledger: Ledger) -> None:
    record(ledger, ref("train/Cafe\u0301.JPG"), ref("x.jpg"))
    record(ledger, ref("val/x.jpg"), ref("X.JPG", source="scans"), ref("x.jpg", "2"))
    found = ledger.uris_with_name(["caf\u00e9.jpg", "x.jpg", "none.jpg"])
    assert {name: [(s, n) for s, _, n in files] for name, files in found.items()} == {
        "caf\u00e9.jpg": [("pics", "train/Cafe\u0301.JPG")],
        "x.jpg": [("pics", "val/x.jpg"), ("pics", "x.jpg"), ("scans", "X.JPG")],
    }


def test_results_are_found_by_content_and_parameters(ledger: Ledger) -> None:
    hashes = [f"{i:064x}" for i in range(1200)]
    ledger.record_results("decode", "p1", "batch-1", hashes)
    ledger.record_results("decode", "p2", "batch-2", hashes[:1])
    assert ledger.find_results("decode", "p1", [*hashes, "f" * 64]) == dict.fromkeys(
        hashes, "batch-1"
    )
    ledger.record_results("decode", "p1", "batch-3", hashes[:1])  # computed anew
    assert ledger.find_results("decode", "p1", hashes[:2]) == {
        hashes[0]: "batch-3",
        hashes[1]: "batch-1",
    }
    assert ledger.find_results("describe", "p1", hashes) == {}
    ledger.record_results("describe", "p1", "batch-1", [])
    assert ledger.counts().results == 1201


def test_the_latest_build_is_remembered(ledger: Ledger) -> None:
    assert ledger.build("library") is None
    ledger.record_build("library", "", "f1", 3, {"left_out": {"unreadable": 1}})
    ledger.record_build("library", "", "f2", 4, {})
    ledger.record_build("images", "batch-1", "f3", 5, {})
    found = ledger.build("library")
    assert found is not None
    assert (found.fingerprint, found.rows, found.info) == ("f2", 4, {})
    assert {k: b.rows for k, b in ledger.builds("images").items()} == {"batch-1": 5}


@given(
    steps=st.lists(
        st.lists(
            st.tuples(st.sampled_from("abcd"), st.integers(1, 3)),
            min_size=1,
            max_size=4,
            unique_by=lambda x: x[0],
        ),
        max_size=8,
    )
)
def test_recording_agrees_with_a_model(
    tmp_path_factory: pytest.TempPathFactory, steps: list[list[tuple[str, int]]]
) -> None:
    model: dict[str, list[str]] = {}
    with Ledger.at(tmp_path_factory.mktemp("ledger") / "l.sqlite") as ledger:
        for step in steps:
            files = [ref(name, str(version)) for name, version in step]
            known = [f for f in files if f.version in model.get(f.name, [])]
            if ledger.batch(batch(files).key) is not None:
                assert not ledger.record_batch(batch(files), files)
            elif known:
                with pytest.raises(OverlapError):
                    ledger.record_batch(batch(files), files)
            else:
                record(ledger, *files)
                for file in files:
                    model.setdefault(file.name, []).append(file.version)
        assert current(ledger) == {name: versions[-1] for name, versions in model.items()}
        assert ledger.counts().files == sum(len(v) for v in model.values())


def test_two_threads_and_two_processes_record_one_batch_once(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    code = """
import sys; sys.path.insert(0, sys.argv[1])
from pathlib import Path
from test_ledger import Ledger, batch, ref
sys.stdin.readline()
with Ledger.at(Path(sys.argv[2])) as ledger:
    print(sum(ledger.record_batch(batch([ref(f"{i}")]), [ref(f"{i}")]) for i in range(12)))
"""
    command = [sys.executable, "-c", code, str(Path(__file__).parent), str(path)]
    children = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    made = [0, 0]
    outputs = ["", ""]

    def work(index: int) -> None:
        outputs[index] = children[index].communicate("\n")[0]
        with Ledger.at(path) as ledger:
            made[index] = sum(
                ledger.record_batch(batch([ref(f"t{i}")]), [ref(f"t{i}")]) for i in range(12)
            )

    threads = [threading.Thread(target=work, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(int(text) for text in outputs) == 12
    assert sum(made) == 12
    with Ledger.at(path) as ledger:
        assert ledger.counts().batches == 24


def record_in_child(ledger: Ledger) -> None:
    record(ledger, ref("of the child"))


def test_a_forked_child_uses_connections_of_its_own(ledger: Ledger) -> None:
    record(ledger, ref("a"))
    child = multiprocessing.get_context("fork").Process(target=record_in_child, args=(ledger,))
    child.start()
    child.join()
    assert child.exitcode == 0
    record(ledger, ref("b"))
    assert ledger.counts().batches == 3


def test_a_newer_or_damaged_ledger_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    Ledger.at(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0099'")
    connection.close()
    with pytest.raises(StorageError, match=r"format 0099.*install a newer"):
        Ledger.at(path)
    path.write_bytes(b"no database at all, but long enough to be looked at" * 20)
    with pytest.raises(StorageError, match=r"ledger.sqlite cannot be used"):
        Ledger.at(path)
    with pytest.raises(StorageError, match="cannot be used"):
        Ledger.at(tmp_path / "missing" / "ledger.sqlite")


def test_a_password_is_not_shown() -> None:
    with pytest.raises(StorageError) as caught:
        Ledger("postgresql+psycopg2://me:secret@127.0.0.1:1/ledger")
    assert "secret" not in str(caught.value)
