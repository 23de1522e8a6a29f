"""Who runs the steps of a pipeline in a run of Dagster, and who carries a plan out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import pyarrow as pa

from aion_dagster.assets.workbench import Workbench
from aion_dagster.backends.aionvision import AionvisionBackend
from aion_dagster.backends.originals import OriginalFiles
from aion_dagster.config import FolderSourceConfig, PipelineConfig
from aion_dagster.errors import ConfigError, FileVanishedError, SourceError, UnavailableError
from aion_dagster.pipelines.carrying_out import (
    CarriedOut,
    ReadFile,
    check_target,
    copied,
    moved,
    organized,
    tagged,
)
from aion_dagster.pipelines.local import LocalAgents
from aion_dagster.pipelines.remote import RemoteAgents
from aion_dagster.pipelines.remote_ids import RemoteIds
from aion_dagster.pipelines.results import Placed
from aion_dagster.pipelines.runner import PipelineRun
from aion_dagster.pipelines.steps import ApplyConfig
from aion_dagster.pipelines.tasks import Agents
from aion_dagster.pipelines.written import Writer
from aion_dagster.storage.places import place_of
from aion_dagster.storage.store import Store
from aion_dagster.values import FileRef

if TYPE_CHECKING:
    from aion_dagster.resources.sources import SourceReader


def agents_of(
    bench: Workbench, context: dg.AssetExecutionContext, pipeline: PipelineConfig
) -> Agents:
    """The agents of a pipeline, whose paid calls are noted in the ledger and kept within the budgets."""
    backend, calls = bench.paying(context)
    store, config = bench.store(context), bench.config
    can_embed = backend.unavailable("embed_text") is None
    local = LocalAgents(
        store,
        backend.embed_text if can_embed else None,
        backend.identity("embed_text") if can_embed else None,
        Writer(config.endpoint, calls) if config.endpoint is not None else None,
    )
    if pipeline.runs_on(config.backend) == "local":
        return local
    if not isinstance(backend, AionvisionBackend):
        raise UnavailableError("this pipeline needs the backend 'aionvision'")
    return RemoteAgents(store, backend, calls, local)


def carry_out(
    bench: Workbench,
    context: dg.AssetExecutionContext,
    run: PipelineRun,
    number: int,
    plan: Sequence[Placed],
) -> CarriedOut:
    """Carry a plan out as its step is configured.

    Raises:
        AionError: it cannot be.
    """
    step = run.pipeline.steps[number]
    apply, store = step.apply, run.store
    if apply is None or not apply.confirm:
        raise ConfigError("nothing is carried out without 'confirm: true'")
    if apply.to == "platform":
        if not isinstance(run.agents, RemoteAgents):
            raise UnavailableError("'to: platform' needs the backend 'aionvision'")
        return organized(plan, step.intent, run.agents, run.occasion)
    if apply.to in ("tags", "platform_folders"):
        backend, _ = bench.paying(context)
        if not isinstance(backend, AionvisionBackend):
            raise UnavailableError(f"'to: {apply.to}' needs the backend 'aionvision'")
        return _at_the_platform(backend, store, plan, apply)
    if apply.to == "folder":
        watched = [Path(s.path) for s in bench.config.sources if isinstance(s, FolderSourceConfig)]
        own = [store.home] if isinstance(store.home, Path) else []
        check_target(apply.target, [*watched, *own])
    return copied(
        plan, place_of(apply.target), original_reader(store, bench.sources(context), plan)
    )


def original_reader(store: Store, sources: SourceReader, plan: Sequence[Placed]) -> ReadFile:
    """Reads the originals of a plan where they are now."""
    pictures = [p.id for p in plan if p.kind == "image" and p.id is not None]
    columns = ["image_id", "locations"]
    images = store.tables.read("library", columns=columns, image_ids=pictures)
    files = OriginalFiles(images, sources)
    documents = _documents(store) if any(p.kind == "document" for p in plan) else {}

    def read(kind: str, key: str) -> bytes:
        if kind == "image":
            picture = files.open(key)
            return picture.path.read_bytes() if picture.path is not None else picture.data()
        problem: SourceError = FileVanishedError(f"document {key}: no location is known")
        for ref in documents.get(key, ()):
            try:
                return sources.read(ref)
            except SourceError as error:
                problem = error
        raise problem

    return read


def _at_the_platform(
    backend: AionvisionBackend, store: Store, plan: Sequence[Placed], apply: ApplyConfig
) -> CarriedOut:
    """Tags or folders of the files there."""
    from aion_dagster.backends.aionvision_errors import unavailable
    from aion_dagster.client.errors import AionvisionError

    try:
        with backend.sync_client() as client:
            if apply.to == "tags":
                return tagged(plan, RemoteIds(store), client)
            return moved(plan, apply.target, RemoteIds(store), client)
    except AionvisionError as error:
        raise UnavailableError(unavailable(error, backend.config)) from error


def _documents(store: Store) -> dict[str, list[FileRef]]:
    """Document → the files that hold it."""
    columns = ["document_id", "source", "uri", "name", "version", "size_bytes", "modified_at"]
    table: pa.Table = store.tables.dataset("documents").to_table(columns=columns)
    found: dict[str, list[FileRef]] = {}
    for row in table.to_pylist():
        facts: dict[str, Any] = {k: v for k, v in row.items() if k != "document_id"}
        facts["modified_at"] = row["modified_at"] or datetime.fromtimestamp(0, UTC)
        found.setdefault(row["document_id"], []).append(FileRef(**facts))
    return found
