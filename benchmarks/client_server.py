"""A server that costs as little as it can: answers small requests, and takes bodies of any size without looking at them.

    python client_server.py

Prints its port, and serves until its standard input ends. What it answers is what the API does: a file with its
descriptions to `GET /api/v2/user-files/…`, a quota to any other GET, the session of a batch to a POST.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

_ROOM = 1 << 20
_HEADERS = "content-type: application/json\r\nx-request-id: req-00000001\r\nx-ratelimit-limit: 100000\r\nx-ratelimit-remaining: 99999"


def _answer(body: Any) -> bytes:
    content = json.dumps(body).encode()
    head = f"HTTP/1.1 200 OK\r\n{_HEADERS}\r\ncontent-length: {len(content)}\r\n\r\n"
    return head.encode() + content


QUOTA = _answer(
    {
        "can_proceed": True,
        "requested": 1,
        "available": 9_000,
        "monthly_limit": 10_000,
        "current_usage": 1_000,
        "max_batch_size": 50,
        "max_concurrent_uploads": 5,
        "message": None,
    }
)

FILE = _answer(
    {
        "id": "3f1c9a52-7d0e-4c55-9c1e-7a1f00000003",
        "object_key": "uploads/3f1c9a52/7a1f00000003.jpg",
        "title": "A street with a red car",
        "tags": ["street", "car", "red", "houses"],
        "size_bytes": 2_345_678,
        "content_type": "image/jpeg",
        "hash": "ab" * 32,
        "dimensions": {"width": 4000, "height": 3000},
        "format": "jpeg",
        "original_filename": "IMG_0001.jpg",
        "upload_description": "A narrow street between tall houses; a red car stands at the kerb. "
        * 3,
        "visible_text": "Rue du Bac",
        "confidence_score": 0.93,
        "description_status": "completed",
        "variant_status": "completed",
        "variant_count": 4,
        "blur_hash": "LEHV6nWB2yk8pyo0adR*.7kCMdnj",
        "media_type": "image",
        "created_at": "2026-11-20T10:00:00.000Z",
        "content_created_at": "2026-11-19T09:30:00.000Z",
        "updated_at": "2026-11-20T10:00:05.000Z",
        "thumbnail_url": "https://storage.example/small_256/1?X-Amz-Signature=aa",
        "medium_url": "https://storage.example/medium_750/1?X-Amz-Signature=bb",
        "full_url": "https://storage.example/large_1024/1?X-Amz-Signature=cc",
        "full_descriptions": [
            {
                "id": "3f1c9a52-7d0e-4c55-9c1e-7a1f00000004",
                "description": "A narrow street between tall houses.",
                "confidence_score": 0.93,
                "processing_time_ms": 2100,
                "created_at": "2026-11-20T10:00:05.000Z",
                "providers_used": ["one"],
            }
        ],
        "processing_history": [
            {
                "id": "3f1c9a52-7d0e-4c55-9c1e-7a1f00000005",
                "operation_type": "describe",
                "status": "completed",
                "created_at": "2026-11-20T10:00:01.000Z",
                "completed_at": "2026-11-20T10:00:05.000Z",
            }
        ],
    }
)

SESSION = _answer(
    {
        "session_id": "3f1c9a52-7d0e-4c55-9c1e-7a1f00000006",
        "status": "processing",
        "total_files": 10,
        "accepted_files": 10,
        "rejected_files": 0,
        "rejections": [],
        "immediate_results": None,
    }
)


class Connection(asyncio.BufferedProtocol):
    """One connection; requests that follow each other, bodies of a known length."""

    def __init__(self) -> None:
        self._room = memoryview(bytearray(_ROOM))
        self._head = bytearray()
        self._left = 0
        self._answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        if self._left >= nbytes:
            self._left -= nbytes
        else:
            self._head += self._room[self._left : nbytes]
            self._left = 0
            self._begin()
        if self._answer and not self._left:
            self._transport.write(self._answer)
            self._answer = b""

    def _begin(self) -> None:
        """Read the head of a request, once it is all there."""
        end = self._head.find(b"\r\n\r\n")
        if end < 0:
            return
        lines = bytes(self._head[:end]).lower().split(b"\r\n")
        length = next((int(x[15:]) for x in lines if x.startswith(b"content-length:")), 0)
        self._left = length - (len(self._head) - end - 4)
        self._head.clear()
        if lines[0].startswith(b"post"):
            self._answer = SESSION
        else:
            self._answer = FILE if b"/user-files/" in lines[0] else QUOTA


async def main() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
