"""Templates in a `defs.yaml`, rendered as Dagster renders them, except that a name without a value is an error everywhere."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
from dagster.components.resolved.scopes import DeprecatedScope, EnvScope
from jinja2 import StrictUndefined, Undefined
from jinja2.nativetypes import NativeEnvironment


class TemplateError(Exception):
    """A template that cannot be rendered."""

    def __init__(self, path: Sequence[int | str], reason: str) -> None:
        """What is wrong with the template that a path of keys and indices leads to."""
        super().__init__(reason)
        self.path = tuple(path)


class _NotSet(StrictUndefined):
    """A variable that is not set: false, so that `env.A or 'b'` works, and an error wherever its text is asked for."""

    def __bool__(self) -> bool:  # type: ignore[override]  # of Undefined, as it is there
        return False


class _Environment(EnvScope):
    """`env.NAME`; Dagster's own is None without the variable, which `{{ env.NAME }}/store` makes a folder called None."""

    def __getattr__(self, key: str) -> Any:
        if key in os.environ or key.startswith("jinja"):
            return super().__getattr__(key)
        return _NotSet(hint=f"the environment variable {key} is not set")


_TEMPLATES = NativeEnvironment(undefined=StrictUndefined)
_MARKS = ("{{", "{%", "{#")


def rendered(value: Any, context: dg.ResolutionContext) -> Any:
    """A value with the templates anywhere inside rendered; text without a template stays as it is.

    Raises:
        TemplateError: a name is not known, a variable not set, or it is no template.
    """
    if isinstance(value, Mapping):
        return {k: rendered(v, context.at_path(k)) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [rendered(v, context.at_path(i)) for i, v in enumerate(value)]
    if isinstance(value, str) and any(mark in value for mark in _MARKS):
        return _rendered_text(value, context)
    return value


def _rendered_text(text: str, context: dg.ResolutionContext) -> Any:
    scope = {**context.scope, "env": _Environment()}
    try:
        value: Any = _TEMPLATES.from_string(text).render(**scope)  # not always text
        if isinstance(value, DeprecatedScope | Undefined):
            return str(value)
    except Exception as error:  # a template may call whatever is in its scope
        known = "" if "." in str(error) else f"; there are {', '.join(sorted(scope))}"
        hint = known if str(error).endswith(" is undefined") else ""
        raise TemplateError(context.path, f"{text!r}: {error}{hint}") from error
    return value
