"""What `dg check yaml` and editors say about attributes: nothing about what loads, and of a mistake what it is."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, ValidationError

from aion_dagster.components import AgentPipeline, Dataset, VisionLibrary
from aion_dagster.components.editor_schema import TEXT_FORMS
from aion_dagster.config import LibraryConfig
from aion_dagster.pipelines.agents import VERBS

LIBRARY = Draft202012Validator(VisionLibrary.get_model_cls().model_json_schema())
SEARCH = {"search_images": "damaged poles"}


def complaints(attributes: dict[str, Any]) -> list[tuple[str, str]]:
    """Where something is wrong, and what."""
    errors = LIBRARY.iter_errors(attributes)
    return [(".".join(map(str, e.absolute_path)), e.message) for e in errors]


def steps(*each: Any, **more: Any) -> dict[str, Any]:
    return {"pipelines": [{"name": "poles", "steps": list(each), **more}]}


@pytest.mark.parametrize("component", [AgentPipeline, Dataset, VisionLibrary])
def test_it_is_a_schema(component: Any) -> None:
    Draft202012Validator.check_schema(component.get_model_cls().model_json_schema())


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"sources": ["a", {"path": "b"}, {"type": "s3", "bucket": "pictures"}, "s3://bbb/c"]},
        {"labels": ["a.json", {"path": "b", "classes": {"car": None}}]},
        {"models": {"captions": "org/name@0123abc"}, "endpoint": None},
        {"datasets": [{"select": {"color": "red"}, "group_by": ["folder"]}]},
        steps(SEARCH, {"agent": "chat", "intent": "x"}, {"agent": "analyze", "intent": "x"}),
        steps(SEARCH, {"synthesize": "x", "depends_on": [0, "search_images"]}),
        steps(SEARCH, seeds={"images": "all"}, schedule="on_new"),
        steps(SEARCH, seeds={"images": ["a"]}),
    ],
)
def test_what_loads_is_not_complained_about(attributes: dict[str, Any]) -> None:
    LibraryConfig.parse(attributes)
    assert complaints(attributes) == []


def test_any_single_value_may_be_a_template() -> None:
    assert not complaints(
        {
            "name": "{{ env.NAME }}",
            "batch_files": "{{ env.BATCH }}",
            "backend": "{{ env.BACKEND }}",
            "sources": ["{{ context.project_root }}/pictures", {"path": "{{ env.PICTURES }}"}],
            "aionvision": {"documents": "{{ env.DOCUMENTS }}"},
            "datasets": [
                {"exports": ["{{ env.EXPORT }}"], "splits": {"train": "{{ env.TRAIN }}"}},
                {"min_score": "{{ env.X }}"},
            ],
        }
    )


@pytest.mark.parametrize(
    ("attributes", "place", "said"),
    [
        ({"sorces": []}, "", "'sorces' was unexpected"),
        ({"batch_files": "many"}, "batch_files", "'many' is not of type 'integer'"),
        ({"batch_files": 0}, "batch_files", "less than the minimum"),
        ({"backend": "abacus"}, "backend", "'local', 'aionvision'"),
        ({"sources": [{"path": "a", "recursiv": 1}]}, "sources.0", "'recursiv' was unexpected"),
        ({"sources": [{"type": "ftp"}]}, "sources.0.type", "'folder', 's3', 'drive'"),
        ({"sources": [{"type": "s3"}]}, "sources.0", "'bucket' is a required property"),
        ({"sources": [3]}, "sources.0", "3 is not of type"),
        ({"labels": [3]}, "labels.0", "3 is not of type"),
        ({"endpoint": {"model": "x"}}, "endpoint", "'base_url' is a required property"),
        ({"datasets": [{"min_score": "x"}]}, "datasets.0.min_score", "'x' is not of type 'number'"),
        ({"datasets": [{"exports": "coco"}]}, "datasets.0.exports", "is not of type 'array'"),
        ({"datasets": [{"group_by": ["x"]}]}, "datasets.0.group_by.0", "'folder', 'source'"),
        (steps("search_images"), "pipelines.0.steps.0", "is not of type 'object'"),
        (steps({"search_image": "x"}), "pipelines.0.steps.0", "'search_images', 'search_doc"),
        (steps(SEARCH | {"limt": 3}), "pipelines.0.steps.0", "'limt' is not one of"),
        (steps(SEARCH | {"limit": 0}), "pipelines.0.steps.0.limit", "less than the minimum"),
        (steps({"agent": "a", "intent": "x"}), "pipelines.0.steps.0.agent", "'image_search'"),
        (steps(SEARCH | {"chat": "x"}), "pipelines.0.steps.0", "is valid under each of"),
        (steps({"limit": 3}), "pipelines.0.steps.0", "{'limit': 3} is not valid"),
        (steps(SEARCH, seeds={"images": "al"}), "pipelines.0.seeds.images", "'all', 'batch'"),
    ],
)
def test_of_a_mistake_it_says_what_it_is_and_nothing_else(
    attributes: dict[str, Any], place: str, said: str
) -> None:
    ((where, what), *others) = complaints(attributes)
    assert where == place
    assert said in what
    assert not others


def test_every_verb_is_named_where_one_is_mistyped() -> None:
    ((_, said),) = complaints(steps({"search_image": "x"}))
    assert all(repr(verb) in said for verb in VERBS)


def test_the_models_with_a_short_form_are_known() -> None:
    schema = VisionLibrary.get_model_cls().model_json_schema()
    found = {m.__name__: m for m in models_below(BaseModel) if m.__name__ in schema["$defs"]}
    taking_text = {name for name, model in found.items() if not needs_a_mapping(model)}
    assert taking_text == TEXT_FORMS
    assert set(found) == set(schema["$defs"])


def models_below(base: type[BaseModel]) -> set[type[BaseModel]]:
    """This project's models."""
    below = set(base.__subclasses__())
    return {m for m in below if m.__module__.startswith("aion_dagster.")}.union(
        *map(models_below, below)
    )


def needs_a_mapping(model: type[BaseModel]) -> bool:
    try:
        model.model_validate("walnut")
    except ValidationError as error:
        return any(e["type"] == "model_type" and not e["loc"] for e in error.errors())
    return False
