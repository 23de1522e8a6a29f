"""Sending files: one by one, or several in one request that opens a session."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aion_dagster.client import limits
from aion_dagster.client.models.uploads import (
    QuotaInfo,
    StorageTarget,
    StreamBatchResult,
    StreamingUploadResult,
)
from aion_dagster.client.resources.base import Resource
from aion_dagster.client.resources.upload_sources import (
    FileInput,
    Progress,
    Source,
    Watch,
    cumulative,
    source_of,
    sources_of,
    watched_parts,
)
from aion_dagster.client.retrying import Repeat


class UploadStreams(Resource):
    """Low-level methods that send files; they neither wait for descriptions nor raise where one failed."""

    async def stream(
        self,
        file: FileInput,
        *,
        filename: str | None = None,
        title: str | None = None,
        tags: Sequence[str] | None = None,
        auto_describe: bool = True,
        skip_duplicates: bool = False,
        storage_target: StorageTarget | str = "default",
        intent: str | None = None,
        verification_level: str | None = None,
        on_progress: Progress | None = None,
        timeout: float | None = None,
    ) -> StreamingUploadResult:
        """Send one file of at most 100 MB.

        With `skip_duplicates` any passing failure is tried again, and a file whose answer was lost is found again:
        `skipped_existing_image_id` is its id. Without, only what the server answered to have failed is tried again.

        Args:
            file: a path, bytes, or an open binary file; read piece by piece, and anew for every try.
            filename: the name to send; by default the file's own.
            title: at most 255 characters.
            tags: at most 40 of 50 characters, without commas.
            auto_describe: have the picture described, which is paid.
            skip_duplicates: do not store content that is there already.
            storage_target: `default`, or `custom` for the tenant's own bucket.
            intent: `describe`, `verify` or `rules`; sent where given, not every server knows it.
            verification_level: sent where given, not every server knows it.
            on_progress: called with the bytes on their way and in all; begins at 0 with every try.
            timeout: seconds; by default the client's.
        """
        source = source_of(file, filename)
        source.check()
        return await self.send_one(
            source,
            form=form_of(
                title=title,
                tags=tags,
                auto_describe=auto_describe,
                skip_duplicates=skip_duplicates,
                storage_target=storage_target,
                intent=intent,
                verification_level=verification_level,
            ),
            watch=cumulative(on_progress),
            timeout=timeout,
        )

    async def stream_batch(
        self,
        files: Sequence[FileInput],
        *,
        filenames: Sequence[str] | None = None,
        tags: Sequence[str] | None = None,
        auto_describe: bool = True,
        skip_duplicates: bool = False,
        storage_target: StorageTarget | str = "default",
        intent: str | None = None,
        verification_level: str | None = None,
        on_progress: Progress | None = None,
        timeout: float | None = None,
    ) -> StreamBatchResult:
        """Send several files of at most 100 MB each in one request; the answer is a session.

        How many one request may hold says `check_quota`. Later answers know the files by their names only: give names
        that differ. Arguments as of `stream`.
        """
        sources = sources_of(files, filenames)
        if not sources:
            raise limits.refuse("files", "none is given")
        for source in sources:
            source.check("files")
        return await self.send_several(
            sources,
            form=form_of(
                tags=tags,
                auto_describe=auto_describe,
                skip_duplicates=skip_duplicates,
                storage_target=storage_target,
                intent=intent,
                verification_level=verification_level,
            ),
            watch=cumulative(on_progress),
            timeout=timeout,
        )

    async def check_quota(self, file_count: int = 1) -> QuotaInfo:
        """Whether so many files may be uploaded, and how many in one request."""
        limits.check_number("file_count", file_count, 1, float("inf"))
        return await self._ask(
            QuotaInfo, "GET /uploads/quota-check", query={"file_count": file_count}
        )

    async def send_one(
        self,
        source: Source,
        *,
        form: dict[str, Any],
        watch: Watch | None = None,
        timeout: float | None = None,
    ) -> StreamingUploadResult:
        """Send a source that has been checked."""
        return await self._ask(
            StreamingUploadResult,
            "POST /user-files/upload/stream",
            form=form,
            parts=watched_parts("file", [source], watch),
            repeat=_repeat(form),
            timeout=timeout,
        )

    async def send_several(
        self,
        sources: Sequence[Source],
        *,
        form: dict[str, Any],
        watch: Watch | None = None,
        timeout: float | None = None,
    ) -> StreamBatchResult:
        """Send sources that have been checked."""
        return await self._ask(
            StreamBatchResult,
            "POST /user-files/upload/stream-batch",
            form=form,
            parts=watched_parts("files", sources, watch),
            repeat=_repeat(form),
            timeout=timeout,
        )


def form_of(*, tags: Sequence[str] | None, **fields: Any) -> dict[str, Any]:
    """The fields of a form, checked."""
    limits.check_title(fields.get("title"))
    limits.check_word("storage_target", fields.get("storage_target"), limits.STORAGE_TARGETS)
    return fields | {"tags": limits.joined_tags(tags)}


def _repeat(form: dict[str, Any]) -> Repeat:
    """Content that is not stored twice may be sent twice."""
    return Repeat.SAFE if form["skip_duplicates"] else Repeat.ANSWERED
