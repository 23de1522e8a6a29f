"""docs/yaml.md, word by word: its commands are run and its files are written where it says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "yaml.md"
BLOCK = re.compile(r"^```(bash|yaml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

PLACES = """
import json, pathlib, dagster as dg
from aion_dagster import VisionLibrary
(library,) = dg.ComponentTree.for_project(pathlib.Path.cwd()).get_all_components(of_type=VisionLibrary)
print(json.dumps([library.config.store, *(s.place for s in library.config.sources)]))
"""
"""Prints where the library's store and sources are."""


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """Dagster's tools as they stand beside this Python, without what calls home."""
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "DAGSTER_DISABLE_TELEMETRY": "yes",
        "DAGSTER_DG_CLI_SUPPRESS_WARNINGS": "create_dagster_outdated",
        "NO_COLOR": "1",
        "COLUMNS": "200",
        # In place of the project's installation, which would ask a network for what builds it.
        "PYTHONPATH": "src",
    }


def test_the_page_works_as_it_stands(tmp_path: Path, environment: dict[str, str]) -> None:
    folder, outputs = tmp_path, []
    for kind, content in BLOCK.findall(PAGE.read_text()):
        if kind == "yaml":
            place = re.match(r"# (\S+)\n", content)
            assert place is not None
            assert (folder / place[1]).is_file(), "scaffolded before"
            (folder / place[1]).write_text(content)
            continue
        for command in content.splitlines():
            if command.startswith("cd "):
                folder = folder / command.removeprefix("cd ")
                (folder / "pictures").mkdir()
                continue
            done = subprocess.run(
                command.split(),
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
            outputs.append((command, done.stdout))
    said = dict(outputs)
    for name in ("VisionLibrary", "Dataset", "AgentPipeline"):
        assert f"aion_dagster.{name}" in said["dg list components --package aion_dagster"]
    assert "All component YAML validated successfully." in said["dg check yaml"]
    assert "All definitions loaded successfully." in said["dg check defs"]
    listed = subprocess.run(
        ["dg", "list", "defs", "--json"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    definitions = json.loads(listed.stdout)
    keys = {asset["asset_key"] for asset in definitions["assets"]}
    assert {"dataset/main/coco", "dataset/street/voc", "dataset/street/card"} <= keys
    steps = [key for key in keys if key.startswith("pipeline/look_around/")]
    assert len(steps) == 3
    assert {"update_dataset_street", "follow_dataset_street"} <= {
        item["name"] for kind in ("jobs", "sensors") for item in definitions[kind]
    }
    places = subprocess.run(
        [sys.executable, "-c", PLACES],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(places.stdout) == [str(folder / "aion-store"), str(folder / "pictures")]
    street = next(a for a in definitions["assets"] if a["asset_key"] == "dataset/street")
    assert "library" in street["dependency_keys"]
