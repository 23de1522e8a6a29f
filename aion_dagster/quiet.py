"""Warnings of Dagster about features whose interface may change: known, pinned, and of no use to a user."""

from __future__ import annotations

import warnings


def silence_preview_warnings() -> None:
    """Hide preview and beta warnings; the versions of Dagster are pinned in `pyproject.toml`."""
    import dagster as dg

    for category in (dg.PreviewWarning, dg.BetaWarning, dg.SupersessionWarning):
        warnings.filterwarnings("ignore", category=category)
