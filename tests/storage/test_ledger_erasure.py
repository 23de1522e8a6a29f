"""Erasing in the ledger: nothing is left of a file but a mark, on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from aion_dagster.identity import manifest_digest
from aion_dagster.storage.call_records import CallKey, Settlement
from aion_dagster.storage.ledger import Ledger
from aion_dagster.storage.ledger_erasure import (
    FileVersion,
    Reprint,
    Slimmed,
    content_mark,
    file_mark,
)
from aion_dagster.storage.ledger_records import BatchRecord
from aion_dagster.storage.ledger_tables import METADATA
from aion_dagster.values import FileRef

SHA = "ab" * 32
OTHER = "cd" * 32
GONE = FileVersion("s", "file:///x/the%20bride.jpg", "1")


@pytest.fixture(params=["sqlite", "postgres", "postgres, a library of its own"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    if request.param == "sqlite":
        opened = Ledger.at(tmp_path / "ledger.sqlite")
    else:
        url = request.getfixturevalue("postgres_database")
        opened = Ledger(url, library="weddings" if "own" in request.param else "default")
    with opened:
        yield opened


def ref(uri: str, version: str = "1", source: str = "s") -> FileRef:
    return FileRef(
        source, uri, uri.rpartition("/")[2], version, 10, datetime(2026, 1, 1, tzinfo=UTC)
    )


def record(ledger: Ledger, key: str, *files: FileRef) -> None:
    batch = BatchRecord(key, files[0].source, manifest_digest(files), len(files), 10 * len(files))
    assert ledger.record_batch(batch, files)


def contents(ledger: Ledger) -> str:
    """Every value of every table."""
    said = []
    with ledger._database.read() as connection:
        for table in METADATA.sorted_tables:
            said += [repr(tuple(row)) for row in connection.execute(sa.select(table))]
    return "\n".join(said)


def test_nothing_is_left_of_a_file_but_a_mark(ledger: Ledger) -> None:
    record(ledger, "b1", ref(GONE.uri), ref("file:///x/other.jpg"))
    ledger.record_results("pass", "p", "b1", [SHA, OTHER])
    ledger.record_build("images", "b1", "old", 2, {})
    ledger.record_build("descriptions", "b1", "another", 2, {})
    calls = ledger.paid_calls("run")
    keys = [CallKey(sha, "describe", "1", "engine") for sha in (SHA, OTHER)]
    calls.begin(keys)
    calls.sent(keys)
    calls.settled({key: Settlement({"text": f"veil {key.sha256}"}, credits=2.0) for key in keys})
    ledger.note_problem("s", f"{GONE.uri}: permission denied")

    ledger.note_forgotten([file_mark(GONE), content_mark(SHA)])
    for _ in range(2):
        ledger.erase(
            [GONE],
            [SHA],
            mentions=[GONE.uri],
            batches={"b1": Slimmed("d" * 64, 1, 10)},
            prints=[Reprint("images", "b1", "old", "new"), Reprint("descriptions", "b1", "x", "y")],
        )
    ledger.compact_database()

    said = contents(ledger)
    assert "bride" not in said
    assert SHA not in said
    assert "other.jpg" in said
    assert OTHER in said
    batch = ledger.batch("b1")
    assert batch is not None
    assert (batch.manifest_digest, batch.file_count, batch.size_bytes) == ("d" * 64, 1, 10)
    assert {a: ledger.builds(a)["b1"].fingerprint for a in ("images", "descriptions")} == {
        "images": "new",
        "descriptions": "another",
    }
    assert sum(s.credits for s in ledger.spending()) == 4.0
    assert [v.uri for v in ledger.current_versions()] == ["file:///x/other.jpg"]
    assert list(ledger.deletions()) == []


def test_an_erased_version_stays_out_and_others_do_not(ledger: Ledger) -> None:
    record(ledger, "b1", ref(GONE.uri))
    ledger.note_forgotten([file_mark(GONE), content_mark(SHA)])
    ledger.erase([GONE], [SHA], batches={"b1": Slimmed("d" * 64, 0, 0)})
    assert ledger.known_versions("s", [GONE.uri]) == {}
    files = [ref(GONE.uri), ref(GONE.uri, "2"), ref(GONE.uri, source="t"), ref("file:///x/new.jpg")]
    assert ledger.without_forgotten(files) == files[1:]
    assert ledger.forgotten_contents([SHA, OTHER]) == {SHA}


def test_older_versions_of_an_erased_file_do_not_come_back(ledger: Ledger) -> None:
    record(ledger, "b1", ref(GONE.uri, "0"))
    record(ledger, "b2", ref(GONE.uri, "1"))
    before = ledger.revision()
    ledger.erase([GONE], [SHA], batches={"b2": Slimmed("d" * 64, 0, 0)})
    assert list(ledger.current_versions()) == []
    assert [d.uri for d in ledger.deletions()] == [GONE.uri]
    assert ledger.revision() > before
    # With its oldest version gone, too, nothing is said of the file at all.
    ledger.erase([GONE._replace(version="0")], [], batches={"b1": Slimmed("e" * 64, 0, 0)})
    assert list(ledger.deletions()) == []


def test_an_old_version_is_erased_without_its_file(ledger: Ledger) -> None:
    record(ledger, "b1", ref(GONE.uri, "0"))
    record(ledger, "b2", ref(GONE.uri, "1"))
    ledger.erase([GONE._replace(version="0")], [SHA], batches={"b1": Slimmed("d" * 64, 0, 0)})
    assert [v.version for v in ledger.current_versions()] == ["1"]
    assert list(ledger.deletions()) == []


def test_a_uri_leads_to_its_versions_and_batches(ledger: Ledger) -> None:
    record(ledger, "b1", ref(GONE.uri, "0"), ref("file:///x/other.jpg"))
    record(ledger, "b2", ref(GONE.uri, "1"))
    found = ledger.versions_of(GONE.uri)
    assert found == [(GONE._replace(version="0"), "b1"), (GONE, "b2")]
    assert ledger.versions_of("file:///x/unknown.jpg") == []
    assert ledger.batches_of([GONE]) == {"b2"}


def test_the_bytes_leave_the_file_of_an_sqlite_ledger(tmp_path: Path) -> None:
    with Ledger.at(tmp_path / "ledger.sqlite") as ledger:
        record(ledger, "b1", *(ref(f"file:///x/the%20bride{n}.jpg") for n in range(500)))
        files = [v for v, _ in ledger.versions_of("file:///x/the%20bride7.jpg")]
        ledger.erase(files, [], batches={"b1": Slimmed("d" * 64, 499, 4990)})
        ledger.compact_database()
        held = b"".join(p.read_bytes() for p in tmp_path.glob("ledger.sqlite*"))
        assert b"bride8.jpg" in held
        assert b"bride7.jpg" not in held
