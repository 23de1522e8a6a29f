"""Rows of `descriptions` from what was measured on this machine."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from aion_dagster import schemas
from aion_dagster.backends.protocol import DescribeRequest
from aion_dagster.compute.facts import Facts, describe

Row = Mapping[str, Any]


def describe_rows(request: DescribeRequest, *, provider: str, model: str) -> pa.Table:
    """A row of schema `DESCRIPTIONS` per picture of the request; pictures without pixels have a failed one."""
    rows = list(_rows(request))
    now = datetime.now(UTC)
    common = {"provider": provider, "model": model, "credits": 0.0, "generated_at": now}
    return pa.Table.from_pylist([{**row, **common} for row in rows], schema=schemas.DESCRIPTIONS)


def _rows(request: DescribeRequest) -> Iterator[dict[str, Any]]:
    colors, features = _by_id(request.color_analyses), _by_id(request.visual_features)
    texts, codes = _by_id(request.text_regions), _by_id(request.codes)
    for image in request.images.to_pylist():
        key = image["image_id"]
        if image["status"] != schemas.STATUS_OK:
            yield _failed(key, f"{image['status']}: {image['error']}")
            continue
        begun = time.perf_counter()
        text, code = texts.get(key), codes.get(key)
        facts = Facts(
            image=image,
            colors=colors.get(key),
            features=features.get(key),
            visible_text=_text(text),
            codes=_codes(code),
        )
        described = describe(facts)
        problem = next((r["error"] for r in (text, code) if r and r["status"] != "ok"), None)
        yield {
            "image_id": key,
            "title": described.title,
            "description": described.description,
            "tags": list(described.tags),
            "visible_text": facts.visible_text,
            "description_status": "completed",
            "description_error": problem,
            "description_error_type": None if problem is None else "detection",
            "description_is_retryable": None if problem is None else True,
            "processing_time_ms": (time.perf_counter() - begun) * 1000,
        }


def _by_id(table: pa.Table | None) -> dict[str, Row]:
    return {} if table is None else {row["image_id"]: row for row in table.to_pylist()}


def _failed(image: str, error: str) -> dict[str, Any]:
    """A picture that cannot be described, now or later."""
    return {
        "image_id": image,
        "description_status": "failed",
        "description_error": error,
        "description_error_type": "image",
        "description_is_retryable": False,
    }


def _text(row: Row | None) -> str | None:
    """Lines in reading order; None where nobody looked or looking failed."""
    if row is None or row["regions"] is None:
        return None
    return "\n".join(region["text"] for region in row["regions"])


def _codes(row: Row | None) -> list[tuple[str, str]]:
    if row is None or row["regions"] is None:
        return []
    return [(region["category"], region["text"]) for region in row["regions"]]
