"""Whether a request is one that the specification allows."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from .exchange import Asked
from .specification import Operation, complaint, validator

TOLERATED: Final = frozenset({"intent", "verification_level"})
"""Fields of uploads that two of the vendor's documents name and the specification does not."""

_TRUE_FALSE: Final = {"true": True, "false": False, "1": True, "0": False}


@dataclass(frozen=True, slots=True)
class Complaint:
    """What is wrong with a request, and where."""

    place: str
    field: str
    reason: str
    fatal: bool
    """False for what the specification does not know, which a server ignores."""


class RequestRules:
    """What one operation takes; compiled once."""

    def __init__(self, operation: Operation) -> None:
        self._name = operation.name
        self._query = {
            name: (p, validator(p.schema))
            for name, p in operation.parameters.items()
            if p.place == "query"
        }
        self._path = {
            name: validator(p.schema)
            for name, p in operation.parameters.items()
            if p.place == "path"
        }
        self._bodies = {media: (s, validator(s)) for media, s in operation.body.items()}
        self._required = operation.body_required

    def complaints(self, asked: Asked, media: str) -> Iterator[Complaint]:
        """`media`: the media type of the body, empty where there is none."""
        yield from self._of_path(asked.ids)
        yield from self._of_query(asked.query)
        yield from self._of_body(asked, media)

    def _of_path(self, ids: Mapping[str, str]) -> Iterator[Complaint]:
        for name, value in ids.items():
            if name in self._path and (wrong := complaint(self._path[name], value)):
                yield Complaint("path", name, wrong[1], fatal=True)

    def _of_query(self, query: Sequence[tuple[str, str]]) -> Iterator[Complaint]:
        given: dict[str, list[str]] = {}
        for name, value in query:
            given.setdefault(name, []).append(value)
        for name, (parameter, judge) in self._query.items():
            if name not in given:
                if parameter.required:
                    yield Complaint("query", name, "Field required", fatal=True)
            elif wrong := complaint(judge, _converted(parameter.schema, given[name])):
                yield Complaint("query", f"{name}.{wrong[0]}".rstrip("."), wrong[1], fatal=True)
        for name in given.keys() - self._query.keys():
            yield Complaint("query", name, "not a parameter of this operation", fatal=False)

    def _of_body(self, asked: Asked, media: str) -> Iterator[Complaint]:
        if not self._bodies:
            if media:
                yield Complaint("body", "", "this operation takes no body", fatal=False)
            return
        if media not in self._bodies:
            if media or self._required:
                expected = " or ".join(self._bodies)
                yield Complaint("body", "", f"{expected} expected, not {media!r}", fatal=True)
            return
        schema, judge = self._bodies[media]
        value = asked.body if media == "application/json" else _form(schema, asked)
        if wrong := complaint(judge, value):
            yield Complaint("body", *wrong, fatal=True)
        for name in unknown_fields(schema, value):
            if not (media == "multipart/form-data" and name in TOLERATED):
                yield Complaint("body", name, "not a field of this operation", fatal=False)


def unknown_fields(schema: Mapping[str, Any], value: Any, at: str = "") -> Iterator[str]:
    """Fields that no schema of the place where they stand knows."""
    alternatives = _alternatives(schema)
    if isinstance(value, list):
        lists = (a for a in alternatives if a.get("type") == "array")
        for alternative, (index, item) in itertools.product(lists, enumerate(value)):
            yield from unknown_fields(alternative.get("items", {}), item, f"{at}{index}.")
    if not isinstance(value, dict):
        return
    objects = [a for a in alternatives if a.get("type") == "object"]
    if any("properties" not in a for a in objects):
        return  # any content
    known = {name: inner for a in objects for name, inner in a["properties"].items()}
    for name, inner in value.items():
        if name in known:
            yield from unknown_fields(known[name], inner, f"{at}{name}.")
        elif objects:
            yield f"{at}{name}"


def _alternatives(schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [a for s in schema.get("anyOf", (schema,)) for a in s.get("allOf", (s,))]


def _form(schema: Mapping[str, Any], asked: Asked) -> dict[str, Any]:
    """The fields of a form as the schema's types; a file as an empty text."""
    properties = schema["properties"]
    given: dict[str, list[str]] = {}
    for name, value in asked.fields:
        given.setdefault(name, []).append(value)
    for upload in asked.uploads:
        given.setdefault(upload.field, []).append("")
    return {
        name: _converted(properties.get(name, {"type": "string"}), values)
        for name, values in given.items()
    }


def _converted(schema: Mapping[str, Any], values: list[str]) -> Any:
    """Texts as what the schema wants; what cannot be converted stays a text, and does not fit."""
    kinds = [a for a in _alternatives(schema) if a.get("type") != "null"]
    for kind in kinds:
        if kind.get("type") == "array":
            return [_converted(kind.get("items", {}), [value]) for value in values]
    text = values[-1]
    for kind in kinds:
        match kind.get("type"):
            case "boolean":
                return _TRUE_FALSE.get(text.lower(), text)
            case "integer" | "number" as number:
                try:
                    return int(text) if number == "integer" else float(text)
                except ValueError:
                    return text
    return text
