"""Objects of a bucket as file versions: keys, URIs, names, versions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote, unquote

from aion_dagster.errors import SourceError
from aion_dagster.values import FileRef

_ID: Final = "id:"
_LONGEST_ID: Final = 180
"""Versions have a column of 200 characters; ids of AWS have 32."""

ARCHIVED: Final = frozenset({"GLACIER", "DEEP_ARCHIVE"})
"""Storage classes whose objects cannot be read before somebody restores them."""

# Parts of a key that would not do as parts of a path: empty, . and .., and characters that do not print.
_ODD = re.compile(r"(?:^|/)\.{0,2}(?:/|$)|[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Condition:
    """What a request names so that it gets one version and no other."""

    version_id: str | None
    etag: str | None


class Bucket:
    """Names of the objects below a prefix of a bucket."""

    def __init__(self, source: str, bucket: str, prefix: str) -> None:
        """`source` is the source's name."""
        self.name, self.prefix = bucket, prefix
        self._source = source
        self._uris = f"s3://{bucket}/"
        # A prefix may end within a name: what files are called is relative to the folder that it is in.
        self._root = len(prefix[: prefix.rfind("/") + 1])

    def uri(self, key: str) -> str:
        """`s3://bucket/` and the key, every byte outside the unreserved characters and slashes percent-encoded."""
        return self._uris + quote(key)

    def key(self, uri: str) -> str:
        """The key of an object by its URI.

        Raises:
            SourceError: it is in another bucket, or none.
        """
        if not uri.startswith(self._uris):
            raise SourceError(f"{uri} is no object of the bucket {self.name}.")
        return unquote(uri.removeprefix(self._uris))

    def file_name(self, key: str) -> str:
        """The key relative to the prefix's folder, such that it does as a relative path."""
        name = key[self._root :]
        if _ODD.search(name) is None:
            return name
        parts = [
            part.replace(".", "%2E") if part in (".", "..") else part
            for part in name.split("/")
            if part
        ]
        return _UNPRINTABLE.sub(lambda found: f"\\x{ord(found[0]):02x}", "/".join(parts))

    def reference(self, key: str, found: Mapping[str, Any], *, version_ids: bool) -> FileRef:
        """The file version that a listing or a HEAD request tells of (`Size`, `LastModified`, `ETag`, `VersionId`)."""
        moment: datetime = found["LastModified"]
        size: int = found["Size"]
        return FileRef(
            source=self._source,
            uri=self.uri(key),
            name=self.file_name(key),
            version=version_of(found, size, version_ids=version_ids),
            size_bytes=size,
            modified_at=moment.astimezone(UTC),
        )


def version_of(found: Mapping[str, Any], size: int, *, version_ids: bool) -> str:
    """`id:<version id>`, or `<ETag>-<size>` where ids are not asked for, or the bucket gives none that stays."""
    version_id = found.get("VersionId")
    # Objects from before versioning, or from when it was suspended, have the id null and can be overwritten.
    if version_ids and version_id and version_id != "null" and len(version_id) <= _LONGEST_ID:
        return f"{_ID}{version_id}"
    return f"{str(found.get('ETag') or '').strip(chr(34))}-{size}"


def condition(version: str) -> Condition:
    """How to ask for a version."""
    if version.startswith(_ID):
        return Condition(version.removeprefix(_ID), None)
    etag = version.rpartition("-")[0]
    return Condition(None, f'"{etag}"' if etag else None)
