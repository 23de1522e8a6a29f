"""Attributes as they stand in a `defs.yaml`, before templates are resolved and paths made absolute."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar

import dagster as dg
from pydantic import (
    BaseModel,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationError,
    model_validator,
)

from aion_dagster.errors import ConfigError

M = TypeVar("M", bound=BaseModel)


class Written(BaseModel):
    """A model that remembers how it was written."""

    _written: Mapping[str, Any] = PrivateAttr(default_factory=dict)

    @model_validator(mode="wrap")
    @classmethod
    def _keep(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        model = handler(data)
        model._written = data if isinstance(data, Mapping) else {}
        return model

    @property
    def written(self) -> Mapping[str, Any]:
        """The attributes as they stand in the YAML, templates included."""
        return self._written


def resolved(attributes: BaseModel | None, context: dg.ComponentLoadContext) -> dict[str, Any]:
    """The attributes with templates resolved."""
    written = attributes.written if isinstance(attributes, Written) else {}
    return dict(context.resolution_context.resolve_value(dict(written)))


def checked(model: type[M], values: Mapping[str, Any], context: dg.ComponentLoadContext) -> M:
    """Resolved attributes as a model.

    Raises:
        ConfigError: a template's value is no good for its field; the message names file and field.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        lines = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ConfigError(f"{context.path}: {'; '.join(lines)}") from None
