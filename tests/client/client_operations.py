"""What the client's source says: the operations that it calls, and the models that it reads their answers as."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import aion_dagster.client.resources as resources

_METHODS = ("GET ", "POST ", "PUT ", "PATCH ", "DELETE ")


@cache
def operations() -> dict[str, str]:
    """Every operation that a method names, and the module that it stands in."""
    return {
        node.value: path.stem
        for path, tree in _sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value.startswith(_METHODS)
        and " /" in node.value
    }


@cache
def answers() -> dict[str, tuple[Any, ...]]:
    """The types that an operation's answer is read as; several where several methods call it."""
    found: dict[str, list[Any]] = {}
    for path, tree in _sources():
        module = importlib.import_module(f"{resources.__name__}.{path.stem}")
        for node in ast.walk(tree):
            match node:
                case ast.Call(
                    func=ast.Attribute(attr="_ask"),
                    args=[model, ast.Constant(value=str(operation)), *_],
                ):
                    kind = eval(ast.unparse(model), dict(vars(module)))
                    found.setdefault(operation, []).append(kind)
    return {operation: tuple(kinds) for operation, kinds in found.items()}


def _sources() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(Path(resources.__file__).parent.glob("*.py")):
        yield path, ast.parse(path.read_text("utf-8"))
