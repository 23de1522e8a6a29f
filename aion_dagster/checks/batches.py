"""Checks on what a batch became."""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from aion_dagster import schemas
from aion_dagster.resources.naming import Names
from aion_dagster.storage.ledger_records import BatchRecord

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
            description="The manifest is the one that was recorded, and every file of it has exactly one row.",
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


def manifest_problem(record: BatchRecord, manifest: str, rows: int) -> str | None:
    """What is wrong with the rows of a batch: files recorded, digest of the manifest as it is now, rows made."""
    if rows != record.file_count:
        return f"{record.file_count} files, but {rows} rows"
    if manifest != record.manifest_digest:
        return "the manifest names other files than those that were recorded"
    return None


def manifest_check(
    names: Names, problems: Mapping[str, str | None], *, files: int, rows: int
) -> dg.AssetCheckResult:
    """Whether the rows of all batches of a run are those of their files; `problems` is by batch."""
    wrong = {batch: problem for batch, problem in problems.items() if problem}
    return dg.AssetCheckResult(
        passed=not wrong,
        asset_key=names.key("images"),
        check_name=MANIFEST,
        metadata={"files": files, "rows": rows},
        description="; ".join(f"{b}: {p}" for b, p in sorted(wrong.items())) or None,
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
