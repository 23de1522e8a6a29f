"""How a process comes to buckets: boto3's client and Arrow's file systems, made once for what the environment says."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

from pyarrow import fs

from aion_dagster.errors import StorageError, UnavailableError

_CONNECT_SECONDS: Final = 10
_REQUEST_SECONDS: Final = 60

_Access = tuple[tuple[str, str], ...]


def _access() -> _Access:
    """What the environment says of AWS. A client keeps the credentials it was made with, the lack of any too."""
    return tuple(sorted((k, v) for k, v in os.environ.items() if k.startswith("AWS_")))


def client() -> Any:
    """boto3's client.

    Raises:
        UnavailableError: the extra `aws` is not installed.
    """
    return _client(os.getpid(), _access())


def filesystem(bucket: str) -> fs.FileSystem:
    """Arrow's way to the objects of a bucket.

    Raises:
        StorageError: the bucket is not found.
    """
    return _filesystem(bucket, os.getpid(), _access())


def _endpoint() -> str | None:
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or None


@lru_cache(maxsize=4)
def _client(_process: int, _settings: _Access) -> Any:
    """One per process and access; boto3's clients may be shared by threads, but not by forked processes."""
    try:
        import boto3
        from botocore.config import Config
    except ImportError as error:
        raise UnavailableError(
            "A store in a bucket needs the extra 'aws': pip install 'aion_dagster[aws]'"
        ) from error

    config = Config(
        retries={"mode": "standard", "max_attempts": 8},
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_REQUEST_SECONDS,
        s3={"addressing_style": "path"} if _endpoint() else None,
    )
    return boto3.session.Session().client("s3", config=config)


@lru_cache(maxsize=16)
def _filesystem(bucket: str, _process: int, _settings: _Access) -> fs.FileSystem:
    """One per process, bucket and access: it holds connections and credentials that renew themselves."""
    endpoint = _endpoint()
    options: dict[str, Any] = {
        "connect_timeout": _CONNECT_SECONDS,
        "request_timeout": _REQUEST_SECONDS,
    }
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if endpoint is not None:
        address = urlsplit(endpoint)
        options |= {"endpoint_override": address.netloc, "scheme": address.scheme}
    elif region is None:
        try:
            region = fs.resolve_s3_region(bucket)
        except OSError as error:
            raise StorageError(f"The bucket {bucket!r} cannot be found: {error}.") from error
    if region is not None:
        options["region"] = region
    return fs.S3FileSystem(**options)
