"""`type: aion_dagster.AgentPipeline` in a `defs.yaml`: a pipeline of agents on a library that another one describes."""

from __future__ import annotations

import dagster as dg
from pydantic import ValidationError

from aion_dagster.components.on_library import OnLibrary, OnLibraryAttributes
from aion_dagster.components.scaffolding import PipelineExample
from aion_dagster.config import PipelineConfig
from aion_dagster.definitions import pipeline_definitions
from aion_dagster.pipelines.specification import check_for_backend


class AgentPipelineAttributes(OnLibraryAttributes, PipelineConfig):
    """A `PipelineConfig`, and where its library is."""


@dg.scaffold_with(PipelineExample)
class AgentPipeline(OnLibrary[PipelineConfig]):
    """A pipeline of agents, an asset per step."""

    attributes_model = AgentPipelineAttributes
    config_model = PipelineConfig

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The pipeline's assets, with a job, and a schedule or a sensor where it has one.

        Raises:
            ConfigError: the library has a pipeline of this name, or its backend cannot run a step.
        """
        library = self.library_config(context)
        if any(p.name == self.config.name for p in library.pipelines):
            raise self.attributes.refusal(
                f"the library has a pipeline {self.config.name!r} already", "name"
            )
        try:
            check_for_backend((self.config,), library.backend)
        except ValidationError as error:  # at pipeline 0, which is this file
            raise self.attributes.refused(error, PipelineConfig, below=2) from None
        return pipeline_definitions(library, self.config)
