"""Holds requests and answers against the specification; without one, against what is known of them otherwise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from .checking import Complaint, RequestRules
from .client_models import ClientModels
from .exchange import Answer, Asked, Refusal
from .instances import instance
from .registry import Handler
from .specification import Operation, Specification


class Judge:
    """Says what is wrong with requests and with answers."""

    def __init__(self, specification: Specification | None) -> None:
        self._operations: dict[str, Operation] = specification.operations if specification else {}
        self._rules: dict[str, RequestRules] = {}
        self._models = None if specification else ClientModels()
        self._checked: Counter[str] = Counter()

    def complaints(self, asked: Asked, media: str, handler: Handler | None) -> Iterator[Complaint]:
        """What is wrong with a request."""
        operation = self._operations.get(asked.operation)
        if operation is not None:
            rules = self._rules.get(asked.operation)
            if rules is None:
                rules = self._rules[asked.operation] = RequestRules(operation)
            yield from rules.complaints(asked, media)
        elif handler is not None:
            yield from _structure(asked, handler)

    def wrong_answer(self, operation: str, status: int, body: Any) -> str | None:
        """What is wrong with an answer of this server; None for nothing."""
        known = self._operations.get(operation)
        if known is not None:
            return known.wrong_answer(status, body)
        return self._models.wrong_answer(operation, body) if self._models else None

    def generic(self, asked: Asked) -> Answer:
        """The smallest answer that the specification allows, for an operation without a handler."""
        operation = self._operations[asked.operation]
        schema = operation.answer_schema(operation.success)
        if schema is None:
            if operation.success == 204:
                return Answer(status=204, raw=b"")
            raise Refusal(501, "NOT_IMPLEMENTED", f"{asked.operation} is not simulated")
        return Answer(instance(schema, asked.ids), operation.success)


def _structure(asked: Asked, handler: Handler) -> Iterator[Complaint]:
    """What a request lacks that its handler needs."""
    given = {k for k, _ in asked.query}
    for name in handler.asks:
        if name not in given:
            yield Complaint("query", name, "Field required", fatal=True)
    fields = {k for k, _ in asked.fields} | {u.field for u in asked.uploads}
    if isinstance(asked.body, dict):
        fields |= asked.body.keys()
    for name in handler.needs:
        if name not in fields:
            yield Complaint("body", name, "Field required", fatal=True)
