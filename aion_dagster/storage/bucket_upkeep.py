"""Upkeep of places in a bucket: how large and old objects are, their old versions, uploads that nobody finished."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final, NamedTuple

from aion_dagster.errors import StorageError
from aion_dagster.storage.bucket import BucketPath, bucket_errors

_NOT_THERE: Final = ("NotImplemented", "MethodNotAllowed")
"""What services answer that do not have an operation."""


class OpenUpload(NamedTuple):
    """An upload in parts that was begun and not finished."""

    place: BucketPath
    id: str
    begun_at: datetime


def entries(place: BucketPath) -> Iterator[tuple[BucketPath, int, datetime]]:
    """Every object below, its bytes, and when it was written."""
    with bucket_errors("list", place):
        for page in _listed(place, "list_objects_v2", place.below):
            for item in page.get("Contents", ()):
                yield BucketPath(place.bucket, item["Key"]), item["Size"], item["LastModified"]


def sizes(place: BucketPath) -> list[tuple[int, datetime]]:
    """Bytes, and when it was written, of every object below; of the object itself where there is none below."""
    found = [(size, moment) for _, size, moment in entries(place)]
    if found:
        return found
    try:
        with bucket_errors("look at", place):
            answer = place.client.head_object(Bucket=place.bucket, Key=place.key)
    except FileNotFoundError:
        return []
    return [(answer["ContentLength"], answer["LastModified"])]


def purge_versions(place: BucketPath) -> int:
    """Remove for good what a bucket with versioning keeps of an object, and of those below, from before.

    What is there now stays. Where the bucket keeps no versions there is nothing to remove.

    Returns:
        How many versions and marks of deletion were removed.

    Raises:
        StorageError: the credentials may not list or delete versions.
    """
    removed = 0
    with bucket_errors("delete old versions of", place):
        for page in _listed(place, "list_object_versions", place.key):
            old = [v for v in page.get("Versions", ()) if not v["IsLatest"]]
            gone = [
                {"Key": each["Key"], "VersionId": each["VersionId"]}
                for each in (*old, *page.get("DeleteMarkers", ()))
                if each["Key"] == place.key or each["Key"].startswith(place.below)
            ]
            if gone:
                wanted = {"Objects": gone, "Quiet": True}
                answer = place.client.delete_objects(Bucket=place.bucket, Delete=wanted)
                for error in answer.get("Errors", ()):
                    raise StorageError(
                        f"Cannot delete an old version of s3://{place.bucket}/{error['Key']}: {error['Code']}."
                    )
            removed += len(gone)
    return removed


def open_uploads(place: BucketPath) -> Iterator[OpenUpload]:
    """Uploads in parts below a place that were begun and not finished."""
    with bucket_errors("list", place):
        for page in _listed(place, "list_multipart_uploads", place.below):
            for item in page.get("Uploads", ()):
                key = BucketPath(place.bucket, item["Key"])
                yield OpenUpload(key, item["UploadId"], item["Initiated"])


def abort_upload(place: BucketPath, upload: str) -> None:
    """Give up an upload in parts: the parts that are there take space."""
    with bucket_errors("delete", place):
        place.client.abort_multipart_upload(Bucket=place.bucket, Key=place.key, UploadId=upload)


def _listed(place: BucketPath, kind: str, begin: str) -> Iterator[dict[str, Any]]:
    """Pages of a listing that not every service has; none where it is not there."""
    from botocore.exceptions import ClientError

    try:
        yield from place.client.get_paginator(kind).paginate(Bucket=place.bucket, Prefix=begin)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") not in _NOT_THERE:
            raise
