"""What is in an Aionvision account's library, page by page: counts that need no more memory for a large one."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import orjson

from aion_dagster.backends.aionvision import AionvisionBackend
from aion_dagster.client import AionVision
from aion_dagster.client.limits import PAGE
from aion_dagster.client.models.files import UserFile
from aion_dagster.engines import RemoteLibraryConfig

MOST_WORDS: Final = 5_000
"""Different tags (and states, and formats) that are counted; further ones count as `OTHER`."""

OTHER: Final = "…"
_LONGEST_WORD: Final = 60
_SHOWN: Final = 20


@dataclass
class Seen:
    """What a look at the remote library came to.

    Attributes:
        files: files that were read.
        total: files that there are, as the server says.
        is_whole: whether all were read, and not only the first ones.
        size_bytes: their bytes.
        first, last: when the oldest and the newest were created.
    """

    files: int = 0
    total: int = 0
    is_whole: bool = True
    size_bytes: int = 0
    first: datetime | None = None
    last: datetime | None = None
    _counts: dict[str, Counter[str]] = field(default_factory=dict)
    _digest: Any = field(default_factory=lambda: hashlib.blake2b(digest_size=16))

    @property
    def version(self) -> str:
        """Changes whenever a file comes, goes, is described, or gets another title or other tags."""
        return str(self._digest.hexdigest())

    def add(self, file: UserFile) -> None:
        """Count a file."""
        self.files += 1
        self.size_bytes += file.size_bytes
        if file.created_at is not None:
            self.first = min(self.first or file.created_at, file.created_at)
            self.last = max(self.last or file.created_at, file.created_at)
        for what, words in (
            ("media_type", [file.media_type]),
            ("description", [file.description_status]),
            ("variants", [file.variant_status]),
            ("document_text", [file.text_extraction_status]),
            ("crawl", [file.crawl_status]),
            ("tag", file.tags),
        ):
            self._count(what, words)
        marks = [file.id, file.title, sorted(file.tags), file.description_status]
        self._digest.update(orjson.dumps(marks))

    def _count(self, what: str, words: Iterable[str | None]) -> None:
        counts = self._counts.setdefault(what, Counter())
        for word in words:
            if word:
                known = word[:_LONGEST_WORD]
                counts[known if known in counts or len(counts) < MOST_WORDS else OTHER] += 1

    def counts(self, what: str) -> dict[str, int]:
        """The most frequent words of media_type, description, variants, document_text, crawl or tag."""
        return dict(self._counts.get(what, Counter()).most_common(_SHOWN))


def look(backend: AionvisionBackend, wanted: RemoteLibraryConfig) -> Seen:
    """Page through the files that fulfil `wanted`; costs nothing but a request per hundred.

    Raises:
        ConfigError: there is no key.
        UnavailableError: the platform refuses the key, or cannot be reached at all.
    """

    async def ask(client: AionVision) -> Seen:
        return await _look(client, wanted)

    return backend.ask(ask)


async def _look(client: AionVision, wanted: RemoteLibraryConfig) -> Seen:
    seen = Seen()
    while True:
        page = await client.files.list(
            search=wanted.search,
            tags=list(wanted.tags) or None,
            media_types=list(wanted.media_types) or None,
            folder_id=wanted.folder_id,
            has_description=wanted.has_description,
            # The oldest first: what comes meanwhile moves nothing.
            sort_by="created_at",
            sort_order="asc",
            limit=min(PAGE, wanted.most_files - seen.files),
            offset=seen.files,
        )
        seen.total = max(seen.total, page.total_count)
        for file in page.files:
            seen.add(file)
        if not page.files:
            seen.total = max(seen.total, seen.files)
            return seen
        if seen.files >= wanted.most_files:
            seen.is_whole = page.total_count <= seen.files
            return seen
