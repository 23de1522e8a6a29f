"""`type: aion_dagster.VisionLibrary` in a `defs.yaml`: a `LibraryConfig` in YAML."""

from __future__ import annotations

from typing import Self

import dagster as dg
from pydantic import BaseModel

from aion_dagster.components.scaffolding import LibraryExample
from aion_dagster.components.written import Written, resolved
from aion_dagster.config import LibraryConfig
from aion_dagster.definitions import build_definitions


class VisionLibraryAttributes(Written, LibraryConfig):
    """A `LibraryConfig` as it was written."""


@dg.scaffold_with(LibraryExample)
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
        return cls(LibraryConfig.parse(resolved(attributes, context), origin=str(context.path)))

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:  # noqa: ARG002 - Dagster's signature
        """The library's definitions."""
        return build_definitions(self.config)
