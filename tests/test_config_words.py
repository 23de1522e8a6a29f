"""What is wrong with a configuration is said in the words of YAML, whoever reads it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from aion_dagster.backends.named_models import named_text_model
from aion_dagster.config import LibraryConfig
from aion_dagster.errors import ConfigError
from aion_dagster.pipelines.builder import Pipeline

SEARCH = {"search_images": "blue"}


def refusal(data: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        LibraryConfig.parse(data, origin="f", text=yaml.safe_dump(data, sort_keys=False))
    return str(caught.value)


def pipeline(*steps: Any, **more: Any) -> dict[str, Any]:
    return {"pipelines": [{"name": "a", "steps": list(steps), **more}]}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"sources": "a"}, "f: sources: must be a list, not the text 'a': write [a] (line 1)"),
        (
            {"datasets": {"name": "main"}},
            "f: datasets: must be a list, each entry with '- ' in front, not a mapping (line 1)",
        ),
        (
            {"backend": "cloud"},
            "f: backend: must be 'local' or 'aionvision', not the text 'cloud' (line 1)",
        ),
        ({"max_pixels": 0}, "f: max_pixels: must be greater than or equal to 1 (line 1)"),
        ({"sorces": []}, "f: sorces: there is no such field (line 1, did you mean sources?)"),
        ({"sources": [{"name": "a"}]}, "f: sources.0.path: must be given (line 2)"),
        ({"detect": None}, "f: detect: must be a list, not nothing (line 1)"),
        (
            {"datasets": ["main"]},
            "f: datasets.0: must be a mapping such as 'name: main', not the text 'main' (line 2)",
        ),
        ({"links": [3]}, "f: links: must be a mapping, not a list (line 1)"),
        ({"text_model": 24}, "f: text_model: must be text, not 24; put it in quotes (line 1)"),
        ({"text_model": True}, "f: text_model: must be text, not true; put it in quotes (line 1)"),
        ({"text_model": ["a"]}, "f: text_model: must be text, not a list (line 1)"),
        ({"ingest_timezone": "Mars"}, "f: ingest_timezone: must be the name of a time zone"),
        (
            pipeline("search_images"),
            "f: pipelines.0.steps.0: must be a mapping 'VERB: TEXT', such as 'search_images: blue', or 'agent' and "
            "'intent', not the text 'search_images' (line 4)",
        ),
        (
            pipeline(SEARCH, seeds="all"),
            "f: pipelines.0.seeds: must be a mapping such as 'images: all', not the text 'all' (line 5)",
        ),
        (
            {
                "pipelines": [
                    {"name": "a", "steps": [SEARCH]},
                    {"name": "a", "steps": [{"chat": "x"}]},
                ]
            },
            "f: pipelines.1.name: pipeline names must differ, got ['a', 'a'] (line 5)",
        ),
        (
            {"sources": ["/a", "/a"]},
            "f: sources.1.name: source names must differ, got ['a-",
        ),
    ],
)
def test_a_wrong_value_is_told_in_the_words_of_yaml(data: dict[str, Any], message: str) -> None:
    assert refusal(data).startswith(message)


def test_what_python_is_told_has_the_same_words() -> None:
    with pytest.raises(ConfigError, match=r"seeds\.images: an id is empty"):
        Pipeline("a").with_images([""]).search_images("blue").config()
    with pytest.raises(ConfigError, match="text_model: 'org/name' is a hub id and needs"):
        named_text_model("org/name")
