"""Uploads straight into storage: the server permits, storage takes the bytes, the server is told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from aion_dagster.client import limits
from aion_dagster.client.errors import AionvisionError, ResourceNotFoundError
from aion_dagster.client.models.upload_presigned import (
    BatchConfirmResult,
    BatchPrepareResult,
    ConfirmResult,
    FileInfo,
    PresignedUrlInfo,
    UploadBatchStatusResult,
    UploadConfirmation,
)
from aion_dagster.client.models.uploads import StorageTarget
from aion_dagster.client.resources.base import Resource
from aion_dagster.client.resources.upload_sources import (
    FileInput,
    Progress,
    Source,
    cumulative,
    parts_of,
    source_of,
)
from aion_dagster.client.retrying import Repeat
from aion_dagster.client.transport import Transport

T = TypeVar("T")

_BATCH: Final = 5
_KEY: Final = 128


class PresignedUploads(Resource):
    """Methods for uploads by URL; newer servers have them below `/user-files/upload` only, which is tried second."""

    def __init__(self, transport: Transport) -> None:
        """Ask through `transport`."""
        super().__init__(transport)
        self._initiated: dict[str, str] = {}  # ids of pictures by object key, until confirmed

    async def request_presigned_url(
        self,
        filename: str,
        content_type: str,
        size_bytes: int,
        *,
        purpose: str = "image_analysis",
        idempotency_key: str | None = None,
        storage_target: StorageTarget | str = "default",
        title: str | None = None,
        tags: Sequence[str] | None = None,
        auto_describe: bool = True,
    ) -> PresignedUrlInfo:
        """A URL that a file may be sent to.

        Args:
            filename: the name it is stored by.
            content_type: `image/jpeg`, `image/png`, `image/webp` or `image/gif`.
            size_bytes: its size; 50 MB where the server has `/user-files/upload/initiate` only.
            purpose: what for.
            idempotency_key: 1 to 128 characters; the same key gives the same upload.
            storage_target: `default`, or `custom` for the tenant's own bucket.
            title: heeded by servers that have `/user-files/upload/initiate` only, as is what follows.
            tags: as above.
            auto_describe: as above.
        """
        limits.check_text("filename", filename, limits.TITLE, 1)
        limits.check_number("size_bytes", size_bytes, 1, float("inf"))
        limits.check_text("idempotency_key", idempotency_key, _KEY, 1)
        limits.check_title(title)
        limits.check_word("storage_target", storage_target, limits.STORAGE_TARGETS)
        file = {"filename": filename, "content_type": content_type, "size_bytes": size_bytes}
        joined = limits.joined_tags(tags)

        async def elsewhere() -> PresignedUrlInfo:
            limits.check_number("size_bytes", size_bytes, 1, limits.PRESIGNED_BYTES)
            answer = await self._ask(
                PresignedUrlInfo,
                "POST /user-files/upload/initiate",
                form=file | {"title": title, "tags": joined, "auto_describe": auto_describe},
            )
            if answer.image_id:
                self._initiated[answer.object_key] = answer.image_id
            return answer

        options = {"purpose": purpose, "storage_target": storage_target}
        try:
            return await self._ask(
                PresignedUrlInfo,
                "POST /uploads/request-presigned-url",
                body=file | options | {"idempotency_key": idempotency_key},
            )
        except AionvisionError as error:
            if not _is_missing(error):
                raise
            return await _or_as_before(elsewhere, error)

    async def send_presigned(
        self,
        presigned: PresignedUrlInfo,
        file: FileInput,
        *,
        on_progress: Progress | None = None,
    ) -> None:
        """Send a file to where the server permitted it; the key stays here.

        Raises:
            ValidationError: it is larger than was permitted.
            AionvisionError: storage did not take it.
        """
        source = source_of(file, "file")
        source.check("file", presigned.max_size_bytes or limits.STREAMED_BYTES)
        await self._put(presigned, source, on_progress)

    async def confirm_upload(
        self,
        object_key: str,
        size_bytes: int,
        *,
        checksum: str | None = None,
        image_id: str | None = None,
    ) -> ConfirmResult:
        """Tell the server that a file is in storage; it has it described then.

        Args:
            object_key: as the server named it.
            size_bytes: how much was sent.
            checksum: where the server is to compare it.
            image_id: as the server named it; needed by servers that have `/user-files/upload/confirm` only, and known
                where this client asked for the URL.
        """
        limits.check_number("size_bytes", size_bytes, 1, float("inf"))
        known = image_id or self._initiated.get(object_key)
        file = {"object_key": object_key, "size_bytes": size_bytes}

        async def elsewhere() -> ConfirmResult:
            return await self._ask(
                ConfirmResult,
                "POST /user-files/upload/confirm",
                body=file | {"image_id": known},
                repeat=Repeat.ANSWERED,
            )

        if object_key in self._initiated:
            result = await elsewhere()
            self._initiated.pop(object_key, None)
            return result
        try:
            return await self._ask(
                ConfirmResult,
                "POST /uploads/confirm",
                body=file | {"checksum": checksum},
                repeat=Repeat.ANSWERED,
            )
        except AionvisionError as error:
            if known is None or not _is_missing(error):
                raise
            return await _or_as_before(elsewhere, error)

    async def upload_presigned(
        self,
        file: FileInput,
        *,
        filename: str | None = None,
        title: str | None = None,
        tags: Sequence[str] | None = None,
        auto_describe: bool = True,
        idempotency_key: str | None = None,
        storage_target: StorageTarget | str = "default",
        on_progress: Progress | None = None,
    ) -> ConfirmResult:
        """The whole way: ask for a URL, send the file there, confirm; arguments as of `request_presigned_url`."""
        source = source_of(file, filename)
        presigned = await self.request_presigned_url(
            source.name,
            source.media_type,
            source.size,
            idempotency_key=idempotency_key,
            storage_target=storage_target,
            title=title,
            tags=tags,
            auto_describe=auto_describe,
        )
        source.check("file", presigned.max_size_bytes or limits.STREAMED_BYTES)
        await self._put(presigned, source, on_progress)
        return await self.confirm_upload(
            presigned.object_key, source.size, image_id=presigned.image_id
        )

    async def batch_prepare(
        self,
        files: Sequence[FileInfo],
        *,
        intent: str = "describe",
        verification_level: str = "standard",
        additional_params: Mapping[str, Any] | None = None,
    ) -> BatchPrepareResult:
        """URLs that 1 to 5 files may be sent to.

        Args:
            files: the files.
            intent: `describe`, `verify` or `rules`; sent where it is not the default, not every server knows it.
            verification_level: sent where it is not the default, not every server knows it.
            additional_params: what else the server is to know.
        """
        limits.check_count("files", files, 1, _BATCH)
        return await self._ask(
            BatchPrepareResult,
            "POST /uploads/batch-prepare",
            body={
                "files": [file.model_dump(exclude_none=True) for file in files],
                "intent": unless(intent, "describe"),
                "verification_level": unless(verification_level, "standard"),
                "additional_params": additional_params,
            },
        )

    async def batch_confirm(
        self,
        batch_id: str,
        confirmations: Sequence[UploadConfirmation],
        *,
        auto_process: bool = True,
    ) -> BatchConfirmResult:
        """Tell the server what became of the files of a batch; with `auto_process` it has them described then."""
        limits.check_count("confirmations", confirmations, 1, _BATCH)
        return await self._ask(
            BatchConfirmResult,
            "POST /uploads/batch-confirm",
            body={
                "batch_id": batch_id,
                "confirmations": [c.model_dump(exclude_none=True) for c in confirmations],
                "auto_process": auto_process,
            },
            repeat=Repeat.ANSWERED,
        )

    async def get_batch_status(self, batch_id: str) -> UploadBatchStatusResult:
        """How far a batch is."""
        return await self._ask(
            UploadBatchStatusResult,
            "GET /uploads/batch/{batch_id}/status",
            ids={"batch_id": batch_id},
        )

    async def _put(
        self, presigned: PresignedUrlInfo, source: Source, on_progress: Progress | None
    ) -> None:
        headers = {name: str(value) for name, value in presigned.upload_headers.items()}
        if presigned.upload_method.upper() == "POST":
            await self._transport.put(
                presigned.upload_url,
                lambda: b"",
                headers,
                method="POST",
                parts=parts_of("file", [source], on_progress),
                form=presigned.upload_fields,
            )
            return
        names = {name.lower() for name in headers}
        if "content-type" not in names:
            headers["Content-Type"] = source.media_type
        if "content-length" not in names:
            # Storage refuses bodies whose length it is not told.
            headers["Content-Length"] = str(source.size)
        await self._transport.put(
            presigned.upload_url, lambda: _pieces(source, on_progress), headers
        )


def unless(value: str | None, default: str) -> str | None:
    """The value where it is not the default: servers that do not know a field may refuse it."""
    return None if value == default else value


def _pieces(source: Source, on_progress: Progress | None) -> Iterator[bytes]:
    """Its bytes, read anew; progress counts from 0."""
    watch = cumulative(on_progress)
    told = watch([source]) if watch is not None else None
    return source.pieces(partial(told, 0) if told is not None else None)


def _is_missing(error: AionvisionError) -> bool:
    """Whether the server does not have what was asked."""
    return isinstance(error, ResourceNotFoundError) or error.status == 405


async def _or_as_before(ask: Callable[[], Awaitable[T]], before: AionvisionError) -> T:
    """What another place answers; the first error where that place is missing as well."""
    try:
        return await ask()
    except AionvisionError as error:
        raise (before if _is_missing(error) else error) from None
