"""The server's own fixtures, for its own tests."""

from __future__ import annotations

from .fixtures import aionvision, aionvision_process

__all__ = ["aionvision", "aionvision_process"]
