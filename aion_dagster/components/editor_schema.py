"""The JSON schema that `dg check yaml` and editors hold attributes against.

Pydantic's own describes values that were read already: without the short forms, without templates, and with unions, of
which a checker can only say that none of the branches fits. Here a branch is chosen by what was written, so that what is
said is about that branch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from aion_dagster.pipelines.agents import VERBS

Schema = dict[str, Any]

TEXT_FORMS: Final = frozenset(
    {
        "AionvisionSourceConfig",
        "ColorCondition",
        "DriveSourceConfig",
        "FolderSourceConfig",
        "ModelConfig",
        "S3SourceConfig",
        "TextCondition",
    }
)
"""Models that may be written as a text too."""

_TEMPLATE: Final[Schema] = {"type": "string", "pattern": r"\{[{%#]"}
_LEAVES: Final = frozenset({"integer", "number", "boolean"})
_ANNOTATIONS: Final = ("title", "description", "default")


def editor_schema(schema: Schema) -> Schema:
    """A model's JSON schema with short forms and templates, and unions as choices."""
    models = schema.get("$defs", {})
    if "StepConfig" in models:
        models["StepConfig"] = _step(models["StepConfig"])
    changed: Schema = _changed(schema, models)
    for name in TEXT_FORMS & set(models):
        changed["$defs"][name]["type"] = ["object", "string"]
    return changed


def _changed(node: Any, models: Mapping[str, Schema]) -> Any:
    if isinstance(node, list):
        return [_changed(each, models) for each in node]
    if not isinstance(node, dict):
        return node
    about = {k: v for k, v in node.items() if k in _ANNOTATIONS}
    for union in ("anyOf", "oneOf"):
        if union in node:
            return about | _choice([_changed(each, models) for each in node[union]], models)
    inner: Schema = {
        k: v
        if k in (*_ANNOTATIONS, "if", "then", "else")
        else {name: _changed(field, models) for name, field in v.items()}
        if k in ("properties", "$defs")
        else _changed(v, models)
        for k, v in node.items()
    }
    if inner.get("type") in _LEAVES:
        kind = {"type": inner.pop("type")}
        text = {"if": _TEMPLATE, "then": {}, "else": kind}
        types = [kind["type"], "string"]
        return about | {"type": types, "if": {"type": "string"}, "then": text, "else": inner}
    if "enum" in inner or "pattern" in inner or "const" in inner:
        kind = {"type": inner.pop("type")} if "type" in inner else {}
        return about | kind | {"if": _TEMPLATE, "then": {}, "else": inner}
    return inner


def _choice(options: Sequence[Schema], models: Mapping[str, Schema]) -> Schema:
    """The option for the kind of value that was written; the last one for any other."""
    by_kind: dict[str, list[Schema]] = {}
    for option in options:
        by_kind.setdefault(_kind(option, models), []).append(option)
    if any(_name(option) in TEXT_FORMS for option in options):
        by_kind.setdefault("string", [{}])
    order = ("null", "boolean", "string", "integer", "number", "array", "object")
    kinds = sorted(by_kind, key=order.index)
    last = by_kind[kinds[-1]]
    chosen: Schema = {"if": {"type": _types(last, models)}, "then": _by_type(last, models)}
    for kind in reversed(kinds[:-1]):
        chosen = {"if": {"type": kind}, "then": _by_type(by_kind[kind], models), "else": chosen}
    return {"type": sorted({*kinds, *_types(options, models)}, key=order.index)} | chosen


def _types(options: Sequence[Schema], models: Mapping[str, Schema]) -> list[str]:
    """The JSON types of options, with that of a template where one may be."""
    written = {_kind(each, models) for each in options}
    templates = {"string"} if any(isinstance(each.get("type"), list) for each in options) else set()
    return sorted(written | templates)


def _by_type(options: Sequence[Schema], models: Mapping[str, Schema]) -> Schema:
    """The model that `type` names; the first one without."""
    if len(options) == 1:
        return options[0]
    named: dict[str, Schema] = {}
    for each in options:
        kind = models.get(_name(each), {}).get("properties", {}).get("type", {})
        if "const" not in kind:
            return {"anyOf": list(options)}
        named[kind["const"]] = each
    known = {"properties": {"type": {"enum": list(named)}}}
    chosen = options[0]
    for name, option in list(named.items())[1:]:
        this = {"properties": {"type": {"const": name}}, "required": ["type"]}
        chosen = {"if": this, "then": option, "else": chosen}
    return {"if": known, "then": chosen, "else": known}


def _kind(option: Schema, models: Mapping[str, Schema]) -> str:
    """The JSON type of what an option describes; a template is none of its own."""
    if "$ref" in option:
        return _kind(models[_name(option)], models)
    written = option["type"]
    return str(written[0] if isinstance(written, list) else written)


def _name(option: Schema) -> str:
    return str(option.get("$ref", "")).rpartition("/")[2]


def _step(schema: Schema) -> Schema:
    """A step as one mapping: of an unknown word a checker then says which there are."""
    long, short = schema["anyOf"]
    known = [*VERBS, *long["properties"]]
    agents = list(dict.fromkeys(long["properties"]["agent"]["enum"]))
    words = {"propertyNames": {"enum": known}}
    ways = [{"required": ["agent", "intent"]}, *({"required": [verb]} for verb in VERBS)]
    return {
        "type": "object",
        "title": "StepConfig",
        "description": long["description"],
        "properties": short["properties"]
        | long["properties"]
        | {"agent": {"type": "string", "enum": agents}},
        "if": {"type": "object", **words},
        "then": {"oneOf": ways},
        "else": words,
    }
