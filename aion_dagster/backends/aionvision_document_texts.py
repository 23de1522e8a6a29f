"""What the Aionvision platform read in documents: texts, pieces, pages; and the names that it lacks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

from aion_dagster.backends.aionvision_begin import is_hopeless
from aion_dagster.backends.aionvision_document_waiting import Remote
from aion_dagster.backends.aionvision_errors import kind_of, refused_for_good
from aion_dagster.backends.protocol import Original
from aion_dagster.client import AionVision
from aion_dagster.client import errors as api
from aion_dagster.client.limits import PAGE, TAGS, TITLE
from aion_dagster.client.models.documents import DocumentChunk, DocumentDetails
from aion_dagster.client.models.files import UserFile
from aion_dagster.engines import AionvisionConfig

_LARGEST_PAGE = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a document's text."""

    content: str
    page_numbers: list[int]
    headings: list[str]
    token_count: int | None


@dataclass(frozen=True, slots=True)
class RemoteText:
    """What the platform says of a document that it has read; `error` (kind, reason, retryable) where it does not say."""

    text: str = ""
    pieces: tuple[Piece, ...] = ()
    title: str | None = None
    page_count: int | None = None
    error: tuple[str, str, bool] | None = None


@dataclass
class DocumentTexts:
    """Reads texts of documents, several at a time.

    Args:
        config: how the platform is used.
        client: asks it.
    """

    config: AionvisionConfig
    client: AionVision
    _listed: dict[str, UserFile] = field(default_factory=dict, init=False)

    async def look_up(self, documents: Iterable[Remote]) -> None:
        """Names and pages of documents that are going to be read, a hundred in a request."""
        ids = [d.remote_id for d in documents if d.is_read and d.remote_id]
        for start in range(0, len(ids), PAGE):
            page = await self.client.files.list(ids=ids[start : start + PAGE], limit=PAGE)
            self._listed |= {file.id: file for file in page.files}

    async def read(self, wanted: Mapping[str, tuple[Original, Remote]]) -> dict[str, RemoteText]:
        """SHA-256 → what the platform says, of those documents that it has read.

        Raises:
            AuthenticationError, AionvisionPermissionError: the key is refused.
        """
        read = {
            sha: (o, r.remote_id) for sha, (o, r) in wanted.items() if r.is_read and r.remote_id
        }
        asking = [partial(self._text, original, remote) for original, remote in read.values()]
        texts = await self.client.transport.runtime.several(asking, self.config.parallel)
        return dict(zip(read, texts, strict=True))

    async def _text(self, original: Original, remote_id: str) -> RemoteText:
        documents = self.client.documents
        try:
            about = self._listed.get(remote_id) or await documents.get(remote_id)
            title = await self._named(original, about)
            text = await documents.get_text(remote_id)
            chunks = (await documents.get_chunks(remote_id)).chunks
        except api.AionvisionError as error:
            if is_hopeless(error):
                raise
            reason = str(error)
            if isinstance(error, api.ResourceNotFoundError):
                reason = f"it may have been deleted in the remote library ({reason})"
            return RemoteText(error=(kind_of(error), reason, not refused_for_good(error)))
        # A server may list pieces in any order.
        chunks = sorted(chunks, key=lambda c: c.chunk_index or 0)
        pieces = tuple(_piece(chunk) for chunk in chunks if chunk.content.strip())
        return RemoteText(text, pieces, title, about.page_count)

    async def _named(self, original: Original, about: UserFile | DocumentDetails) -> str | None:
        """A document that we sent gets the name of its file as title, and our tags, where it lacks them; the title."""
        if not (about.filename or "").startswith(original.sha256):
            return about.title
        title = None
        if self.config.title == "name" and not about.title:
            title = original.name[:TITLE]
        missing = [tag for tag in self.config.tags if tag not in about.tags]
        if title is not None or missing:
            tags = [*about.tags, *missing][:TAGS] if missing else None
            try:
                await self.client.documents.update(about.id, title=title, tags=tags)
            except api.AionvisionError as error:
                if is_hopeless(error):
                    raise
                return about.title  # Its text is worth more than its name there.
        return title or about.title


def _piece(chunk: DocumentChunk) -> Piece:
    pages = [page for page in chunk.page_numbers or () if 0 < page <= _LARGEST_PAGE]
    tokens = chunk.token_count
    known = tokens is not None and 0 <= tokens <= _LARGEST_PAGE
    return Piece(
        chunk.content, pages, list(chunk.heading_hierarchy or ()), tokens if known else None
    )
