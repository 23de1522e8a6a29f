"""Reports by a model: from the evidence alone, every reference checked, every call paid once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vision_server import Reply, Request, VisionServer, refuses, vision_server

from aion_dagster.engines import EndpointConfig
from aion_dagster.pipelines.builder import Pipeline
from aion_dagster.pipelines.kept import read_result
from aion_dagster.pipelines.local import LocalAgents
from aion_dagster.pipelines.material import Material
from aion_dagster.pipelines.report import markdown, missing_sources
from aion_dagster.pipelines.results import Sentence, Source
from aion_dagster.pipelines.runner import Finished, PipelineRun
from aion_dagster.pipelines.written import Writer, checked
from aion_dagster.storage.store import Store

REPORT = Pipeline("x").with_images("all").with_documents("all").synthesize("damaged poles").config()
EVIDENCE = [
    Sentence("Pictures", "a pole leans", (Source("image", "pole-1"),)),
    Sentence("Documents", "it is urgent", (Source("chunk", "records-1"),)),
]


def model_says(text: str) -> Callable[[Request, int], Reply]:
    usage = {"prompt_tokens": 70, "completion_tokens": 9}
    choice = {"message": {"role": "assistant", "content": text}}
    return lambda _request, _number: Reply(body={"id": "1", "choices": [choice], "usage": usage})


def wrote(store: Store, server: VisionServer, occasion: str = "") -> Finished:
    config = EndpointConfig(base_url=server.url, model="scribe", attempts=2)
    writer = Writer(config, store.ledger.paid_calls("test"))
    run = PipelineRun(REPORT, store, LocalAgents(store, writer=writer), occasion=occasion)
    (finished,) = run.run()
    return finished


def test_a_report_names_its_writer_and_every_sentence_its_sources(store: Store) -> None:
    with vision_server(
        model_says("A pole leans over the road [1]. It is urgent [2, 3].")
    ) as server:
        finished = wrote(store, server)
        assert finished.status == "completed", finished.reason
        question = server.requests[0].body["messages"][1]["content"]
    result = read_result(store, "x", "synthesize")
    assert result.made_by == "model"
    assert [s.text for s in result.sentences] == ["A pole leans over the road.", "It is urgent."]
    assert all(s.sources for s in result.sentences)
    assert missing_sources(result, Material(store)) == []
    assert "Written by the model scribe@127.0.0.1-report1" in markdown(result, "x").replace(
        "\\", ""
    )
    assert result.facts["input_tokens"] == 70
    assert "[1] " in question
    assert "damaged pole" in question


def test_a_sentence_that_rests_on_nothing_is_left_out_and_found_out(store: Store) -> None:
    text = "A pole leans [1]. It was struck by a comet [99]. Nobody knows why."
    with vision_server(model_says(text)) as server:
        assert wrote(store, server).status == "completed"
    result = read_result(store, "x", "synthesize")
    assert [s.text for s in result.sentences] == ["A pole leans."]
    problems = missing_sources(result, Material(store))
    assert problems == ["left out: It was struck by a comet [99].", "left out: Nobody knows why."]


def test_a_report_that_rests_on_nothing_at_all_is_none(store: Store) -> None:
    with vision_server(model_says("All is well.")) as server:
        finished = wrote(store, server)
    assert finished.status == "failed"
    assert "no sentence that rests on the evidence" in (finished.reason or "")


def test_the_same_question_is_paid_once(store: Store) -> None:
    with vision_server(model_says("A pole leans [1].")) as server:
        wrote(store, server)
        assert wrote(store, server).status == "unchanged"
        wrote(store, server, occasion="tuesday")
        assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("status", "requests", "again"),
    [(429, 2, 4), (500, 1, 2), (400, 1, 1), (401, 1, 2), (403, 1, 2), (404, 1, 2)],
    ids=str,
)
def test_refusals_are_told_and_only_what_was_not_begun_is_tried_at_once(
    store: Store, status: int, requests: int, again: int
) -> None:
    with vision_server(lambda _request, _number: refuses(status)) as server:
        finished = wrote(store, server)
        assert finished.status == "failed"
        assert f"HTTP {status}" in (finished.reason or "")
        assert len(server.requests) == requests
        wrote(store, server)
        assert len(server.requests) == again


@pytest.mark.parametrize("body", [b"{", b"[]", b"{}", b'{"choices": [{"message": {}}]}'])
def test_an_answer_that_is_none_is_a_failure(store: Store, body: bytes) -> None:
    with vision_server(lambda _request, _number: Reply(body=body)) as server:
        assert wrote(store, server).status == "failed"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("A pole leans. [1] It is urgent. [2]", ["A pole leans.", "It is urgent."]),
        ("- A pole leans [1].\n\n- It is urgent [1; 2].", ["A pole leans.", "It is urgent."]),
        ("A pole leans [0].", []),
        ("A pole leans [3].", []),
        ("A pole leans.", []),
        ("[1]", []),
        ("", []),
    ],
)
def test_references_are_read_wherever_models_put_them(text: str, said: list[str]) -> None:
    sentences, _ = checked(text, EVIDENCE)
    assert [s.text for s in sentences] == said


@given(st.text(alphabet=st.sampled_from("ab .!?[]0123,;\n")))
def test_whatever_a_model_writes_no_sentence_is_without_a_source(text: str) -> None:
    sentences, unfounded = checked(text, EVIDENCE)
    known: set[Any] = {source for s in EVIDENCE for source in s.sources}
    assert all(s.sources and set(s.sources) <= known for s in sentences)
    assert all(isinstance(u, str) for u in unfounded)
