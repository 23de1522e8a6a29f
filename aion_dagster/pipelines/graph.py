"""How the steps of a pipeline hang together: what each takes from which earlier one, and which wait for none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from aion_dagster.pipelines.agents import AGENTS, SEEDED, AgentKind, AgentName, DataType, words

SEEDS: Final = -1
"""In place of a step's number: what the pipeline starts from."""


class WiringError(ValueError):
    """A pipeline cannot be wired; `step` is the number of the step to blame, `field` what of it."""

    def __init__(self, step: int, field_name: str, reason: str) -> None:
        """`reason` names the step and says what to do."""
        super().__init__(reason)
        self.step = step
        self.field = field_name


@dataclass(frozen=True, slots=True)
class Node:
    """A step before it is wired; `depends_on` are numbers of steps, None where wiring is left to the types."""

    name: str
    agent: AgentName
    depends_on: tuple[int, ...] | None = None

    @property
    def kind(self) -> AgentKind:
        """What its agent takes and gives."""
        return AGENTS[self.agent]


@dataclass(frozen=True, slots=True)
class Wired:
    """A step, and for each type of data that it is given the steps that give it (`SEEDS` for the seeds)."""

    number: int
    name: str
    agent: AgentName
    inputs: Mapping[DataType, tuple[int, ...]]
    waits_for: tuple[int, ...]

    @property
    def kind(self) -> AgentKind:
        """What its agent takes and gives."""
        return AGENTS[self.agent]


@dataclass
class _Group:
    """Steps that gave one type of data one after another; `taken` once a step took them."""

    members: list[int] = field(default_factory=list)
    taken: bool = False


def wire(nodes: Sequence[Node], seeds: frozenset[DataType]) -> tuple[Wired, ...]:
    """Wire steps.

    Where `depends_on` is given, a step takes from these, and of the seeds what none of these gives. Where it is not, a
    step takes of each type what the latest steps gave: those that gave it one after another, without a step between them
    that took it. Searches take nothing by themselves but the seeds, among which they search.

    Args:
        nodes: the steps, in order.
        seeds: the types of data that the pipeline starts from.

    Raises:
        WiringError: a cycle, a dependency on a later step or on none, one that gives nothing that the step takes, or a
            step that is not given what it needs.
    """
    _check_order(nodes)
    latest: dict[DataType, _Group] = {kind: _Group([SEEDS]) for kind in SEEDED if kind in seeds}
    wired: list[Wired] = []
    for number, node in enumerate(nodes):
        chosen = (
            _named(number, nodes, seeds)
            if node.depends_on is not None
            else _automatic(node, latest)
        )
        _check_needs(number, node, chosen)
        for kind in chosen:
            if kind in latest:
                latest[kind].taken = True
        for kind in node.kind.gives:
            if kind not in latest or latest[kind].taken or latest[kind].members == [SEEDS]:
                latest[kind] = _Group()
            latest[kind].members.append(number)
        before = {i for given in chosen.values() for i in given if i != SEEDS}
        waits = tuple(sorted(before | set(node.depends_on or ())))
        wired.append(Wired(number, node.name, node.agent, chosen, waits))
    return tuple(wired)


def waves(steps: Sequence[Wired]) -> tuple[tuple[int, ...], ...]:
    """Numbers of the steps that can run side by side, wave after wave."""
    place: list[int] = []
    for step in steps:
        place.append(max((place[i] + 1 for i in step.waits_for), default=0))
    return tuple(
        tuple(i for i, wave in enumerate(place) if wave == w)
        for w in range(max(place, default=-1) + 1)
    )


def said(number: int, node: Node | Wired) -> str:
    """A step as errors name it."""
    return f"step {number} {node.name!r} ({node.agent})"


def _named(
    number: int, nodes: Sequence[Node], seeds: frozenset[DataType]
) -> dict[DataType, tuple[int, ...]]:
    """Inputs of a step that says what it depends on."""
    node = nodes[number]
    chosen: dict[DataType, tuple[int, ...]] = {}
    for other in node.depends_on or ():
        gives = [kind for kind in nodes[other].kind.gives if kind in node.kind.takes]
        if not gives:
            raise WiringError(
                number,
                "depends_on",
                f"{said(number, node)} depends on {said(other, nodes[other])}, which gives "
                f"{words(nodes[other].kind.gives)}; it takes {words(node.kind.takes)}",
            )
        for kind in gives:
            chosen[kind] = (*chosen.get(kind, ()), other)
    for kind in node.kind.takes:
        if kind in seeds and kind not in chosen:
            chosen[kind] = (SEEDS,)
    return chosen


def _automatic(node: Node, latest: Mapping[DataType, _Group]) -> dict[DataType, tuple[int, ...]]:
    """Inputs of a step by the types of data."""
    chosen = {kind: tuple(latest[kind].members) for kind in node.kind.takes if kind in latest}
    if not node.kind.searches:
        return chosen
    return {kind: given for kind, given in chosen.items() if given == (SEEDS,)}


def _check_needs(number: int, node: Node, chosen: Mapping[DataType, tuple[int, ...]]) -> None:
    needs = node.kind.needs
    if not needs or any(kind in chosen for kind in needs):
        return
    seedable = [kind for kind in needs if kind in SEEDED]
    way = f"add a step before it that gives them{', or seeds' if seedable else ''}"
    if node.depends_on is not None:
        way += ", or name such a step in depends_on"
    raise WiringError(
        number,
        "depends_on" if node.depends_on is not None else "agent",
        f"{said(number, node)} needs {words(needs)}, and nothing gives any: {way}",
    )


def _check_order(nodes: Sequence[Node]) -> None:
    """Every dependency is an earlier step.

    Raises:
        WiringError: it is a cycle, a later step, or none.
    """
    for number, node in enumerate(nodes):
        for other in node.depends_on or ():
            if not 0 <= other < len(nodes):
                raise WiringError(
                    number,
                    "depends_on",
                    f"{said(number, node)} depends on step {other}, which there is not: steps are counted from 0 to "
                    f"{len(nodes) - 1}",
                )
    for number, node in enumerate(nodes):
        cycle = _cycle(nodes, number)
        if cycle:
            path = " → ".join(f"{i} {nodes[i].name!r}" for i in cycle)
            raise WiringError(
                number, "depends_on", f"{said(number, node)} waits for itself: {path}"
            )
        for other in node.depends_on or ():
            if other >= number:
                raise WiringError(
                    number,
                    "depends_on",
                    f"{said(number, node)} depends on {said(other, nodes[other])}, which comes after it: move that one "
                    "before it",
                )


def _cycle(nodes: Sequence[Node], start: int) -> list[int]:
    """A way from a step along its dependencies back to itself; empty where there is none."""
    stack: list[list[int]] = [[start]]
    seen: set[int] = set()
    while stack:
        path = stack.pop()
        for other in nodes[path[-1]].depends_on or ():
            if other == start:
                return [*path, other]
            if other not in seen:
                seen.add(other)
                stack.append([*path, other])
    return []
