"""Passes over sources in the ledger: what they did not see is deleted, and nothing else is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aion_dagster import identity
from aion_dagster.storage import BatchRecord, Ledger
from aion_dagster.storage import ledger_scans as scans
from aion_dagster.storage.ledger_scans import Sighting
from aion_dagster.storage.seen_files import SeenFiles
from aion_dagster.values import FileRef

MOMENT = datetime(2024, 5, 6, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgres"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    if request.param == "sqlite":
        opened = Ledger.at(tmp_path / "ledger.sqlite")
    else:
        opened = Ledger(request.getfixturevalue("postgres_database"))
    with opened:
        yield opened


def ref(name: str, version: str = "1", source: str = "pics") -> FileRef:
    return FileRef(source, f"s3://b/{name}", name, version, 1, MOMENT)


def record(ledger: Ledger, *files: FileRef) -> None:
    source = files[0].source
    made = BatchRecord(
        identity.batch_key(source, files),
        source,
        identity.manifest_digest(files),
        len(files),
        len(files),
    )
    assert ledger.record_batch(made, files)


def current(ledger: Ledger) -> dict[str, str]:
    return {row.uri.removeprefix("s3://b/"): row.version for row in ledger.current_versions()}


def gone(ledger: Ledger) -> set[str]:
    return {row.uri.removeprefix("s3://b/") for row in ledger.deletions()}


def seen(ledger: Ledger, *names: str, files: int | None = None, **more: set[str]) -> Sighting:
    """What a pass saw that listed these files."""
    known = ledger.known_files("pics", [ref(name).uri for name in names])
    sighting = Sighting(files=len(names) if files is None else files, **more)
    sighting.known.add(v.id for versions in known.values() for v in versions)
    return sighting


def end(ledger: Ledger, pass_id: str, sighting: Sighting, *, empty: bool = True) -> int | None:
    return ledger.end_pass(pass_id, sighting, may_be_empty=empty)


def test_what_a_pass_did_not_see_is_deleted_in_its_source_alone(ledger: Ledger) -> None:
    record(ledger, ref("a"), ref("b"), ref("c"))
    record(ledger, ref("a", source="scans"))
    revision = ledger.revision()
    assert end(ledger, ledger.begin_pass("pics"), seen(ledger, "b")) == 2
    assert [(v.source, v.uri[-1]) for v in ledger.current_versions()] == [
        ("pics", "b"),
        ("scans", "a"),
    ]
    assert {(d.source, d.uri[-1]) for d in ledger.deletions()} == {("pics", "a"), ("pics", "c")}
    assert all(datetime.now(UTC) - d.deleted_at < timedelta(minutes=5) for d in ledger.deletions())
    assert ledger.revision() > revision
    assert end(ledger, ledger.begin_pass("pics"), seen(ledger, "b")) == 0
    assert list(ledger.deletions(source="scans")) == []


def test_a_pass_may_be_made_in_parts_and_a_part_repeated(ledger: Ledger) -> None:
    record(ledger, *(ref(name) for name in "abcd"))
    number = ledger.begin_pass("pics")
    for part in ("ab", "ab", "c"):
        ledger.note_seen(number, seen(ledger, *part))
    assert end(ledger, number, Sighting()) == 1
    assert gone(ledger) == {"d"}


def test_a_pass_that_is_over_changes_nothing_any_more(ledger: Ledger) -> None:
    record(ledger, ref("a"), ref("b"))
    number = ledger.begin_pass("pics")
    assert end(ledger, number, seen(ledger, "a", "b")) == 0
    ledger.note_seen(number, seen(ledger, "a"))
    assert end(ledger, number, seen(ledger, "a")) == 0
    assert gone(ledger) == set()


def test_files_that_are_recorded_while_a_pass_is_under_way_stay(ledger: Ledger) -> None:
    record(ledger, ref("a"))
    number = ledger.begin_pass("pics")
    record(ledger, ref("b"))
    record(ledger, ref("a", "2"))
    assert end(ledger, number, Sighting(files=1)) == 0
    assert current(ledger) == {"a": "2", "b": "1"}


def test_files_that_come_back_while_a_pass_is_under_way_stay(ledger: Ledger) -> None:
    record(ledger, ref("a"), ref("b"))
    ledger.mark_deleted("pics", [ref("a").uri])
    number = ledger.begin_pass("pics")
    assert ledger.mark_current([ref("a")]) == 1
    assert end(ledger, number, seen(ledger, "b")) == 0
    assert current(ledger) == {"a": "1", "b": "1"}


def test_a_file_that_was_seen_in_one_version_is_there_in_another(ledger: Ledger) -> None:
    record(ledger, ref("a", "1"))
    record(ledger, ref("a", "2"))
    number = ledger.begin_pass("pics")
    sighting = seen(ledger, "a")
    ledger.mark_current([ref("a", "1")])
    assert end(ledger, number, sighting) == 0
    assert current(ledger) == {"a": "1"}


def test_a_file_that_is_recorded_anew_has_no_tombstone(ledger: Ledger) -> None:
    record(ledger, ref("a"))
    assert ledger.mark_deleted("pics", [ref("a").uri, ref("never").uri]) == 1
    assert ledger.mark_deleted("pics", [ref("a").uri]) == 0
    assert (current(ledger), gone(ledger)) == ({}, {"a"})
    record(ledger, ref("a", "2"))
    assert (current(ledger), gone(ledger)) == ({"a": "2"}, set())


def test_nothing_below_a_folder_that_could_not_be_listed_is_deleted(ledger: Ledger) -> None:
    names = ("x_y/a", "xay/a", "x%/a", "X_Y/a", "z")
    record(ledger, *map(ref, names))
    number = ledger.begin_pass("pics")
    ledger.note_seen(number, Sighting(files=1, unlisted={"s3://b/x_y/"}))
    assert end(ledger, number, Sighting(unlisted={"s3://b/x%/"})) == 3
    assert set(current(ledger)) == {"x_y/a", "x%/a"}


def test_a_source_that_lists_nothing_any_more_is_not_empty_unless_it_may_be(
    ledger: Ledger,
) -> None:
    record(ledger, ref("a"))
    assert end(ledger, ledger.begin_pass("pics"), Sighting(), empty=False) is None
    assert set(current(ledger)) == {"a"}
    # Something was listed, if only new files: the source is not broken.
    assert end(ledger, ledger.begin_pass("pics"), Sighting(files=1), empty=False) == 1
    assert end(ledger, ledger.begin_pass("pics"), Sighting(), empty=False) == 0


def test_the_state_of_a_source_tells_how_passes_ended(ledger: Ledger) -> None:
    assert ledger.source_state("pics").scanned_at is None
    ledger.note_problem("pics", "is out of order")
    failed = ledger.source_state("pics")
    assert (failed.problem, failed.scanned_at) == ("is out of order", None)
    ledger.end_pass(ledger.begin_pass("pics"), Sighting(), resume="token 1", may_be_empty=True)
    listed = ledger.source_state("pics")
    assert (listed.resume, listed.problem, listed.failed_at) == ("token 1", None, None)
    ledger.end_changes("pics", resume="token 2")
    followed = ledger.source_state("pics")
    assert (followed.resume, followed.listed_at) == ("token 2", listed.listed_at)
    assert followed.scanned_at is not None
    assert listed.scanned_at is not None
    assert followed.scanned_at >= listed.scanned_at
    ledger.note_problem("pics", "again")
    assert ledger.source_state("pics").scanned_at == followed.scanned_at


def test_passes_that_nobody_ends_are_forgotten(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(ledger, ref("a"))
    lost = ledger.begin_pass("pics")
    monkeypatch.setattr(scans, "ABANDONED", timedelta(0))
    ledger.begin_pass("pics")
    assert end(ledger, lost, Sighting()) == 0
    assert set(current(ledger)) == {"a"}


def test_two_writers_never_leave_two_current_versions_of_a_file(ledger: Ledger) -> None:
    record(ledger, *(ref(f"{i}") for i in range(4)))
    start = threading.Barrier(3)

    def overwrite(offset: int) -> None:
        start.wait()
        for version in range(6):
            record(ledger, *(ref(f"{i}", f"{offset + version}") for i in range(4)))

    def delete_and_return() -> None:
        start.wait()
        for _ in range(6):
            ledger.mark_deleted("pics", [ref(f"{i}").uri for i in range(4)])
            ledger.mark_current([ref(f"{i}") for i in range(4)])

    threads = [threading.Thread(target=overwrite, args=(n,)) for n in (100, 200)]
    threads.append(threading.Thread(target=delete_and_return))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = [row.uri for row in ledger.current_versions()]
    assert len(names) == len(set(names)) == 4
    assert gone(ledger) == set()


@given(
    st.lists(st.sets(st.integers(0, 300_000), max_size=30), max_size=4),
    st.sets(st.integers(0, 400_000), max_size=40),
)
def test_a_set_of_bits_is_a_set(parts: list[set[int]], asked: set[int]) -> None:
    held = SeenFiles()
    for part in parts:
        held.add(part)
    ids = np.array(sorted(asked), dtype=np.int64)
    assert set(held.missing(ids).tolist()) == asked - set().union(*parts)
