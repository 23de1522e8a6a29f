"""Which agents there are, what they take and what they find, as far as the API's documents say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from aion_dagster.client.models.base import OpenEnum

FILE_IDS: Final = "FILE_IDS"
"""The data type of ids that one agent hands to another; its hint says of what kind."""


class Agent(OpenEnum):
    """Agents that a pipeline's step can name."""

    IMAGE_SEARCH = "image_search"
    DOCUMENT_SEARCH = "document_search"
    LINK_SEARCH = "link_search"
    ANALYSIS = "analysis"
    DOCUMENT_ANALYSIS = "document_analysis"
    LINK_ANALYSIS = "link_analysis"
    ASSISTANT = "assistant"
    FOLDER = "folder"
    CROSS_REFERENCE = "cross_reference"
    ANALYTICS = "analytics"
    CHAT = "chat"


class AgentCapability(OpenEnum):
    """What an agent can do."""

    SEARCH = "search"
    FILTER = "filter"
    ANALYSIS = "analysis"
    COMPARISON = "comparison"
    EXPORT = "export"
    SUMMARIZATION = "summarization"
    RECOMMENDATION = "recommendation"
    VISUALIZATION = "visualization"
    ANALYTICS = "analytics"
    CROSS_REFERENCE = "cross_reference"
    SYNTHESIS = "synthesis"
    ORGANIZATION = "organization"
    CONVERSATIONAL = "conversational"


@dataclass(frozen=True, slots=True)
class TypedInput:
    """Something that an agent takes; `content_type_hint` says of what kind the files are."""

    name: str
    data_type: str
    required: bool = True
    description: str = ""
    content_type_hint: str | None = None


@dataclass(frozen=True, slots=True)
class TypedOutput:
    """Something that an agent hands on; `mergeable`: several of them can be taken as one."""

    name: str
    data_type: str
    mergeable: bool = False
    description: str = ""
    content_type_hint: str | None = None


@dataclass(frozen=True, slots=True)
class AgentContract:
    """What an agent is for; empty fields are those of which the API's documents say nothing."""

    name: str
    capability: AgentCapability
    description: str
    inputs: tuple[TypedInput, ...] = ()
    outputs: tuple[TypedOutput, ...] = ()
    example_intents: tuple[str, ...] = ()
    can_run_parallel: bool = True
    typical_duration_ms: int = 5000
    can_chain_with: tuple[AgentCapability, ...] = ()


def _files(kind: str, *, required: bool = False) -> TypedInput:
    name = f"{kind.removesuffix('s')}_ids"
    return TypedInput(name, FILE_IDS, required, f"The {kind} to work on.", kind)


def _found(kind: str) -> TypedOutput:
    name = f"{kind.removesuffix('s')}_ids"
    return TypedOutput(name, FILE_IDS, True, f"The {kind} that were found.", kind)


_ALL: Final = (
    AgentContract(
        Agent.IMAGE_SEARCH,
        AgentCapability.SEARCH,
        "Finds pictures by a description in plain words.",
        outputs=(_found("images"),),
        example_intents=("damaged utility poles",),
        can_chain_with=(AgentCapability.ORGANIZATION, AgentCapability.CROSS_REFERENCE),
    ),
    AgentContract(
        Agent.DOCUMENT_SEARCH,
        AgentCapability.SEARCH,
        "Finds parts of documents by a description in plain words.",
        outputs=(_found("documents"),),
        example_intents=("maintenance records", "safety procedures"),
        can_chain_with=(AgentCapability.CROSS_REFERENCE,),
    ),
    AgentContract(
        Agent.LINK_SEARCH,
        AgentCapability.SEARCH,
        "Finds bookmarked links by a description in plain words.",
        outputs=(_found("links"),),
    ),
    AgentContract(
        Agent.ANALYSIS,
        AgentCapability.ANALYSIS,
        "Analyzes pictures.",
        inputs=(_files("images"),),
    ),
    AgentContract(
        Agent.DOCUMENT_ANALYSIS,
        AgentCapability.ANALYSIS,
        "Summarizes, compares and categorizes documents.",
        inputs=(_files("documents", required=True),),
        example_intents=("Summarize and compare these contracts", "Find key issues"),
    ),
    AgentContract(
        Agent.LINK_ANALYSIS,
        AgentCapability.ANALYSIS,
        "Analyzes bookmarked links.",
        inputs=(_files("links"),),
    ),
    AgentContract(
        Agent.ASSISTANT,
        AgentCapability.SYNTHESIS,
        "Writes a report on pictures and documents.",
        inputs=(_files("images"), _files("documents")),
        example_intents=("Write a report on spending patterns",),
    ),
    AgentContract(
        Agent.FOLDER,
        AgentCapability.ORGANIZATION,
        "Makes folders and moves files into them.",
        inputs=(_files("images"), _files("documents")),
        example_intents=("Sort these files by category", "Sort by damage severity"),
    ),
    AgentContract(
        Agent.CROSS_REFERENCE,
        AgentCapability.CROSS_REFERENCE,
        "Relates what several steps found.",
        inputs=(_files("images"), _files("documents")),
        example_intents=("Cross-reference findings",),
    ),
    AgentContract(
        Agent.ANALYTICS, AgentCapability.ANALYTICS, "Answers with numbers about the library."
    ),
    AgentContract(Agent.CHAT, AgentCapability.CONVERSATIONAL, "Answers in a conversation."),
)

CONTRACTS: Final[Mapping[str, AgentContract]] = MappingProxyType({c.name: c for c in _ALL})
"""The contract of every agent, by its name."""
