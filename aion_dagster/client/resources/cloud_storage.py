"""`client.cloud_storage`: files come from a cloud storage, or go there.

Granting access and picking files need a person with a browser; for a program a connection's id is configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aion_dagster.client import limits
from aion_dagster.client.errors import CloudStorageError
from aion_dagster.client.identifiers import some_ids
from aion_dagster.client.models.cloud_storage import (
    CloudFile,
    CloudStorageJob,
    ExportResult,
    ImportResult,
    JobStatusResponse,
)
from aion_dagster.client.models.statuses import WorkStatus
from aion_dagster.client.resources.base import until
from aion_dagster.client.resources.cloud_accounts import CloudAccounts
from aion_dagster.client.retrying import Repeat
from aion_dagster.client.synchronous import SyncResource, blocking

OnJob = Callable[[CloudStorageJob], None]


class CloudStorageResource(CloudAccounts):
    """Connect accounts, import and export files, watch the jobs that do it."""

    async def start_import(
        self,
        connection_id: str,
        files: Sequence[CloudFile | Mapping[str, Any]],
        *,
        auto_describe: bool = True,
        tags: Sequence[str] | None = None,
        collection_id: str | None = None,
    ) -> ImportResult:
        """Begin to import files; the answer's `image_ids` are placeholders until its job is over.

        Importing twice costs twice and cannot be recognised: a lost answer or a failed server is not asked again.

        Args:
            connection_id: from where.
            files: `CloudFile`, or mappings with id, name and, where known, mime_type and size_bytes.
            auto_describe: whether pictures are described.
            tags: for all of them, at most 40 of 50 characters.
            collection_id: into this collection.
        """
        if isinstance(files, str | Mapping | CloudFile):
            raise limits.refuse("files", "a list of files is expected")
        if not files:
            raise limits.refuse("files", "no file is there")
        limits.check_tags(tags)
        return await self._ask(
            ImportResult,
            "POST /cloud-storage/import",
            body={
                "connection_id": connection_id,
                "files": [_file(each) for each in files],
                "auto_describe": auto_describe,
                "tags": None if tags is None else list(tags),
                "collection_id": collection_id,
            },
            repeat=Repeat.REFUSED,
        )

    async def start_export(
        self,
        connection_id: str,
        image_ids: Sequence[str],
        *,
        folder_id: str | None = None,
        folder_name: str | None = None,
    ) -> ExportResult:
        """Begin to export pictures; a lost answer is not asked for again, since there might be two copies then.

        Args:
            connection_id: where to.
            image_ids: 1 or more.
            folder_id: into this folder of the storage.
            folder_name: into a new folder of this name.
        """
        return await self._ask(
            ExportResult,
            "POST /cloud-storage/export",
            body={
                "connection_id": connection_id,
                "image_ids": some_ids("image_ids", image_ids),
                "folder_id": folder_id,
                "folder_name": folder_name,
            },
            repeat=Repeat.REFUSED,
        )

    async def get_job(self, job_id: str) -> CloudStorageJob:
        """How far an import or export is."""
        answer = await self._ask(
            JobStatusResponse, "GET /cloud-storage/jobs/{job_id}", ids={"job_id": job_id}
        )
        return answer.job

    async def wait_for_job(
        self, job_id: str, *, timeout: float | None = None, on_progress: OnJob | None = None
    ) -> CloudStorageJob:
        """Look until a job is over, however it ends.

        Raises:
            AionvisionTimeoutError: not over after `timeout` seconds (by default the client's `polling_timeout`);
                `last_result` is the job.
        """
        return await until(
            lambda: self.get_job(job_id),
            lambda job: job.is_over,
            self._runtime,
            what=f"cloud storage job {job_id}",
            interval=self._config.polling_interval,
            timeout=self._config.polling_timeout if timeout is None else timeout,
            on_look=on_progress,
        )

    async def import_and_wait(
        self,
        connection_id: str,
        files: Sequence[CloudFile | Mapping[str, Any]],
        *,
        timeout: float | None = None,
        on_progress: OnJob | None = None,
        auto_describe: bool = True,
        tags: Sequence[str] | None = None,
        collection_id: str | None = None,
    ) -> CloudStorageJob:
        """Import files (see `start_import`) and wait; a job that ends as `partial` is given back.

        Raises:
            CloudStorageError: it failed or was cancelled; `details["job"]` is the job.
            AionvisionTimeoutError: not over in time; `last_result` is the job, which goes on.
        """
        begun = await self.start_import(
            connection_id,
            files,
            auto_describe=auto_describe,
            tags=tags,
            collection_id=collection_id,
        )
        if begun.job_id is None:
            many = begun.total_files or len(files)
            return _without_job("import", connection_id, begun.status, many, begun.message)
        return _ended(
            await self.wait_for_job(begun.job_id, timeout=timeout, on_progress=on_progress)
        )

    async def export_and_wait(
        self,
        connection_id: str,
        image_ids: Sequence[str],
        *,
        timeout: float | None = None,
        on_progress: OnJob | None = None,
        folder_id: str | None = None,
        folder_name: str | None = None,
    ) -> CloudStorageJob:
        """Export pictures (see `start_export`) and wait; a job that ends as `partial` is given back.

        Raises:
            CloudStorageError: it failed or was cancelled; `details["job"]` is the job.
            AionvisionTimeoutError: not over in time; `last_result` is the job, which goes on.
        """
        begun = await self.start_export(
            connection_id, image_ids, folder_id=folder_id, folder_name=folder_name
        )
        if begun.job_id is None:
            many = len(begun.cloud_file_ids) or len(image_ids)
            return _without_job("export", connection_id, begun.job_status, many, begun.message)
        return _ended(
            await self.wait_for_job(begun.job_id, timeout=timeout, on_progress=on_progress)
        )


class SyncCloudStorageResource(SyncResource[CloudStorageResource]):
    """The same, blocking."""

    initiate_auth = blocking(CloudStorageResource.initiate_auth)
    complete_auth = blocking(CloudStorageResource.complete_auth)
    callback_page = blocking(CloudStorageResource.callback_page)
    list_connections = blocking(CloudStorageResource.list_connections)
    disconnect = blocking(CloudStorageResource.disconnect)
    get_picker_token = blocking(CloudStorageResource.get_picker_token)
    picker_proxy = blocking(CloudStorageResource.picker_proxy)
    start_import = blocking(CloudStorageResource.start_import)
    start_export = blocking(CloudStorageResource.start_export)
    get_job = blocking(CloudStorageResource.get_job)
    wait_for_job = blocking(CloudStorageResource.wait_for_job)
    import_and_wait = blocking(CloudStorageResource.import_and_wait)
    export_and_wait = blocking(CloudStorageResource.export_and_wait)


def _file(file: CloudFile | Mapping[str, Any]) -> dict[str, Any]:
    given = file.model_dump(exclude_none=True) if isinstance(file, CloudFile) else dict(file)
    if not given.get("id") or not given.get("name"):
        raise limits.refuse("files", "a file has no id or no name")
    return given


def _without_job(
    kind: str, connection_id: str, status: WorkStatus | None, many: int, message: str
) -> CloudStorageJob:
    """What was done before the answer came, as a job without an id."""
    done = WorkStatus.COMPLETED if status is None else status
    job = CloudStorageJob(
        job_id="",
        type=kind,
        status=done,
        connection_id=connection_id,
        total_files=many,
        completed_files=0 if done.is_failure else many,
        failed_files=many if done.is_failure else 0,
        error=message if done.is_failure else None,
    )
    return _ended(job)


def _ended(job: CloudStorageJob) -> CloudStorageJob:
    if job.status.is_failure:
        raise CloudStorageError(
            f"{job.type or 'job'} {job.job_id}: {job.status}: {job.error or 'no reason given'}; "
            f"{job.completed_files} of {job.total_files} files were done",
            code="CLOUD_STORAGE_JOB_FAILED",
            details={"job": job.model_dump(mode="json")},
        )
    return job
