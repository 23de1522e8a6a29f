"""Pipelines of agents: what is to be done, as a value, and what came of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from pydantic import Field

from aion_dagster.client import limits
from aion_dagster.client.identifiers import some_ids
from aion_dagster.client.models.agents import TokenUsage
from aion_dagster.client.models.base import JsonMapping, Model, OpenEnum, Rows, rows
from aion_dagster.client.models.contracts import Agent
from aion_dagster.client.models.nulls import Count, Text


@dataclass(frozen=True, slots=True)
class PipelineStep:
    """What one agent is to do.

    Args:
        agent: its name; see `contracts.Agent`.
        intent: in plain words, 1 to 2,000 characters.
        depends_on: numbers of earlier steps, from 0, that it waits for and takes from; None leaves that to the server,
            which goes by the types of data; an empty one says that it waits for none.

    Raises:
        ValidationError: `agent` or `intent` is empty, or the intent too long.
    """

    agent: str
    intent: str
    depends_on: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        """Check what does not need the other steps."""
        if self.depends_on is not None:
            object.__setattr__(self, "depends_on", tuple(self.depends_on))
        if not self.agent:
            raise limits.refuse("agent", "is empty")
        limits.check_text("intent", self.intent, limits.INTENT, 1)

    @property
    def changes_the_library(self) -> bool:
        """Whether it moves files."""
        return self.agent == Agent.FOLDER


@dataclass(frozen=True, slots=True)
class PipelineSpecification:
    """A whole pipeline: steps, and the files that it starts from.

    Args:
        steps: 10 at most.
        image_ids: pictures to start from; None where steps search for them.
        document_ids: documents to start from.

    Raises:
        ValidationError: too many steps, or one that depends on itself, a later one, or none.
    """

    steps: tuple[PipelineStep, ...] = ()
    image_ids: tuple[str, ...] | None = None
    document_ids: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        """Check every step's dependencies."""
        limits.check_count("steps", self.steps, 0, limits.STEPS)
        for number, step in enumerate(self.steps):
            for other in step.depends_on or ():
                if type(other) is not int or not 0 <= other < number:
                    raise limits.refuse(
                        f"steps.{number}.depends_on", f"{other!r} is no step before step {number}"
                    )

    def with_step(
        self, agent: str, intent: str, depends_on: Sequence[int] | None = None
    ) -> PipelineSpecification:
        """The same and one step more, see `PipelineStep`."""
        waits = None if depends_on is None else tuple(depends_on)
        return replace(self, steps=(*self.steps, PipelineStep(agent, intent, waits)))

    def with_images(self, image_ids: Sequence[str]) -> PipelineSpecification:
        """The same, started from these pictures too."""
        ids = some_ids("image_ids", [*(self.image_ids or ()), *some_ids("image_ids", image_ids)])
        return replace(self, image_ids=tuple(ids))

    def with_documents(self, document_ids: Sequence[str]) -> PipelineSpecification:
        """The same, started from these documents too."""
        new = some_ids("document_ids", document_ids)
        ids = some_ids("document_ids", [*(self.document_ids or ()), *new])
        return replace(self, document_ids=tuple(ids))

    @property
    def changes_the_library(self) -> bool:
        """Whether a step moves files."""
        return any(step.changes_the_library for step in self.steps)

    def body(self) -> dict[str, Any]:
        """As the API takes it."""
        return {
            "steps": [
                {"agent": str(step.agent), "intent": step.intent}
                | ({} if step.depends_on is None else {"depends_on": list(step.depends_on)})
                for step in self.steps
            ],
            "image_ids": None if self.image_ids is None else list(self.image_ids),
            "document_ids": None if self.document_ids is None else list(self.document_ids),
        }


class StepStatus(OpenEnum):
    """How a step ended; pending: it was not reached."""

    PENDING = "pending"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"


class StepResult(Model):
    """What came of a step; `outputs` is what it hands to others."""

    agent: Text = ""
    status: StepStatus = StepStatus.PENDING
    summary: str | None = None
    outputs: JsonMapping = Field(default_factory=dict)
    error: str | None = None
    execution_time_ms: Count = 0
    node_id: str | None = None

    @property
    def is_completed(self) -> bool:
        """Whether it did what it was to do."""
        return self.status in (StepStatus.COMPLETED, "success")


class PipelineResult(Model):
    """What came of a pipeline; `steps` in the order of its steps."""

    success: bool = True
    steps: Rows[StepResult] = rows("steps", "nodes")
    execution_time_ms: Count = 0
    total_waves: Count = 0
    errors: Rows[str] = rows("errors")
    token_usage: TokenUsage = None

    @property
    def final(self) -> StepResult:
        """The last step's result."""
        return self.step(len(self.steps) - 1)

    def step(self, index: int) -> StepResult:
        """The result of a step, counted from 0.

        Raises:
            IndexError: the server answered no such step.
        """
        if not 0 <= index < len(self.steps):
            raise IndexError(f"the answer has {len(self.steps)} steps, none is number {index}")
        return self.steps[index]

    def ordered_as(self, specification: PipelineSpecification) -> Self:
        """The same with its steps as they were asked for, should they have come in the order in which they were done."""
        asked = [str(step.agent) for step in specification.steps]
        came = [step.agent for step in self.steps]
        if came == asked or sorted(came) != sorted(asked):
            return self
        waiting: dict[str, list[StepResult]] = defaultdict(list)
        for step in self.steps:
            waiting[step.agent].append(step)
        return self.model_copy(update={"steps": [waiting[agent].pop(0) for agent in asked]})
