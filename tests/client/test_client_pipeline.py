"""Pipelines of agents through the client."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from loopback_api import LoopbackApi, Reply, awaited_client, blocking_client, loopback_api

from aion_dagster.client import SyncAionVision, errors
from aion_dagster.client.models.pipeline import (
    PipelineResult,
    PipelineSpecification,
    PipelineStep,
)
from aion_dagster.client.resources.pipeline import Pipeline, PipelineResource, SyncPipeline

OPERATION = "POST /agents/pipeline"
LOST = Reply(b"", promised=100)
BUSY = Reply({"error": "busy"}, 503)


@pytest.fixture
def server() -> Iterator[LoopbackApi]:
    with loopback_api() as running:
        yield running


@pytest.fixture
def client(server: LoopbackApi) -> Iterator[SyncAionVision]:
    with blocking_client(server) as made:
        yield made


@pytest.fixture
def pipeline(client: SyncAionVision) -> SyncPipeline:
    return SyncPipeline(PipelineResource(client.transport))


def node(agent: str, **more: Any) -> dict[str, Any]:
    return {"node_id": "n", "agent": agent, "status": "completed", "outputs": {}} | more


def answer(*nodes: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"success": True, "nodes": list(nodes), "total_waves": 2, "errors": []} | more


def test_steps_are_sent_in_their_order_with_what_they_wait_for(
    server: LoopbackApi, pipeline: SyncPipeline
) -> None:
    server.on(
        OPERATION,
        answer(
            node("image_search", outputs={"image_ids": ["a"]}),
            node("document_search", status="skipped", outputs=None),
            node("cross_reference", summary="Both agree", execution_time_ms=900),
            token_usage={"total_tokens": 1370},
        ),
    )
    result = (
        pipeline.search_images("utility poles")
        .search_documents("maintenance records")
        .cross_reference("Cross-reference findings", depends_on=[0, 1])
        .run()
    )
    assert server.requests[-1].json == {
        "steps": [
            {"agent": "image_search", "intent": "utility poles"},
            {"agent": "document_search", "intent": "maintenance records"},
            {
                "agent": "cross_reference",
                "intent": "Cross-reference findings",
                "depends_on": [0, 1],
            },
        ]
    }
    assert result.success
    assert result.final.summary == "Both agree"
    assert result.step(0).outputs == {"image_ids": ["a"]}
    assert [step.is_completed for step in result.steps] == [True, False, True]
    assert result.token_usage == {"total_tokens": 1370}


def test_every_agent_can_be_named(server: LoopbackApi, pipeline: SyncPipeline) -> None:
    server.on(OPERATION, answer())
    pipeline.with_images(["a", "b"]).with_images(["b", "c"])
    pipeline.with_documents(["d"])
    pipeline.search_links("l").analyze("a").analyze_documents("d", depends_on=[])
    pipeline.analyze_links("k", depends_on=[0]).synthesize("s").organize("o")
    pipeline.step("analytics", "How many?").run()
    sent = server.requests[-1].json
    assert sent["image_ids"] == ["a", "b", "c"]
    assert sent["document_ids"] == ["d"]
    assert [step["agent"] for step in sent["steps"]] == [
        "link_search",
        "analysis",
        "document_analysis",
        "link_analysis",
        "assistant",
        "folder",
        "analytics",
    ]
    # No dependencies named is another thing than none wanted.
    assert [step.get("depends_on") for step in sent["steps"][:4]] == [None, None, [], [0]]


def test_a_failed_step_is_an_answer(server: LoopbackApi, pipeline: SyncPipeline) -> None:
    server.on(
        OPERATION,
        {
            "success": False,
            "steps": [node("analysis", status="failed", error="no images", summary=None)],
            "errors": ["analysis: no images"],
        },
    )
    result = pipeline.analyze("Compare").run()
    assert not result.success
    assert result.final.error == "no images"
    assert result.errors == ["analysis: no images"]
    with pytest.raises(IndexError, match="has 1 steps"):
        result.step(1)


def test_steps_that_come_as_they_were_done_are_put_in_the_order_asked_for() -> None:
    asked = (
        PipelineSpecification()
        .with_step("image_search", "1")
        .with_step("analysis", "2")
        .with_step("image_search", "3")
    )
    came = PipelineResult.model_validate(
        answer(
            node("image_search", summary="1"),
            node("image_search", summary="3"),
            node("analysis", summary="2"),
        )
    )
    assert [step.summary for step in came.ordered_as(asked).steps] == ["1", "2", "3"]
    short = PipelineResult.model_validate(answer(node("analysis")))
    assert short.ordered_as(asked) is short


@pytest.mark.parametrize(
    ("step", "field"),
    [
        (PipelineStep("analysis", "x", (1,)), "steps.1.depends_on"),
        (PipelineStep("analysis", "x", (-1,)), "steps.1.depends_on"),
        (PipelineStep("analysis", "x", (True,)), "steps.1.depends_on"),
        (PipelineStep("analysis", "x", ("0",)), "steps.1.depends_on"),  # type: ignore[arg-type]
    ],
)
def test_a_step_waits_for_earlier_ones_only(step: PipelineStep, field: str) -> None:
    first = PipelineStep("image_search", "x")
    with pytest.raises(errors.ValidationError) as caught:
        PipelineSpecification((first, step))
    assert caught.value.details["field"] == field


def test_a_pipeline_has_one_to_ten_steps_with_something_to_do(
    server: LoopbackApi, pipeline: SyncPipeline
) -> None:
    with pytest.raises(errors.ValidationError, match="steps"):
        pipeline.run()
    for intent in ("", "x" * 2001):
        with pytest.raises(errors.ValidationError, match="intent"):
            pipeline.analyze(intent)
    nothing: list[str] = []
    with pytest.raises(errors.ValidationError, match="image_ids"):
        pipeline.with_images(nothing)
    for _ in range(10):
        pipeline.search_images("x")
    with pytest.raises(errors.ValidationError, match="steps"):
        pipeline.search_images("x")
    assert len(pipeline.specification.steps) == 10
    assert server.requests == []


def test_a_specification_is_a_value_that_can_be_run_later(server: LoopbackApi) -> None:
    server.on(OPERATION, answer(node("image_search")))
    one = PipelineSpecification().with_images(["a"]).with_step("analysis", "x", [])
    assert one == PipelineSpecification((PipelineStep("analysis", "x", ()),), ("a",))
    assert len({one, one.with_documents(["d"])}) == 2

    async def run() -> PipelineResult:
        async with awaited_client(server) as client:
            resource = PipelineResource(client.transport)
            await resource.run(one)
            return await Pipeline(resource).search_images("poles").run()

    assert asyncio.run(run()).final.agent == "image_search"
    assert server.requests[0].json == {
        "steps": [{"agent": "analysis", "intent": "x", "depends_on": []}],
        "image_ids": ["a"],
    }


@pytest.mark.parametrize(
    ("first", "organizes", "again"),
    [(BUSY, False, True), (LOST, False, False), (BUSY, True, False), (LOST, True, False)],
)
def test_a_pipeline_is_not_run_twice_where_that_would_cost_or_harm(
    server: LoopbackApi, pipeline: SyncPipeline, first: Reply, organizes: bool, again: bool
) -> None:
    server.on(OPERATION, [first, answer()])
    pipeline.search_images("x")
    if organizes:
        pipeline.organize("By project")
    if again:
        pipeline.run()
    else:
        with pytest.raises(errors.AionvisionError):
            pipeline.run()
    assert len(server.asked(OPERATION)) == 1 + again
