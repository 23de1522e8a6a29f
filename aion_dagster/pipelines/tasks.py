"""What an agent is asked to do, and who can be asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from aion_dagster.pipelines.results import Given, StepResult
from aion_dagster.pipelines.specification import StepConfig


@dataclass(frozen=True)
class Task:
    """One step, with what it works on.

    Attributes:
        pipeline: name of the pipeline.
        name: name of the step.
        step: its configuration.
        given: what seeds and other steps handed to it.
        batch: the batch that it is about, where steps are partitioned.
        occasion: changes where everything is to be asked anew.
    """

    pipeline: str
    name: str
    step: StepConfig
    given: Given
    batch: str | None = None
    occasion: str = ""


class Agents(Protocol):
    """Who runs steps; called from several threads."""

    @property
    def engine(self) -> str:
        """Who answers and in which version: with another one, steps are run anew."""
        ...

    @property
    def is_remote(self) -> bool:
        """Whether the platform is asked, which may know ids that the library does not."""
        ...

    def state(self, step: StepConfig, batch: str | None) -> Any:
        """What an answer depends on beside the question: JSON that changes with it."""
        ...

    def run(self, task: Task) -> StepResult:
        """Do it.

        Raises:
            AionError: it cannot be done; the message says why.
        """
        ...
