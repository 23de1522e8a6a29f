"""The library written by hand, with its pictures and documents at a test server, and a pipeline over it."""

from __future__ import annotations

from typing import Any

from aionvision_server.asking import asking
from aionvision_server.fixtures import Server
from known_library import BATCH, PAPERS, PICTURES, rows

from aion_dagster import schemas
from aion_dagster.backends.aionvision import AionvisionBackend
from aion_dagster.engines import AionvisionConfig
from aion_dagster.pipelines.builder import Pipeline
from aion_dagster.pipelines.local import LocalAgents
from aion_dagster.pipelines.remote import RemoteAgents
from aion_dagster.pipelines.runner import Finished, PipelineRun
from aion_dagster.pipelines.single_call import SingleCallRun
from aion_dagster.pipelines.specification import PipelineConfig
from aion_dagster.storage.ledger_calls import PaidCalls
from aion_dagster.storage.store import Store

PAID = (
    Pipeline("paid")
    .search_images("picture")
    .search_documents("report")
    .cross_reference("relate", depends_on=[0, 1])
    .synthesize("write", depends_on=[0, 1])
    .config()
)
"""Four steps in two waves, each a call."""


def brought_there(store: Store, server: Server) -> dict[str, str]:
    """Put pictures and documents at the platform, and note it in the tables; id → id there."""
    with asking(server) as ask:
        there = {image: ask.uploaded(n) for n, image in enumerate(PICTURES)}
        for key, (name, texts) in PAPERS.items():
            report = {"intent": f"report {name} {texts[0]}", "auto_save": True}
            there[key] = ask.post("/agents/synthesize", **report)["saved_document_id"]
    uploads = [
        {"image_id": i, "remote_id": there[i], "status": "completed", "sha256": "0" * 64}
        for i in PICTURES
    ]
    store.tables.write("uploads", rows(schemas.UPLOADS, uploads), batch=BATCH)
    documents = store.tables.read("documents", batch=BATCH).to_pylist()
    noted = [row | {"remote_id": there[row["document_id"]]} for row in documents]
    store.tables.write("documents", rows(schemas.DOCUMENTS, noted), batch=BATCH)
    return there


def remote_agents(store: Store, url: str, **settings: Any) -> RemoteAgents:
    """Agents at a server, whose key is in the environment."""
    config = AionvisionConfig(
        base_url=url, plan="unlimited", retry_delay=0.01, max_retries=1, **settings
    )
    backend = AionvisionBackend(config)
    calls: PaidCalls = store.ledger.paid_calls("test", [])
    calls.take_over()
    backend.note_in(calls)
    return RemoteAgents(store, backend, calls, LocalAgents(store))


def ran(
    store: Store, agents: RemoteAgents, pipeline: PipelineConfig = PAID, occasion: str = ""
) -> dict[str, Finished]:
    """Run a pipeline; how each step ended."""
    kind = SingleCallRun if pipeline.mode == "single_call" else PipelineRun
    return {f.name: f for f in kind(pipeline, store, agents, occasion=occasion).run()}
