"""`client.batch`: jobs that describe many pictures."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

from aion_dagster.client import limits
from aion_dagster.client.errors import BatchError
from aion_dagster.client.models.batch import (
    BatchImageInput,
    BatchItemResult,
    BatchResults,
    BatchStatus,
    BatchStatusResult,
    BatchSubmissionResult,
)
from aion_dagster.client.resources.base import Resource, pages, until
from aion_dagster.client.retrying import Repeat
from aion_dagster.client.synchronous import SyncResource, blocking, iterating


class BatchResource(Resource):
    """Submit, watch, read and cancel batches."""

    async def get_status(self, batch_id: str) -> BatchStatusResult:
        """How far a batch is."""
        return await self._ask(
            BatchStatusResult, "GET /batch/{batch_id}", ids={"batch_id": batch_id}
        )

    async def get_results(
        self, batch_id: str, *, include_failed: bool = True, offset: int = 0, limit: int = 100
    ) -> BatchResults:
        """A page of 1 to 500 results."""
        limits.check_number("limit", limit, 1, limits.SESSION_PAGE)
        limits.check_number("offset", offset, 0, float("inf"))
        return await self._ask(
            BatchResults,
            "GET /batch/{batch_id}/results",
            ids={"batch_id": batch_id},
            query={"include_failed": include_failed, "offset": offset, "limit": limit},
        )

    async def get_all_results(
        self, batch_id: str, *, include_failed: bool = True, page_size: int = 100
    ) -> AsyncIterator[BatchItemResult]:
        """Every result."""

        async def page(offset: int, limit: int) -> list[BatchItemResult]:
            found = await self.get_results(
                batch_id, include_failed=include_failed, offset=offset, limit=limit
            )
            return found.results

        async for item in pages(page, page_size):
            yield item

    async def cancel(self, batch_id: str) -> None:
        """Stop a batch; what is worked on is finished.

        Raises:
            ValidationError: it is over already.
        """
        await self._ask(
            object,
            "DELETE /batch/{batch_id}",
            ids={"batch_id": batch_id},
            repeat=Repeat.ANSWERED,
        )

    async def wait_for_completion(
        self,
        batch_id: str,
        *,
        timeout: float | None = None,
        on_progress: Callable[[BatchStatusResult], None] | None = None,
        poll_interval: float | None = None,
    ) -> BatchStatusResult:
        """Look until a batch has ended; one that ended in parts, or was cancelled, is returned.

        Args:
            batch_id: the batch.
            timeout: seconds; by default the client's `polling_timeout`.
            on_progress: told of every look.
            poll_interval: seconds between two looks; by default the client's.

        Raises:
            BatchError: it failed.
            AionvisionTimeoutError: it has not ended in time; `last_result` is its last state.
        """
        status = await until(
            lambda: self.get_status(batch_id),
            BatchStatusResult.is_terminal,
            self._runtime,
            what=f"batch {batch_id}",
            interval=poll_interval or self._config.polling_interval,
            timeout=self._config.polling_timeout if timeout is None else timeout,
            on_look=on_progress,
        )
        if status.status is BatchStatus.FAILED:
            raise BatchError(
                f"batch {batch_id} failed: {status.failed_items} of {status.total_items} items",
                code="BATCH_FAILED",
                details={
                    "batch_id": batch_id,
                    "total_items": status.total_items,
                    "successful_items": status.successful_items,
                    "failed_items": status.failed_items,
                },
            )
        return status

    async def submit_describe(
        self,
        images: Sequence[BatchImageInput] = (),
        *,
        object_keys: Sequence[str] = (),
        prompt: str | None = None,
        providers: Sequence[str] | None = None,
        consensus_threshold: float = 0.7,
        max_parallel: int = 5,
        timeout_per_item: int = 30,
        webhook_url: str | None = None,
    ) -> BatchSubmissionResult:
        """Have pictures described, also such as are stored already; deprecated by the vendor, who recommends uploads.

        It is paid: tried again only where the server answered that it failed.

        Args:
            images: pictures by URL, base64 or object key.
            object_keys: pictures that are stored already.
            prompt: what the models are asked; only here can it be set.
            providers: the models; only here can they be chosen.
            consensus_threshold: how far they must agree, 0 to 1.
            max_parallel: pictures at once, 1 to 20.
            timeout_per_item: seconds for one picture, 5 to 300.
            webhook_url: called at the end.

        Raises:
            ResourceNotFoundError: the server no longer has this.
        """
        asked = [*images, *(BatchImageInput(object_key=key) for key in object_keys)]
        limits.check_count("images", asked, 1, 1_000_000)
        for image in asked:
            _check_image(image)
        limits.check_number("consensus_threshold", consensus_threshold, 0, 1)
        limits.check_number("max_parallel", max_parallel, 1, 20)
        limits.check_number("timeout_per_item", timeout_per_item, 5, 300)
        limits.check_text("webhook_url", webhook_url, limits.WEBHOOK, 1)
        return await self._ask(
            BatchSubmissionResult,
            "POST /batch/describe",
            body={
                "images": [image.model_dump(exclude_none=True) for image in asked],
                "prompt": prompt,
                "providers": list(providers) if providers is not None else None,
                "consensus_threshold": consensus_threshold,
                "max_parallel": max_parallel,
                "timeout_per_item": timeout_per_item,
                "webhook_url": webhook_url,
            },
            repeat=Repeat.ANSWERED,
        )


def _check_image(image: BatchImageInput) -> None:
    ways = (image.image_url, image.image_base64, image.object_key)
    if sum(way is not None for way in ways) != 1:
        raise limits.refuse("images", "give one of image_url, image_base64 and object_key")


class SyncBatchResource(SyncResource[BatchResource]):
    """The same, blocking."""

    get_status = blocking(BatchResource.get_status)
    get_results = blocking(BatchResource.get_results)
    get_all_results = iterating(BatchResource.get_all_results)
    cancel = blocking(BatchResource.cancel)
    wait_for_completion = blocking(BatchResource.wait_for_completion)
    submit_describe = blocking(BatchResource.submit_describe)
