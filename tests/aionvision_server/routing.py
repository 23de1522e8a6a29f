"""From a method and a path to an operation: literal segments before placeholders."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import unquote


@dataclass(slots=True)
class _Node:
    literal: dict[str, _Node] = field(default_factory=dict)
    any: _Node | None = None
    methods: dict[str, str] = field(default_factory=dict)


class Routes:
    """All operations that can be reached."""

    def __init__(self, operations: Iterable[str]) -> None:
        self._root = _Node()
        for operation in operations:
            self.add(operation)

    def add(self, operation: str) -> None:
        """`operation`: "METHOD /path/{placeholder}"."""
        method, _, template = operation.partition(" ")
        node = self._root
        for segment in template.strip("/").split("/"):
            if segment.startswith("{"):
                node.any = node.any or _Node()
                node = node.any
            else:
                node = node.literal.setdefault(segment, _Node())
        node.methods[method] = operation

    def find(self, method: str, path: str) -> tuple[str, dict[str, str]] | str | None:
        """The operation and its ids; the methods that there are instead, or None where there is no such path."""
        segments = path.strip("/").split("/")
        others: set[str] = set()
        for node, values in _walk(self._root, segments, 0, ()):
            if method in node.methods:
                operation = node.methods[method]
                names = [s[1:-1] for s in operation.split(" ")[1].split("/") if s.startswith("{")]
                return operation, dict(zip(names, values, strict=True))
            others |= node.methods.keys()
        return ", ".join(sorted(others)) or None


def _walk(
    node: _Node, segments: list[str], at: int, values: tuple[str, ...]
) -> Iterable[tuple[_Node, tuple[str, ...]]]:
    if at == len(segments):
        if node.methods:
            yield node, values
        return
    segment = segments[at]
    if segment in node.literal:
        yield from _walk(node.literal[segment], segments, at + 1, values)
    if node.any is not None and segment:
        yield from _walk(node.any, segments, at + 1, (*values, unquote(segment)))
