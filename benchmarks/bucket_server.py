"""A bucket of any size that only lists: an HTTP server that speaks as much XML of S3 as a scan needs.

usage: bucket_server.py OBJECTS [NEW]

Prints its endpoint. Object i is `<i // 1000>/<i>.jpg`; NEW further ones lie evenly among them, once `POST /add` asked for
them.
"""

from __future__ import annotations

import hashlib
import sys
from bisect import bisect_right
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

_PAGE = 1_000


class Bucket:
    """Keys by number, and where a listing goes on."""

    def __init__(self, objects: int, new: int) -> None:
        self.objects = objects
        self._planned = [f"{_key(i)[:-4]}-new.jpg" for i in range(0, objects, objects // new)][:new]
        self.added: list[str] = []

    def add(self) -> None:
        self.added = self._planned

    def after(self, key: str) -> Iterator[str]:
        """Keys that follow one, in byte order."""
        begin = 0
        if key:
            begin = bisect_right(range(self.objects), key, key=_key)
        more = iter(self.added[bisect_right(self.added, key) :])
        extra = next(more, None)
        for number in range(begin, self.objects):
            plain = _key(number)
            while extra is not None and extra < plain:
                yield extra
                extra = next(more, None)
            yield plain
        if extra is not None:
            yield extra
        yield from more

    def listing(self, after: str) -> bytes:
        """One page of `ListObjectsV2`."""
        keys = list(islice(self.after(after), _PAGE + 1))
        items = "".join(map(_item, keys[:_PAGE]))
        more = "true" if len(keys) > _PAGE else "false"
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
    bucket: Bucket

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        self._send(self.bucket.listing(query.get("start-after", [""])[0]))

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


def main() -> None:
    """Serve until standard input ends."""
    objects = int(sys.argv[1])
    bucket = Bucket(objects, int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"bucket": bucket}))
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
