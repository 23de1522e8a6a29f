"""Checks on what a batch became."""

from __future__ import annotations

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from aion_dagster import schemas
from aion_dagster.resources.naming import Names

MANIFEST = "rows_equal_manifest"
UNREADABLE = "unreadable_share"
UNDESCRIBED = "undescribed_share"


def picture_check_specs(names: Names) -> list[dg.AssetCheckSpec]:
    """Checks that the decode pass evaluates on `images`."""
    return [
        dg.AssetCheckSpec(
            MANIFEST,
            asset=names.key("images"),
            blocking=True,
            partitions_def=names.partitions,
            description="Every file of the batch's manifest has exactly one row.",
        ),
        dg.AssetCheckSpec(
            UNREADABLE,
            asset=names.key("images"),
            partitions_def=names.partitions,
            description="Share of files that are not readable pictures; warns above 0, fails above the set limit.",
        ),
    ]


def description_check_specs(names: Names) -> list[dg.AssetCheckSpec]:
    """Checks on `descriptions`."""
    return [
        dg.AssetCheckSpec(
            UNDESCRIBED,
            asset=names.key("descriptions"),
            partitions_def=names.partitions,
            description="Share of pictures without a description; warns above 0, fails above the set limit.",
        )
    ]


def manifest_check(names: Names, *, expected: int, rows: int) -> dg.AssetCheckResult:
    """Whether a batch has as many rows as its manifest has files."""
    return dg.AssetCheckResult(
        passed=expected == rows,
        asset_key=names.key("images"),
        check_name=MANIFEST,
        metadata={"files": expected, "rows": rows},
        description=None if expected == rows else f"{expected} files, but {rows} rows",
    )


def unreadable_check(names: Names, images: pa.Table, *, limit: float) -> dg.AssetCheckResult:
    """Share of files without a readable picture, with the first of them by name."""
    bad = images.filter(pc.not_equal(images["status"], schemas.STATUS_OK))
    listed = bad.select(["name", "status", "error"]).slice(0, 20).to_pylist()
    lines = "\n".join(f"- {r['name']!r}: {r['status']} ({r['error']})" for r in listed)
    return share_check(names.key("images"), UNREADABLE, bad.num_rows, images.num_rows, limit, lines)


def undescribed_check(names: Names, descriptions: pa.Table, *, limit: float) -> dg.AssetCheckResult:
    """Share of pictures whose description is missing or failed."""
    bad = descriptions.filter(pc.not_equal(descriptions["description_status"], "completed"))
    listed = bad.select(["image_id", "description_error"]).slice(0, 20).to_pylist()
    lines = "\n".join(f"- {r['image_id']}: {r['description_error']}" for r in listed)
    return share_check(
        names.key("descriptions"), UNDESCRIBED, bad.num_rows, descriptions.num_rows, limit, lines
    )


def share_check(
    key: dg.AssetKey, name: str, bad: int, total: int, limit: float, lines: str
) -> dg.AssetCheckResult:
    """Passes without bad ones, warns up to `limit` (a share), fails above it."""
    share = bad / total if total else 0.0
    return dg.AssetCheckResult(
        passed=bad == 0,
        asset_key=key,
        check_name=name,
        severity=dg.AssetCheckSeverity.ERROR if share > limit else dg.AssetCheckSeverity.WARN,
        metadata={"bad": bad, "total": total, "share": share, "limit": limit}
        | ({"first": dg.MetadataValue.md(lines)} if lines else {}),
        description=f"{bad} of {total}" if bad else None,
    )
