"""Pipelines as configuration: what is refused when it is loaded, and that each refusal names the step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from aion_dagster.client.models.contracts import CONTRACTS, Agent
from aion_dagster.config import LibraryConfig
from aion_dagster.errors import ConfigError
from aion_dagster.pipelines.agents import AGENTS, VERBS
from aion_dagster.pipelines.builder import Pipeline
from aion_dagster.pipelines.graph import SEEDS, waves
from aion_dagster.pipelines.specification import PipelineConfig


def loaded(*steps: Any, **more: Any) -> PipelineConfig:
    return PipelineConfig.model_validate({"name": "poles", "steps": steps, **more})


def refusal(*steps: Any, **more: Any) -> tuple[tuple[Any, ...], str]:
    """Where and why a pipeline is refused."""
    with pytest.raises(ValidationError) as caught:
        loaded(*steps, **more)
    (error,) = caught.value.errors()
    return error["loc"], error["msg"]


def refused_by_library(pipeline: dict[str, Any], **library: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        LibraryConfig.parse({"pipelines": [{"name": "poles", **pipeline}], **library})
    return str(caught.value)


SEARCH, PAPERS = {"search_images": "damaged poles"}, {"search_documents": "records"}


def test_the_agents_are_those_of_the_api() -> None:
    assert {str(agent) for agent in Agent} == set(AGENTS) == set(CONTRACTS)
    for name, kind in AGENTS.items():
        taken = {i.content_type_hint for i in CONTRACTS[name].inputs}
        assert taken <= set(kind.takes), name
        assert {o.content_type_hint for o in CONTRACTS[name].outputs} <= set(kind.gives), name


def test_yaml_and_python_say_the_same() -> None:
    text = """
    name: maintenance
    seeds: {images: [a, b], documents: all}
    steps:
      - search_images: utility poles
      - {agent: document_search, intent: maintenance records, limit: 5}
      - cross_reference: Cross-reference findings
        depends_on: [0, 1]
      - {agent: synthesize, intent: Write it up, name: report}
    """
    built = (
        Pipeline("maintenance")
        .with_images(["a"])
        .with_images(["b"])
        .with_documents("all")
        .search_images("utility poles")
        .search_documents("maintenance records", limit=5)
        .cross_reference("Cross-reference findings", depends_on=[0, 1])
        .synthesize("Write it up", name="report")
        .config()
    )
    assert PipelineConfig.model_validate(yaml.safe_load(text)) == built
    again = PipelineConfig.model_validate(built.model_dump(mode="json"))
    assert again == built


def test_every_verb_adds_its_agent() -> None:
    for verb, kind in VERBS.items():
        pipeline = getattr(Pipeline("x").with_images("all").with_documents("all"), verb)
        if kind.needs == ("links",):
            pipeline = getattr(Pipeline("x").search_links("news"), verb)
        assert pipeline("something").config().steps[-1].agent == kind.name


def test_steps_are_wired_by_the_types_of_data() -> None:
    steps = loaded(SEARCH, {"organize": "by damage"}).wired()
    assert steps[1].inputs == {"images": (0,)}
    steps = loaded(SEARCH, {"search_images": "trees"}, PAPERS, {"cross_reference": "x"}).wired()
    assert steps[3].inputs == {"images": (0, 1), "documents": (2,), "chunks": (2,)}
    assert waves(steps) == ((0, 1, 2), (3,))


def test_what_a_step_took_is_not_mixed_with_what_comes_later() -> None:
    first, second = {"search_images": "poles"}, {"search_images": "trees"}
    steps = loaded(first, {"analyze": "x"}, second, {"analyze": "y"}, {"synthesize": "z"}).wired()
    assert [s.inputs.get("images") for s in steps] == [None, (0,), None, (2,), (2,)]
    assert steps[4].inputs["text"] == (1, 3)


def test_seeds_come_in_where_no_step_gives_the_type() -> None:
    seeds = {"images": ["a"], "documents": ["d"]}
    steps = loaded(SEARCH, {"cross_reference": "x"}, seeds=seeds).wired()
    assert steps[0].inputs == {"images": (SEEDS,)}
    assert steps[1].inputs == {"images": (0,), "documents": (SEEDS,)}
    (alone,) = loaded({"organize": "x", "depends_on": []}, seeds=seeds).wired()
    assert alone.inputs == {"images": (SEEDS,), "documents": (SEEDS,)}


@pytest.mark.parametrize(
    ("steps", "place", "reason"),
    [
        ([{"agent": "wizard", "intent": "x"}], ("steps", 0), "'wizard' is no agent; there are"),
        ([SEARCH, {"search_pictures": "x"}], ("steps", 1), "'search_pictures' is no agent"),
        ([{"analyze": "x"}], ("steps", 0, "agent"), "step 0 'analyze' (analysis) needs images"),
        ([SEARCH, {"analyze_links": "x"}], ("steps", 1, "agent"), "needs links"),
        (
            [PAPERS, {"analyze": "x", "depends_on": [0]}],
            ("steps", 1, "depends_on"),
            "which gives documents or chunks; it takes images",
        ),
        (
            [{"organize": "x", "depends_on": [1]}, SEARCH],
            ("steps", 0, "depends_on"),
            "which comes after it",
        ),
        (
            [SEARCH, {"organize": "x", "depends_on": [2]}, {**PAPERS, "depends_on": [1]}],
            ("steps", 1, "depends_on"),
            "waits for itself: 1 'organize' → 2 'search_documents' → 1 'organize'",
        ),
        ([{**SEARCH, "depends_on": [0]}], ("steps", 0, "depends_on"), "waits for itself"),
        ([SEARCH, {"organize": "x", "depends_on": [7]}], ("steps", 1, "depends_on"), "step 7"),
        ([SEARCH, {"organize": "x", "depends_on": [-1]}], ("steps", 1, "depends_on"), "step -1"),
        ([SEARCH, {"organize": "x", "depends_on": ["a"]}], ("steps", 1, "depends_on"), "'a'"),
        ([SEARCH | {"name": "a"}, PAPERS | {"name": "a"}], ("steps", 1, "name"), "'a'"),
        ([SEARCH | PAPERS], ("steps", 0), "one step has one agent"),
        ([{"search_images": ""}], ("steps", 0, "intent"), "at least 1 character"),
        ([{"search_images": "x" * 2001}], ("steps", 0, "intent"), "at most 2000"),
        ([{**SEARCH, "aply": 1}], ("steps", 0, "aply"), "not permitted"),
        ([], ("steps",), "at least one step"),
    ],
)
def test_a_pipeline_that_cannot_be_is_refused_at_its_step(
    steps: list[Any], place: tuple[Any, ...], reason: str
) -> None:
    where, why = refusal(*steps)
    assert where == place
    assert reason in why


def test_a_single_call_takes_ten_steps() -> None:
    many = [{"search_images": f"word {i}"} for i in range(11)]
    assert len(loaded(*many).steps) == 11
    where, why = refusal(*many, mode="single_call")
    assert where[:2] == ("steps", 10)
    assert "a single call takes 10 steps" in why


def test_what_a_remote_call_cannot_carry_is_refused() -> None:
    report = {"steps": [SEARCH, {"analyze": "x"}, {"synthesize": "y"}]}
    why = refused_by_library(report, backend="aionvision")
    assert "pipelines.0.steps.2: step 2 'synthesize' (assistant) takes text from 'analyze'" in why
    assert "mode: single_call" in why
    links = {"steps": [{"search_links": "x"}, {"analyze_links": "y"}]}
    assert "takes links from 'search_links'" in refused_by_library(links, backend="aionvision")
    LibraryConfig.parse({"pipelines": [{"name": "x", **report}]})
    single = {"name": "x", **report, "mode": "single_call"}
    LibraryConfig.parse({"backend": "aionvision", "pipelines": [single]})
    here = {"name": "x", **report, "backend": "local"}
    LibraryConfig.parse({"backend": "aionvision", "pipelines": [here]})


def test_nothing_is_moved_without_a_yes() -> None:
    plan = {"organize": "by color", "apply": {"to": "folder", "target": "/x"}}
    where, why = refusal(SEARCH, plan)
    assert where == ("steps", 1, "apply")
    assert "'confirm: true' is missing" in why
    single = {"steps": [SEARCH, {"organize": "x"}], "mode": "single_call"}
    assert "moves files in a single call" in refused_by_library(single, backend="aionvision")


@pytest.mark.parametrize(
    ("pipeline", "library", "reason"),
    [
        ({"backend": "aionvision"}, {}, "needs that of the library"),
        ({"mode": "single_call"}, {}, "needs the backend 'aionvision'"),
        ({"schedule": "sometimes"}, {}, "manual, on_new or a cron expression"),
        ({"timezone": "Mars/Olympus"}, {}, "name of a time zone"),
        ({"schedule": "0 3 * * *", "seeds": {"images": "batch"}}, {}, "over batches"),
        ({"seeds": {"images": "batch", "documents": "all"}}, {}, "cannot be mixed"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    pipeline: dict[str, Any], library: dict[str, Any], reason: str
) -> None:
    assert reason in refused_by_library({"steps": [SEARCH], **pipeline}, **library)


def test_pipelines_of_one_library_have_different_names() -> None:
    twice = [{"name": "a", "steps": [SEARCH]}] * 2
    with pytest.raises(ConfigError, match="pipeline names must differ"):
        LibraryConfig.parse({"pipelines": twice})


def test_editors_know_both_forms() -> None:
    schema = Draft202012Validator(PipelineConfig.model_json_schema())
    good = [SEARCH | {"limit": 3}, {"agent": "image_search", "intent": "x"}]
    good.append({"agent": "search_images", "intent": "x", "depends_on": ["a", 0]})
    good.append(SEARCH | {"depends_on": 0})
    for step in good:
        assert schema.is_valid({"name": "x", "steps": [step]}), step
    for step in [{"search_pictures": "x"}, SEARCH | PAPERS, {"agent": "wizard", "intent": "x"}]:
        assert not schema.is_valid({"name": "x", "steps": [step]}), step


@given(st.lists(st.tuples(st.sampled_from(sorted(VERBS)), st.none() | st.lists(st.integers(0, 6)))))
def test_whatever_is_loaded_waits_for_earlier_steps_alone(
    asked: list[tuple[str, list[int] | None]],
) -> None:
    steps = [{verb: "x"} | ({} if d is None else {"depends_on": d}) for verb, d in asked]
    try:
        pipeline = loaded(*steps, seeds={"images": "all", "documents": "all"})
    except ValidationError:
        return
    for step in pipeline.wired():
        assert all(other < step.number for other in step.waits_for)
        for kind, given_by in step.inputs.items():
            assert kind in step.kind.takes
            assert all(
                i == SEEDS or kind in AGENTS[pipeline.steps[i].agent].gives for i in given_by
            )
    assert len(set(pipeline.step_names)) == len(steps)
    assert sorted(i for wave in waves(pipeline.wired()) for i in wave) == list(range(len(steps)))


def copying_to(target: str, **library: Any) -> dict[str, Any]:
    apply = {"to": "s3" if "://" in target else "folder", "target": target, "confirm": True}
    steps = [SEARCH, {"organize": "by color", "apply": apply}]
    return {**library, "pipelines": [{"name": "poles", "steps": steps}]}


@pytest.mark.parametrize(
    ("target", "source"),
    [
        ("inbox/sorted", "inbox"),
        ("inbox", "inbox"),
        (".", "inbox"),
        ("link/sorted", "inbox"),
        ("s3://bucket/in/sorted", "s3://bucket/in"),
        ("s3://bucket/in", "s3://bucket/in/deep/"),
        ("s3://bucket", "s3://bucket/in"),
        ("s3://bucket/sorted", "s3://bucket"),
    ],
)
def test_a_target_where_files_are_taken_in_is_refused_when_it_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, source: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "inbox").mkdir()
    (tmp_path / "link").symlink_to("inbox")
    with pytest.raises(ConfigError) as caught:
        LibraryConfig.parse(copying_to(target, sources=[source], store="elsewhere/store"))
    why = str(caught.value)
    assert "pipelines.0.steps.1.apply.target: step 1 'organize' (folder): the target" in why
    assert "lie in each other" in why
    named = (
        [target, source] if "://" in target else [str(tmp_path / target), str(tmp_path / source)]
    )
    assert all(place in why for place in named)


def test_a_target_beside_the_source_is_taken_and_one_in_the_store_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for target, source in [("sorted", "inbox"), ("s3://bucket/sorted", "s3://bucket/in")]:
        LibraryConfig.parse(copying_to(target, sources=[source], store="store"))
    with pytest.raises(ConfigError, match=r"and the store .* lie in each other"):
        LibraryConfig.parse(copying_to("store/sorted", store="store"))


def test_a_relative_target_is_one_of_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = LibraryConfig.parse(copying_to("sorted"))
    monkeypatch.chdir("/")
    again = LibraryConfig.parse(config.model_dump(mode="json"))
    apply = again.pipelines[0].steps[1].apply
    assert apply is not None
    assert apply.target == str(tmp_path / "sorted")


def test_one_dependency_may_stand_for_itself() -> None:
    wanted = loaded(SEARCH, {"organize": "x", "depends_on": [0]})
    assert loaded(SEARCH, {"organize": "x", "depends_on": 0}) == wanted
    built = Pipeline("poles").search_images("damaged poles")
    assert built.organize("x", depends_on=0).config() == wanted
    by_name = loaded(SEARCH, {"organize": "x", "depends_on": "search_images"})
    assert built.organize("x", depends_on="search_images").config() == by_name
    assert by_name.wired() == wanted.wired()


def test_a_pipeline_without_config_is_as_good_where_a_configuration_takes_one() -> None:
    built = Pipeline("poles").with_images("all").organize("x")
    config = LibraryConfig.model_validate({"pipelines": (built,)})
    assert config.pipelines == (built.config(),)
    wrong = Pipeline("poles").analyze("x")
    with pytest.raises(ConfigError, match=r"pipelines\.0\.steps\.0\.agent: .* needs images"):
        LibraryConfig.parse({"pipelines": (wrong,)})


def test_the_least_score_is_for_searches_of_pictures() -> None:
    assert loaded({**SEARCH, "min_score": 0.5}).steps[0].min_score == 0.5
    assert "for search_images alone" in refusal({**PAPERS, "min_score": 0.5})[1]
    single = {"steps": [{**SEARCH, "min_score": 0.5}], "mode": "single_call"}
    assert "has no 'min_score'" in refused_by_library(single, backend="aionvision")
