"""Running the steps of a pipeline: each as soon as what it waits for is there, side by side, none twice."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from aion_dagster.errors import AionError, UnavailableError
from aion_dagster.identity import digest
from aion_dagster.pipelines.agents import DataType, words
from aion_dagster.pipelines.graph import SEEDS, Wired
from aion_dagster.pipelines.kept import Stored, is_fresh, keep, stored
from aion_dagster.pipelines.local import seeded_items
from aion_dagster.pipelines.material import Material
from aion_dagster.pipelines.remote_ids import RemoteIds
from aion_dagster.pipelines.results import KIND_OF, Given, Item, StepResult, handed_on
from aion_dagster.pipelines.specification import PipelineConfig, StepConfig
from aion_dagster.pipelines.tasks import Agents, Task
from aion_dagster.storage.store import Store

LOGIC = 1
"""Raised when what a step's result consists of changes, so that stored ones are made anew."""

Status = Literal["completed", "unchanged", "failed", "skipped"]


@dataclass(frozen=True)
class Finished:
    """What became of a step: `stored` where there is a result, `error` and `reason` where there is none."""

    number: int
    name: str
    status: Status
    stored: Stored | None = None
    reason: str | None = None
    error: BaseException | None = None


@dataclass
class PipelineRun:
    """One run of a pipeline, over one batch where it is partitioned.

    Args:
        pipeline: the pipeline.
        store: where its library is.
        agents: who runs the steps.
        batch: the batch that it is about.
        occasion: with another one, everything is asked anew.
        run_id: noted with every result.
    """

    pipeline: PipelineConfig
    store: Store
    agents: Agents
    batch: str | None = None
    occasion: str = ""
    run_id: str = ""
    _done: dict[int, Stored] = field(default_factory=dict)

    def run(self, selected: Collection[str] | None = None) -> Iterator[Finished]:
        """Run steps, by default all of them; each is told of when it is done, in an order that dependencies allow.

        A step whose result stands already is not run. One that takes from a step that failed is skipped. Others go on.
        """
        steps = {s.number: s for s in self.wired if selected is None or s.name in selected}
        lost: dict[int, str] = {}
        for step in self.wired:
            if step.number not in steps:
                self._take_up(step)
        _ = self.seeds  # before several threads ask for them
        with ThreadPoolExecutor(self.pipeline.parallel, thread_name_prefix="step") as pool:
            running: dict[Future[Finished], int] = {}
            left = dict(steps)
            while left or running:
                for number, step in list(left.items()):
                    blocked = self._blocked(step, steps, lost)
                    if blocked is not None:
                        del left[number]
                        lost[number] = blocked
                        yield Finished(number, step.name, "skipped", reason=blocked)
                    elif all(i in self._done for i in step.waits_for):
                        del left[number]
                        running[pool.submit(self._step, step)] = number
                if not running:
                    continue
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    del running[future]
                    finished = future.result()
                    if finished.stored is not None:
                        self._done[finished.number] = finished.stored
                    else:
                        lost[finished.number] = f"{finished.name!r} failed"
                    yield finished

    def result(self, number: int) -> StepResult | None:
        """The result of a step, of this run or an earlier one; None where it has none."""
        if number not in self._done:
            self._take_up(self.wired[number])
        kept = self._done.get(number)
        return None if kept is None else kept.result

    @cached_property
    def wired(self) -> tuple[Wired, ...]:
        """The steps with what they take."""
        return self.pipeline.wired()

    @cached_property
    def seeds(self) -> Given:
        """What the pipeline starts from.

        Raises:
            UnavailableError: ids that the library does not know, where the platform is not asked.
        """
        material = Material(self.store, self.batch)
        seeds = self.pipeline.seeds
        images = [p.id for p in material.pictures()] if _every(seeds.images) else seeds.images
        documents = list(material.documents()) if _every(seeds.documents) else seeds.documents
        given = seeded_items(material, list(images), list(documents))
        if self.agents.is_remote:
            given = RemoteIds(self.store).recognized(given)
        strangers = [str(item.remote_id) for item in given.items if item.id is None]
        if strangers and not self.agents.is_remote:
            raise UnavailableError(
                f"seeds of pipeline {self.pipeline.name!r}: {strangers[0]!r} ({len(strangers)} in all) is not in the "
                "library"
            )
        return given

    def fingerprint(self, step: Wired) -> str:
        """What a step's result is made from: its question, what it is given, and what else an answer depends on."""
        config = self.pipeline.steps[step.number]
        asked = config.model_dump(mode="json", exclude={"name", "depends_on", "apply"})
        taken = [
            [kind, [self._version(i) for i in given]] for kind, given in sorted(step.inputs.items())
        ]
        state = self.agents.state(config, self.batch)
        return digest([LOGIC, self.agents.engine, asked, taken, state, self.occasion])

    def given(self, step: Wired) -> Given:
        """What a step works on."""
        parts: list[tuple[DataType, StepResult]] = []
        seeded: list[Item] = []
        for kind, givers in step.inputs.items():
            for giver in givers:
                if giver == SEEDS:
                    seeded += [i for i in self.seeds.items if i.kind == KIND_OF[kind]]
                else:
                    parts.append((kind, self._done[giver].result))
        found = handed_on(parts)
        return Given(
            (*seeded, *found.items), found.categories, found.relationships, found.sentences
        )

    def _step(self, step: Wired) -> Finished:
        """Run one step, in a thread of its own."""
        try:
            fingerprint = self.fingerprint(step)
            where = (self.store, self.pipeline.name, step.name, self.batch)
            if is_fresh(*where, fingerprint):
                return Finished(step.number, step.name, "unchanged", stored(*where))
            result = self._result(step)
            kept = keep(*where, fingerprint, result, {"run_id": self.run_id})
            return Finished(step.number, step.name, "completed", kept)
        except Exception as error:  # noqa: BLE001 - one step's failure is told, and others go on
            kind = "" if isinstance(error, AionError) else f"{type(error).__name__}: "
            return Finished(step.number, step.name, "failed", reason=f"{kind}{error}", error=error)

    def _result(self, step: Wired) -> StepResult:
        config: StepConfig = self.pipeline.steps[step.number]
        given = self.given(step)
        if step.kind.needs and not _has(given, step):
            return StepResult(
                agent=step.agent,
                made_by="tables",
                summary=f"Nothing was asked: the steps before it found no {words(step.kind.needs)}",
            )
        task = Task(self.pipeline.name, step.name, config, given, self.batch, self.occasion)
        return self.agents.run(task)

    def _blocked(
        self, step: Wired, steps: Mapping[int, Wired], lost: Mapping[int, str]
    ) -> str | None:
        """Why a step cannot be run any more; None where it can, now or later."""
        for other in step.waits_for:
            if other in lost:
                return lost[other]
            if other not in steps and other not in self._done:
                name = self.wired[other].name
                return f"{name!r}, which it takes from, was never run; materialize it first"
        return None

    def _take_up(self, step: Wired) -> None:
        """Use the result of a step that is not to be run now."""
        found = stored(self.store, self.pipeline.name, step.name, self.batch)
        if found is not None:
            self._done[step.number] = found

    def _version(self, giver: int) -> object:
        if giver != SEEDS:
            return self._done[giver].version
        return [list(item.key) for item in self.seeds.items]


def _every(seeds: tuple[str, ...] | str) -> bool:
    return isinstance(seeds, str)


def _has(given: Given, step: Wired) -> bool:
    """Whether something of what a step needs is there."""
    has: dict[DataType, Callable[[], object]] = {
        "images": lambda: given.of("image"),
        "documents": lambda: given.of("document"),
        "links": lambda: given.of("link"),
        "text": lambda: given.sentences,
        "relationships": lambda: given.relationships,
    }
    return any(has[kind]() for kind in step.kind.needs if kind in has)


def check_library(store: Store) -> None:
    """Refuse to run where there is no library yet.

    Raises:
        UnavailableError: says what to run first.
    """
    if not store.tables.exists("library") and not store.tables.exists("images"):
        raise UnavailableError(
            f"{store.root} has no library yet: run aion-dagster run SOURCE --store {store.home} first"
        )
