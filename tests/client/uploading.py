"""Pictures to upload, and clients of the test server that wait as good as never."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from aionvision_server.fixtures import Server
from PIL import Image

from aion_dagster.client import AionVision, SyncAionVision
from aion_dagster.client.resources.uploads import SyncUploadResource, UploadResource

BATCH: Final = "POST /user-files/upload/stream-batch"
ONE: Final = "POST /user-files/upload/stream"
_QUICK: Final = {
    "retry_delay": 0.0,
    "polling_interval": 0.002,
    "polling_timeout": 20.0,
    "timeout": 20.0,
}


def picture(number: int) -> bytes:
    """A small picture that no other number gives."""
    out = io.BytesIO()
    Image.new("RGB", (4, 4), (number % 256, number // 256, 9)).save(out, "PNG")
    return out.getvalue()


def pictures(count: int) -> tuple[list[bytes], list[str]]:
    """So many different ones, and their names."""
    return [picture(n) for n in range(count)], [f"{n:03}.png" for n in range(count)]


@contextmanager
def blocking_uploads(server: Server, **options: Any) -> Iterator[SyncUploadResource]:
    """`client.uploads` of a synchronous client."""
    with SyncAionVision(api_key=server.key, base_url=server.url, **(_QUICK | options)) as client:
        yield SyncUploadResource(UploadResource(client.transport))


def awaited(server: Server, **options: Any) -> AionVision:
    """An asynchronous client."""
    return AionVision(api_key=server.key, base_url=server.url, **(_QUICK | options))


def session_sizes(uploads: SyncUploadResource) -> list[int]:
    """Files of every session, the newest first."""
    return [session.total_files for session in uploads.iter_sessions()]
