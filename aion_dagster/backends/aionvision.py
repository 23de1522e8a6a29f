"""`AionvisionBackend`: uploads and descriptions by the Aionvision platform, the rest on this machine."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa

from aion_dagster import schemas
from aion_dagster.backends.calls import CallJournal, NoJournal
from aion_dagster.backends.local import LocalBackend
from aion_dagster.backends.protocol import DescribeRequest, Operation, Original, Picture
from aion_dagster.engines import AionvisionConfig
from aion_dagster.errors import ConfigError, UnavailableError

if TYPE_CHECKING:
    from aion_dagster.client import AionVision, SyncAionVision

T = TypeVar("T")
Client = TypeVar("Client")

PROVIDER: Final = "aionvision"


class AionvisionBackend:
    """Descriptions come from the platform; text, codes, objects and vectors from `local`.

    Everything that may cost goes through the journal (`note_in`); the pace is that of the account, shared with all
    other processes of the journal's ledger.
    """

    def __init__(self, config: AionvisionConfig, local: LocalBackend | None = None) -> None:
        """Nothing is asked, and no key is read, before it is needed."""
        self.config = config
        self.local = local or LocalBackend()
        self._calls: CallJournal = NoJournal()

    @property
    def provider(self) -> str:
        """`aionvision`."""
        return PROVIDER

    @property
    def engine(self) -> str:
        """Which server and tenant, as the journal knows it."""
        parts = urlsplit(self.config.address)
        tenant = f"/{self.config.tenant_id}" if self.config.tenant_id else ""
        port = f":{parts.port}" if parts.port else ""
        return f"{PROVIDER}@{parts.hostname}{port}{tenant}"

    def note_in(self, calls: CallJournal) -> None:
        """Note paid calls in a journal from now on, and keep to its budgets."""
        self._calls = calls

    def identity(self, operation: Operation) -> str:
        """Server, tenant, prompt and providers for descriptions; the local engine for the rest."""
        if operation != "describe":
            return self.local.identity(operation)
        from aion_dagster.backends.aionvision_descriptions import description_parameters

        return f"{self.engine}-{description_parameters(self.config)}"

    def unavailable(self, operation: Operation) -> str | None:
        """Why an operation cannot be answered."""
        if operation != "describe":
            return self.local.unavailable(operation)
        if not os.environ.get(self.config.api_key_env):
            return f"the environment variable {self.config.api_key_env} holds no API key"
        return None

    def detect_text(self, pictures: Iterable[Picture]) -> Iterator[pa.Table]:
        """Text with boxes, on this machine; the platform's `visible_text` has none."""
        return self.local.detect_text(pictures)

    def detect_codes(self, pictures: Iterable[Picture]) -> Iterator[pa.Table]:
        """Codes, on this machine."""
        return self.local.detect_codes(pictures)

    def detect_objects(self, pictures: Iterable[Picture]) -> Iterator[pa.Table]:
        """Objects, on this machine: the platform gives no boxes."""
        return self.local.detect_objects(pictures)

    def embed_images(self, pictures: Iterable[Picture]) -> Iterator[pa.Table]:
        """Image vectors, on this machine: the platform keeps its own to itself."""
        return self.local.embed_images(pictures)

    def embed_text(self, texts: Sequence[str]) -> np.ndarray:
        """Text vectors, on this machine."""
        return self.local.embed_text(texts)

    def upload(
        self,
        originals: Sequence[Original],
        advance: Callable[[int], None] = lambda _n: None,
    ) -> pa.Table:
        """A row of schema `UPLOADS` per picture; content that the platform has is not sent to be stored again.

        Raises:
            ConfigError: there is no key.
            UnavailableError: the platform refuses the key, or cannot be reached at all.
        """
        from aion_dagster.backends.aionvision_uploads import Uploader

        async def upload(client: AionVision) -> list[dict[str, Any]]:
            return await Uploader(self.config, client, self._calls, self.engine, advance).rows(
                originals
            )

        rows = self.ask(upload)
        return pa.Table.from_pylist(rows, schema=schemas.UPLOADS)

    def describe(self, request: DescribeRequest) -> pa.Table:
        """A row of schema `DESCRIPTIONS` per picture of the request; it must carry `uploads`."""
        from aion_dagster.backends.aionvision_descriptions import Describer, Stored

        if request.uploads is None:
            raise UnavailableError("descriptions by the platform need the table 'uploads'")
        uploads = {row["image_id"]: row for row in request.uploads.to_pylist()}
        stored = [
            Stored(key, row["sha256"], row["remote_id"], row["object_key"], not row["was_there"])
            for key, row in uploads.items()
            if row["status"] == "completed"
        ]

        async def describe(client: AionVision) -> dict[str, dict[str, Any]]:
            return await Describer(self.config, client, self._calls, self.engine).rows(stored)

        rows = self.ask(describe) if stored else {}
        common = {"provider": PROVIDER, "model": self.identity("describe")}
        images = request.images.select(["image_id", "status", "error"]).to_pylist()
        all_rows = [rows.get(i["image_id"]) or _not_stored(i, uploads) for i in images]
        return pa.Table.from_pylist(
            [{**row, **common} for row in all_rows], schema=schemas.DESCRIPTIONS
        )

    def client(self) -> AionVision:
        """An asynchronous client with the account's shared pace; close it.

        Raises:
            ConfigError: there is no key, or a setting cannot be used.
        """
        from aion_dagster.client import AionVision

        return self._made(AionVision)

    def sync_client(self) -> SyncAionVision:
        """A blocking client with the account's shared pace; close it.

        Raises:
            ConfigError: there is no key, or a setting cannot be used.
        """
        from aion_dagster.client import SyncAionVision

        return self._made(SyncAionVision)

    def _made(self, kind: Callable[..., Client]) -> Client:
        from aion_dagster.client.errors import AuthenticationError, ValidationError

        config = self.config
        key = os.environ.get(config.api_key_env, "")
        if not key:
            raise ConfigError(
                f"aionvision.api_key_env: the environment variable {config.api_key_env} is not set"
            )
        limit = config.requests_per_minute
        pacer = self._calls.pace(self._account(key), limit) if limit else None
        try:
            return kind(
                key,
                base_url=config.address,
                timeout=config.timeout_seconds,
                max_retries=config.max_retries,
                retry_delay=config.retry_delay,
                polling_interval=config.polling_interval,
                polling_timeout=config.polling_timeout,
                tenant_id=config.tenant_id,
                pacer=pacer,
            )
        except (AuthenticationError, ValidationError) as error:
            raise ConfigError(f"aionvision: {error}") from None

    def ask(self, question: Callable[[AionVision], Awaitable[T]]) -> T:
        """Ask something of the platform.

        Raises:
            UnavailableError: it refuses the key, or does not answer.
        """
        from aion_dagster.backends.aionvision_errors import unavailable
        from aion_dagster.client.errors import AionvisionError

        async def asked() -> T:
            async with self.client() as client:
                return await question(client)

        try:
            return asyncio.run(asked())
        except AionvisionError as error:
            raise UnavailableError(unavailable(error, self.config)) from None

    def _account(self, key: str) -> str:
        """A name of the account that does not tell the key."""
        return f"{self.engine}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"[-80:]


def _not_stored(image: dict[str, Any], uploads: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The row of a picture that is not in the remote library."""
    upload = uploads.get(image["image_id"])
    failed = {"image_id": image["image_id"], "description_status": "failed"}
    if image["status"] != schemas.STATUS_OK:
        reason = f"{image['status']}: {image['error']}"
        return {
            **failed,
            "description_error": reason,
            "description_error_type": "image",
            "description_is_retryable": False,
        }
    if upload is None:
        reason = "the picture was not uploaded; materialize uploads again"
        return {
            **failed,
            "description_error": reason,
            "description_error_type": "upload",
            "description_is_retryable": True,
        }
    return {
        **failed,
        "description_error": upload["error"],
        "description_error_type": upload["error_type"],
        "description_is_retryable": upload["is_retryable"],
    }
