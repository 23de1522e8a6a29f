"""`type: aion_dagster.AgentPipeline` in a `defs.yaml`: a pipeline of agents on a library that another one describes."""

from __future__ import annotations

from typing import Self

import dagster as dg
from pydantic import BaseModel, Field

from aion_dagster.components.dataset import library_of
from aion_dagster.components.scaffolding import PipelineExample
from aion_dagster.components.written import Written, checked, resolved
from aion_dagster.config import PipelineConfig
from aion_dagster.definitions import pipeline_definitions
from aion_dagster.errors import ConfigError
from aion_dagster.pipelines.specification import check_for_backend


class AgentPipelineAttributes(Written, PipelineConfig):
    """A `PipelineConfig`, and where its library is."""

    library: str = Field(
        description="The folder below `defs` whose `defs.yaml` describes the library."
    )


@dg.scaffold_with(PipelineExample)
class AgentPipeline(dg.Component):
    """A pipeline of agents, an asset per step."""

    def __init__(self, library: str, config: PipelineConfig) -> None:
        """Made by `load` from the attributes in YAML."""
        self.library, self.config = library, config

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """The attributes' model: its schema is what editors complete and check against."""
        return AgentPipelineAttributes

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """Resolve templates in the attributes, then validate them.

        Raises:
            ConfigError: a template's value is no good for its field; the message names file and field.
        """
        values = resolved(attributes, context)
        library = str(values.pop("library"))
        return cls(library, checked(PipelineConfig, values, context))

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The pipeline's assets, with a job, and a schedule or a sensor where it has one.

        Raises:
            ConfigError: the library has a pipeline of this name, or its backend cannot run a step.
        """
        library = library_of(self.library, context)
        if any(p.name == self.config.name for p in library.pipelines):
            raise ConfigError(
                f"{context.path}: name: the library in {self.library!r} has a pipeline {self.config.name!r} already"
            )
        try:
            check_for_backend((self.config,), library.backend)
        except ValueError as error:
            raise ConfigError(f"{context.path}: {error}") from None
        return pipeline_definitions(library, self.config)
