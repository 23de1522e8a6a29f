"""A bucket of any size that only lists: an HTTP server that speaks as much XML of S3 as a scan needs.

usage: bucket_server.py OBJECTS [NEW]

Prints its endpoint once every page is rendered, so that what is measured is whoever asks. Object i is
`<i // 1000>/<i>.jpg`; NEW further ones lie evenly among them, once `POST /add` asked for them. `GET /spent` tells the
requests so far, and the CPU seconds of this process that they took.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from bisect import bisect_right
from collections.abc import Sequence
from heapq import merge
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

_PAGE = 1_000


class Bucket:
    """Its keys in byte order, and the pages of a listing from the beginning, rendered."""

    def __init__(self, objects: int, new: int) -> None:
        old = [_key(i) for i in range(objects)]
        added = [f"{_key(i)[:-4]}-new.jpg" for i in range(0, objects, max(1, objects // new))][:new]
        self._states = [_Listing(old), _Listing(list(merge(old, added)))]
        self.now = self._states[0]

    def add(self) -> None:
        """The new objects are there."""
        self.now = self._states[1]


class _Listing:
    """What a bucket answers while nothing changes."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = keys
        self._pages = {
            keys[begin - 1] if begin else "": self._page(begin)
            for begin in range(0, len(keys), _PAGE)
        }

    def after(self, key: str) -> bytes:
        """One page of `ListObjectsV2`."""
        known = self._pages.get(key)
        return self._page(bisect_right(self._keys, key)) if known is None else known

    def _page(self, begin: int) -> bytes:
        items = "".join(map(_item, self._keys[begin : begin + _PAGE]))
        more = "true" if begin + _PAGE < len(self._keys) else "false"
        return (
            '<?xml version="1.0" encoding="UTF-8"?>'
            '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>million</Name>'
            f"<EncodingType>url</EncodingType><MaxKeys>{_PAGE}</MaxKeys>"
            f"<IsTruncated>{more}</IsTruncated>{items}</ListBucketResult>"
        ).encode()


def _key(number: int) -> str:
    return f"{number // 1000:05}/{number:08}.jpg"


def _item(key: str) -> str:
    etag = hashlib.md5(key.encode(), usedforsecurity=False).hexdigest()
    return (
        f"<Contents><Key>{quote(key)}</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified>"
        f"<ETag>&quot;{etag}&quot;</ETag><Size>250000</Size><StorageClass>STANDARD</StorageClass></Contents>"
    )


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 20  # headers and body in one piece
    bucket: Bucket
    requests = 0

    def do_GET(self) -> None:
        if self.path == "/spent":
            spent = {"requests": type(self).requests, "cpu_seconds": time.process_time() - _BEGAN}
            self._send(json.dumps(spent).encode())
            return
        type(self).requests += 1
        query = parse_qs(urlsplit(self.path).query)
        self._send(self.bucket.now.after(query.get("start-after", [""])[0]))

    def do_POST(self) -> None:
        self.bucket.add()
        self._send(b"")

    def _send(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        return


_BEGAN = 0.0


def main() -> None:
    """Serve until killed."""
    global _BEGAN
    objects = int(sys.argv[1])
    bucket = Bucket(objects, int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"bucket": bucket}))
    _BEGAN = time.process_time()
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
