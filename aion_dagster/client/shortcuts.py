"""Methods of resources that the clients offer themselves: uploads of pictures, chat sessions, pipelines."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from aion_dagster.client.attributes import AsyncResources
from aion_dagster.client.attributes_blocking import SyncResources

if TYPE_CHECKING:
    from aion_dagster.client.resources.chat_session import (
        ChatSessionContext,
        SyncChatSessionContext,
    )
    from aion_dagster.client.resources.pipeline import Pipeline, SyncPipeline
    from aion_dagster.client.resources.uploads import UploadResource

    P = ParamSpec("P")
    T = TypeVar("T")

    def _awaited(
        method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]],
    ) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]: ...

    def _blocking(
        method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]],
    ) -> Callable[Concatenate[Any, P], T]: ...


class _OfUploads:
    """A method of `client.uploads` by the same name, looked up when it is used: only then are its models imported."""

    def __init__(self, *, sync: bool) -> None:
        self._sync = sync

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, client: Any, owner: type) -> Any:
        """The method; of a class, to look at, the function."""
        if client is not None:
            return getattr(client.uploads, self._name)
        from aion_dagster.client.resources.uploads import SyncUploadResource, UploadResource

        return getattr(SyncUploadResource if self._sync else UploadResource, self._name)


class AsyncShortcuts(AsyncResources):
    """The asynchronous client's resources, and shortcuts to some of their methods."""

    if TYPE_CHECKING:
        upload_one = _awaited(UploadResource.upload_one)
        upload = _awaited(UploadResource.upload)
        upload_batch = _awaited(UploadResource.upload_batch)
    else:
        upload_one = _OfUploads(sync=False)
        upload = _OfUploads(sync=False)
        upload_batch = _OfUploads(sync=False)

    def chat_session(
        self,
        *,
        title: str | None = None,
        image_ids: Sequence[str] | None = None,
        use_all_images: bool = True,
        auto_close: bool = True,
    ) -> ChatSessionContext:
        """A conversation, opened by `async with`; see `chats.session`."""
        return self.chats.session(
            title=title,
            image_ids=image_ids,
            use_all_images=use_all_images,
            auto_close=auto_close,
        )

    def pipeline(self) -> Pipeline:
        """A pipeline of agents, built step by step and then run."""
        from aion_dagster.client.resources.pipeline import Pipeline, PipelineResource

        return Pipeline(PipelineResource(self.transport))


class SyncShortcuts(SyncResources):
    """The blocking client's resources, and shortcuts to some of their methods."""

    if TYPE_CHECKING:
        upload_one = _blocking(UploadResource.upload_one)
        upload = _blocking(UploadResource.upload)
        upload_batch = _blocking(UploadResource.upload_batch)
    else:
        upload_one = _OfUploads(sync=True)
        upload = _OfUploads(sync=True)
        upload_batch = _OfUploads(sync=True)

    def chat_session(
        self,
        *,
        title: str | None = None,
        image_ids: Sequence[str] | None = None,
        use_all_images: bool = True,
        auto_close: bool = True,
    ) -> SyncChatSessionContext:
        """A conversation, opened by `with`; see `chats.session`."""
        return self.chats.session(
            title=title,
            image_ids=image_ids,
            use_all_images=use_all_images,
            auto_close=auto_close,
        )

    def pipeline(self) -> SyncPipeline:
        """A pipeline of agents, built step by step and then run."""
        from aion_dagster.client.resources.pipeline import PipelineResource, SyncPipeline

        return SyncPipeline(PipelineResource(self.transport))
