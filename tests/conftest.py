"""Fixtures and hypothesis profiles that every test shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

SLOW_MACHINES = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile(
    "test", max_examples=25, deadline=None, suppress_health_check=SLOW_MACHINES
)
settings.register_profile(
    "soak", max_examples=2000, deadline=None, suppress_health_check=SLOW_MACHINES
)
settings.load_profile(os.environ.get("AION_TEST_TIER", "test"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real pictures and labels that stand beside the project."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs {folder}, which is not part of the repository")
    return folder
