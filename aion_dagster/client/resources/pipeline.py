"""`client.pipeline()`: several agents in one call, each with what others found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from aion_dagster.client import limits
from aion_dagster.client.models.contracts import Agent
from aion_dagster.client.models.pipeline import PipelineResult, PipelineSpecification
from aion_dagster.client.resources.base import Resource
from aion_dagster.client.retrying import Repeat
from aion_dagster.client.runtime import run_to_end

NOTHING = PipelineSpecification()


class PipelineResource(Resource):
    """Runs pipelines that are given as values."""

    async def run(self, specification: PipelineSpecification) -> PipelineResult:
        """Have the server run a pipeline of 1 to 10 steps.

        It is paid for by its tokens: where its answer is lost it is not run again, and one that moves files is not even
        where the server answered that it failed.

        Returns:
            What came of it; `success` is False where a step failed.
        """
        limits.check_count("steps", specification.steps, 1, limits.STEPS)
        moves = specification.changes_the_library
        result = await self._ask(
            PipelineResult,
            "POST /agents/pipeline",
            body=specification.body(),
            repeat=Repeat.REFUSED if moves else Repeat.ANSWERED,
        )
        return result.ordered_as(specification)


class PipelineBuilder:
    """Adds steps one after another; `specification` is what was added so far.

    A step without `depends_on` takes what the server finds for it by the types of data. Every method raises
    `ValidationError` where the API would refuse the step.
    """

    def __init__(
        self, resource: PipelineResource, specification: PipelineSpecification = NOTHING
    ) -> None:
        """Start from `specification`."""
        self._resource = resource
        self.specification = specification

    def with_images(self, image_ids: Sequence[str]) -> Self:
        """Start from these pictures, and those given before."""
        self.specification = self.specification.with_images(image_ids)
        return self

    def with_documents(self, document_ids: Sequence[str]) -> Self:
        """Start from these documents, and those given before."""
        self.specification = self.specification.with_documents(document_ids)
        return self

    def search_images(self, query: str) -> Self:
        """Find pictures."""
        return self.step(Agent.IMAGE_SEARCH, query)

    def search_documents(self, query: str) -> Self:
        """Find documents."""
        return self.step(Agent.DOCUMENT_SEARCH, query)

    def search_links(self, query: str) -> Self:
        """Find bookmarked links."""
        return self.step(Agent.LINK_SEARCH, query)

    def analyze(self, intent: str, *, depends_on: Sequence[int] | None = None) -> Self:
        """Analyze pictures."""
        return self.step(Agent.ANALYSIS, intent, depends_on=depends_on)

    def analyze_documents(self, intent: str, *, depends_on: Sequence[int] | None = None) -> Self:
        """Analyze documents."""
        return self.step(Agent.DOCUMENT_ANALYSIS, intent, depends_on=depends_on)

    def analyze_links(self, intent: str, *, depends_on: Sequence[int] | None = None) -> Self:
        """Analyze bookmarked links."""
        return self.step(Agent.LINK_ANALYSIS, intent, depends_on=depends_on)

    def synthesize(self, intent: str, *, depends_on: Sequence[int] | None = None) -> Self:
        """Write a report."""
        return self.step(Agent.ASSISTANT, intent, depends_on=depends_on)

    def organize(self, intent: str, *, depends_on: Sequence[int] | None = None) -> Self:
        """Put files into folders."""
        return self.step(Agent.FOLDER, intent, depends_on=depends_on)

    def cross_reference(self, intent: str, *, depends_on: Sequence[int] | None = None) -> Self:
        """Relate what other steps found."""
        return self.step(Agent.CROSS_REFERENCE, intent, depends_on=depends_on)

    def step(self, agent: str, intent: str, *, depends_on: Sequence[int] | None = None) -> Self:
        """Any agent, also one that has no method here (`analytics`, `chat`)."""
        self.specification = self.specification.with_step(agent, intent, depends_on)
        return self


class Pipeline(PipelineBuilder):
    """A pipeline of the asynchronous client."""

    async def run(self) -> PipelineResult:
        """Run it, see `PipelineResource.run`."""
        return await self._resource.run(self.specification)


class SyncPipeline(PipelineBuilder):
    """A pipeline of the blocking client."""

    def run(self) -> PipelineResult:
        """Run it, see `PipelineResource.run`."""
        return run_to_end(self._resource.run(self.specification))
