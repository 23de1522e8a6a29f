"""`Pipeline`: the same as a `PipelineConfig`, written as a chain of calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

from pydantic import ValidationError

from aion_dagster.config_words import words
from aion_dagster.errors import ConfigError
from aion_dagster.pipelines.specification import PipelineConfig

Ids = Sequence[str] | Literal["all", "batch"]
DependsOn = int | str | Sequence[int | str] | None


@dataclass(frozen=True)
class Pipeline:
    """Steps added one after another; every call returns a new pipeline, `config()` the finished one.

    Where a configuration takes a `PipelineConfig`, a `Pipeline` is as good.

    `Pipeline("poles").search_images("damaged utility poles").organize("Sort by damage severity").config()`. `settings`
    are other fields of `PipelineConfig`. Every step takes `name` and the other fields of `StepConfig` as keywords.
    """

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    seeds: dict[str, Any] = field(default_factory=dict)
    steps: tuple[dict[str, Any], ...] = ()

    def with_settings(self, **settings: Any) -> Self:
        """The same with fields of `PipelineConfig`: `schedule`, `mode`, `backend`, …"""
        return replace(self, settings=self.settings | settings)

    def with_images(self, images: Ids) -> Self:
        """Start from these pictures (and those given before), from `all`, or from each `batch`."""
        return self._seeded("images", images)

    def with_documents(self, documents: Ids) -> Self:
        """Start from these documents (and those given before), from `all`, or from each `batch`."""
        return self._seeded("documents", documents)

    def search_images(self, query: str, **more: Any) -> Self:
        """Find pictures."""
        return self.step("search_images", query, **more)

    def search_documents(self, query: str, **more: Any) -> Self:
        """Find documents and their pieces."""
        return self.step("search_documents", query, **more)

    def search_links(self, query: str, **more: Any) -> Self:
        """Find links."""
        return self.step("search_links", query, **more)

    def analyze(self, intent: str, *, depends_on: DependsOn = None, **more: Any) -> Self:
        """Analyze pictures."""
        return self.step("analyze", intent, depends_on=depends_on, **more)

    def analyze_documents(self, intent: str, *, depends_on: DependsOn = None, **more: Any) -> Self:
        """Analyze documents."""
        return self.step("analyze_documents", intent, depends_on=depends_on, **more)

    def analyze_links(self, intent: str, *, depends_on: DependsOn = None, **more: Any) -> Self:
        """Analyze links."""
        return self.step("analyze_links", intent, depends_on=depends_on, **more)

    def synthesize(self, intent: str, *, depends_on: DependsOn = None, **more: Any) -> Self:
        """Write a report in which every sentence has its source."""
        return self.step("synthesize", intent, depends_on=depends_on, **more)

    def organize(self, intent: str, *, depends_on: DependsOn = None, **more: Any) -> Self:
        """Plan folders; carried out only with `apply={"to": …, "confirm": True}`."""
        return self.step("organize", intent, depends_on=depends_on, **more)

    def cross_reference(self, intent: str, *, depends_on: DependsOn = None, **more: Any) -> Self:
        """Relate what other steps found."""
        return self.step("cross_reference", intent, depends_on=depends_on, **more)

    def analytics(self, intent: str, *, depends_on: DependsOn = None, **more: Any) -> Self:
        """Answer with numbers."""
        return self.step("analytics", intent, depends_on=depends_on, **more)

    def chat(self, intent: str, *, depends_on: DependsOn = None, **more: Any) -> Self:
        """Answer a question."""
        return self.step("chat", intent, depends_on=depends_on, **more)

    def step(self, agent: str, intent: str, *, depends_on: DependsOn = None, **more: Any) -> Self:
        """Any agent, by its name or verb."""
        given = {"agent": agent, "intent": intent, **more}
        if depends_on is not None:
            given["depends_on"] = depends_on
        return replace(self, steps=(*self.steps, given))

    def config(self) -> PipelineConfig:
        """The finished pipeline.

        Raises:
            ConfigError: it cannot be; the message names the step.
        """
        try:
            return PipelineConfig.model_validate(self)
        except ValidationError as error:
            lines = "; ".join(f"{'.'.join(map(str, e['loc']))}: {words(e)}" for e in error.errors())
            raise ConfigError(f"pipeline {self.name!r}: {lines}") from None

    def fields(self) -> dict[str, Any]:
        """What `config()` is made of."""
        return {"name": self.name, "seeds": self.seeds, "steps": self.steps, **self.settings}

    def _seeded(self, kind: str, ids: Ids) -> Self:
        if isinstance(ids, str):
            return replace(self, seeds=self.seeds | {kind: ids})
        before = self.seeds.get(kind, ())
        if isinstance(before, str):
            raise ConfigError(f"pipeline {self.name!r}: seeds.{kind} is {before!r} already")
        return replace(self, seeds=self.seeds | {kind: (*before, *ids)})
