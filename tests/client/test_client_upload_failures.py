"""Uploads that do not go well: quotas, lost answers, batches too large, sessions and descriptions that do not end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from aionvision_server.fixtures import Server
from uploading import BATCH, ONE, blocking_uploads, picture, pictures, session_sizes

from aion_dagster.client import errors
from aion_dagster.client.models.uploads import BatchUploadResults, DescriptionStatus
from aion_dagster.client.resources.uploads import SyncUploadResource


@pytest.fixture
def uploads(aionvision: Server) -> Iterator[SyncUploadResource]:
    with blocking_uploads(aionvision) as resource:
        yield resource


def test_an_upload_beyond_the_quota_sends_nothing(
    aionvision: Server, uploads: SyncUploadResource
) -> None:
    aionvision.plan("FREE")
    aionvision.uploads_used(997)
    files, names = pictures(4)
    with pytest.raises(errors.QuotaExceededError, match="3 uploads left") as caught:
        uploads.upload(files, filenames=names)
    assert caught.value.partial_results == []
    assert caught.value.details["available"] == 3
    assert BATCH not in aionvision.counters()["requests"]


def test_a_quota_that_ends_half_way_gives_what_did_finish(
    aionvision: Server, uploads: SyncUploadResource
) -> None:
    aionvision.side(quota_batch_size="missing")
    aionvision.plan("FREE")
    aionvision.clock(speed=1000.0)
    aionvision.side(too_many="usage")
    aionvision.fault("rate_limit", BATCH, nth=3, retry_after=1)
    files, names = pictures(45)
    with pytest.raises(errors.QuotaExceededError) as caught:
        uploads.upload(files, filenames=names)
    stored = {item["id"] for item in aionvision.objects()}
    partial = {row.image_id for row in caught.value.partial_results}
    assert partial == stored
    assert 10 <= len(stored) <= 40
    assert aionvision.counters()["refused_429"]["USAGE_LIMIT_EXCEEDED"] == 1


@pytest.mark.parametrize("kind", ["reset_after", "cut", "truncate"])
@pytest.mark.parametrize("count", [1, 6])
def test_a_lost_answer_is_found_again_and_nothing_is_stored_twice(
    aionvision: Server, uploads: SyncUploadResource, kind: str, count: int
) -> None:
    aionvision.fault(kind, "POST /user-files/upload/*", times=2)
    files, names = pictures(count)
    results = uploads.upload(files, filenames=names)
    assert results.succeeded_count == count
    assert len(aionvision.objects()) == count
    assert aionvision.counters()["descriptions_billed"] == count


def test_a_timeout_that_the_server_tells_of_halves_the_batch(
    aionvision: Server, uploads: SyncUploadResource
) -> None:
    aionvision.fault("status", BATCH, times=2, status=504, code="TIMEOUT", accepted=True)
    files, names = pictures(8)
    results = uploads.upload(files, filenames=names)
    assert results.succeeded_count == 8
    assert len(aionvision.objects()) == 8
    # A batch of 8 and one of 4 are worked on without a good answer; then the halves of both.
    assert session_sizes(uploads) == [4, 2, 2, 4, 8]


def test_a_server_short_of_memory_gets_smaller_batches_in_the_end(
    aionvision: Server,
) -> None:
    aionvision.side(too_many="memory")
    aionvision.fault("rate_limit", BATCH, times=2, retry_after=0)
    files, names = pictures(8)
    with blocking_uploads(aionvision, max_retries=1) as resource:
        assert resource.upload(files, filenames=names).succeeded_count == 8
        assert session_sizes(resource) == [4, 4]
    assert aionvision.counters()["requests"][BATCH] == 4


def test_more_files_than_the_server_takes_at_once_are_halved(
    aionvision: Server, uploads: SyncUploadResource
) -> None:
    aionvision.fault("status", BATCH, status=413, code="BATCH_TOO_LARGE")
    files, names = pictures(9)
    assert uploads.upload(files, filenames=names).succeeded_count == 9
    assert session_sizes(uploads) == [5, 4]
    assert aionvision.counters()["requests"][BATCH] == 3


@pytest.mark.parametrize("status", [413, 507])
def test_a_full_storage_is_final(
    aionvision: Server, uploads: SyncUploadResource, status: int
) -> None:
    aionvision.side(storage_quota=str(status))
    aionvision.settings(storage_limit=10)
    files, names = pictures(6)
    with pytest.raises(errors.QuotaExceededError) as caught:
        uploads.upload(files, filenames=names)
    assert caught.value.code == "STORAGE_QUOTA_EXCEEDED"
    assert aionvision.counters()["requests"][BATCH] == 1


def test_a_failing_request_ends_the_upload_with_what_did_finish(
    aionvision: Server, uploads: SyncUploadResource
) -> None:
    aionvision.side(quota_batch_size="missing")
    aionvision.plan("FREE")
    aionvision.clock(speed=1000.0)
    aionvision.fault("status", BATCH, nth=3, status=403)
    files, names = pictures(45)
    with pytest.raises(errors.UploadError) as caught:
        uploads.upload(files, filenames=names)
    error = caught.value
    assert error.status == 403
    assert isinstance(error.__cause__, errors.AionvisionPermissionError)
    stored = {item["id"] for item in aionvision.objects()}
    assert {row.image_id for row in error.partial_results} == stored
    assert stored


def test_an_error_before_anything_finished_is_the_servers_own(
    aionvision: Server, uploads: SyncUploadResource
) -> None:
    aionvision.fault("status", BATCH, status=403)
    files, names = pictures(6)
    with pytest.raises(errors.AionvisionPermissionError):
        uploads.upload(files, filenames=names)


def test_descriptions_that_do_not_come_in_time(
    aionvision: Server, uploads: SyncUploadResource
) -> None:
    aionvision.fault("stuck", BATCH, times=2)
    files, names = pictures(4)
    with pytest.raises(errors.AionvisionTimeoutError) as caught:
        uploads.upload(files, filenames=names, description_timeout=0.05)
    results = caught.value.last_result
    assert isinstance(results, BatchUploadResults)
    assert results.pending_count == 4
    assert all(row.image_id for row in results)
    again = uploads.upload(
        files, filenames=names, description_timeout=0.05, raise_on_failure=False, skip_duplicates=True
    )  # fmt: skip
    assert again.pending_count == 4


def test_sessions_that_do_not_end_in_time_leave_their_files_pending(
    aionvision: Server, uploads: SyncUploadResource
) -> None:
    aionvision.fault("stuck", BATCH, times=2)
    files, names = pictures(8)
    with pytest.raises(errors.AionvisionTimeoutError) as caught:
        uploads.upload(files, filenames=names, description_timeout=0.05)
    results = caught.value.last_result
    assert len(results.session_ids) == 1
    assert [row.session_id for row in results] == results.session_ids * 8
    late = uploads.upload(files, filenames=names, description_timeout=0.05, raise_on_failure=False)
    assert late.pending_count == 8


def test_files_of_a_session_that_expired_are_named_as_worth_another_try(
    aionvision: Server, uploads: SyncUploadResource
) -> None:
    aionvision.fault("expire", BATCH)
    files, names = pictures(8)
    results = uploads.upload(files, filenames=names, raise_on_failure=False)
    assert len(results.retryable()) == 8
    assert "expired" in (results[0].description_error or "")
    again = uploads.upload(files, filenames=names, skip_duplicates=True)
    assert all(row.skipped and row.is_completed for row in again)
    assert len(aionvision.objects()) == 8


def test_a_duplicate_that_nobody_had_described_is_not_waited_for(
    aionvision: Server, uploads: SyncUploadResource
) -> None:
    uploads.upload_one(picture(1), filename="a.png", auto_describe=False)
    result = uploads.upload_one(picture(1), filename="b.png", skip_duplicates=True)
    assert result.skipped
    assert result.description_status is DescriptionStatus.SKIPPED
    assert result.description is None


def test_a_refused_file_in_a_request_of_its_own_does_not_end_the_others(
    aionvision: Server, uploads: SyncUploadResource
) -> None:
    aionvision.side(quota_batch_size="missing")
    aionvision.plan("FREE")
    aionvision.clock(speed=1000.0)
    aionvision.fault("reject", ONE, about="010")
    files, names = pictures(11)
    results = uploads.upload(files, filenames=names, raise_on_failure=False)
    assert results.succeeded_count == 10
    assert results[10].is_failed
    assert not results[10].is_stored


def test_an_upload_of_what_the_server_refuses_raises_its_words(
    aionvision: Server, uploads: SyncUploadResource
) -> None:
    aionvision.fault("reject", ONE)
    with pytest.raises(errors.ValidationError, match="unsupported file type"):
        uploads.upload_one(picture(1), filename="a.png")
