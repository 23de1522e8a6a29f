"""Steps side by side: what can run at once does, a failure stops what hangs on it and nothing else, nothing runs twice."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest

from aion_dagster.errors import AionError, StorageError
from aion_dagster.pipelines.builder import Pipeline
from aion_dagster.pipelines.kept import read_result
from aion_dagster.pipelines.results import Item, Sentence, Source, StepResult
from aion_dagster.pipelines.runner import Finished, PipelineRun
from aion_dagster.pipelines.specification import PipelineConfig, StepConfig
from aion_dagster.pipelines.tasks import Task
from aion_dagster.storage.store import Store

TWO_SEARCHES = (
    Pipeline("two")
    .search_images("pole", name="pictures")
    .search_documents("pole", name="papers")
    .cross_reference("relate", depends_on=[0, 1], name="both")
    .synthesize("write", depends_on=["papers"], name="report")
    .config()
)


@dataclass
class Rehearsed:
    """Agents that do what a test tells them, and remember what they were asked."""

    failing: set[str] = field(default_factory=set)
    together: threading.Barrier | None = None
    asked: Counter[str] = field(default_factory=Counter)
    given: dict[str, Task] = field(default_factory=dict)
    engine: str = "rehearsed"
    is_remote: bool = False
    library: int = 1

    def state(self, step: StepConfig, batch: str | None) -> Any:
        return self.library if step.kind.searches else None

    def run(self, task: Task) -> StepResult:
        self.asked[task.name] += 1
        self.given[task.name] = task
        if self.together is not None and task.step.kind.searches:
            self.together.wait(20)
        if task.name in self.failing:
            raise AionError(f"{task.name} is out of order")
        kind: Any = "image" if task.step.agent == "image_search" else "document"
        source = Source(kind, "lease")
        return StepResult(
            agent=task.step.agent,
            made_by="tables",
            items=(Item(kind, f"{task.name}-1"),) if task.step.kind.searches else (),
            sentences=(Sentence("Said", f"by {task.name}", (source,)),),
        )


def ran(
    store: Store, agents: Rehearsed, pipeline: PipelineConfig = TWO_SEARCHES, **more: Any
) -> dict[str, Finished]:
    return {f.name: f for f in PipelineRun(pipeline, store, agents, **more).run()}


def ended(finished: dict[str, Finished]) -> dict[str, str]:
    return {name: one.status for name, one in finished.items()}


def test_independent_steps_run_at_the_same_time(store: Store) -> None:
    # Each waits until the other is there: one after the other, neither would ever end.
    agents = Rehearsed(together=threading.Barrier(2))
    assert set(ended(ran(store, agents)).values()) == {"completed"}


def test_a_step_waits_for_what_it_takes_and_for_nothing_else(store: Store) -> None:
    agents = Rehearsed(failing={"pictures"})
    done = ran(store, agents)
    assert ended(done) == {
        "pictures": "failed",
        "papers": "completed",
        "both": "skipped",
        "report": "completed",
    }
    assert done["both"].reason == "'pictures' failed"
    assert [i.id for i in agents.given["report"].given.items] == ["papers-1"]


def test_a_failure_leaves_results_and_another_run_repeats_none_of_them(store: Store) -> None:
    agents = Rehearsed(failing={"pictures"})
    ran(store, agents)
    assert read_result(store, "two", "papers").items[0].id == "papers-1"
    with pytest.raises(StorageError, match="has not been written"):
        read_result(store, "two", "both")
    agents.failing.clear()
    assert ended(ran(store, agents)) == {
        "pictures": "completed",
        "papers": "unchanged",
        "both": "completed",
        "report": "unchanged",
    }
    assert agents.asked == {"pictures": 2, "papers": 1, "both": 1, "report": 1}


def test_a_skipped_step_skips_what_hangs_on_it(store: Store) -> None:
    chain = (
        Pipeline("chain").search_images("a").analyze("b").synthesize("c", depends_on=[1]).config()
    )
    done = ran(store, Rehearsed(failing={"search_images"}), chain)
    assert ended(done) == {"search_images": "failed", "analyze": "skipped", "synthesize": "skipped"}


def test_a_changed_library_or_question_or_occasion_is_asked_anew(store: Store) -> None:
    agents = Rehearsed()
    ran(store, agents)
    agents.library = 2
    assert ended(ran(store, agents)) == {
        # The searches found the same: what takes from them stands.
        "pictures": "completed",
        "papers": "completed",
        "both": "unchanged",
        "report": "unchanged",
    }
    assert set(ended(ran(store, agents, occasion="tuesday")).values()) == {"completed"}
    steps = [
        s.model_copy(update={"intent": "other"}) if s.name == "both" else s
        for s in TWO_SEARCHES.steps
    ]
    other = TWO_SEARCHES.model_copy(update={"steps": tuple(steps)})
    done = ended(ran(store, agents, other, occasion="tuesday"))
    assert [name for name, status in done.items() if status == "completed"] == ["both"]


def test_what_crashes_is_told_of_with_its_kind_and_others_go_on(store: Store) -> None:
    class Crashing(Rehearsed):
        def run(self, task: Task) -> StepResult:
            if task.name == "papers":
                raise ZeroDivisionError("by nothing")
            return super().run(task)

    done = ran(store, Crashing())
    assert ended(done)["pictures"] == "completed"
    assert done["papers"].reason == "ZeroDivisionError: by nothing"


def test_a_search_that_finds_nothing_is_no_failure_further_down(store: Store) -> None:
    class Blind(Rehearsed):
        def run(self, task: Task) -> StepResult:
            found = super().run(task)
            return StepResult(found.agent, found.made_by) if task.step.kind.searches else found

    pipeline = Pipeline("none").search_images("x").organize("y").config()
    agents = Blind()
    done = ran(store, agents, pipeline)
    assert set(ended(done).values()) == {"completed"}
    assert agents.asked["organize"] == 0
    assert "found no images" in read_result(store, "none", "organize").summary


def test_seeds_that_the_library_does_not_know_are_named(store: Store) -> None:
    pipeline = Pipeline("x").with_images(["pole-1", "nowhere"]).organize("y").config()
    with pytest.raises(AionError, match="'nowhere' \\(1 in all\\) is not in the library"):
        ran(store, Rehearsed(), pipeline)
