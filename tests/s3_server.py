"""An S3 server (moto's) over HTTP on a free loopback port, in a process of its own, gone when the tests end."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.error import URLError
from urllib.request import urlopen

from postgres_server import free_port

ENVIRONMENT: Mapping[str, str] = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing-secret",  # pragma: allowlist secret
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/nonexistent",
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
}
"""What AWS's libraries need beside the endpoint."""


@contextmanager
def s3_server() -> Iterator[str]:
    """The endpoint of a fresh server; it speaks S3, SQS and the rest."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    endpoint = f"http://127.0.0.1:{port}"
    try:
        _wait(server, endpoint)
        yield endpoint
    finally:
        server.terminate()
        server.wait()


def _wait(server: subprocess.Popen[bytes], endpoint: str) -> None:
    end = time.monotonic() + 120
    while True:
        try:
            with urlopen(f"{endpoint}/moto-api/data.json", timeout=5):
                return
        except (URLError, OSError):
            if server.poll() is not None or time.monotonic() > end:
                raise RuntimeError("moto's server did not start") from None
            time.sleep(0.1)
