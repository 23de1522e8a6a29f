"""Small values that fit a schema."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from typing import Any

from .clock import stamp


def instance(schema: Mapping[str, Any], ids: Mapping[str, str], at: str = "") -> Any:
    """The smallest value that a schema allows: required fields only, ids as in the path where the names agree."""
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    for name in ("anyOf", "allOf"):
        if name in schema:
            if any(s.get("type") == "null" for s in schema[name]):
                return None
            return instance(schema[name][0], ids, at)
    if schema.get("type") == "object":
        properties = schema.get("properties", {})
        return {key: instance(properties[key], ids, key) for key in schema.get("required", ())}
    if schema.get("type") == "array":
        some = range(schema.get("minItems", 0))
        return [instance(schema.get("items", {}), ids, at) for _ in some]
    return _scalar(schema, ids, at)


def _scalar(schema: Mapping[str, Any], ids: Mapping[str, str], at: str) -> Any:
    match schema.get("type"):
        case "string":
            return _text(schema, ids, at)
        case "integer" | "number" as kind:
            least = schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1)
            return int(least) if kind == "integer" else float(least)
        case "boolean":
            return True
    return {}


def _text(schema: Mapping[str, Any], ids: Mapping[str, str], at: str) -> str:
    if at in ids:
        return ids[at]
    match schema.get("format"):
        case "uuid":
            return str(uuid.UUID(bytes=hashlib.sha256(at.encode()).digest()[:16], version=4))
        case "date-time":
            return stamp(1_750_000_000)
        case "email":
            return "someone@example.com"
        case "uri":
            return "https://example.com/"
    pattern = str(schema.get("pattern", ""))
    if pattern.startswith("^("):
        return pattern[2:].partition("|")[0].partition(")")[0]
    return (at or "text").ljust(schema.get("minLength", 0), "x")[: schema.get("maxLength", 100)]
