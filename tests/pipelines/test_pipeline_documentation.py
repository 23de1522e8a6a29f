"""What the page about pipelines shows can be loaded as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from aion_dagster.config import LibraryConfig
from aion_dagster.pipelines.agents import AGENTS

PAGE = (Path(__file__).parents[2] / "docs" / "pipelines.md").read_text()


@pytest.mark.parametrize("text", re.findall(r"```yaml\n(.*?)```", PAGE, re.S))
def test_examples_in_yaml_are_loaded(text: str) -> None:
    config = LibraryConfig.parse(yaml.safe_load(text))
    assert config.pipelines
    again = LibraryConfig.parse(config.model_dump(mode="json"))
    assert again.pipelines == config.pipelines


@pytest.mark.parametrize("text", re.findall(r"```python\n(.*?)```", PAGE, re.S))
def test_examples_in_python_are_python(text: str) -> None:
    compile(text, "docs/pipelines.md", "exec")


def test_pipelines_in_python_are_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for text in re.findall(r"```python\n(.*?)```", PAGE, re.S):
        if "Pipeline(" in text:
            exec(text, names)
    tidy = names["tidy"].config()
    assert tidy.seeds.images == "all"
    assert tidy.schedule == "0 3 * * *"
    assert tidy.steps[1].apply.to == "folder"
    assert LibraryConfig.model_validate({"pipelines": [names["tidy"]]}).pipelines == (tidy,)


def test_the_table_of_steps_is_that_of_the_agents() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) \| (.*?) \|$", PAGE, re.M)
    assert {(verb, agent) for verb, agent, _, _ in rows} == {
        (kind.verb, kind.name) for kind in AGENTS.values()
    }
    for _, agent, _, gives in rows:
        for kind in AGENTS[agent].gives:
            assert kind in gives
