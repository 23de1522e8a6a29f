"""Which agents there are: the types of data that each takes and gives, and the word that adds it to a pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

AgentName = Literal[
    "image_search",
    "document_search",
    "link_search",
    "analysis",
    "document_analysis",
    "link_analysis",
    "assistant",
    "folder",
    "cross_reference",
    "analytics",
    "chat",
]
"""Agents by the names that the Aionvision API gives them."""

DataType = Literal[
    "images", "documents", "chunks", "links", "categories", "text", "relationships", "plan"
]
"""What one step hands to another."""

SEEDED: Final[tuple[DataType, ...]] = ("images", "documents")
"""What a pipeline can start from."""

CARRIED: Final[frozenset[DataType]] = frozenset({"images", "documents", "chunks"})
"""What `image_ids` and `document_ids` of a remote call can carry; pieces go as the documents that they are of."""


@dataclass(frozen=True, slots=True)
class AgentKind:
    """One agent.

    Attributes:
        name: as the API calls it.
        verb: what adds it to a pipeline.
        takes: types of data that it works on, in the order of their importance.
        gives: types of data that it hands on.
        needs: it must be given at least one of these; empty where it works from nothing too.
        searches: it starts by itself: what it takes only narrows down where it searches, so that nothing but seeds
            and what `depends_on` names is wired to it.
        endpoint: whether the API has an endpoint for it alone; others run as a pipeline of one step.
    """

    name: AgentName
    verb: str
    takes: tuple[DataType, ...]
    gives: tuple[DataType, ...]
    needs: tuple[DataType, ...] = ()
    searches: bool = False
    endpoint: bool = False


_ALL: Final = (
    AgentKind("image_search", "search_images", ("images",), ("images",), (), True, True),
    AgentKind(
        "document_search",
        "search_documents",
        ("documents",),
        ("documents", "chunks"),
        (),
        True,
        True,
    ),
    AgentKind("link_search", "search_links", ("links",), ("links",), (), True),
    AgentKind("analysis", "analyze", ("images",), ("text", "categories"), ("images",)),
    AgentKind(
        "document_analysis",
        "analyze_documents",
        ("documents", "chunks"),
        ("text", "categories"),
        ("documents",),
        endpoint=True,
    ),
    AgentKind("link_analysis", "analyze_links", ("links",), ("text", "categories"), ("links",)),
    AgentKind(
        "assistant",
        "synthesize",
        ("images", "documents", "chunks", "links", "text", "relationships"),
        ("text",),
        ("images", "documents", "links", "text", "relationships"),
        endpoint=True,
    ),
    AgentKind(
        "folder",
        "organize",
        ("images", "documents", "categories"),
        ("plan",),
        ("images", "documents"),
        endpoint=True,
    ),
    AgentKind(
        "cross_reference",
        "cross_reference",
        ("images", "documents", "chunks", "links"),
        ("relationships", "text"),
        ("images", "documents", "links"),
    ),
    AgentKind("analytics", "analytics", ("images", "documents"), ("text",)),
    AgentKind("chat", "chat", ("images", "documents", "chunks", "links", "text"), ("text",)),
)

AGENTS: Final[Mapping[str, AgentKind]] = MappingProxyType({kind.name: kind for kind in _ALL})
"""Every agent by its name."""

VERBS: Final[Mapping[str, AgentKind]] = MappingProxyType({kind.verb: kind for kind in _ALL})
"""Every agent by the word that adds it to a pipeline."""


def agent_named(text: str) -> AgentKind | None:
    """The agent of this name or verb; None where there is none."""
    return AGENTS.get(text) or VERBS.get(text)


def words(types: tuple[DataType, ...] | list[DataType]) -> str:
    """Types of data as a sentence has them: `images, documents or links`."""
    *first, last = types
    return f"{', '.join(first)} or {last}" if first else last
