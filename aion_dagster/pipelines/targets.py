"""Where plans must not be carried out to: what is watched, since copies there would be taken in as new files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from aion_dagster.pipelines.graph import said
from aion_dagster.pipelines.specification import PipelineConfig, refuse


def check_targets(pipelines: Sequence[PipelineConfig], taken: Mapping[str, str]) -> None:
    """Refuse a target that lies in a place that is taken, or that one lies in.

    Args:
        pipelines: of one library.
        taken: what it is → its place, of every source and of the store; as a path or an `s3://` URI.

    Raises:
        ValidationError: at the target; the message names both places.
    """
    for place, pipeline in enumerate(pipelines):
        for step in pipeline.wired():
            apply = pipeline.steps[step.number].apply
            if apply is None or apply.to not in ("folder", "s3"):
                continue
            for what, other in taken.items():
                if lie_in_each_other(apply.target, other):
                    reason = (
                        f"{said(step.number, step)}: the target {apply.target} and {what} {other} lie in each other; copies "
                        "there would be taken in as new files: name a place outside"
                    )
                    refuse(reason, ("pipelines", place, "steps", step.number), "apply", "target")


def lie_in_each_other(one: str, other: str) -> bool:
    """Whether two places are the same or one is inside the other; links of this machine are followed."""
    if "://" in one and "://" in other:
        # A prefix of a bucket has every key that begins with it.
        one = f"{one.rstrip('/')}/"
        return one.startswith(other) or other.startswith(one)
    if "://" in one or "://" in other:
        return False
    first, second = (Path(p).expanduser().resolve() for p in (one, other))
    return first == second or first in second.parents or second in first.parents
