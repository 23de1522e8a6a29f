"""Documents and links: a kill while a reply is on its way makes nothing twice."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from aionvision_server.fixtures import Server
from remote_runs import configured, ready, rows
from small_library import Run

CONFIRM = "POST /document-uploads/batch-confirm"
CREATE = "POST /user-files/links"
IS_SOAK = os.environ.get("AION_TEST_TIER") == "soak"
LINKS = [f"https://example.com/{n}" for n in range(4)]


@pytest.fixture(autouse=True)
def key(aionvision: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    return ready(aionvision, monkeypatch)


@pytest.fixture
def papers(tmp_path: Path) -> Path:
    folder = tmp_path / "papers"
    folder.mkdir()
    for number in range(6):
        (folder / f"{number}.txt").write_text(f"Number {number} stands in the hall.")
    return folder


def killed(arguments: list[str], server: Server, operation: str, *, accepted: bool) -> None:
    """Run the command until a reply to `operation` is held back, and kill it then."""
    server.hold(operation, accepted=accepted)
    command = [sys.executable, "-m", "aion_dagster", "run", *arguments]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        server.wait_held(timeout=120)
        process.kill()
    server.clear_faults()
    server.release("reset")


@pytest.mark.parametrize(
    ("operation", "accepted"),
    [(CONFIRM, True), (CREATE, False), *([(CONFIRM, False), (CREATE, True)] if IS_SOAK else [])],
)
def test_a_kill_makes_nothing_twice(
    run: Run, papers: Path, tmp_path: Path, aionvision: Server, operation: str, accepted: bool
) -> None:
    library = {"documents": ["txt"]}
    config = configured(tmp_path / "aion.yaml", aionvision, links=LINKS, library=library)
    place = ["--config", str(config), "--store", str(tmp_path / "store")]
    killed([str(papers), *place], aionvision, operation, accepted=accepted)
    result = run(papers, "--config", config)
    assert result["errors"] == []
    assert aionvision.counters()["remote_objects"] == {"document": 6, "link": 4}
    assert aionvision.counters()["billed"]["documents"] == 6
    assert len(aionvision.objects()) == 10
    documents = rows(tmp_path / "store", "documents")
    assert {r["text_extraction_status"] for r in documents} == {"completed"}
    assert len({r["remote_id"] for r in documents}) == 6
    links = rows(tmp_path / "store", "links")
    assert {(r["crawl_status"], r["was_there"]) for r in links} == {("completed", False)}
    aionvision.assert_clean()
