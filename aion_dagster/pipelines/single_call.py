"""A whole pipeline in one call of the platform, its nodes as the results of the steps."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from aion_dagster.errors import AionError
from aion_dagster.identity import digest
from aion_dagster.pipelines.graph import SEEDS, Wired
from aion_dagster.pipelines.kept import is_fresh, keep, stored
from aion_dagster.pipelines.remote import RemoteAgents, run_pipeline, sent_ids
from aion_dagster.pipelines.remote_answers import NodeResult, node_result, result_of
from aion_dagster.pipelines.remote_ids import RemoteIds
from aion_dagster.pipelines.results import Given, StepResult
from aion_dagster.pipelines.runner import LOGIC, Finished, PipelineRun, Status
from aion_dagster.pipelines.written import spent

OPERATION: Final = "agent:pipeline"


class SingleCallRun(PipelineRun):
    """As `PipelineRun`, with one call for all steps."""

    def run(self, selected: Collection[str] | None = None) -> Iterator[Finished]:
        """Ask once for everything, unless every selected step stands already.

        A step that failed at the platform fails here, those after it are skipped, the others have their results. The
        whole is asked again where a step is missing; a pipeline that moves files only on another occasion.
        """
        chosen = [s for s in self.wired if selected is None or s.name in selected]
        where = (self.store, self.pipeline.name)
        fingerprint = self._fingerprint()
        stale = [s for s in chosen if not is_fresh(*where, s.name, self.batch, fingerprint)]
        if not stale:
            for step in chosen:
                found = stored(*where, step.name, self.batch)
                yield Finished(step.number, step.name, "unchanged", found)
            return
        try:
            payload, facts = self._asked()
        except Exception as error:  # noqa: BLE001 - told of every step
            kind = "" if isinstance(error, AionError) else f"{type(error).__name__}: "
            for step in chosen:
                reason = f"{kind}{error}"
                yield Finished(step.number, step.name, "failed", reason=reason, error=error)
            return
        yield from self._told(chosen, payload, facts, fingerprint)

    def _told(
        self,
        chosen: Sequence[Wired],
        payload: Mapping[str, Any],
        facts: Mapping[str, Any],
        fingerprint: str,
    ) -> Iterator[Finished]:
        """What became of each step; the costs of the call stand with the first of them."""
        nodes = [node_result(node) for node in payload.get("steps") or ()]
        nodes += [node_result(None)] * (len(self.wired) - len(nodes))
        results = self._results(nodes)
        for step in chosen:
            node = nodes[step.number]
            if step.number not in results:
                status: Status = "skipped" if node.was_skipped else "failed"
                yield Finished(step.number, step.name, status, reason=node.problem)
                continue
            own = facts if step is chosen[0] else {"in_one_call_with": chosen[0].name}
            result = results[step.number].costing(**own)
            where = (self.store, self.pipeline.name, step.name, self.batch)
            kept = keep(*where, fingerprint, result, {"run_id": self.run_id})
            yield Finished(step.number, step.name, "completed", kept)

    def _results(self, nodes: Sequence[NodeResult]) -> dict[int, StepResult]:
        """The results of the steps that were completed, by their number."""
        ids, items = RemoteIds(self.store), list(self.seeds.items)
        results: dict[int, StepResult] = {}
        for step in self.wired:
            node = nodes[step.number]
            if node.problem is None:
                given = Given(tuple(items))
                results[step.number] = result_of(step.agent, {"steps": [node.payload]}, ids, given)
                items += results[step.number].items
        return results

    def _fingerprint(self) -> str:
        config = self.pipeline.model_dump(mode="json", include={"steps", "seeds"})
        seeds = [list(item.key) for item in self.seeds.items]
        state = [self.agents.state(step, self.batch) for step in self.pipeline.steps]
        return digest([LOGIC, self.agents.engine, config, seeds, state, self.occasion])

    def _asked(self) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """The answer, and what it cost."""
        from aion_dagster.client.models.pipeline import PipelineSpecification

        agents = self.agents
        if not isinstance(agents, RemoteAgents):
            raise TypeError("a single call is one to the platform")
        specification = PipelineSpecification()
        for step, wired in zip(self.pipeline.steps, self.wired, strict=True):
            waits = wired.waits_for if step.depends_on is not None or _is_known(wired) else None
            specification = specification.with_step(step.agent, step.intent, waits)
        images, documents, missing = sent_ids(RemoteIds(self.store), self.seeds)
        specification = specification.with_images(images) if images else specification
        specification = specification.with_documents(documents) if documents else specification
        asked = specification.body()
        state = [self.occasion, [agents.state(step, self.batch) for step in self.pipeline.steps]]
        repeatable = not specification.changes_the_library
        run = partial(run_pipeline, specification=specification)
        payload, paid = agents.once(OPERATION, asked, state, run, _problem, repeatable=repeatable)
        problems = [p for node in payload["steps"] if (p := node_result(node).problem)]
        if problems and repeatable:
            # Paid and noted; asked again another time, for what did not come.
            key = agents.key(OPERATION, asked, state)
            agents.calls.failed(key, problems[0], kind="agent", retryable=True)
        facts = spent(paid) | ({"not_at_the_platform": missing} if missing else {})
        return payload, facts


def _is_known(step: Wired) -> bool:
    """Whether all that a step takes comes from steps: where seeds come in too, the platform wires by types itself."""
    return bool(step.waits_for) and not any(SEEDS in given for given in step.inputs.values())


def _problem(payload: Mapping[str, Any]) -> str | None:
    """An answer without any node is none; one with failed nodes is, and may be had again."""
    return None if payload.get("steps") else "the answer has no steps"
