"""Copies of exports that a configuration has put elsewhere are found, and nothing else that is there."""

from __future__ import annotations

from pathlib import Path

from aion_dagster.config import LibraryConfig
from aion_dagster.erasure import copies
from aion_dagster.storage.erasure_found import Found
from aion_dagster.storage.exports import FACTS, ExportStore


def test_copies_are_found_by_the_configuration(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    exports = ExportStore(elsewhere)
    staging = exports.staging("main", "made")
    (staging / FACTS).write_text("{}")
    exports.copy(staging, "main", "csv")
    (elsewhere / "main" / "coco").mkdir()
    (elsewhere / "main" / "coco" / "mine.txt").write_text("not an export")
    options = {"destination": str(elsewhere)}
    config = LibraryConfig.parse(
        {
            "store": str(tmp_path / "store"),
            "datasets": [{"name": "main", "export_options": options}, {"name": "other"}],
        }
    )
    found = Found(exports=frozenset({("main", "csv"), ("main", "coco"), ("other", "csv")}))
    assert copies(config, found) == [elsewhere / "main" / "csv"]
