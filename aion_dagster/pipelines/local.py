"""The agents that work on this machine, from the library's index and tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aion_dagster.errors import UnavailableError
from aion_dagster.pipelines.agents import AgentName
from aion_dagster.pipelines.evidence_values import Picture
from aion_dagster.pipelines.extractive import evidence, relevant, synthesize
from aion_dagster.pipelines.local_pictures import analyze_pictures, by_intent
from aion_dagster.pipelines.local_plan import plan_folders
from aion_dagster.pipelines.local_relations import cross_reference
from aion_dagster.pipelines.local_search import find_documents, find_links, find_pictures
from aion_dagster.pipelines.local_texts import (
    Paper,
    analyze_papers,
    links_as_papers,
    papers_of,
)
from aion_dagster.pipelines.material import Material
from aion_dagster.pipelines.results import Given, Item, MadeBy, StepResult
from aion_dagster.pipelines.specification import StepConfig
from aion_dagster.pipelines.tasks import Task
from aion_dagster.pipelines.written import MOST_GIVEN, Writer
from aion_dagster.search.texts import Embed
from aion_dagster.storage.store import Store
from aion_dagster.wording import plural

LOGIC: Final = 3
"""Raised when what a local agent answers changes its meaning."""

_TABLES: Final = ("descriptions", "color_analyses", "annotations", "embeddings", "document_chunks")


@dataclass(frozen=True)
class LocalAgents:
    """Answers from one library.

    Args:
        store: the library's store.
        embed: its text model, where there is one.
        text_model: what the tables say of it.
        writer: has a model write what agents say in words; without one it is made of the evidence's own sentences.
    """

    store: Store
    embed: Embed | None = None
    text_model: str | None = None
    writer: Writer | None = None

    @property
    def engine(self) -> str:
        """Version, text model, and the writer."""
        writer = self.writer.identity if self.writer else "extractive"
        return f"local-{LOGIC}/{self.text_model or 'words'}/{writer}"

    @property
    def is_remote(self) -> bool:
        """No."""
        return False

    def state(self, step: StepConfig, batch: str | None) -> Any:  # noqa: ARG002 - as `Agents`
        """The tables as they stand: of the batch, else of the library."""
        ledger = self.store.ledger
        if batch is not None:
            builds = [ledger.build(table, batch) for table in ("images", *_TABLES)]
            return [build and build.fingerprint for build in builds]
        whole = [ledger.build(a) for a in ("library", "search_index", "near_duplicates", "links")]
        builds_of = [
            sorted((b, x.fingerprint) for b, x in ledger.builds(t).items()) for t in _TABLES
        ]
        return [[build and build.fingerprint for build in whole], builds_of]

    def run(self, task: Task) -> StepResult:
        """Do it; see `Agents`."""
        material = Material(self.store, task.batch)
        work: Mapping[AgentName, Callable[[Material, Task], StepResult]] = {
            "image_search": self._search,
            "document_search": self._search,
            "link_search": self._search,
            "analysis": _analyze_pictures,
            "document_analysis": _analyze_documents,
            "link_analysis": _analyze_links,
            "cross_reference": _cross_reference,
            "folder": _organize,
            "analytics": _analytics,
            "assistant": self._write,
            "chat": self._write,
        }
        return work[task.step.agent](material, task)

    def _search(self, material: Material, task: Task) -> StepResult:
        agent = task.step.agent
        if agent == "image_search":
            items = find_pictures(self.store, material, task, self.embed, self.text_model)
        elif agent == "document_search":
            items = find_documents(self.store, material, task, self.embed, self.text_model)
        else:
            items = find_links(material, task)
        counts = {
            kind: sum(i.kind == kind for i in items)
            for kind in ("image", "document", "chunk", "link")
        }
        found = ", ".join(plural(n, kind) for kind, n in counts.items() if n)
        return StepResult(
            agent=agent,
            made_by="index",
            model=self.text_model if self.embed else None,
            summary=f"Found {found or 'nothing'}",
            items=tuple(items),
        )

    def _write(self, material: Material, task: Task) -> StepResult:
        """A report, or an answer, on what is given; a question without anything is put to the library first."""
        given = task.given
        if not given.items and not given.sentences and not given.relationships:
            given = self._looked_up(material, task)
        pictures, papers = _pictures(material, given), _papers(material, given)
        found = evidence(pictures, papers, given.sentences, given.relationships)
        if not found:
            return StepResult(
                agent=task.step.agent,
                made_by="extractive",
                summary="There is no evidence to answer from: what it was given says nothing in words",
            )
        if self.writer is None:
            return synthesize(task.step.agent, found, task.step.intent)
        chosen = relevant(found, task.step.intent, MOST_GIVEN)
        return self.writer.write(task.step.agent, chosen, task.step.intent, task.occasion)

    def _looked_up(self, material: Material, task: Task) -> Given:
        items: list[Item] = list(
            find_pictures(self.store, material, task, self.embed, self.text_model)
        )
        if material.documents():
            items += find_documents(self.store, material, task, self.embed, self.text_model)
        return Given(tuple(items))


def _analyze_pictures(material: Material, task: Task) -> StepResult:
    pictures = _pictures(material, task.given)
    _need(pictures, task, "pictures")
    return analyze_pictures(material, pictures, task.step.intent)


def _analyze_documents(material: Material, task: Task) -> StepResult:
    papers = [p for p in _papers(material, task.given, whole=True) if p.kind == "document"]
    _need(papers, task, "documents with text")
    return analyze_papers(material, papers, task.step.intent)


def _analyze_links(material: Material, task: Task) -> StepResult:
    links = material.links(task.given.ids("link"))
    _need(links, task, "links")
    return analyze_papers(material, links_as_papers(links), task.step.intent, links=True)


def _cross_reference(material: Material, task: Task) -> StepResult:
    pictures, papers = _pictures(material, task.given), _papers(material, task.given)
    _need([*pictures, *papers], task, "pictures, documents or links")
    return cross_reference(material, pictures, papers, task.step.intent)


def _organize(material: Material, task: Task) -> StepResult:
    given = task.given
    pictures = _pictures(material, given)
    papers = papers_of(material.pieces(given.ids("document"))) if given.of("document") else []
    return plan_folders(material, pictures, papers, given.items, given.categories, task.step.intent)


def _analytics(material: Material, task: Task) -> StepResult:
    """Numbers about what is given, or about everything."""
    given = task.given
    if not given.items:
        pictures, papers = material.pictures(), papers_of(material.pieces())
    else:
        pictures, papers = _pictures(material, given), _papers(material, given)
    _need([*pictures, *papers], task, "pictures or documents")
    told = list(
        analyze_pictures(material, pictures, task.step.intent).sentences if pictures else ()
    )
    if papers:
        told += analyze_papers(material, papers, task.step.intent).sentences
    made_by: MadeBy = "tables"
    sentences = tuple(by_intent(told, task.step.intent))
    things = f"{plural(len(pictures), 'picture')} and {plural(len(papers), 'document')}"
    summary = f"{things}, {plural(len(sentences), 'statement')}"
    return StepResult(agent="analytics", made_by=made_by, summary=summary, sentences=sentences)


def _pictures(material: Material, given: Given) -> list[Picture]:
    return material.pictures(given.ids("image")) if given.of("image") else []


def _papers(material: Material, given: Given, *, whole: bool = False) -> list[Paper]:
    """The documents and links that are given: of documents the pieces that were found, else all of them."""
    found: list[Paper] = []
    if given.of("document") or given.of("chunk"):
        chunks = None if whole or not given.of("chunk") else given.ids("chunk")
        documents = given.ids("document") if given.of("document") else None
        pieces = material.pieces(documents, chunks)
        seeded = set(given.ids("document")) - {p.document_id for p in pieces}
        if chunks is not None and seeded:
            pieces += material.pieces(seeded)
        found += papers_of(pieces)
    if given.of("link"):
        found += links_as_papers(material.links(given.ids("link")))
    return found


def _need(things: Sequence[object], task: Task, what: str) -> None:
    """Raise where a step has nothing to work on.

    Raises:
        UnavailableError: says what is missing.
    """
    if not things:
        raise UnavailableError(
            f"{task.name}: there are no {what} to work on: what it takes from found nothing, or the library does not know "
            "them"
        )


def seeded_items(material: Material, images: Sequence[str], documents: Sequence[str]) -> Given:
    """Seeds as they are handed on: ids of the library with their names, others as ids of the platform."""
    pictures = {p.id: p.name for p in material.pictures(images)}
    named = material.documents(documents)
    items = [
        Item("image", i, None, pictures[i]) if i in pictures else Item("image", None, i)
        for i in images
    ]
    items += [
        Item("document", i, None, named[i]) if i in named else Item("document", None, i)
        for i in documents
    ]
    return Given(tuple(items))
