"""The published specification, compiled: which operations there are, and what may be asked and answered."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import jsonschema
from jsonschema.exceptions import relevance

from .formats import FORMATS

PREFIX: Final = "/api/v2"
VARIABLE: Final = "AIONVISION_SPEC"
_METHODS: Final = ("get", "put", "post", "patch", "delete")


def default_place() -> Path | None:
    """Where the vendor's file lies: as `AIONVISION_SPEC` says, or beside the repository; None where it is missing."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named)
    beside = Path(__file__).resolve().parents[3] / "shared" / "aionvision" / "openapi.json"
    return beside if beside.is_file() else None


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of the query or the path."""

    name: str
    place: str
    required: bool
    schema: Mapping[str, Any]


class Operation:
    """One method of one path, with what may be asked and answered; validators are made when first needed."""

    def __init__(self, name: str, data: Mapping[str, Any], whole: Mapping[str, Any]) -> None:
        """`data` is the operation in the specification, `whole` all of that."""
        self.name = name
        self._data, self._whole = data, whole

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        return {
            p["name"]: Parameter(
                p["name"], p["in"], p.get("required", False), self._inlined(p["schema"])
            )
            for p in self._data.get("parameters", ())
            if p["in"] in ("query", "path")
        }

    @cached_property
    def body(self) -> dict[str, Any]:
        """Media type to schema; empty where there is no body."""
        content = self._data.get("requestBody", {}).get("content", {})
        return {media: self._inlined(c["schema"]) for media, c in content.items()}

    @cached_property
    def body_required(self) -> bool:
        return bool(self._data.get("requestBody", {}).get("required", False))

    def answer_schema(self, status: int) -> dict[str, Any] | None:
        """The schema of an answer of JSON; None where there is none."""
        content = self._data["responses"].get(str(status), {}).get("content", {})
        schema = content.get("application/json", {}).get("schema")
        return self._inlined(schema) if schema else None

    @cached_property
    def success(self) -> int:
        return min(int(s) for s in self._data["responses"] if s.startswith("2"))

    @cached_property
    def _answers(self) -> dict[int, Any]:
        return {}

    def wrong_answer(self, status: int, body: Any) -> str | None:
        """What is wrong with an answer; None for nothing. Undeclared statuses of errors are let through."""
        if status not in self._answers:
            schema = self.answer_schema(status)
            self._answers[status] = validator(schema) if schema else None
        judge = self._answers[status]
        if judge is None:
            declared = str(status) in self._data["responses"]
            return None if declared or status >= 400 else f"status {status} is not declared"
        wrong = complaint(judge, body)
        return ": ".join(wrong).removeprefix(": ") if wrong else None

    def _inlined(self, schema: Any) -> Any:
        """A schema with everything that it refers to in place; the specification has no circles."""
        if isinstance(schema, list):
            return [self._inlined(item) for item in schema]
        if not isinstance(schema, dict):
            return schema
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            rest = {k: v for k, v in schema.items() if k != "$ref"}
            return {**self._inlined(self._whole["components"]["schemas"][name]), **rest}
        return {k: self._inlined(v) for k, v in schema.items()}


class Specification:
    """All operations, named by method and path below `/api/v2`."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.operations: dict[str, Operation] = {}
        for path, methods in data["paths"].items():
            for method in _METHODS:
                if method in methods:
                    name = f"{method.upper()} {path.removeprefix(PREFIX)}"
                    self.operations[name] = Operation(name, methods[method], data)

    @classmethod
    def read(cls, path: Path) -> Specification:
        return cls(json.loads(path.read_bytes()))


def validator(schema: Mapping[str, Any]) -> Any:
    return jsonschema.Draft202012Validator(schema, format_checker=FORMATS)


def complaint(judge: Any, value: Any) -> tuple[str, str] | None:
    """Where a value is wrong, and how, the most telling of its faults; None for none."""
    if judge.is_valid(value):
        return None
    error = max(_leaves(judge.iter_errors(value)), key=relevance)
    return ".".join(str(p) for p in error.absolute_path), error.message[:300]


def _leaves(errors: Iterable[Any]) -> Iterator[Any]:
    """Errors; those of alternatives replaced by what is wrong with the alternative that has the right type."""
    for error in errors:
        telling = [
            e
            for e in error.context or ()
            if e.validator != "type" or len(e.absolute_path) > len(error.absolute_path)
        ]
        yield from _leaves(telling) if telling else [error]
