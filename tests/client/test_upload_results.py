"""Results of uploads: lists of them, in words and in numbers; what errors say of themselves."""

from __future__ import annotations

import copy
import pickle

import pytest

from aion_dagster.client import errors
from aion_dagster.client.models.upload_results import (
    BatchUploadResults,
    DescriptionProgressEvent,
    DescriptionStatus,
    UploadProgressEvent,
    UploadResult,
    classified,
)


def result(number: int, status: str, *, retryable: bool | None = None) -> UploadResult:
    return UploadResult(
        image_id=f"i{number}",
        filename=f"{number}.jpg",
        description_status=DescriptionStatus(status),
        description_error="too dark" if status == "failed" else None,
        description_is_retryable=retryable,
    )


MIXED = [
    result(0, "completed"),
    result(1, "completed"),
    result(2, "failed", retryable=True),
    result(3, "failed", retryable=False),
    result(4, "queued"),
    result(5, "skipped"),
    result(6, "napping"),
]


def test_results_are_a_list_that_knows_its_states() -> None:
    results = BatchUploadResults(MIXED, session_ids=["s"])
    assert [r.image_id for r in results] == [f"i{n}" for n in range(7)]
    assert results.has_failures
    assert (results.succeeded_count, results.failed_count, results.pending_count) == (2, 2, 2)
    assert [r.image_id for r in results.succeeded()] == ["i0", "i1"]
    assert [r.image_id for r in results.failed()] == ["i2", "i3"]
    assert [r.image_id for r in results.retryable()] == ["i2"]
    assert [r.image_id for r in results.pending()] == ["i4", "i6"]


@pytest.mark.parametrize(
    ("results", "words"),
    [
        ([], "0 succeeded, 0 failed"),
        (MIXED[:2], "2 succeeded, 0 failed"),
        (MIXED[:3], "2 succeeded, 1 failed (1 retryable)"),
        (MIXED, "2 succeeded, 2 failed (1 retryable), 2 pending, 1 without description"),
    ],
)
def test_a_summary_in_words(results: list[UploadResult], words: str) -> None:
    assert BatchUploadResults(results).summary() == words


def test_failures_raise_and_name_each_picture() -> None:
    good = BatchUploadResults(MIXED[:2])
    assert good.raise_on_failures() is good
    with pytest.raises(errors.DescriptionError, match=r"2 of 7 .*2\.jpg: too dark") as caught:
        BatchUploadResults(MIXED).raise_on_failures()
    assert [f["filename"] for f in caught.value.details["failed"]] == ["2.jpg", "3.jpg"]


def test_results_can_be_copied_and_pickled() -> None:
    results = BatchUploadResults(MIXED, session_ids=["s"])
    for same in (copy.copy(results), pickle.loads(pickle.dumps(results))):
        assert same == results
        assert isinstance(same, BatchUploadResults)
        assert same.session_ids == ["s"]


@pytest.mark.parametrize(
    ("message", "kind", "retryable"),
    [
        ("The VLM provider timed out", "timeout", True),
        ("Rate limit exceeded", "rate_limit", True),
        ("IMAGE_PROCESSING_ERROR: AI analysis failed", "vlm_error", True),
        ("Processing failed: invalid format", "validation", False),
        ("USAGE_LIMIT_EXCEEDED", "resource_limit", False),
        ("who knows", "unknown", False),
    ],
)
def test_errors_are_told_apart_by_their_words(message: str, kind: str, retryable: bool) -> None:
    assert classified(message) == (kind, retryable)


def test_events_know_how_far_it_is() -> None:
    assert UploadProgressEvent(0, 50, 200).progress_percent == 25.0
    assert UploadProgressEvent(0, 0, 0).progress_percent == 100.0
    event = DescriptionProgressEvent(3, 4, MIXED[0])
    assert (event.progress_percent, event.remaining_count) == (75.0, 1)
