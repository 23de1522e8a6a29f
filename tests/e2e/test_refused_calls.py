"""Documents and colors whose calls were refused before anything began: they take nothing of a budget, and are made later."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aionvision_server.fixtures import Server
from remote_runs import configured, ready, rows
from small_library import Run

from aion_dagster.client import SyncAionVision

PREPARE = "POST /document-uploads/batch-prepare"
CONFIRM = "POST /document-uploads/batch-confirm"
ALONE = "POST /document-uploads/request-presigned-url"
STATUS = "GET /document-uploads/batch/*"
GET = "GET /colors/images/{image_id}"
EXTRACT = "POST /colors/batch/extract"


@pytest.fixture(autouse=True)
def key(aionvision: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    return ready(aionvision, monkeypatch)


@pytest.fixture
def papers(tmp_path: Path) -> Path:
    folder = tmp_path / "papers"
    folder.mkdir()
    for name in ("oak", "pine", "yew"):
        (folder / f"{name}.txt").write_text(f"A sentence about the {name}.\n")
    return folder


def reading(tmp_path: Path, server: Server, calls: int, **more: Any) -> Path:
    """Documents go to the platform, which gets so many calls in all."""
    library = {"documents": ["txt"], "budgets": {"library": {"calls": calls}}}
    return configured(tmp_path / "aion.yaml", server, library=library, **more)


def coloring(tmp_path: Path, server: Server, calls: int, **more: Any) -> Path:
    """Colors come from the platform, which gets so many calls in all."""
    library = {"budgets": {"library": {"calls": calls}}}
    return configured(tmp_path / "aion.yaml", server, colors=True, library=library, **more)


@pytest.mark.parametrize(
    ("kind", "operation"),
    [("rate_limit", PREPARE), ("rate_limit", CONFIRM), ("redirect", PREPARE), ("html", PREPARE)],
)
def test_documents_that_the_platform_did_not_begin_with_leave_the_budget_whole(
    run: Run, papers: Path, tmp_path: Path, aionvision: Server, kind: str, operation: str
) -> None:
    aionvision.fault(kind, operation, every=1)
    first = run(papers, "--config", reading(tmp_path, aionvision, 3, max_retries=0))
    assert (first["errors"], first["paid_calls"]) == ([], 0)
    told = rows(tmp_path / "store", "documents")
    assert [r["is_retryable"] for r in told] == [True] * 3
    assert all(r["error"] for r in told)
    aionvision.clear_faults()
    second = run(papers, "--config", reading(tmp_path, aionvision, 3))
    assert second["paid_calls"] == 3
    told = rows(tmp_path / "store", "documents")
    assert {r["text_extraction_status"] for r in told} == {"completed"}
    assert aionvision.counters()["billed"]["documents"] == 3


def test_a_confirmation_that_was_lost_counts_though_the_look_after_it_was_refused(
    run: Run, papers: Path, tmp_path: Path, aionvision: Server
) -> None:
    aionvision.fault("reset_after", CONFIRM)
    aionvision.fault("rate_limit", STATUS, every=1)
    first = run(papers, "--config", reading(tmp_path, aionvision, 3, max_retries=0))
    assert first["paid_calls"] == 3
    aionvision.clear_faults()
    over = run(papers, "--config", reading(tmp_path, aionvision, 3))
    assert (over["errors"], over["paid_calls"]) == ([], 0)
    run(papers, "--config", reading(tmp_path, aionvision, 6))
    told = rows(tmp_path / "store", "documents")
    assert {r["text_extraction_status"] for r in told} == {"completed"}
    assert aionvision.counters()["billed"]["documents"] == 3


def test_documents_that_were_taken_before_the_quota_was_spent_are_read_and_only_the_other_waits(
    run: Run, papers: Path, tmp_path: Path, aionvision: Server
) -> None:
    run(papers, "--config", reading(tmp_path, aionvision, 3))
    (pine,) = [o for o in aionvision.objects() if o["filename"].endswith("-pine.txt")]
    with SyncAionVision(aionvision.key, base_url=aionvision.url) as client:
        client.documents.delete(pine["id"])
    # What was deleted is sent alone, after the others: its key is that of the deleted one.
    aionvision.fault("status", ALONE, every=1, status=402)
    other = tmp_path / "other"
    first = run(papers, "--config", reading(tmp_path, aionvision, 3), store=other)
    assert (first["errors"], first["paid_calls"]) == ([], 2)
    told = {r["name"]: r["error_type"] for r in rows(other, "documents")}
    assert told == {"oak.txt": None, "pine.txt": "quota", "yew.txt": None}
    aionvision.clear_faults()
    assert run(papers, "--config", reading(tmp_path, aionvision, 3), store=other)["paid_calls"] == 1
    told = {r["text_extraction_status"] for r in rows(other, "documents")}
    assert told == {"completed"}


@pytest.mark.parametrize("kind", ["redirect", "rate_limit"])
def test_extractions_of_colors_that_the_platform_did_not_begin_with_leave_the_budget_whole(
    run: Run, pictures: Path, tmp_path: Path, aionvision: Server, kind: str
) -> None:
    aionvision.fault("failing", GET, times=2)
    aionvision.fault(kind, EXTRACT, every=1)
    first = run(pictures, "--config", coloring(tmp_path, aionvision, 14, max_retries=0))
    assert (first["errors"], first["paid_calls"]) == ([], 12)
    assert len(rows(tmp_path / "store", "color_analyses")) == 10
    aionvision.clear_faults()
    second = run(pictures, "--config", coloring(tmp_path, aionvision, 14))
    assert second["paid_calls"] == 2
    assert len(rows(tmp_path / "store", "color_analyses")) == 12
    assert aionvision.counters()["billed"]["color_extractions"] == 2
