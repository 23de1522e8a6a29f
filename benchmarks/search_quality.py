"""How well questions find pages: recall and nDCG of the first ten, by words, by vectors and by both.

    python benchmarks/search_quality.py [--store FOLDER] [--json FILE] [--misses]

The pages are what the installed packages and Python's modules say of themselves, the questions those of
tests/search_quality/queries.txt. Half of them may be looked at while a ranking is chosen (tuned); the other half is not.
A store that is given and there is measured as it is.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from search_quality.measuring import WAYS, found_pages, means, questions
from search_quality.pages import write_pages

from aion_dagster.backends.local import LocalBackend
from aion_dagster.cli import main as command
from aion_dagster.search.library_tables import LibraryTables
from aion_dagster.storage.store import Store


def measured(place: Path, misses: bool = False) -> dict[str, Any]:
    """Recall and nDCG by way and part."""
    store = place / "store"
    names = write_pages(place / "pages")
    if not store.exists():
        asked = ["run", str(place / "pages"), "--store", str(store)]
        with contextlib.redirect_stdout(io.StringIO()):
            status = command([*asked, "--documents", "md", "--export", "none", "--json"])
        if status:
            raise SystemExit("the pages could not be read")
    backend = LocalBackend()
    opened = Store.open(store, create=False)
    tables = LibraryTables(opened, backend.identity("embed_text"), None)
    asked_for = questions(names)
    result: dict[str, Any] = {"pages": len(names), "questions": len(asked_for)}
    for part in ("all", "tuned", "held out"):
        some = [q for q in asked_for if part == "all" or q.tuned is (part == "tuned")]
        for way in WAYS:
            result[f"{part}, {way}"] = means(
                some, lambda text, way=way: found_pages(tables, backend.embed_text, text, way)
            )
        for q in some if misses and part == "tuned" else ():
            places = {
                way: [
                    n + 1
                    for n, p in enumerate(found_pages(tables, backend.embed_text, q.text, way))
                    if p in q.pages
                ]
                for way in WAYS
            }
            print(q.text, sorted(q.pages), places)
    tables.close()
    opened.close()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--misses", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        result = measured(chosen.store or Path(scratch), chosen.misses)
    print(f"{result['pages']} pages, {result['questions']} questions")
    for name, values in result.items():
        if isinstance(values, dict):
            print(f"{name:20} recall@10 {values['recall@10']:.3f}  nDCG@10 {values['nDCG@10']:.3f}")
    if chosen.json:
        chosen.json.write_text(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
