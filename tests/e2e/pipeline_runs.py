"""Pipelines for tests: the documented examples in YAML and in Python, and the command line run on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from aion_dagster.cli import main
from aion_dagster.config import PipelineConfig
from aion_dagster.pipelines.builder import Pipeline
from aion_dagster.pipelines.kept import read_result
from aion_dagster.pipelines.results import StepResult
from aion_dagster.storage.store import Store

EXAMPLES = """
- name: poles
  steps:
    - search_images: picture
    - organize: Sort by color
- name: maintenance
  steps:
    - search_images: picture
    - search_documents: maintenance
    - cross_reference: Cross-reference findings
      depends_on: [0, 1]
- name: papers
  seeds: {documents: all}
  steps:
    - analyze_documents: Find key issues
"""
"""The pipelines of the platform's own examples."""


def in_python() -> list[PipelineConfig]:
    """The same by the builder."""
    return [
        Pipeline("poles").search_images("picture").organize("Sort by color").config(),
        Pipeline("maintenance")
        .search_images("picture")
        .search_documents("maintenance")
        .cross_reference("Cross-reference findings", depends_on=[0, 1])
        .config(),
        Pipeline("papers").with_documents("all").analyze_documents("Find key issues").config(),
    ]


def write_papers(folder: Path) -> None:
    """Two documents."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.md").write_text(
        "# Maintenance\n\nThe pole at the river was repaired in May. The maintenance of the blue bridge is late.\n\n"
        "# Costs\n\nThe repair of the pole did cost 300 euros.\n"
    )
    (folder / "letter.txt").write_text(
        "Dear Sir, the pole near the station is damaged. Maintenance is urgent there."
    )


def with_pipelines(path: Path, pipelines: Any) -> Path:
    """The same configuration with pipelines, which may be YAML."""
    data = yaml.safe_load(path.read_text()) if path.exists() else {}
    data["pipelines"] = yaml.safe_load(pipelines) if isinstance(pipelines, str) else pipelines
    path.write_text(yaml.safe_dump(data))
    return path


def run_pipeline(
    capsys: pytest.CaptureFixture[str],
    name: str,
    store: Path,
    config: Path,
    *more: str,
    status: int = 0,
) -> dict[str, Any]:
    """`aion-dagster pipeline run NAME --json`, with what it wrote to standard error as `problems`."""
    place = ["--store", str(store), "--config", str(config), "--json"]
    code = main(["pipeline", "run", name, *more, *place])
    out, err = capsys.readouterr()
    assert code == status, f"exit {code}, not {status}\n{out}\n{err}"
    result: dict[str, Any] = json.loads(out.splitlines()[-1])
    return {**result, "problems": err, "output": out}


def statuses(result: dict[str, Any]) -> dict[str, str]:
    """How each step ended."""
    return {name: facts["status"] for name, facts in result["steps"].items()}


def result_of(store: Path, pipeline: str, step: str, batch: str | None = None) -> StepResult:
    """What there is of a step."""
    with Store.open(store, create=False) as opened:
        return read_result(opened, pipeline, step, batch)
