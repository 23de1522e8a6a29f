"""Attributes as they stand in a `defs.yaml`: templates are rendered first, then the whole is checked, with its lines."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeVar, cast

import dagster as dg
from pydantic import (
    BaseModel,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationError,
    model_validator,
)

from aion_dagster.components.editor_schema import editor_schema
from aion_dagster.components.templates import TemplateError, rendered
from aion_dagster.config_places import said, written_place
from aion_dagster.errors import ConfigError

M = TypeVar("M", bound=BaseModel)


class Written(BaseModel):
    """A model that tells editors what may be written, and keeps what was; nothing is checked before templates are rendered."""

    _written: Mapping[str, Any] = PrivateAttr(default_factory=dict)

    @model_validator(mode="wrap")
    @classmethod
    def _keep(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(data, Mapping):
            return handler(data)
        model = cast("Self", cls.model_construct())
        model._written = data
        return model

    @classmethod
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """What may be written, as editors and `dg check yaml` are told."""
        return editor_schema(super().model_json_schema(*args, **kwargs))

    @property
    def written(self) -> Mapping[str, Any]:
        """The attributes as they stand in the YAML, templates included."""
        return self._written


@dataclass(frozen=True)
class Attributes:
    """The attributes of one component, templates rendered, and where they stand."""

    values: Mapping[str, Any]
    context: dg.ResolutionContext

    def place(self, *keys: int | str) -> str:
        """File and line of an attribute, or of the last part of the way to it that is there."""
        path = [*self.context.path, *keys]
        tree = self.context.source_position_tree
        if tree is None:
            return str(dg.ComponentLoadContext.from_resolution_context(self.context).path)
        return str(tree.lookup_closest_and_path(path, None)[0])

    def refusal(self, reason: str, *keys: int | str) -> ConfigError:
        """The error of an attribute."""
        return ConfigError(f"{self.place(*keys)}: {'.'.join(map(str, keys))}: {reason}")

    def refused(
        self, error: ValidationError, model: type[BaseModel], *, below: int = 0
    ) -> ConfigError:
        """Each error with its file and line; the first `below` parts of their paths stand for the whole."""
        found = error.errors()
        for each in found:
            each["loc"] = each["loc"][below:]
        return ConfigError(
            "\n".join(f"{self.place(*written_place(e))}: {said(model, e)}" for e in found)
        )

    def checked(self, model: type[M], *, without: Sequence[str] = ()) -> M:
        """The attributes as a model.

        Raises:
            ConfigError: a value is no good for its field; the message names file, line and field of each.
        """
        try:
            return model.model_validate({k: v for k, v in self.values.items() if k not in without})
        except ValidationError as error:
            raise self.refused(error, model) from None


class Configured(dg.Component, dg.Resolvable):
    """A component that is made from rendered attributes, with the names that Dagster's own components have in templates."""

    @classmethod
    @abstractmethod
    def get_model_cls(cls) -> type[Written]:
        """The attributes' model: its schema is what editors complete and check against."""

    @classmethod
    @abstractmethod
    def configured(cls, attributes: Attributes) -> Self:
        """The component.

        Raises:
            ConfigError: an attribute is missing or wrong; the message names file, line and field.
        """

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """Made from the attributes; a file without any has none of them set."""
        return super().load(attributes or cls.get_model_cls().model_construct(), context)

    @classmethod
    def resolve_from_model(cls, context: dg.ResolutionContext, model: BaseModel) -> Self:
        """Render templates, then check.

        Raises:
            ConfigError: a name in a template is not known, or an attribute is missing or wrong.
        """
        written = model.written if isinstance(model, Written) else {}
        attributes = Attributes(written, context)
        try:
            values = rendered(written, context)
        except TemplateError as error:
            keys = error.path[len(context.path) :]
            raise attributes.refusal(str(error), *keys) from None
        return cls.configured(Attributes(values, context))
