"""Where in a YAML file a field stands, so that an error can point at it."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any, get_args

import yaml
from pydantic import BaseModel


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
