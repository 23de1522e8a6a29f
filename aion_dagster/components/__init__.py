"""YAML front-ends on the same factories."""

from aion_dagster.components.agent_pipeline import AgentPipeline
from aion_dagster.components.dataset import Dataset
from aion_dagster.components.vision_library import VisionLibrary

__all__ = ["AgentPipeline", "Dataset", "VisionLibrary"]
