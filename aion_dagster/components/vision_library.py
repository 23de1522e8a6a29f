"""`type: aion_dagster.VisionLibrary` in a `defs.yaml`: a `LibraryConfig` in YAML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import dagster as dg
from pydantic import BaseModel, ModelWrapValidatorHandler, PrivateAttr, model_validator

from aion_dagster.config import LibraryConfig
from aion_dagster.definitions import build_definitions


class VisionLibraryAttributes(LibraryConfig):
    """A `LibraryConfig` that remembers how it was written: paths are made absolute after templates are resolved."""

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


class VisionLibrary(dg.Component):
    """A library of pictures: sources, batches, tables, datasets and exports."""

    def __init__(self, config: LibraryConfig) -> None:
        """Made by `load` from the attributes in YAML."""
        self.config = config

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """The attributes' model: its schema is what editors complete and check against."""
        return VisionLibraryAttributes

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """Resolve templates in the attributes, then validate them as a `LibraryConfig`.

        Raises:
            ConfigError: a template's value is no good for its field; the message names file and field.
        """
        written = attributes.written if isinstance(attributes, VisionLibraryAttributes) else {}
        resolved = context.resolution_context.resolve_value(dict(written))
        return cls(LibraryConfig.parse(resolved, origin=str(context.path)))

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:  # noqa: ARG002 - Dagster's signature
        """The library's definitions."""
        return build_definitions(self.config)
