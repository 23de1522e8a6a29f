"""Checks on steps of pipelines: how a step ended, and whether what it refers to exists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import dagster as dg

from aion_dagster.pipelines.report import escaped
from aion_dagster.pipelines.runner import Finished

COMPLETED: Final = "completed"
SOURCES: Final = "sources_exist"
_SHOWN: Final = 20


def step_check_specs(key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """Checks on the asset of a step."""
    return [
        dg.AssetCheckSpec(
            COMPLETED,
            asset=key,
            description="The step ended well; failed or skipped with the reason.",
        ),
        dg.AssetCheckSpec(
            SOURCES,
            asset=key,
            description="Every sentence has a source, and every picture, document and piece that is referred to exists.",
        ),
    ]


def completed_check(key: dg.AssetKey, finished: Finished) -> dg.AssetCheckResult:
    """How a step ended."""
    passed = finished.stored is not None
    skipped = finished.status == "skipped"
    return dg.AssetCheckResult(
        passed=passed,
        asset_key=key,
        check_name=COMPLETED,
        severity=dg.AssetCheckSeverity.WARN if skipped else dg.AssetCheckSeverity.ERROR,
        metadata={"status": finished.status},
        description=None if passed else f"{finished.status}: {finished.reason}",
    )


def sources_check(key: dg.AssetKey, problems: Sequence[str]) -> dg.AssetCheckResult:
    """Whether everything that a result rests on is there; names the first that is not, and the way out."""
    shown = "\n".join(f"- {escaped(p)}" for p in problems[:_SHOWN])
    return dg.AssetCheckResult(
        passed=not problems,
        asset_key=key,
        check_name=SOURCES,
        metadata={"problems": len(problems), "first": dg.MetadataValue.md(shown)},
        description=_advice(problems) if problems else None,
    )


def _advice(problems: Sequence[str]) -> str:
    more = f" (and {len(problems) - 1} more, see the check's metadata)" if problems[1:] else ""
    return (
        f"{problems[0]}{more}. Where files were deleted since, 'aion-dagster pipeline run NAME --again' makes the step "
        "anew from what there is; its report has every sentence with its sources"
    )
