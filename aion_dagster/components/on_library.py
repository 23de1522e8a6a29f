"""What components have in common that add something to the library of another `defs.yaml`."""

from __future__ import annotations

from typing import Any, ClassVar, Generic, Self, TypeVar

import dagster as dg
from pydantic import BaseModel, Field

from aion_dagster.components.vision_library import VisionLibrary
from aion_dagster.components.written import Written, checked, resolved
from aion_dagster.config import LibraryConfig
from aion_dagster.errors import ConfigError

C = TypeVar("C", bound=BaseModel)


class OnLibraryAttributes(Written):
    """Where the library is; to be joined with the model of what is added."""

    library: str = Field(
        description="The folder below `defs` whose `defs.yaml` describes the library."
    )


class OnLibrary(dg.Component, Generic[C]):
    """Something more of a library, configured by a model of its own."""

    attributes_model: ClassVar[type[OnLibraryAttributes]]
    """The attributes as they stand in the YAML: `config_model`, and where the library is."""

    config_model: ClassVar[type[Any]]
    """What `C` is: a class variable cannot be of its type."""

    def __init__(self, library: str, config: C) -> None:
        """Made by `load` from the attributes in YAML."""
        self.library, self.config = library, config

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """The attributes' model: its schema is what editors complete and check against."""
        return cls.attributes_model

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """Resolve templates in the attributes, then validate them.

        Raises:
            ConfigError: a template's value is no good for its field; the message names file and field.
        """
        values = resolved(attributes, context)
        library = str(values.pop("library"))
        return cls(library, checked(cls.config_model, values, context))

    def library_config(self, context: dg.ComponentLoadContext) -> LibraryConfig:
        """The configuration of the library.

        Raises:
            ConfigError: there is none where it should be.
        """
        if not (context.component_tree.defs_module_path / self.library).is_dir():
            raise ConfigError(f"{context.path}: library: there is no component in {self.library!r}")
        found: object = context.load_component(self.library)
        if not isinstance(found, VisionLibrary):
            raise ConfigError(
                f"{context.path}: library: {self.library!r} is a {type(found).__name__}, not a VisionLibrary"
            )
        return found.config
