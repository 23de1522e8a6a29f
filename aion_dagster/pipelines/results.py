"""What a step of a pipeline comes to: what it found and said, as values and as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Literal

import pyarrow as pa

from aion_dagster.pipelines.agents import AgentName, DataType

ItemKind = Literal["image", "document", "chunk", "link"]
MadeBy = Literal["index", "tables", "extractive", "model", "aionvision"]
"""Who answered: the library's index, its tables, sentences taken from the evidence, a model's own words about it, or the
platform."""

KIND_OF: Final[Mapping[DataType, ItemKind]] = {
    "images": "image",
    "documents": "document",
    "chunks": "chunk",
    "links": "link",
}

SOURCE: Final = pa.struct([("kind", pa.string()), ("id", pa.string())])

ITEMS: Final = pa.schema(
    [
        ("kind", pa.string()),
        ("id", pa.string()),
        ("remote_id", pa.string()),
        ("name", pa.string()),
        ("score", pa.float64()),
        ("text", pa.string()),
        ("part_of", pa.string()),
    ]
)
"""What a step hands on, best first. `id` is the library's (null where only the platform knows it), `part_of` the document
of a piece, `text` why it is there."""

CATEGORIES: Final = pa.schema(
    [
        ("category", pa.string()),
        ("kind", pa.string()),
        ("id", pa.string()),
        ("basis", pa.string()),
    ]
)
"""`basis` says by what: cluster, color, time, place, label, tag, intent or agent."""

RELATIONSHIPS: Final = pa.schema(
    [
        ("relation", pa.string()),
        ("from_kind", pa.string()),
        ("from_id", pa.string()),
        ("to_kind", pa.string()),
        ("to_id", pa.string()),
        ("strength", pa.float64()),
        ("detail", pa.string()),
    ]
)

SENTENCES: Final = pa.schema(
    [("section", pa.string()), ("text", pa.string()), ("sources", pa.list_(SOURCE))]
)
"""What a step says, sentence by sentence, each with the items that it rests on."""

PLAN: Final = pa.schema(
    [
        ("folder", pa.string()),
        ("kind", pa.string()),
        ("id", pa.string()),
        ("remote_id", pa.string()),
        ("name", pa.string()),
        ("reason", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class Source:
    """An item that a sentence rests on."""

    kind: ItemKind
    id: str


@dataclass(frozen=True, slots=True)
class Item:
    """A picture, document, piece or link that is handed on; see `ITEMS`."""

    kind: ItemKind
    id: str | None
    remote_id: str | None = None
    name: str | None = None
    score: float | None = None
    text: str | None = None
    part_of: str | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What makes it the same item as another one."""
        return self.kind, self.id or f"remote:{self.remote_id}"


@dataclass(frozen=True, slots=True)
class Assigned:
    """An item in a category; see `CATEGORIES`."""

    category: str
    kind: ItemKind
    id: str
    basis: str


@dataclass(frozen=True, slots=True)
class Relationship:
    """Two items that have something to do with each other; `strength` 0 to 1."""

    relation: str
    from_kind: ItemKind
    from_id: str
    to_kind: ItemKind
    to_id: str
    strength: float
    detail: str


@dataclass(frozen=True, slots=True)
class Sentence:
    """Something said, and what it rests on."""

    section: str
    text: str
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Placed:
    """A file in a folder of a plan; `folder` is a path in POSIX form."""

    folder: str
    kind: ItemKind
    id: str | None
    remote_id: str | None
    name: str
    reason: str


@dataclass(frozen=True)
class StepResult:
    """What a step came to.

    Attributes:
        agent: who was asked.
        made_by: who answered.
        model: which engine or model, where there is one.
        summary: one line.
        text: Markdown in the words of a model or the platform; None where `sentences` say it all.
        unfounded: sentences of a model that were left out, since what they refer to does not exist.
        facts: numbers about the step (credits, tokens, …), which JSON can hold.
    """

    agent: AgentName
    made_by: MadeBy
    model: str | None = None
    summary: str = ""
    text: str | None = None
    items: tuple[Item, ...] = ()
    categories: tuple[Assigned, ...] = ()
    relationships: tuple[Relationship, ...] = ()
    sentences: tuple[Sentence, ...] = ()
    plan: tuple[Placed, ...] = ()
    unfounded: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def tables(self) -> dict[str, pa.Table]:
        """The result as named tables, for storage."""
        return {
            "items": _table(self.items, ITEMS),
            "categories": _table(self.categories, CATEGORIES),
            "relationships": _table(self.relationships, RELATIONSHIPS),
            "sentences": _table(self.sentences, SENTENCES),
            "plan": _table(self.plan, PLAN),
        }

    def info(self) -> dict[str, Any]:
        """JSON-serialisable facts that are stored beside the tables."""
        return {
            "agent": self.agent,
            "made_by": self.made_by,
            "model": self.model,
            "summary": self.summary,
            "text": self.text,
            "unfounded": list(self.unfounded),
            "facts": dict(self.facts),
        }

    @classmethod
    def from_tables(cls, tables: Mapping[str, pa.Table], info: Mapping[str, Any]) -> StepResult:
        """The reverse of `tables` and `info`."""
        return cls(
            agent=info["agent"],
            made_by=info["made_by"],
            model=info["model"],
            summary=info["summary"],
            text=info["text"],
            items=tuple(Item(**row) for row in tables["items"].to_pylist()),
            categories=tuple(Assigned(**row) for row in tables["categories"].to_pylist()),
            relationships=tuple(Relationship(**r) for r in tables["relationships"].to_pylist()),
            sentences=tuple(_sentence(row) for row in tables["sentences"].to_pylist()),
            plan=tuple(Placed(**row) for row in tables["plan"].to_pylist()),
            unfounded=tuple(info["unfounded"]),
            facts=info["facts"],
        )

    def contents(self) -> list[Any]:
        """Everything that others may take from it, as JSON: the same contents give the same version."""
        tables = {name: table.to_pylist() for name, table in self.tables().items()}
        return [tables, {**self.info(), "facts": {}}]

    def costing(self, **facts: Any) -> StepResult:
        """The same with more facts."""
        return replace(self, facts={**self.facts, **facts})


@dataclass(frozen=True)
class Given:
    """What a step works on: what seeds and other steps handed to it, each item once, in order."""

    items: tuple[Item, ...] = ()
    categories: tuple[Assigned, ...] = ()
    relationships: tuple[Relationship, ...] = ()
    sentences: tuple[Sentence, ...] = ()

    def of(self, kind: ItemKind) -> tuple[Item, ...]:
        """The items of a kind."""
        return tuple(item for item in self.items if item.kind == kind)

    def ids(self, kind: ItemKind) -> tuple[str, ...]:
        """Their ids in the library."""
        return tuple(item.id for item in self.of(kind) if item.id is not None)


def handed_on(parts: Sequence[tuple[DataType, StepResult]]) -> Given:
    """What a step is given by others: of each result what belongs to a type of data."""
    items: dict[tuple[str, str], Item] = {}
    categories: list[Assigned] = []
    relationships: list[Relationship] = []
    sentences: list[Sentence] = []
    for kind, result in parts:
        if kind in KIND_OF:
            for item in result.items:
                if item.kind == KIND_OF[kind]:
                    items.setdefault(item.key, item)
        elif kind == "categories":
            categories += result.categories
        elif kind == "relationships":
            relationships += result.relationships
        elif kind == "text":
            sentences += result.sentences
    return Given(tuple(items.values()), tuple(categories), tuple(relationships), tuple(sentences))


def _table(rows: Sequence[Any], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist([asdict(row) for row in rows], schema=schema)


def _sentence(row: Mapping[str, Any]) -> Sentence:
    return Sentence(row["section"], row["text"], tuple(Source(**s) for s in row["sources"]))
