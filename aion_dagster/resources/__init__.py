"""Thin Dagster resources over the lower rooms."""
