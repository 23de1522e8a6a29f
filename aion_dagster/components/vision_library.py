"""`type: aion_dagster.VisionLibrary` in a `defs.yaml`: a `LibraryConfig` in YAML."""

from __future__ import annotations

from typing import Any, Self

import dagster as dg
from dagster.components.resolved.context import ResolutionContext
from pydantic import BaseModel

from aion_dagster.config import LibraryConfig
from aion_dagster.definitions import build_definitions


class VisionLibrary(dg.Component):
    """A library of pictures: sources, batches, tables, datasets and exports."""

    def __init__(self, config: LibraryConfig) -> None:
        """Made by `load` from the attributes in YAML."""
        self.config = config

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """The attributes' model: its schema is what editors complete and check against."""
        return LibraryConfig

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """Resolve templates in the attributes, then validate them as a `LibraryConfig`."""
        given: dict[str, Any] = (
            {} if attributes is None else attributes.model_dump(mode="json", exclude_unset=True)
        )
        resolution: ResolutionContext = context.resolution_context
        return cls(LibraryConfig.parse(resolution.resolve_value(given), origin=str(context.path)))

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:  # noqa: ARG002 - Dagster's signature
        """The library's definitions."""
        return build_definitions(self.config)
