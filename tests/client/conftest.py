"""The test server for the whole API, as a fixture of the tests that want one that remembers."""

from __future__ import annotations

from aionvision_server.fixtures import aionvision, aionvision_process

__all__ = ["aionvision", "aionvision_process"]
