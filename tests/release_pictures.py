"""The pictures of the committed stores, in a bucket of the same name wherever they are read."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
from PIL import Image

BUCKET = "aion-release-pictures"

FIRST = {
    "cats/one.png": 1,
    "cats/two.png": 2,
    "dogs/three.png": 3,
    "dogs/copy of one.png": 1,
    "gone.png": 4,
}
"""Key → what is drawn."""

SECOND = {
    "cats/one.png": 1,
    "cats/two.png": 12,
    "dogs/three.png": 3,
    "dogs/copy of one.png": 1,
    "five.png": 5,
}


def picture(seed: int) -> bytes:
    """A small picture; the same bytes for ever, whatever encodes JPEG."""
    colors = np.random.default_rng(seed).integers(0, 255, (3, 4, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(colors.repeat(16, axis=0).repeat(16, axis=1)).save(file, "PNG")
    return file.getvalue()


def put_pictures(pictures: Mapping[str, int]) -> None:
    """Have the bucket hold these and nothing else; what is there as it should be stays untouched."""
    import boto3

    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET)
    there = client.list_objects_v2(Bucket=BUCKET).get("Contents", [])
    tags = {item["Key"]: item["ETag"] for item in there}
    for key in tags.keys() - pictures.keys():
        client.delete_object(Bucket=BUCKET, Key=key)
    for key, seed in pictures.items():
        body = picture(seed)
        if tags.get(key) != _etag(body):
            client.put_object(Bucket=BUCKET, Key=key, Body=body)


def _etag(body: bytes) -> str:
    import hashlib

    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
