"""`type: aion_dagster.VisionLibrary` in a `defs.yaml`: a `LibraryConfig` in YAML."""

from __future__ import annotations

from typing import Self

import dagster as dg

from aion_dagster.components.scaffolding import LibraryExample
from aion_dagster.components.written import Attributes, Configured, Written
from aion_dagster.config import LibraryConfig
from aion_dagster.definitions import build_definitions


class VisionLibraryAttributes(Written, LibraryConfig):
    """A `LibraryConfig` as it was written."""


@dg.scaffold_with(LibraryExample)
class VisionLibrary(Configured):
    """A library of pictures: sources, batches, tables, datasets and exports."""

    def __init__(self, config: LibraryConfig) -> None:
        """Made by `load` from the attributes in YAML."""
        self.config = config

    @classmethod
    def get_model_cls(cls) -> type[Written]:
        """The attributes' model: its schema is what editors complete and check against."""
        return VisionLibraryAttributes

    @classmethod
    def configured(cls, attributes: Attributes) -> Self:
        """The library.

        Raises:
            ConfigError: an attribute is wrong; the message names file, line and field.
        """
        return cls(attributes.checked(LibraryConfig))

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:  # noqa: ARG002 - Dagster's signature
        """The library's definitions."""
        return build_definitions(self.config)
