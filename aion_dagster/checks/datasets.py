"""Checks on datasets and on what was exported of them."""

from __future__ import annotations

from collections import Counter

import dagster as dg

from aion_dagster.curation.leaks import leaks, said_of_leaks
from aion_dagster.formats.export import ExportCounts, ExportReport
from aion_dagster.values import Dataset

EQUALS_DATASET = "equals_dataset"
LABELLED = "all_pictures_labelled"
SPLITS = "splits_do_not_leak"


def dataset_check_specs(key: dg.AssetKey, *, blocks: bool = True) -> list[dg.AssetCheckSpec]:
    """Checks on a dataset; `blocks`: no export is made of one whose splits leak."""
    return [
        dg.AssetCheckSpec(
            LABELLED,
            asset=key,
            description="Warns where pictures that no label source names take part as if they had no objects.",
        ),
        dg.AssetCheckSpec(
            SPLITS,
            asset=key,
            description="No group of near-duplicates or of pictures that belong together lies in two splits.",
            blocking=blocks,
        ),
    ]


def export_check_specs(key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """Checks on an export."""
    return [
        dg.AssetCheckSpec(
            EQUALS_DATASET,
            asset=key,
            description="Pictures, boxes and classes read back from the files equal the dataset less its reported losses.",
        )
    ]


def labelled_check(key: dg.AssetKey, dataset: Dataset) -> dg.AssetCheckResult:
    """Whether every picture is named by a label source."""
    flags = dataset.images["labelled"].to_pylist()
    missing = flags.count(False)
    return dg.AssetCheckResult(
        passed=missing == 0,
        asset_key=key,
        check_name=LABELLED,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"unlabelled": missing, "pictures": len(flags)},
        description=(
            f"{missing} of {len(flags)} pictures are named by no label source; "
            "'unlabelled: exclude' leaves them out"
            if missing
            else None
        ),
    )


def split_check(key: dg.AssetKey, dataset: Dataset, *, blocks: bool = True) -> dg.AssetCheckResult:
    """Whether each group lies in one split."""
    torn = leaks(dataset.images)
    severity = dg.AssetCheckSeverity.ERROR if blocks else dg.AssetCheckSeverity.WARN
    groups = len(dataset.images["group_id"].unique())
    return dg.AssetCheckResult(
        passed=not torn,
        asset_key=key,
        check_name=SPLITS,
        severity=severity,
        metadata={
            "groups": groups,
            "torn": len(torn),
            "first": ", ".join(leak.group_id for leak in torn[:10]),
        },
        description=said_of_leaks(torn) if torn else None,
    )


def export_check(
    key: dg.AssetKey, dataset: Dataset, report: ExportReport, counts: ExportCounts
) -> dg.AssetCheckResult:
    """Whether what is on disk is the dataset, less what the loss report names."""
    losses = Counter(loss.kind for loss in report.losses)
    written = (report.images, report.annotations, report.categories)
    found = (counts.images, counts.annotations, counts.categories)
    rows = dataset.annotations.num_rows if report.rows is None else report.rows
    due = (dataset.images.num_rows, rows, len(dataset.categories))
    complete = report.images + losses["missing"] >= due[0] and (losses or written == due)
    splits = {s: n for s, n in report.splits.items() if n}
    passed = bool(
        written == found and complete and splits == {s: n for s, n in counts.splits.items() if n}
    )
    return dg.AssetCheckResult(
        passed=passed,
        asset_key=key,
        check_name=EQUALS_DATASET,
        metadata={
            "pictures": counts.images,
            "boxes": counts.annotations,
            "classes": counts.categories,
            **{f"lost: {kind}": n for kind, n in sorted(losses.items())},
        },
        description=None
        if passed
        else f"(pictures, boxes, classes): dataset {due}, written {written}, read {found}; "
        f"pictures by split: written {dict(report.splits)}, read {dict(counts.splits)}",
    )
