"""A place in a bucket of S3 or of a service that speaks its protocol, used like a path of `pathlib`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from pyarrow import fs

from aion_dagster.errors import StorageError
from aion_dagster.storage.bucket_access import client, filesystem

SCHEME: Final = "s3"
_REASONS: Final = {
    "NoSuchBucket": "there is no such bucket",
    "AccessDenied": "access denied; these credentials may not do this here",
    "403": "access denied; these credentials may not do this here",
    "InvalidAccessKeyId": "the access key is not known there",
    "SignatureDoesNotMatch": "the secret key does not fit the access key",
    "ExpiredToken": "the credentials have expired",
}


class BucketPath:
    """A key, or what several keys begin with, in a bucket; the part of `pathlib.Path` that a store needs.

    One object appears at once, as a whole; there is no rename. "Folders" are what keys begin with, so none is ever
    made, and none is empty. Credentials come from the usual chain of AWS (environment, profile, role), the endpoint
    from `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL`, the region from `AWS_REGION`, the profile or the bucket itself.
    """

    __slots__ = ("_bucket", "_key")

    def __init__(self, bucket: str, key: str = "") -> None:
        """`key` without a slash at either end; empty for the whole bucket."""
        self._bucket, self._key = bucket, key

    @classmethod
    def parse(cls, uri: str) -> BucketPath:
        """The place that an `s3://bucket/prefix` names.

        Raises:
            StorageError: it names none.
        """
        parts = urlsplit(uri, allow_fragments=False)
        key = unquote(parts.path).strip("/")
        if parts.scheme.lower() != SCHEME or not parts.netloc or "@" in parts.netloc or parts.query:
            raise StorageError(
                f"The store {uri!r} is no place in a bucket: write s3://bucket/prefix."
            )
        if any(part in ("", ".", "..") for part in key.split("/")) and key:
            raise StorageError(f"The store {uri!r} has an empty part, '.' or '..' in its path.")
        return cls(parts.netloc, key)

    @property
    def bucket(self) -> str:
        """The bucket's name."""
        return self._bucket

    @property
    def key(self) -> str:
        """The key, or what keys begin with."""
        return self._key

    @property
    def address(self) -> str:
        """How `filesystem` names it."""
        return f"{self._bucket}/{self._key}" if self._key else self._bucket

    @property
    def filesystem(self) -> fs.FileSystem:
        """Arrow's view of the bucket."""
        return filesystem(self._bucket)

    @property
    def name(self) -> str:
        """The last part."""
        return self._key.rpartition("/")[2]

    @property
    def stem(self) -> str:
        """The last part without its suffix."""
        return self.name.rpartition(".")[0] or self.name

    @property
    def suffix(self) -> str:
        """The last dot of the last part, and what follows it."""
        before, dot, after = self.name.rpartition(".")
        return dot + after if before else ""

    @property
    def parent(self) -> BucketPath:
        """What this lies in."""
        return BucketPath(self._bucket, self._key.rpartition("/")[0])

    def joinpath(self, *parts: str) -> BucketPath:
        """A place below this one."""
        found = self
        for part in parts:
            found = found / part
        return found

    def as_uri(self) -> str:
        """`s3://bucket/key`, characters outside the usual ones percent-encoded."""
        return f"{SCHEME}://{self._bucket}/{quote(self._key)}"

    def is_file(self) -> bool:
        """Whether there is an object of this key."""
        return self.version() is not None

    def is_dir(self) -> bool:
        """Whether there is an object below."""
        return next(self._pages(PaginationConfig={"MaxItems": 1}), None) is not None

    def exists(self) -> bool:
        """Whether there is anything here."""
        return self.is_file() or self.is_dir()

    def iterdir(self) -> Iterator[BucketPath]:
        """What lies right below, in the order of keys; nothing where nothing does."""
        start = len(self.below)
        names = set()
        for page in self._pages(Delimiter="/"):
            names |= {item["Prefix"][start:-1] for item in page.get("CommonPrefixes", ())}
            names |= {item["Key"][start:] for item in page.get("Contents", ())}
        return (self / name for name in sorted(names - {""}))

    def files(self) -> Iterator[BucketPath]:
        """Every object below, at any depth, in the order of keys."""
        for page in self._pages():
            for item in page.get("Contents", ()):
                if not item["Key"].endswith("/"):
                    yield BucketPath(self._bucket, item["Key"])

    def versions(self) -> Iterator[tuple[str, int, str]]:
        """Name below this place, size and version (the ETag) of every object below, in the order of keys."""
        start = len(self.below)
        for page in self._pages():
            for item in page.get("Contents", ()):
                if not item["Key"].endswith("/"):
                    yield item["Key"][start:], int(item["Size"]), str(item["ETag"])

    def read_bytes(self) -> bytes:
        """The object.

        Raises:
            FileNotFoundError: there is none.
        """
        with bucket_errors("read", self):
            answer = self.client.get_object(Bucket=self._bucket, Key=self._key)
            return bytes(answer["Body"].read())

    def write_bytes(self, data: bytes) -> int:
        """Put an object here, in place of an older one."""
        with bucket_errors("write", self):
            self.client.put_object(Bucket=self._bucket, Key=self._key, Body=data)
        return len(data)

    def upload(self, file: Path) -> None:
        """Put a file of this machine here, in place of an older object: a reader sees the old one or the new one."""
        with bucket_errors("write", self):
            self.client.upload_file(str(file), self._bucket, self._key)

    def download(self, file: Path) -> None:
        """Copy the object into a file of this machine.

        Raises:
            FileNotFoundError: there is none.
        """
        with bucket_errors("read", self):
            self.client.download_file(self._bucket, self._key, str(file))

    def version(self) -> str | None:
        """What changes with every write (the ETag); None where there is no object."""
        try:
            with bucket_errors("look at", self):
                return str(self.client.head_object(Bucket=self._bucket, Key=self._key)["ETag"])
        except FileNotFoundError:
            return None

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove the object.

        Raises:
            FileNotFoundError: there is none.
        """
        if not missing_ok and not self.is_file():
            raise FileNotFoundError(self.as_uri())
        with bucket_errors("delete", self):
            self.client.delete_object(Bucket=self._bucket, Key=self._key)

    def remove_tree(self) -> None:
        """Remove every object below."""
        with bucket_errors("delete", self):
            for page in self._pages():
                keys = [{"Key": item["Key"]} for item in page.get("Contents", ())]
                if keys:
                    self.client.delete_objects(
                        Bucket=self._bucket, Delete={"Objects": keys, "Quiet": True}
                    )

    @property
    def below(self) -> str:
        """What the keys of objects below begin with."""
        return f"{self._key}/" if self._key else ""

    @property
    def client(self) -> Any:
        """boto3's client for the bucket."""
        return client()

    def _pages(self, **options: Any) -> Iterator[dict[str, Any]]:
        """Pages of a listing of what lies below; none where nothing does."""
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self.below, **options
        )
        with bucket_errors("list", self):
            for page in pages:
                if page.get("KeyCount", 0) or page.get("CommonPrefixes"):
                    yield page

    def __truediv__(self, part: str) -> BucketPath:
        """A place below this one."""
        return BucketPath(self._bucket, f"{self._key}/{part}" if self._key else part)

    def __str__(self) -> str:
        """`s3://bucket/key` as it is read."""
        return f"{SCHEME}://{self._bucket}/{self._key}"

    def __repr__(self) -> str:
        """As `str`."""
        return f"BucketPath({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        """Whether both name the same place."""
        return isinstance(other, BucketPath) and str(self) == str(other)

    def __lt__(self, other: BucketPath) -> bool:
        """By bucket and key."""
        return str(self) < str(other)

    def __hash__(self) -> int:
        """Of bucket and key."""
        return hash(str(self))


@contextmanager
def bucket_errors(doing: str, place: BucketPath) -> Iterator[None]:
    """Turn what boto3 raises into a StorageError that says what could not be done; missing objects into its OSError."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in ("404", "NoSuchKey", "NotFound"):
            raise FileNotFoundError(place.as_uri()) from None
        raise StorageError(
            f"Cannot {doing} {place}: {_REASONS.get(code, code or str(error))}."
        ) from error
    except (BotoCoreError, Boto3Error) as error:
        raise StorageError(f"Cannot {doing} {place}: {error}.") from error
