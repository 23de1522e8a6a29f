"""Values that fit a schema: with everything, with the least, with nulls, with what nobody has announced."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True)
class Manner:
    """How a specimen is made.

    Args:
        optional: fields that need not be there are.
        nulls: what may be null is.
        times: as servers write them.
        words: of enumerations other ones than the schema lists.
        more: fields that the schema does not have.
    """

    optional: bool = True
    nulls: bool = False
    time: str = "2025-01-15T10:30:00Z"
    other_words: bool = False
    more: bool = False


MANNERS: Final = {
    "everything": Manner(),
    "least": Manner(optional=False, nulls=True),
    "nulls": Manner(nulls=True),
    "odd": Manner(time="2025-01-15T10:30:00.123", other_words=True, more=True),
}


def specimen(schema: Mapping[str, Any], manner: Manner, name: str = "") -> Any:
    """A value of a schema that refers to nothing else."""
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return "unheard_of" if manner.other_words else schema["enum"][0]
    for combined in ("anyOf", "allOf", "oneOf"):
        if combined in schema:
            kinds = [each for each in schema[combined] if each.get("type") != "null"]
            is_nullable = len(kinds) < len(schema[combined])
            return None if is_nullable and manner.nulls else specimen(kinds[0], manner, name)
    return _typed(schema, manner, name)


def _typed(schema: Mapping[str, Any], manner: Manner, name: str) -> Any:
    match schema.get("type"):
        case "array":
            return [specimen(schema.get("items", {}), manner, name)] if manner.optional else []
        case "object":
            return _object(schema, manner)
        case "string":
            return _text(schema, manner, name)
        case "integer":
            return max(int(schema.get("minimum", 0)), min(3, int(schema.get("maximum", 3))))
        case "number":
            return max(schema.get("minimum", 0), 0.5)
    return True if schema.get("type") == "boolean" else {}


def _object(schema: Mapping[str, Any], manner: Manner) -> dict[str, Any]:
    properties = schema.get("properties", {})
    names = properties if manner.optional else schema.get("required", ())
    made = {name: specimen(properties[name], manner, name) for name in names if name in properties}
    inner = schema.get("additionalProperties")
    if not properties and isinstance(inner, Mapping) and manner.optional:
        made["a"] = specimen(inner, manner, "a")
    return made | {"announced_by_nobody": {"a": [1]}} if manner.more and properties else made


def _text(schema: Mapping[str, Any], manner: Manner, name: str) -> str:
    if name.endswith(("_at", "_time")):
        return manner.time  # also where the schema promises no more than a text
    match schema.get("format"):
        case "uuid":
            return "550e8400-e29b-41d4-a716-446655440000"
        case "date-time":
            return manner.time
        case "date":
            return manner.time[:10]
        case "uri":
            return "https://example.com/"
    return name or "text"
