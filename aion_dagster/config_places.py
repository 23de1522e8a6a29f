"""Where in a YAML file a field stands, so that an error can point at it."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any, get_args

import yaml
from pydantic import BaseModel
from pydantic_core import ErrorDetails

from aion_dagster.config_words import words
from aion_dagster.label_config import LABEL_FORMS
from aion_dagster.source_configs import SOURCE_TYPES, UNKNOWN_TYPE


def said(model: type[BaseModel], error: ErrorDetails, line: int | None = None) -> str:
    """What is wrong with which field, in which line, and what may have been meant."""
    near = meant(model, error["loc"]) if error["type"] == "extra_forbidden" else None
    hints = [*([f"line {line}"] if line else ()), *([f"did you mean {near}?"] if near else ())]
    field = ".".join(map(str, written_place(error))) or "configuration"
    return f"{field}: {words(error)}" + (f" ({', '.join(hints)})" if hints else "")


def written_place(error: ErrorDetails) -> tuple[int | str, ...]:
    """The field that an error is about, as it is written: pydantic puts the type of a source or label into its path."""
    place = list(error["loc"])
    if place[:1] == ["sources"] and place[2:3] and place[2] in SOURCE_TYPES:
        del place[2]
    if place[:1] == ["labels"] and place[2:3] and place[2] in LABEL_FORMS:
        del place[2]
    if error["type"] == UNKNOWN_TYPE:
        place.append("type")
    # The branches of a union are named like "[key]" or "literal['folder','source']".
    return tuple(p for p in place if "[" not in str(p))


def line_of(text: str, place: Sequence[int | str]) -> int | None:
    """The line (from 1) of the field that a path of keys and indices leads to, or of the last part of it that is there."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return None
    found: int | None = None
    for part in place:
        if isinstance(node, yaml.MappingNode):
            inner = [(k, v) for k, v in node.value if k.value == str(part)]
            if not inner:
                continue  # a name that the model puts into the path, such as the branch of a union
            key, node = inner[0]
            found = key.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            if part >= len(node.value):
                break
            node = node.value[part]
            found = node.start_mark.line + 1
    return found


def meant(model: type[BaseModel], place: Sequence[int | str]) -> str | None:
    """The field that somebody may have meant by an unknown one at the end of a path."""
    *way, last = place
    known: Any = model
    for part in way:
        if isinstance(part, int):
            continue
        field = known.model_fields.get(part)
        if field is None:
            continue  # the branch of a union
        inner = _models(field.annotation)
        if not inner:
            return None
        known = inner[0]
    close = difflib.get_close_matches(str(last), known.model_fields, n=1)
    return close[0] if close else None


def _models(annotation: Any) -> list[type[BaseModel]]:
    """Models anywhere inside a type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for inner in get_args(annotation) for m in _models(inner)]
