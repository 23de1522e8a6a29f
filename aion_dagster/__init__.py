"""Vision data as Dagster assets: files in, searchable library and versioned datasets out."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aion_dagster.components.agent_pipeline import AgentPipeline
    from aion_dagster.components.dataset import Dataset
    from aion_dagster.components.vision_library import VisionLibrary
    from aion_dagster.config import LibraryConfig
    from aion_dagster.definitions import build_definitions

__all__ = ["AgentPipeline", "Dataset", "LibraryConfig", "VisionLibrary", "build_definitions"]

_PLACES = {
    "AgentPipeline": "aion_dagster.components",
    "Dataset": "aion_dagster.components",
    "LibraryConfig": "aion_dagster.config",
    "VisionLibrary": "aion_dagster.components",
    "build_definitions": "aion_dagster.definitions",
}


def __getattr__(name: str) -> Any:
    """The front doors, imported when they are first used: the rooms below work without Dagster."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    """With the front doors: `dg` finds components by it."""
    return sorted({*globals(), *__all__})
