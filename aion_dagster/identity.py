"""Names made from content: image ids, batch keys, digests."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from aion_dagster.values import FileRef

_SLUG = re.compile(r"[^a-z0-9]+")
BATCH_KEY_PATTERN = re.compile(r"[a-z0-9-]{1,64}")


def image_id(sha256: str) -> str:
    """The picture's id: a UUID whose bits are the first 122 of its SHA-256 (hex), so the hash can be seen in it."""
    return str(uuid.UUID(hex=sha256[:32], version=5))


def slug(text: str, *, limit: int = 40) -> str:
    """`text` in [a-z0-9-], at most `limit` characters, never empty."""
    return _SLUG.sub("-", text.lower()).strip("-")[:limit].strip("-") or "source"


def digest(value: Any) -> str:
    """SHA-256 (hex) of a JSON-serialisable value, independent of the order of keys."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def manifest_digest(files: Iterable[FileRef]) -> str:
    """SHA-256 (hex) of which file versions a batch holds, independent of their order."""
    return digest(sorted([f.source, f.uri, f.version, f.size_bytes] for f in files))


def batch_key(source: str, files: Iterable[FileRef]) -> str:
    """`<source>-<yyyymmdd of the newest file>-<12 hex of the manifest's digest>`, at most 64 characters.

    The same files give the same key, so that a batch written twice is one batch.
    """
    listed = list(files)
    newest = max((f.modified_at for f in listed), default=datetime(1970, 1, 1, tzinfo=UTC))
    tail = f"-{newest.astimezone(UTC):%Y%m%d}-{manifest_digest(listed)[:12]}"
    return slug(source, limit=64 - len(tail)) + tail
