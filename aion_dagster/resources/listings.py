"""Listings of buckets read by hand: boto3 takes four times as long to make dictionaries of a page as to parse its XML."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from xml.etree import ElementTree as ET

_EVENT: Final = "before-parse.s3.ListObjectsV2"
_OPTIONAL: Final = ("ETag", "StorageClass")


def read_listings(client: Any, moment: Callable[[str], datetime]) -> None:
    """Have a client of S3 answer `list_objects_v2` sooner; of each object it names what a source asks for.

    That is `Key`, `LastModified`, `ETag`, `Size` and `StorageClass`. Answers that are not as they should be are left to
    boto3, and so is everything in them beside the objects.

    Args:
        client: of boto3.
        moment: reads a time.
    """

    def take_objects(
        response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_more: Any
    ) -> None:
        body = response_dict["body"]
        # Only a document with a declaration of its own can grow while it is parsed.
        if response_dict["status_code"] != 200 or b"<!" in body:
            return
        try:
            root = ET.fromstring(body)  # noqa: S314 - see above
            space, _, name = root.tag.rpartition("ListBucketResult")
            if name:
                return
            found = root.findall(f"{space}Contents")
            objects = [_object(child, space, moment) for child in found]
        except (ET.ParseError, ValueError):
            return
        for child in found:
            root.remove(child)
        response_dict["body"] = ET.tostring(root)
        if objects:
            customized_response_dict["Contents"] = objects

    client.meta.events.register(_EVENT, take_objects)


def _object(element: ET.Element, space: str, moment: Callable[[str], datetime]) -> dict[str, Any]:
    """An object; `space` is what tags begin with: a namespace, which not every service gives."""
    key = element.findtext(f"{space}Key")
    if not key:
        raise ValueError("An object has a key.")
    found: dict[str, Any] = {
        "Key": key,
        "LastModified": moment(element.findtext(f"{space}LastModified", "")),
        "Size": int(element.findtext(f"{space}Size", "")),
    }
    for name in _OPTIONAL:
        text = element.findtext(space + name)
        if text is not None:
            found[name] = text
    return found
