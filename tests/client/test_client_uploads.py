"""Uploads through the client against the test server: chunks, sessions, descriptions, files that fail."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from aionvision_server.fixtures import Server
from uploading import BATCH, ONE, awaited, blocking_uploads, picture, pictures

from aion_dagster.client import errors
from aion_dagster.client.models.uploads import BatchUploadResults, DescriptionStatus
from aion_dagster.client.resources.uploads import SyncUploadResource, UploadResource


@pytest.fixture
def uploads(aionvision: Server) -> Iterator[SyncUploadResource]:
    with blocking_uploads(aionvision) as resource:
        yield resource


def ids_by_hash(server: Server) -> dict[str, str]:
    return {item["sha256"]: item["id"] for item in server.objects()}


def test_one_picture_comes_back_described(
    aionvision: Server, uploads: SyncUploadResource, tmp_path: Path
) -> None:
    path = tmp_path / "pole.png"
    path.write_bytes(picture(1))
    result = uploads.upload_one(path, title="A pole", tags=["safety", "pole"])
    (stored,) = aionvision.objects()
    assert result.image_id == stored["id"]
    assert (result.filename, result.title, stored["title"]) == ("pole.png", "A pole", "A pole")
    assert stored["tags"] == ["safety", "pole"]
    assert result.is_completed
    assert result.description
    assert result.confidence_score is not None
    aionvision.assert_clean()


def test_one_picture_is_not_waited_for_where_nobody_wants_to(
    aionvision: Server, uploads: SyncUploadResource
) -> None:
    result = uploads.upload_one(picture(1), filename="a.png", wait_for_descriptions=False)
    assert result.is_pending
    assert "GET /user-files" not in aionvision.counters()["requests"]
    quiet = uploads.upload_one(picture(2), filename="b.png", auto_describe=False)
    assert quiet.description_status is DescriptionStatus.SKIPPED
    assert not quiet.is_pending


def test_both_clients_upload_alike(aionvision: Server, uploads: SyncUploadResource) -> None:
    files, names = pictures(7)

    async def by_the_other() -> BatchUploadResults:
        async with awaited(aionvision) as client:
            resource = UploadResource(client.transport)
            return await resource.upload(files, filenames=names, skip_duplicates=True)

    first = uploads.upload(files, filenames=names)
    second = asyncio.run(by_the_other())
    assert [r.image_id for r in first] == [r.image_id for r in second]
    assert [r.description for r in first] == [r.description for r in second]
    assert not any(r.skipped for r in first)
    assert all(r.skipped for r in second)
    assert aionvision.counters()["descriptions_billed"] == 7


def test_files_travel_in_batches_of_the_size_that_the_server_names(
    aionvision: Server, uploads: SyncUploadResource
) -> None:
    aionvision.plan("STARTER")
    aionvision.clock(speed=1000.0)
    files, names = pictures(43)
    results = uploads.upload(files, filenames=names)
    assert results.summary() == "43 succeeded, 0 failed"
    assert [r.filename for r in results] == names
    assert len(results.session_ids) == 3
    assert aionvision.counters()["requests"][BATCH] == 3
    aionvision.assert_clean()


@pytest.mark.parametrize(("plan", "size"), [("FREE", 10), ("STARTER", 20), ("PROFESSIONAL", 20), ("ENTERPRISE", 50)])  # fmt: skip
def test_without_a_named_size_the_plans_smaller_figure_is_taken(
    aionvision: Server, uploads: SyncUploadResource, plan: str, size: int
) -> None:
    aionvision.side(quota_batch_size="missing")
    aionvision.plan(plan)
    quota = uploads.check_quota(3)
    assert quota.max_batch_size is None
    assert quota.batch_size == size


@pytest.mark.parametrize(
    "sides",
    [
        {"item_success": "success", "session_end": "partial", "timestamps": "naive"},
        {"list_envelope": "items", "upload_status": "201", "progress": "polling"},
        {"list_envelope": "total", "session_end": "partially_completed"},
    ],
)
def test_either_side_of_what_the_sources_contradict_is_understood(
    aionvision: Server, uploads: SyncUploadResource, sides: dict[str, str]
) -> None:
    aionvision.side(**sides)
    aionvision.fault("failing", BATCH, about="003")
    files, names = pictures(8)
    results = uploads.upload(files, filenames=names, raise_on_failure=False)
    assert [r.filename for r in results.failed()] == ["003.png"]
    assert results.succeeded_count == 7
    assert all(r.created_at is not None and r.created_at.tzinfo is not None for r in results)


def test_a_folder_is_uploaded_with_all_below_it_and_equal_names_do_not_mix(
    aionvision: Server, uploads: SyncUploadResource, tmp_path: Path
) -> None:
    for number in range(9):
        path = tmp_path / f"day{number}" / "001.png"
        path.parent.mkdir()
        path.write_bytes(picture(number))
    (tmp_path / "notes.txt").write_text("no picture")
    results = uploads.upload(tmp_path)
    assert [r.filename for r in results] == ["001.png"] * 9
    known = ids_by_hash(aionvision)
    wanted = [known[hashlib.sha256(picture(n)).hexdigest()] for n in range(9)]
    assert [r.image_id for r in results] == wanted


def test_every_step_is_told_once_per_file(aionvision: Server, uploads: SyncUploadResource) -> None:
    aionvision.fault("failing", BATCH, about="002")
    files, names = pictures(8)
    sent: dict[int, tuple[int, int]] = {}
    taken: list[int] = []
    described: list[tuple[int, int]] = []
    failed: list[tuple[int, str | None, bool]] = []
    uploads.upload(
        files,
        filenames=names,
        raise_on_failure=False,
        on_progress=lambda e: sent.update({e.file_index: (e.uploaded_bytes, e.total_bytes)}),
        on_file_complete=lambda e: taken.append(e.file_index),
        on_description_progress=lambda e: described.append((e.completed_count, e.total_count)),
        on_description_failed=lambda e: failed.append(
            (e.file_index, e.error_message, e.is_retryable)
        ),
    )
    assert sent == {n: (len(file), len(file)) for n, file in enumerate(files)}
    assert sorted(taken) == list(range(8))
    assert described == [(n, 7) for n in range(1, 8)]
    ((index, message, retryable),) = failed
    assert index == 2
    assert message is not None
    assert "IMAGE_PROCESSING_ERROR" in message
    assert retryable


def test_a_picture_that_cannot_be_described_raises_and_names_it(
    aionvision: Server, uploads: SyncUploadResource
) -> None:
    aionvision.fault("failing", BATCH, about="001")
    files, names = pictures(6)
    with pytest.raises(errors.DescriptionError, match=r"1 of 6 pictures.*001\.png") as caught:
        uploads.upload(files, filenames=names)
    (failed,) = caught.value.details["failed"]
    assert (failed["filename"], failed["retryable"]) == ("001.png", True)
    assert failed["image_id"]


def test_one_picture_that_cannot_be_described_raises_or_is_a_failed_result(
    aionvision: Server, uploads: SyncUploadResource
) -> None:
    aionvision.fault("failing", ONE, times=2, message="unsupported color space")
    with pytest.raises(errors.DescriptionError, match="unsupported color space"):
        uploads.upload_one(picture(1), filename="a.png")
    result = uploads.upload_one(picture(2), filename="b.png", raise_on_failure=False)
    assert result.is_failed
    assert result.description_error_type == "validation"
    assert result.description_is_retryable is False


def test_refused_files_are_rows_with_their_reason(
    aionvision: Server, uploads: SyncUploadResource
) -> None:
    files, names = pictures(6)
    options = {"message": "Too blurry", "retryable": False, "about": "004", "times": 2}
    aionvision.fault("reject", BATCH, **options)
    results = uploads.upload(files, filenames=names, raise_on_failure=False)
    refused = results[4]
    assert (refused.filename, refused.image_id, refused.is_stored) == ("004.png", "", False)
    assert refused.description_error == "Too blurry"
    assert refused.description_is_retryable is False
    assert results.summary() == "5 succeeded, 1 failed"
    with pytest.raises(errors.UploadError, match=r"1 of 6 files.*004\.png: Too blurry") as caught:
        uploads.upload(files, filenames=names, skip_duplicates=True)
    assert caught.value.session_id is not None
    assert len(caught.value.partial_results) == 6


def test_a_batch_that_is_refused_as_a_whole_is_not_waited_for(
    aionvision: Server, uploads: SyncUploadResource
) -> None:
    aionvision.side(session_end="partial")
    aionvision.fault("reject", BATCH, message="no", retryable=True)
    files, names = pictures(6)
    results = uploads.upload(files, filenames=names, raise_on_failure=False)
    assert results.failed_count == 6
    assert len(results.retryable()) == 6
    assert "GET /uploads/sessions/{session_id}/status" not in aionvision.counters()["requests"]


def test_empty_and_too_large_files_are_refused_before_anything_is_sent(
    aionvision: Server, uploads: SyncUploadResource, tmp_path: Path
) -> None:
    large = tmp_path / "large.jpg"
    with large.open("wb") as file:
        file.truncate(100 * 1024 * 1024 + 1)
    empty = tmp_path / "empty.jpg"
    empty.touch()
    good = tmp_path / "good.png"
    good.write_bytes(picture(1))
    for path in (large, empty):
        with pytest.raises(errors.ValidationError, match=path.name):
            uploads.upload_one(path)
        with pytest.raises(errors.ValidationError, match=path.name):
            uploads.upload([good, path])
    assert aionvision.counters()["requests"] == {}
    results = uploads.upload(tmp_path, raise_on_failure=False)
    assert [(r.filename, r.is_completed) for r in results] == [
        ("empty.jpg", False), ("good.png", True), ("large.jpg", False),
    ]  # fmt: skip


def test_intent_and_level_are_sent_only_where_they_say_something(
    aionvision: Server, uploads: SyncUploadResource
) -> None:
    files, names = pictures(2)
    aionvision.side(upload_intent="unknown")
    uploads.upload_batch(files, filenames=names)
    aionvision.assert_clean()
    aionvision.side(upload_intent="known")
    uploads.upload_batch(files, filenames=names, intent="verify", verification_level="high")
    aionvision.assert_clean()


def test_a_callback_that_raises_ends_the_upload(
    aionvision: Server, uploads: SyncUploadResource
) -> None:
    def stop(_: object) -> None:
        raise RuntimeError("enough")

    files, names = pictures(3)
    with pytest.raises(RuntimeError, match="enough"):
        uploads.upload(files, filenames=names, on_file_complete=stop)
