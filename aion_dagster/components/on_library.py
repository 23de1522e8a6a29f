"""What components have in common that add something to the library of another `defs.yaml`."""

from __future__ import annotations

from typing import Any, ClassVar, Generic, Self, TypeVar

import dagster as dg
from pydantic import BaseModel, Field

from aion_dagster.components.vision_library import VisionLibrary
from aion_dagster.components.written import Attributes, Configured, Written
from aion_dagster.config import LibraryConfig

C = TypeVar("C", bound=BaseModel)


class OnLibraryAttributes(Written):
    """Where the library is; to be joined with the model of what is added."""

    library: str = Field(
        description="The folder below `defs` whose `defs.yaml` describes the library."
    )


class OnLibrary(Configured, Generic[C]):
    """Something more of a library, configured by a model of its own."""

    attributes_model: ClassVar[type[OnLibraryAttributes]]
    """The attributes as they stand in the YAML: `config_model`, and where the library is."""

    config_model: ClassVar[type[Any]]
    """What `C` is: a class variable cannot be of its type."""

    def __init__(self, config: C, attributes: Attributes) -> None:
        """Made by `load` from the attributes in YAML."""
        self.config, self.attributes = config, attributes

    @classmethod
    def get_model_cls(cls) -> type[Written]:
        """The attributes' model: its schema is what editors complete and check against."""
        return cls.attributes_model

    @classmethod
    def configured(cls, attributes: Attributes) -> Self:
        """What is added.

        Raises:
            ConfigError: an attribute is missing or wrong; the message names file, line and field.
        """
        return cls(attributes.checked(cls.config_model, without=("library",)), attributes)

    def library_config(self, context: dg.ComponentLoadContext) -> LibraryConfig:
        """The configuration of the library.

        Raises:
            ConfigError: there is none where it should be.
        """
        name, defs = self.attributes.values.get("library"), context.component_tree.defs_module_path
        if not isinstance(name, str) or not name:
            raise self.attributes.refusal(
                "must name the folder below 'defs' whose defs.yaml describes the library", "library"
            )
        if not (defs / name).is_dir():
            raise self.attributes.refusal(f"there is no component in {name!r}", "library")
        found: object = context.load_component(name)
        if not isinstance(found, VisionLibrary):
            raise self.attributes.refusal(
                f"{name!r} is a {type(found).__name__}, not a VisionLibrary", "library"
            )
        return found.config
