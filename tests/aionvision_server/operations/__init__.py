"""What the operations do, one module per part of the API; importing a module registers its handlers."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

from ..world import World


def register() -> None:
    """Import every module of this package."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")


def beside(world: World) -> dict[str, Any]:
    """Applications that stand beside the API, by the first segment of their paths."""
    from ..endpoint import Endpoint

    return {"v1": Endpoint(world)}
