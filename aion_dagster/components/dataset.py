"""`type: aion_dagster.Dataset` in a `defs.yaml`: a further dataset of a library that another `defs.yaml` describes."""

from __future__ import annotations

from typing import Self

import dagster as dg
from pydantic import BaseModel, Field

from aion_dagster.components.scaffolding import DatasetExample
from aion_dagster.components.vision_library import VisionLibrary
from aion_dagster.components.written import Written, checked, resolved
from aion_dagster.config import DatasetConfig, LibraryConfig
from aion_dagster.definitions import dataset_definitions
from aion_dagster.errors import ConfigError


class DatasetAttributes(Written, DatasetConfig):
    """A `DatasetConfig`, and where its library is."""

    library: str = Field(
        description="The folder below `defs` whose `defs.yaml` describes the library."
    )


@dg.scaffold_with(DatasetExample)
class Dataset(dg.Component):
    """A curated, split and versioned dataset of a library, its exports and its card."""

    def __init__(self, library: str, config: DatasetConfig) -> None:
        """Made by `load` from the attributes in YAML."""
        self.library, self.config = library, config

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """The attributes' model: its schema is what editors complete and check against."""
        return DatasetAttributes

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """Resolve templates in the attributes, then validate them.

        Raises:
            ConfigError: a template's value is no good for its field; the message names file and field.
        """
        values = resolved(attributes, context)
        library = str(values.pop("library"))
        return cls(library, checked(DatasetConfig, values, context))

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The dataset's assets, with a job and a sensor of their own.

        Raises:
            ConfigError: the library has a dataset of this name.
        """
        library = library_of(self.library, context)
        if any(d.name == self.config.name for d in library.datasets):
            raise ConfigError(
                f"{context.path}: name: the library in {self.library!r} has a dataset {self.config.name!r} already"
            )
        return dataset_definitions(library, self.config)


def library_of(path: str, context: dg.ComponentLoadContext) -> LibraryConfig:
    """The configuration of the library in a folder below `defs`.

    Raises:
        ConfigError: there is none.
    """
    if not (context.component_tree.defs_module_path / path).is_dir():
        raise ConfigError(f"{context.path}: library: there is no component in {path!r}")
    found: object = context.load_component(path)
    if not isinstance(found, VisionLibrary):
        raise ConfigError(
            f"{context.path}: library: {path!r} is a {type(found).__name__}, not a VisionLibrary"
        )
    return found.config
