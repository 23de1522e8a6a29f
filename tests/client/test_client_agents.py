"""Agents through the client: searches, reports, analyses, files put in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from loopback_api import LoopbackApi, Reply, blocking_client, loopback_api

from aion_dagster.client import SyncAionVision, errors
from aion_dagster.client.models.contracts import CONTRACTS, Agent, AgentCapability
from aion_dagster.client.resources.agent_operations import (
    AgentOperationsResource,
    SyncAgentOperationsResource,
)
from aion_dagster.client.resources.agent_search import (
    AgentSearchResource,
    SyncAgentSearchResource,
)

LOST = Reply(b"", promised=100)
BUSY = Reply({"error": {"code": "UNAVAILABLE", "message": "busy"}}, 503)
LIMITED = Reply({"error": {"code": "RATE_LIMIT_ERROR"}}, 429, {"Retry-After": "0"})
USAGE = {"input_tokens": 450, "output_tokens": 280, "total_tokens": 730, "call_count": None}


@pytest.fixture
def server() -> Iterator[LoopbackApi]:
    with loopback_api() as running:
        yield running


@pytest.fixture
def client(server: LoopbackApi) -> Iterator[SyncAionVision]:
    with blocking_client(server) as made:
        yield made


@pytest.fixture
def search(client: SyncAionVision) -> SyncAgentSearchResource:
    return SyncAgentSearchResource(AgentSearchResource(client.transport))


@pytest.fixture
def operations(client: SyncAionVision) -> SyncAgentOperationsResource:
    return SyncAgentOperationsResource(AgentOperationsResource(client.transport))


def test_pictures_are_searched_in_plain_words(
    server: LoopbackApi, search: SyncAgentSearchResource
) -> None:
    server.on(
        "POST /agents/search/images",
        {
            "success": True,
            "results": [{"image_id": "a", "score": 0.92, "features": [{"name": "pole"}]}],
            "count": 15,
            "result_ids": ["a"],
            "summary": "Found 15 images",
            "summary_raw": "Found [[ref:search_1]] images",
            "result_refs": {"search_1": {"count": 15, "ids": ["a"], "id_type": "image"}},
            "search_strategy": {"mode": "semantic"},
            "execution_time_ms": 1250,
            "iterations": 2,
            "token_usage": USAGE,
        },
    )
    found = search.images("damaged poles", limit=20, image_ids=["a", "b"])
    assert server.requests[-1].json == {
        "query": "damaged poles",
        "limit": 20,
        "image_ids": ["a", "b"],
    }
    assert (found.count, found.results[0].score) == (15, 0.92)
    assert found.result_refs["search_1"].count == 15
    assert found.token_usage == {"input_tokens": 450, "output_tokens": 280, "total_tokens": 730}


def test_documents_and_videos_are_searched_too(
    server: LoopbackApi, search: SyncAgentSearchResource
) -> None:
    server.on(
        "POST /agents/search/documents",
        {"results": [{"chunk_id": "c", "document_id": "d", "text": "…", "score": 0.8}], "count": 1},
    )
    assert search.documents("safety", document_types=["pdf"]).results[0].document_id == "d"
    assert server.requests[-1].json["document_types"] == ["pdf"]
    scene = {"scene_id": "s", "scene_index": 3, "start_time": 42.0, "end_time": 67.5, "score": 0.9}
    server.on(
        "POST /agents/search/videos",
        {"results": [{"video_id": "v", "score": 1.7, "matched_scenes": [scene]}]},
    )
    found = search.videos("workers", video_ids=["v"])
    assert found.results[0].matched_scenes[0].end_time == 67.5
    assert found.as_collection().content_type == "videos"


def test_what_the_api_would_refuse_is_not_sent(
    server: LoopbackApi,
    search: SyncAgentSearchResource,
    operations: SyncAgentOperationsResource,
) -> None:
    none: list[str] = []
    refused: list[tuple[str, Callable[[], Any]]] = [
        ("query", lambda: search.images("")),
        ("query", lambda: search.documents("x" * 2001)),
        ("limit", lambda: search.videos("x", limit=501)),
        ("image_ids", lambda: search.images("x", image_ids=none)),
        ("intent", lambda: operations.synthesize("x" * 2001)),
        ("document_ids", lambda: operations.analyze_documents("x", none)),
        ("document_ids", lambda: operations.analyze_documents("x", "d1")),
        ("intent", lambda: operations.organize("")),
    ]
    for field, call in refused:
        with pytest.raises(errors.ValidationError) as caught:
            call()
        assert caught.value.details["field"] == field
    assert server.requests == []


def test_reports_and_analyses(server: LoopbackApi, operations: SyncAgentOperationsResource) -> None:
    server.on(
        "POST /agents/synthesize",
        {"success": True, "report": "# Report", "summary": "s", "document_count": 2},
    )
    report = operations.synthesize("Compare", document_ids=["d1", "d2"])
    assert (report.report, report.saved_document_id) == ("# Report", None)
    assert server.requests[-1].json == {
        "intent": "Compare",
        "document_ids": ["d1", "d2"],
        "auto_save": False,
    }
    server.on(
        "POST /agents/analyze/documents",
        {"analysis": "# Analysis", "chunk_references": [{"chunk_id": "c", "document_id": "d1"}]},
    )
    analysis = operations.analyze_documents("Compare", ["d1"])
    assert analysis.chunk_references[0].chunk_id == "c"
    server.on(
        "POST /agents/organize",
        {"actions": [{"action": "create", "folder_name": "Poles"}], "files_moved": 3},
    )
    organized = operations.organize("By project", image_ids=["a"], parent_folder_id="f")
    assert (organized.actions[0].folder_name, organized.files_moved) == ("Poles", 3)


@pytest.mark.parametrize(
    ("first", "again"), [(BUSY, True), (LIMITED, True), (LOST, False), (Reply(b"{}x"), False)]
)
def test_a_paid_call_is_made_again_only_where_the_server_said_that_it_failed(
    server: LoopbackApi, search: SyncAgentSearchResource, first: Reply, again: bool
) -> None:
    operation = "POST /agents/search/images"
    server.on(operation, [first, {"results": []}])
    if again:
        search.images("x")
    else:
        with pytest.raises(errors.AionvisionError):
            search.images("x")
    assert len(server.asked(operation)) == 1 + again


@pytest.mark.parametrize(("first", "again"), [(LIMITED, True), (BUSY, False), (LOST, False)])
def test_files_are_put_in_order_once_at_most(
    server: LoopbackApi, operations: SyncAgentOperationsResource, first: Reply, again: bool
) -> None:
    for operation, call in [
        ("POST /agents/organize", lambda: operations.organize("By project")),
        ("POST /agents/synthesize", lambda: operations.synthesize("x", auto_save=True)),
    ]:
        server.on(operation, [first, {}])
        if again:
            call()
        else:
            with pytest.raises(errors.AionvisionError):
                call()
        assert len(server.asked(operation)) == 1 + again


def test_every_agent_has_a_contract() -> None:
    assert set(CONTRACTS) == {agent.value for agent in Agent}
    assert CONTRACTS["folder"].capability is AgentCapability.ORGANIZATION
    [documents] = CONTRACTS["document_analysis"].inputs
    assert (documents.name, documents.required) == ("document_ids", True)
    for contract in CONTRACTS.values():
        searches = contract.capability is AgentCapability.SEARCH
        assert searches == bool(contract.outputs)
        assert not (searches and contract.inputs)
