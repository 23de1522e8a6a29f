"""The assets of a pipeline by name, and what they follow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aion_dagster.pipelines.kept import asset_name
from aion_dagster.pipelines.specification import PipelineConfig

APPLIED: Final = "applied"
"""Last part of the asset that carries a plan out."""

_BATCH_TABLES: Final = ("images", "descriptions", "color_analyses", "annotations")


def step_assets(pipeline: PipelineConfig) -> tuple[str, ...]:
    """The assets of the steps, in their order."""
    return tuple(asset_name(pipeline.name, step) for step in pipeline.step_names)


def applied_assets(pipeline: PipelineConfig) -> dict[int, str]:
    """Number of an `organize` step → the asset that carries its plan out, where one is to be."""
    names = step_assets(pipeline)
    return {
        number: f"{names[number]}/{APPLIED}"
        for number, step in enumerate(pipeline.steps)
        if step.apply is not None and pipeline.mode == "steps"
    }


def pipeline_assets(pipeline: PipelineConfig) -> tuple[str, ...]:
    """All of them."""
    return (*step_assets(pipeline), *applied_assets(pipeline).values())


def upstream_assets(
    pipeline: PipelineConfig, *, documents: bool, links: bool = False
) -> Mapping[int, tuple[str, ...]]:
    """Number of a step that waits for no other → the assets of the library that it works from."""
    pieces = ("document_chunks",) if documents else ()
    library = (
        (*_BATCH_TABLES, *pieces)
        if pipeline.seeds.by_batch
        else ("library", "near_duplicates", "search_index")
    )
    return {
        step.number: ("links",) if links and step.agent == "link_search" else library
        for step in pipeline.wired()
        if not step.waits_for
    }
