"""What is wrong with a value of the configuration, in the words of YAML: pydantic's own are those of Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from pydantic_core import ErrorDetails

EXAMPLES: Final[Mapping[str, str]] = {
    "StepConfig": "'VERB: TEXT', such as 'search_images: blue', or 'agent' and 'intent'",
    "SeedsConfig": "such as 'images: all'",
    "PipelineConfig": "with 'name' and 'steps'",
    "ApplyConfig": "such as '{to: folder, target: sorted, confirm: true}'",
    "DatasetConfig": "such as 'name: main'",
    "FolderSourceConfig": "such as 'path: pictures'",
}
"""Model → how a mapping of it begins."""


def words(error: ErrorDetails) -> str:
    """What an error says, without its place."""
    say = _WORDS.get(error["type"])
    return say(error) if say else error["msg"].replace("Input should be", "must be", 1)


def _own(error: ErrorDetails) -> str:
    """What a validator of this project says: pydantic puts the kind of exception in front of it."""
    return str(error.get("ctx", {}).get("error") or error["msg"])


def _chosen(error: ErrorDetails) -> str:
    return f"must be {error['ctx']['expected']}, not {_kind(error['input'])}"


def _list(error: ErrorDetails) -> str:
    value = error["input"]
    if isinstance(value, Mapping):
        return "must be a list, each entry with '- ' in front, not a mapping"
    example = f": write [{value}]" if isinstance(value, str | int | float) and value != "" else ""
    return f"must be a list, not {_kind(value)}{example}"


def _mapping(error: ErrorDetails) -> str:
    example = EXAMPLES.get(str(error.get("ctx", {}).get("class_name")), "")
    shown = f" {example}" if example else ""
    return f"must be a mapping{shown}, not {_kind(error['input'])}"


def _text(error: ErrorDetails) -> str:
    value = error["input"]
    quoted = isinstance(value, bool | int | float) or hasattr(value, "isoformat")
    hint = "; put it in quotes" if quoted else ""
    return f"must be text, not {_kind(value)}{hint}"


def _kind(value: Any) -> str:
    """What a value is called in YAML."""
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return f"the text {value!r}" if len(value) <= 60 else "a text"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if len(str(value)) <= 60 else type(value).__name__


_WORDS: Final[Mapping[str, Callable[[ErrorDetails], str]]] = {
    "value_error": _own,
    "assertion_error": _own,
    "extra_forbidden": lambda _: "there is no such field",
    "missing": lambda _: "must be given",
    "literal_error": _chosen,
    "list_type": _list,
    "tuple_type": _list,
    "dict_type": _mapping,
    "mapping_type": _mapping,
    "model_type": _mapping,
    "model_attributes_type": _mapping,
    "string_type": _text,
}
