"""A command shows progress and results; Dagster's own log lines stay out of its way."""

from __future__ import annotations

import logging
import warnings


def quiet_console() -> None:
    """Silence Dagster's console output and warnings that a user cannot act on."""
    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    warnings.filterwarnings("ignore", module="dagster")
    # Damage in a picture's metadata is no news to a person: what cannot be used has a row that says why.
    warnings.filterwarnings("ignore", category=UserWarning, module="PIL")
