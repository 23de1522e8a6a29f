"""`client.uploads`: pictures go up, descriptions come back."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aion_dagster.client import limits
from aion_dagster.client.errors import AionvisionTimeoutError, QuotaExceededError, UploadError
from aion_dagster.client.models.uploads import (
    BatchUploadResults,
    DescriptionFailedEvent,
    DescriptionProgressEvent,
    FileCompleteEvent,
    QuotaInfo,
    StorageTarget,
    UploadProgressEvent,
    UploadResult,
)
from aion_dagster.client.resources.upload_flow import UploadCalls, UploadFlow
from aion_dagster.client.resources.upload_folders import expanded
from aion_dagster.client.resources.upload_presigned import PresignedUploads, unless
from aion_dagster.client.resources.upload_report import Report
from aion_dagster.client.resources.upload_sources import FileInput, Source
from aion_dagster.client.resources.upload_streams import form_of
from aion_dagster.client.synchronous import SyncResource, blocking, iterating


class UploadResource(UploadCalls, PresignedUploads):
    """Upload pictures and have them described.

    `upload_one` and `upload` do everything; the methods below them do one request each.
    """

    async def upload_one(
        self,
        file: FileInput,
        *,
        filename: str | None = None,
        wait_for_descriptions: bool = True,
        raise_on_failure: bool = True,
        description_timeout: float | None = None,
        storage_target: StorageTarget | str = "default",
        title: str | None = None,
        tags: Sequence[str] | None = None,
        auto_describe: bool = True,
        skip_duplicates: bool = False,
        on_progress: Callable[[UploadProgressEvent], None] | None = None,
    ) -> UploadResult:
        """Upload one picture of at most 100 MB.

        Where the answer is lost the picture is sent again with `skip_duplicates`, so that it is neither stored nor paid
        twice.

        Args:
            file: a path, bytes, or an open binary file.
            filename: the name to send; bytes need one.
            wait_for_descriptions: return when it is described.
            raise_on_failure: raise where it cannot be described, instead of a result with `is_failed`.
            description_timeout: seconds to wait; by default the client's `polling_timeout`.
            storage_target: `default`, or `custom` for the tenant's own bucket.
            title: at most 255 characters.
            tags: at most 40 of 50 characters, without commas.
            auto_describe: have it described, which is paid.
            skip_duplicates: where its content is there already, the result is that picture.
            on_progress: told how much is on its way.

        Raises:
            ValidationError: it is no picture, empty or too large.
            QuotaExceededError: the plan allows no more.
            DescriptionError: it could not be described.
            AionvisionTimeoutError: it is not described in time; `last_result` is the result so far.
        """
        source = _picture(file, filename)
        form = form_of(
            title=title,
            tags=tags,
            auto_describe=auto_describe,
            skip_duplicates=skip_duplicates,
            storage_target=storage_target,
        )
        flow = UploadFlow(
            self, self._runtime, [source], form, Report(on_progress), description_timeout
        )
        await flow.send(1, 1)
        try:
            results = await _finished(flow, wait_for_descriptions and auto_describe, raise_on_failure)  # fmt: skip
        except AionvisionTimeoutError as error:
            if flow.results:
                error.last_result = flow.results[0]
            raise
        return results[0]

    async def upload(
        self,
        files: FileInput | Sequence[FileInput],
        *,
        filename: str | None = None,
        filenames: Sequence[str] | None = None,
        recursive: bool = True,
        include_hidden: bool = False,
        wait_for_descriptions: bool = True,
        raise_on_failure: bool = True,
        description_timeout: float | None = None,
        on_progress: Callable[[UploadProgressEvent], None] | None = None,
        on_file_complete: Callable[[FileCompleteEvent], None] | None = None,
        on_description_progress: Callable[[DescriptionProgressEvent], None] | None = None,
        on_description_failed: Callable[[DescriptionFailedEvent], None] | None = None,
        storage_target: StorageTarget | str = "default",
        tags: Sequence[str] | None = None,
        auto_describe: bool = True,
        skip_duplicates: bool = False,
    ) -> BatchUploadResults:
        """Upload pictures, or folders of them, in batches of the size that the plan allows.

        Args:
            files: one or several of: a path of a picture or folder, bytes, an open binary file.
            filename: the name to send, of a single file.
            filenames: names to send, one for each file.
            recursive: go down into folders of folders.
            include_hidden: take files and folders whose names begin with a dot.
            wait_for_descriptions: return when all are described.
            raise_on_failure: raise where any failed, instead of results with `is_failed`.
            description_timeout: seconds to wait; by default the client's `polling_timeout`.
            on_progress: told how much of each file is on its way.
            on_file_complete: told of each file that the server has taken or refused.
            on_description_progress: told of each description that is over.
            on_description_failed: told of each file that failed.
            storage_target: `default`, or `custom` for the tenant's own bucket.
            tags: given to all.
            auto_describe: have them described, which is paid.
            skip_duplicates: where the content of a file is there already, its result is that picture.

        Returns:
            One result per file, in their order; folders are ordered by path.

        Raises:
            ValidationError: a file is not there, no picture, empty or too large.
            QuotaExceededError: the plan allows no more; `partial_results` is what did finish.
            UploadError: files were refused, or a request failed; with `partial_results` and `session_id`.
            DescriptionError: pictures could not be described.
            AionvisionTimeoutError: some are not done in time; `last_result` is the results so far.
        """
        if filename is not None:
            if filenames is not None:
                raise limits.refuse("filename", "give either filename or filenames")
            filenames = [filename]
        return await self.upload_batch(
            files,
            filenames=filenames,
            recursive=recursive,
            include_hidden=include_hidden,
            wait_for_descriptions=wait_for_descriptions,
            raise_on_failure=raise_on_failure,
            description_timeout=description_timeout,
            on_progress=on_progress,
            on_file_complete=on_file_complete,
            on_description_progress=on_description_progress,
            on_description_failed=on_description_failed,
            storage_target=storage_target,
            tags=tags,
            auto_describe=auto_describe,
            skip_duplicates=skip_duplicates,
        )

    async def upload_batch(
        self,
        files: FileInput | Sequence[FileInput],
        *,
        filenames: Sequence[str] | None = None,
        recursive: bool = True,
        include_hidden: bool = False,
        wait_for_descriptions: bool = True,
        raise_on_failure: bool = True,
        description_timeout: float | None = None,
        on_progress: Callable[[UploadProgressEvent], None] | None = None,
        on_file_complete: Callable[[FileCompleteEvent], None] | None = None,
        on_description_progress: Callable[[DescriptionProgressEvent], None] | None = None,
        on_description_failed: Callable[[DescriptionFailedEvent], None] | None = None,
        intent: str = "describe",
        verification_level: str = "standard",
        storage_target: StorageTarget | str = "default",
        tags: Sequence[str] | None = None,
        auto_describe: bool = True,
        skip_duplicates: bool = False,
    ) -> BatchUploadResults:
        """As `upload`, with `intent` and `verification_level`: sent where they are not the default."""
        sources = expanded(files, filenames, recursive=recursive, include_hidden=include_hidden)
        form = form_of(
            tags=tags,
            auto_describe=auto_describe,
            skip_duplicates=skip_duplicates,
            storage_target=storage_target,
            intent=unless(intent, "describe"),
            verification_level=unless(verification_level, "standard"),
        )
        if raise_on_failure:
            for source in sources:
                source.check("files")
        quota = await self.check_quota(len(sources))
        if not quota.can_proceed:
            raise _insufficient(quota)
        report = Report(
            on_progress, on_file_complete, on_description_progress, on_description_failed
        )
        flow = UploadFlow(self, self._runtime, sources, form, report, description_timeout)
        flow.refuse_unsendable()
        await flow.send(quota.batch_size, quota.at_once)
        return await _finished(flow, wait_for_descriptions and auto_describe, raise_on_failure)


async def _finished(flow: UploadFlow, wait: bool, raise_on_failure: bool) -> BatchUploadResults:
    """Wait for descriptions where asked; the results, or the error that says what is missing."""
    if flow.error is not None:
        raise flow.failure(flow.error)
    if flow.late is not None and raise_on_failure:
        raise flow.failure(flow.late)
    if wait:
        error = await flow.describe()
        late = isinstance(error, AionvisionTimeoutError)
        if error is not None and (raise_on_failure or not late):
            raise flow.failure(error)
    results = flow.results
    if not raise_on_failure:
        return results
    missing = [row for row in results if not row.is_stored]
    if missing:
        raise UploadError(
            f"{len(missing)} of {len(results)} files were not taken; "
            f"{missing[0].filename}: {missing[0].description_error}",
            code="FILES_REFUSED",
            session_id=missing[0].session_id,
            partial_results=results,
        )
    return results.raise_on_failures()


def _picture(file: FileInput, filename: str | None) -> Source:
    (source,) = expanded(
        file, None if filename is None else [filename], recursive=False, include_hidden=False
    )
    source.check()
    return source


def _insufficient(quota: QuotaInfo) -> QuotaExceededError:
    return QuotaExceededError(
        quota.message
        or f"{quota.requested} uploads asked for, {quota.available} of {quota.monthly_limit} are left this month",
        code="QUOTA_EXCEEDED",
        details={
            "requested": quota.requested,
            "available": quota.available,
            "monthly_limit": quota.monthly_limit,
        },
    )


class SyncUploadResource(SyncResource[UploadResource]):
    """The same, blocking."""

    upload_one = blocking(UploadResource.upload_one)
    upload = blocking(UploadResource.upload)
    upload_batch = blocking(UploadResource.upload_batch)
    check_quota = blocking(UploadResource.check_quota)
    stream = blocking(UploadResource.stream)
    stream_batch = blocking(UploadResource.stream_batch)
    get_session_status = blocking(UploadResource.get_session_status)
    get_session_results = blocking(UploadResource.get_session_results)
    iter_session_results = iterating(UploadResource.iter_session_results)
    wait_for_session = blocking(UploadResource.wait_for_session)
    cancel_session = blocking(UploadResource.cancel_session)
    list_sessions = blocking(UploadResource.list_sessions)
    iter_sessions = iterating(UploadResource.iter_sessions)
    check_duplicates = blocking(UploadResource.check_duplicates)
    get_status = blocking(UploadResource.get_status)
    list_stuck = blocking(UploadResource.list_stuck)
    get_descriptions = blocking(UploadResource.get_descriptions)
    wait_for_description = blocking(UploadResource.wait_for_description)
    wait_for_descriptions = blocking(UploadResource.wait_for_descriptions)
    request_presigned_url = blocking(UploadResource.request_presigned_url)
    send_presigned = blocking(UploadResource.send_presigned)
    confirm_upload = blocking(UploadResource.confirm_upload)
    upload_presigned = blocking(UploadResource.upload_presigned)
    batch_prepare = blocking(UploadResource.batch_prepare)
    batch_confirm = blocking(UploadResource.batch_confirm)
    get_batch_status = blocking(UploadResource.get_batch_status)
