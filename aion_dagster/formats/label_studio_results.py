"""The results of Label Studio's tasks in one form, whichever export they come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from aion_dagster.formats.label_studio_values import picture_reference

SHAPE_KINDS: Final = ("rectangle", "polygon", "brush", "ellipse", "keypoint")

_ABOUT_ANNOTATION: Final = frozenset(
    [
        "id",
        "annotator",
        "annotation_id",
        "created_at",
        "updated_at",
        "lead_time",
        "agreement",
        "history",
    ]
)

CHOICE_KEYS: Final = ("choice", "choices", "label", "class")
"""Keys of JSON-MIN, where results stand among the data, whose text is taken for a choice; other texts are data."""


def minimal_results(task: Mapping[str, Any]) -> list[Any]:
    """The regions of a task of JSON-MIN, in the form of the full export."""
    reference = picture_reference(task)
    found: list[Any] = []
    for key, value in task.items():
        if key in _ABOUT_ANNOTATION or value == reference:
            continue
        if isinstance(value, dict) and isinstance(value.get("choices"), list):
            found.append({"type": "choices", "value": value})
        elif isinstance(value, list) and value and all(isinstance(v, dict) for v in value):
            found += [_minimal_region(v) for v in value]
        elif isinstance(value, str) and value and key in CHOICE_KEYS:
            found.append({"type": "choices", "value": {"choices": [value]}, "from_name": key})
    return found


def is_plain(value: Any) -> bool:
    """Whether a value of a task's data is one that is kept beside its picture."""
    return isinstance(value, (str, int, float)) and value != ""


def _minimal_region(value: Mapping[str, Any]) -> dict[str, Any]:
    kind = next((k for k in value if k.endswith("labels")), None) or _shape_of(value)
    return {**value, "type": kind, "value": value}


def _shape_of(value: Mapping[str, Any]) -> str:
    known = {"points": "polygon", "rle": "brush", "radiusX": "ellipse", "height": "rectangle", "text": "textarea"}  # fmt: skip
    return next((kind for key, kind in known.items() if key in value), "unknown")


def united_results(results: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Results about one region (shape, labels, text, choices, by one id) as one; the others as they are."""
    shapes = {
        r["id"]: i for i, r in enumerate(results) if _is_shape(r) and isinstance(r.get("id"), str)
    }
    parts: dict[int, list[Mapping[str, Any]]] = {}
    for i, result in enumerate(results):
        own = result.get("id")
        shape = shapes.get(own) if isinstance(own, str) else None
        if shape is not None and shape != i and _same_picture(result):
            parts.setdefault(shape, []).append(result)
    taken = {id(p) for found in parts.values() for p in found}
    for i, result in enumerate(results):
        if id(result) in taken:
            continue
        yield {**result, "parts": parts[i]} if i in parts else result


def has_value(result: Any) -> bool:
    """Whether a result says anything."""
    return isinstance(result, dict) and isinstance(result.get("value"), dict)


def _is_shape(result: Mapping[str, Any]) -> bool:
    return str(result.get("type") or "").removesuffix("labels") in SHAPE_KINDS


def _same_picture(result: Mapping[str, Any]) -> bool:
    return str(result.get("type")) in ("labels", "choices", "textarea") or _is_shape(result)
