"""Where the specification is missing, answers are held against the client's own models instead."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydantic

import aion_dagster.client.resources as resources


class ClientModels:
    """The model that the client reads each operation's answer as, found in its source."""

    def __init__(self) -> None:
        self._models: dict[str, Any] = {}
        for path in sorted(Path(resources.__file__).parent.glob("*.py")):
            for operation, name in _asked(ast.parse(path.read_text("utf-8"))):
                module = importlib.import_module(f"{resources.__name__}.{path.stem}")
                if hasattr(module, name):
                    self._models[operation] = pydantic.TypeAdapter(getattr(module, name))

    def __len__(self) -> int:
        return len(self._models)

    def wrong_answer(self, operation: str, body: Any) -> str | None:
        """What a model finds wrong with an answer; None for nothing, or where no model is known."""
        model = self._models.get(operation)
        if model is None:
            return None
        try:
            model.validate_python(body)
        except pydantic.ValidationError as error:
            return str(error.errors()[0])
        return None


def _asked(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Calls of the form `self._ask(Model, "METHOD /path", …)`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            match node.args:
                case [ast.Name(id=name), ast.Constant(value=str(operation)), *_]:
                    if node.func.attr == "_ask":
                        yield operation, name
