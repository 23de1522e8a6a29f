"""Documents that the platform reads: sent once, in the same rows and pieces as those that are read here."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import document_files as documents
import pytest
from aionvision_server.fixtures import Server
from remote_runs import asked, configured, ready, rows
from small_library import Run

from aion_dagster import schemas
from aion_dagster.cli import main

CONFIRM = "POST /document-uploads/batch-confirm"


@pytest.fixture(autouse=True)
def key(aionvision: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    return ready(aionvision, monkeypatch)


@pytest.fixture
def papers(tmp_path: Path) -> Path:
    folder = tmp_path / "papers"
    folder.mkdir()
    words = " ".join(f"walnut{i}" for i in range(450))
    (folder / "report.txt").write_text(words)
    (folder / "notes.markdown").write_text("# Kitchen\n\nThe oak table stands in the hall.\n")
    (folder / "plan.pdf").write_bytes(documents.pdf([["One page about lighthouses."]]))
    return folder


@pytest.fixture
def config(tmp_path: Path, aionvision: Server) -> Path:
    return written(tmp_path, aionvision)


def written(tmp_path: Path, server: Server, **more: Any) -> Path:
    library = {"documents": ["pdf", "docx", "txt", "md"], **more.pop("library", {})}
    return configured(tmp_path / "aion.yaml", server, library=library, **more)


def remote_documents(server: Server) -> list[dict[str, Any]]:
    return [o for o in server.objects() if o["media_type"] == "document" and not o["deleted"]]


def test_documents_have_rows_pieces_and_pages_and_are_found(
    run: Run,
    papers: Path,
    config: Path,
    tmp_path: Path,
    aionvision: Server,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store = tmp_path / "store"
    first = run(papers, "--config", config)
    assert (first["files"], first["failed"], first["paid_calls"]) == (3, 0, 3)
    found = {r["name"]: r for r in rows(store, "documents")}
    assert {r["text_extraction_status"] for r in found.values()} == {"completed"}
    assert {r["document_type"] for r in found.values()} == {"pdf", "txt", "md"}
    remote = {o["id"]: o for o in remote_documents(aionvision)}
    for name, row in found.items():
        there = remote[row["remote_id"]]
        assert there["sha256"] == row["sha256"] == there["filename"][:64]
        assert there["title"] == row["title"] == name
        assert row["engine"].startswith("aionvision@")
    report = found["report.txt"]
    assert (report["page_count"], report["chunk_count"]) == (2, 8)
    pieces = [
        c for c in rows(store, "document_chunks") if c["document_id"] == report["document_id"]
    ]
    assert [c["chunk_index"] for c in pieces] == list(range(8))
    assert pieces[0]["page_numbers"] == [1]
    assert pieces[-1]["page_numbers"] == [3]
    assert all(c["token_count"] and c["heading_hierarchy"] for c in pieces)
    text = (papers / "report.txt").read_text()
    assert all(text[c["start_offset"] : c["end_offset"]] == c["content"] for c in pieces)
    main(["search", "oak", "--documents", "--store", str(store), "--json"])
    (hit,) = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert hit["name"] == "notes.markdown"
    aionvision.assert_clean()


def test_a_run_without_changes_and_one_with_copies_and_other_names_asks_nothing(
    run: Run, papers: Path, config: Path, tmp_path: Path, aionvision: Server
) -> None:
    run(papers, "--config", config)
    before = asked(aionvision)
    assert "no work was done" in run(papers, "--config", config)["output"]
    shutil.copy(papers / "report.txt", papers / "copy.txt")
    (papers / "plan.pdf").rename(papers / "other name.pdf")
    os.utime(papers / "notes.markdown", (1, 1))
    result = run(papers, "--config", config)
    assert (result["files"], result["paid_calls"]) == (3, 0)
    assert asked(aionvision) == before
    told = rows(tmp_path / "store", "documents")
    assert {r["text_extraction_status"] for r in told} == {"completed"}
    pieces = [c["document_id"] for c in rows(tmp_path / "store", "document_chunks")]
    # Each content is in both batches.
    assert {(i, pieces.count(i) / 2) for i in pieces} == {
        (r["document_id"], r["chunk_count"]) for r in told
    }


def test_rows_are_those_of_local_reading_but_for_what_the_engine_says(
    run: Run, papers: Path, config: Path, tmp_path: Path
) -> None:
    run(papers, "--config", config)
    local = tmp_path / "local"
    run(papers, "--documents", "pdf,docx,txt,md", "--export", "csv", store=local)
    for table in ("documents", "document_chunks"):
        here, there = rows(local, table), rows(tmp_path / "store", table)
        assert here[0].keys() == there[0].keys() == set(schemas.TABLES[table].names)
    same = ("uri", "name", "version", "document_id", "sha256", "size_bytes", "media_type")
    facts = [
        sorted(tuple(r[c] for c in same) for r in rows(store, "documents"))
        for store in (local, tmp_path / "store")
    ]
    assert facts[0] == facts[1]


def test_documents_are_read_here_where_that_is_wanted(
    run: Run, papers: Path, tmp_path: Path, aionvision: Server
) -> None:
    run(papers, "--config", written(tmp_path, aionvision, documents=False))
    assert remote_documents(aionvision) == []
    assert {r["remote_id"] for r in rows(tmp_path / "store", "documents")} == {None}


def test_a_lost_reply_makes_no_second_document(
    run: Run, papers: Path, config: Path, aionvision: Server
) -> None:
    aionvision.fault("lost", CONFIRM)
    aionvision.fault("reset_after", "POST /document-uploads/batch-prepare")
    run(papers, "--config", config)
    assert run(papers, "--config", config)["paid_calls"] == 0
    assert len(aionvision.objects()) == aionvision.counters()["billed"]["documents"] == 3
    aionvision.assert_clean()


def test_one_that_failed_for_a_time_is_read_by_the_next_run_and_one_that_failed_for_good_is_not(
    run: Run, papers: Path, config: Path, tmp_path: Path, aionvision: Server
) -> None:
    aionvision.fault("failing", CONFIRM, about="-report.txt$", message="503: try later")
    aionvision.fault("failing", CONFIRM, about="-plan.pdf$", message="invalid: encrypted")
    first = run(papers, "--config", config)
    assert first["errors"] == []
    told = {r["name"]: r for r in rows(tmp_path / "store", "documents")}
    assert told["report.txt"]["is_retryable"] is True
    assert told["plan.pdf"]["is_retryable"] is False
    assert told["plan.pdf"]["error"] == "invalid: encrypted"
    assert told["notes.markdown"]["text_extraction_status"] == "completed"
    second = run(papers, "--config", config)
    assert second["paid_calls"] == 1
    told = {r["name"]: r for r in rows(tmp_path / "store", "documents")}
    assert told["report.txt"]["text_extraction_status"] == "completed"
    assert aionvision.counters()["billed"]["documents"] == 2
    before = asked(aionvision)
    assert "no work was done" in run(papers, "--config", config)["output"]
    assert asked(aionvision) == before


def test_one_that_takes_too_long_is_looked_at_again_and_not_sent_again(
    run: Run, papers: Path, tmp_path: Path, aionvision: Server
) -> None:
    aionvision.settings(looks={"document": 50})
    run(papers, "--config", written(tmp_path, aionvision, polling_timeout=0.2))
    told = rows(tmp_path / "store", "documents")
    assert {(r["text_extraction_status"], r["error_type"]) for r in told} == {
        ("processing", "timeout")
    }
    assert all(r["remote_id"] for r in told)
    sent = len(aionvision.log("batch-prepare"))
    again = run(papers, "--config", written(tmp_path, aionvision))
    assert again["paid_calls"] == 0
    assert {r["text_extraction_status"] for r in rows(tmp_path / "store", "documents")} == {
        "completed"
    }
    assert len(aionvision.log("batch-prepare")) == sent


def test_what_the_remote_library_has_is_not_billed_again(
    run: Run, papers: Path, config: Path, tmp_path: Path, aionvision: Server
) -> None:
    run(papers, "--config", config)
    run(papers, "--config", config, store=tmp_path / "another store")
    assert aionvision.counters()["billed"]["documents"] == 3
    assert len(aionvision.objects()) == 3
    ids = [
        {r["remote_id"] for r in rows(tmp_path / s, "documents")}
        for s in ("store", "another store")
    ]
    assert ids[0] == ids[1]


def test_empty_and_vanished_files_are_rows_and_the_others_are_read(
    run: Run, papers: Path, config: Path, tmp_path: Path, aionvision: Server
) -> None:
    (papers / "empty.txt").write_bytes(b"")
    (papers / "locked.md").symlink_to(papers / "nowhere.md")
    run(papers, "--config", config)
    told = {r["name"]: r["text_extraction_status"] for r in rows(tmp_path / "store", "documents")}
    assert told["empty.txt"] == "empty"
    assert [s for n, s in told.items() if n != "empty.txt"].count("completed") == 3
    assert len(remote_documents(aionvision)) == 3


def test_a_spent_quota_and_a_spent_budget_leave_rows_that_later_runs_fill(
    run: Run, papers: Path, tmp_path: Path, aionvision: Server
) -> None:
    aionvision.plan("FREE")
    aionvision.uploads_used(999)
    first = run(papers, "--config", written(tmp_path, aionvision))
    assert (first["errors"], first["paid_calls"]) == ([], 1)
    kinds = [r["error_type"] for r in rows(tmp_path / "store", "documents")]
    assert (kinds.count(None), kinds.count("quota")) == (1, 2)
    aionvision.plan("UNLIMITED")
    budget = {"budgets": {"library": {"calls": 2}}}
    run(papers, "--config", written(tmp_path, aionvision, library=budget))
    kinds = [r["error_type"] for r in rows(tmp_path / "store", "documents")]
    assert (kinds.count(None), kinds.count("budget")) == (2, 1)
    assert run(papers, "--config", written(tmp_path, aionvision))["paid_calls"] == 1
    assert len(remote_documents(aionvision)) == 3


@pytest.mark.parametrize(
    "side",
    [
        {"document_status": "extraction_status"},
        {"chunk_fields": "text"},
        {"document_quota": "counts"},
        {"batch_prepare": "files"},
        {"list_envelope": "items"},
    ],
    ids=str,
)
def test_documents_are_read_on_either_side_of_what_the_sources_contradict(
    run: Run,
    papers: Path,
    config: Path,
    tmp_path: Path,
    aionvision: Server,
    side: dict[str, str],
) -> None:
    aionvision.side(**side)
    run(papers, "--config", config)
    told = rows(tmp_path / "store", "documents")
    assert {r["text_extraction_status"] for r in told} == {"completed"}
    assert all(r["page_count"] and r["chunk_count"] and r["title"] for r in told)
    assert all(c["token_count"] for c in rows(tmp_path / "store", "document_chunks"))


def test_tags_of_the_configuration_are_given_to_new_documents(
    run: Run, papers: Path, tmp_path: Path, aionvision: Server
) -> None:
    run(papers, "--config", written(tmp_path, aionvision, tags=["site", "2026"]))
    assert {tuple(o["tags"]) for o in remote_documents(aionvision)} == {("site", "2026")}
