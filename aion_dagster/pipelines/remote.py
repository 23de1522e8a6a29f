"""The agents of the Aionvision platform: each step a call of its own, journalled, paid once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel

from aion_dagster.backends.aionvision import AionvisionBackend
from aion_dagster.backends.aionvision_credits import told_credits
from aion_dagster.backends.aionvision_errors import (
    kind_of,
    never_begun,
    refused_for_good,
    unavailable,
)
from aion_dagster.backends.calls import CallJournal, CallKey, Settlement
from aion_dagster.errors import UnavailableError
from aion_dagster.identity import digest
from aion_dagster.pipelines.asked_once import AgentError, asked_once
from aion_dagster.pipelines.local import LocalAgents
from aion_dagster.pipelines.remote_answers import node_result, result_of
from aion_dagster.pipelines.remote_ids import RemoteIds
from aion_dagster.pipelines.results import Given, StepResult
from aion_dagster.pipelines.specification import StepConfig
from aion_dagster.pipelines.tasks import Task
from aion_dagster.pipelines.written import spent
from aion_dagster.storage.store import Store

if TYPE_CHECKING:
    from aion_dagster.client import SyncAionVision

Ask = Callable[["SyncAionVision"], BaseModel]

ORGANIZE: Final = "agent:organize"
ANEW: Final = "It is asked anew with: aion-dagster pipeline run NAME --again"
DOUBT: Final = f"Look at the folders of the platform first. {ANEW}"
_TOKENS: Final = (("input_tokens", "prompt_tokens"), ("output_tokens", "completion_tokens"))


@dataclass(frozen=True)
class RemoteAgents:
    """Asks the platform; `organize` is planned on this machine, and carried out by nobody here.

    Args:
        store: the library's store.
        backend: the platform.
        calls: the journal of paid calls.
        local: makes the plans.
    """

    store: Store
    backend: AionvisionBackend
    calls: CallJournal
    local: LocalAgents

    @property
    def engine(self) -> str:
        """Which account of which server."""
        return self.backend.engine

    @property
    def is_remote(self) -> bool:
        """Yes."""
        return True

    def state(self, step: StepConfig, batch: str | None) -> Any:
        """Searches depend on what is at the platform, plans on the tables; others on their question alone."""
        if step.agent == "folder":
            return [self.local.engine, self.local.state(step, batch)]
        if not step.kind.searches and step.kind.needs:
            return None
        ledger = self.store.ledger
        if batch is not None:
            builds = [ledger.build(table, batch) for table in ("uploads", "documents")]
            return [build and build.fingerprint for build in builds]
        return [
            sorted((b, build.fingerprint) for b, build in ledger.builds(table).items())
            for table in ("uploads", "documents")
        ] + [build.fingerprint if (build := ledger.build("links")) else None]

    def run(self, task: Task) -> StepResult:
        """Ask, or take the answer from the journal; see `Agents`.

        Raises:
            AgentError: the platform did not do it.
            BudgetSpentError: a budget does not allow the call.
            UnavailableError: nothing of what it works on is at the platform.
        """
        if task.step.agent == "folder":
            return self.local.run(task)
        ids = RemoteIds(self.store)
        images, documents, missing = sent_ids(ids, task.given)
        if task.given.items and not images and not documents:
            raise UnavailableError(
                f"{task.name}: none of the {len(task.given.items)} things to work on is at the platform; materialize "
                "uploads and documents first"
            )
        ask = partial(_ask, task.step, images, documents)
        asked = [task.step.intent, task.step.limit, images, documents]
        state = self.state(task.step, task.batch)
        payload, paid = self.once(
            f"agent:{task.step.agent}", asked, [task.occasion, state], ask, _problem
        )
        result = result_of(task.step.agent, payload, ids, task.given)
        if task.step.min_score is not None:
            least = task.step.min_score
            near = tuple(i for i in result.items if i.score is None or i.score >= least)
            result = replace(result, items=near)
        facts = spent(paid) | ({"not_at_the_platform": missing} if missing else {})
        return result.costing(**facts)

    def once(
        self,
        operation: str,
        asked: Any,
        state: Any,
        ask: Ask,
        problem: Callable[[Mapping[str, Any]], str | None],
        *,
        repeatable: bool = True,
    ) -> tuple[Mapping[str, Any], Settlement | None]:
        """A call by the journal; see `asked_once`.

        Args:
            operation: what is asked, as `aion-dagster costs` shows it.
            asked: the question.
            state: what else the answer depends on.
            ask: makes the call.
            problem: why an answer is none; None where it is one.
            repeatable: as in `asked_once`.
        """
        make = partial(self._make, ask, problem)
        key = self.key(operation, asked, state)
        advice = ANEW if repeatable else DOUBT
        return asked_once(self.calls, key, make, repeatable=repeatable, advice=advice)

    def key(self, operation: str, asked: Any, state: Any) -> CallKey:
        """What a call is known by in the journal."""
        return CallKey(digest(asked), operation, digest(state)[:32], self.engine)

    def _make(self, ask: Ask, problem: Callable[[Mapping[str, Any]], str | None]) -> Settlement:
        from aion_dagster.client.errors import AionvisionError

        try:
            with self.backend.sync_client() as client:
                payload = ask(client).model_dump(mode="json")
        except AionvisionError as error:
            raise AgentError(
                unavailable(error, self.backend.config),
                kind=kind_of(error),
                retryable=not refused_for_good(error),
                begun=not never_begun(error),
            ) from error
        reason = problem(payload)
        if reason is not None:
            raise AgentError(f"Aionvision: {reason}")
        tokens = payload.get("token_usage") or {}
        read, written = (
            next((int(tokens[w]) for w in names if tokens.get(w)), 0) for names in _TOKENS
        )
        return Settlement(
            payload, credits=told_credits(payload), input_tokens=read, output_tokens=written
        )


def sent_ids(ids: RemoteIds, given: Given) -> tuple[list[str], list[str], int]:
    """Pictures and documents as a call carries them, pieces as their documents; how many are not at the platform."""
    images, documents = ids.remotes(given.of("image")), ids.remotes(given.of("document"))
    missing = images.count(None) + documents.count(None)
    return _known(images), _known(documents), missing


def _known(found: Sequence[str | None]) -> list[str]:
    return list(dict.fromkeys(i for i in found if i is not None))


def _ask(
    step: StepConfig, images: list[str], documents: list[str], client: SyncAionVision
) -> BaseModel:
    """The call of a step: its own endpoint, else a pipeline of one step."""
    from aion_dagster.client.models.pipeline import PipelineSpecification

    match step.agent:
        case "image_search":
            return client.agent_search.images(
                step.intent, limit=step.limit, image_ids=images or None
            )
        case "document_search":
            return client.agent_search.documents(
                step.intent, limit=step.limit, document_ids=documents or None
            )
        case "assistant":
            return client.agent_operations.synthesize(
                step.intent, image_ids=images or None, document_ids=documents or None
            )
        case "document_analysis":
            return client.agent_operations.analyze_documents(step.intent, documents)
    one = PipelineSpecification().with_step(step.agent, step.intent)
    one = one.with_images(images) if images else one
    one = one.with_documents(documents) if documents else one
    return run_pipeline(client, one)


def run_pipeline(client: SyncAionVision, specification: Any) -> BaseModel:
    """A pipeline as a value, by the blocking client."""
    builder = client.pipeline()
    builder.specification = specification
    return builder.run()


def _problem(payload: Mapping[str, Any]) -> str | None:
    """Why an answer is none: it says that it did not succeed, or its only step did not."""
    nodes = payload.get("steps")
    if isinstance(nodes, list):
        if not nodes:
            return "the answer has no step"
        return node_result(nodes[0]).problem
    if payload.get("success") is False:
        return str(payload.get("summary") or "it did not succeed")[:300]
    return None
