"""YAML front-ends on the same factories."""

from aion_dagster.components.vision_library import VisionLibrary

__all__ = ["VisionLibrary"]
