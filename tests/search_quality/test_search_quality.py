"""Real pages are found by questions that were written before any ranking was chosen."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from aion_dagster.backends.local import LocalBackend
from aion_dagster.cli import main
from aion_dagster.search.library_tables import LibraryTables
from aion_dagster.storage.store import Store

from .measuring import WAYS, found_pages, means, questions
from .pages import write_pages

SOAK = os.environ.get("AION_TEST_TIER") == "soak"


def test_there_are_enough_pages_and_questions(tmp_path: Path) -> None:
    names = write_pages(tmp_path)
    asked = questions(names)
    assert len(names) >= 300
    assert len(asked) >= 60
    assert abs(sum(q.tuned for q in asked) - len(asked) / 2) <= len(asked) / 10


@pytest.mark.timeout(1800)
def test_words_and_vectors_together_find_more_than_each_alone(tmp_path: Path) -> None:
    """The quick tier asks half of the questions of the beginnings of the pages that answer them."""
    names = write_pages(tmp_path / "pages")
    asked_for = [q for q in questions(names) if SOAK or q.tuned]
    if not SOAK:
        wanted = {page for question in asked_for for page in question.pages}
        shutil.rmtree(tmp_path / "pages")
        names = write_pages(tmp_path / "pages", longest=1_200, only=wanted)
    store = tmp_path / "store"
    asked = ["run", str(tmp_path / "pages"), "--store", str(store), "--documents", "md"]
    assert main([*asked, "--export", "none"]) == 0
    backend = LocalBackend()
    with Store.open(store, create=False) as opened:
        tables = LibraryTables(opened, backend.identity("embed_text"), None)
        of = {
            way: means(
                questions(names), lambda q, way=way: found_pages(tables, backend.embed_text, q, way)
            )
            for way in WAYS
        }
        tables.close()
    for measure in ("recall@10", "nDCG@10") if SOAK else ("recall@10",):
        assert of["both"][measure] >= max(of["words"][measure], of["vectors"][measure])
    assert of["both"]["recall@10"] > 0.85
