"""Documents beside pictures: taken in when asked for, read once, found by their words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import document_files as documents
import docx
import pyarrow.parquet as pq
import pytest
from small_library import Run

from aion_dagster.cli import main


@pytest.fixture
def papers(pictures: Path) -> Path:
    report = documents.pdf([[f"Chapter {page} is about lighthouses."] for page in range(1, 4)])
    (pictures / "report.pdf").write_bytes(report)
    letter = docx.Document()
    letter.add_heading("Furniture", 1)
    letter.add_paragraph("The walnut table stands in the hall.")
    (pictures / "letter.DOCX").write_bytes(documents.docx_bytes(letter))
    (pictures / "broken.pdf").write_bytes(b"%PDF-1.4 and nothing more")
    (pictures / "notes.md").write_text("# Not asked for\n")
    return pictures


def rows(store: Path, table: str) -> list[dict[str, Any]]:
    files = sorted((store / "tables" / table).glob("batch=*/part.parquet"))
    return [row for f in files for row in pq.read_table(f, partitioning=None).to_pylist()]


def test_documents_have_rows_and_pieces_and_are_found(
    papers: Path, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "store"
    count = len([f for f in papers.rglob("*") if f.suffix in (".jpg", ".png")])
    done = run(papers, "--documents", "pdf,docx", "--export", "coco", store=store)
    assert (done["files"], done["failed"]) == (count + 3, 1)
    found = {r["name"]: r for r in rows(store, "documents")}
    assert {name: r["text_extraction_status"] for name, r in found.items()} == {
        "report.pdf": "completed",
        "letter.DOCX": "completed",
        "broken.pdf": "unreadable",
    }
    assert found["report.pdf"]["page_count"] == 3
    assert not {r["name"] for r in rows(store, "images")} & found.keys()
    again = run(papers, store=store)
    assert "no work was done" in again["output"]

    main(["search", "walnut", "--documents", "--store", str(store), "--json"])
    (hit,) = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert hit["name"] == "letter.DOCX"


def test_a_copy_of_a_document_is_not_read_again_and_a_changed_one_replaces_its_words(
    papers: Path, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "store"
    run(papers, "--documents", "pdf,docx", store=store)
    (papers / "copy.pdf").write_bytes((papers / "report.pdf").read_bytes())
    run(papers, store=store)
    copies = [r for r in rows(store, "documents") if r["name"] in ("copy.pdf", "report.pdf")]
    assert len({r["document_id"] for r in copies}) == 1
    (papers / "copy.pdf").unlink()
    (papers / "report.pdf").write_bytes(documents.pdf([["All about windmills."]]))
    run(papers, store=store)
    main(["search", "windmills", "--documents", "--store", str(store), "--json"])
    assert "report.pdf" in capsys.readouterr().out


def test_without_being_asked_for_documents_are_passed_over(papers: Path, run: Run) -> None:
    done = run(papers)
    assert done["failed"] == 0
