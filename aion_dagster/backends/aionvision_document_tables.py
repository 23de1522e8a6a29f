"""The documents of one batch as the Aionvision platform reads them: the same rows and pieces as of local reading."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from aion_dagster.backends.aionvision import AionvisionBackend
from aion_dagster.backends.aionvision_document_texts import DocumentTexts, RemoteText
from aion_dagster.backends.aionvision_document_waiting import Remote
from aion_dagster.backends.aionvision_documents import DocumentSender
from aion_dagster.backends.calls import CallJournal
from aion_dagster.backends.document_rows import (
    documents_table,
    located,
    piece_tables,
    refused,
)
from aion_dagster.backends.document_settings import REMOTE_OPERATION, remote_document_parameters
from aion_dagster.backends.documents import DocumentTables, vectors_of
from aion_dagster.backends.forgotten import FORGOTTEN
from aion_dagster.backends.known_documents import KnownDocuments
from aion_dagster.backends.originals import Reader
from aion_dagster.backends.protocol import Original
from aion_dagster.client import AionVision
from aion_dagster.client.limits import DOCUMENT_BYTES
from aion_dagster.compute.documents.document import MEDIA_TYPES
from aion_dagster.compute.documents.identifiers import chunk_id, document_id
from aion_dagster.document_names import DOCUMENT_EXTENSIONS, document_type
from aion_dagster.errors import FileTooLargeError, SourceError
from aion_dagster.storage.staged import StagedTable
from aion_dagster.storage.store import Store
from aion_dagster.values import FileRef

_FORMATS: Final = frozenset(DOCUMENT_EXTENSIONS.values())

Facts = dict[str, Any]


def read_remotely(
    batch: str,
    files: Sequence[FileRef],
    reader: Reader,
    store: Store,
    backend: AionvisionBackend,
    calls: CallJournal,
    advance: Callable[[int], None],
) -> DocumentTables:
    """Have `files`, whose names say document, read by the platform; contents that an earlier batch has are copied.

    A few documents' texts are held at a time. Vectors are made on this machine, where it has a text model.

    Raises:
        ConfigError: there is no key.
        UnavailableError: the platform refuses the key, or cannot be reached at all.
    """
    parameters = remote_document_parameters(backend.engine, backend)
    known = KnownDocuments(batch, store, REMOTE_OPERATION, parameters)
    work = _Work(reader, known, advance)
    rows = [work.place(ref) for ref in files]
    staged = store.tables.stage("document_chunks", batch=batch)
    pieces = _Pieces(staged, backend, parameters)

    async def ask(client: AionVision) -> dict[str, Facts]:
        if not work.originals:
            return {}
        sender = DocumentSender(backend.config, client, calls, backend.engine)
        remote = await sender.read(list(work.originals.values()))
        texts = DocumentTexts(backend.config, client)
        await texts.look_up(remote.values())
        facts: dict[str, Facts] = {}
        for some in _windows(work.originals, backend.config.parallel):
            found = await texts.read({sha: (o, remote[sha]) for sha, o in some.items()})
            for sha, original in some.items():
                facts[sha] = pieces.facts(original, remote[sha], found.get(sha))
                advance(work.files[sha])
        return facts

    try:
        facts = work.known_facts | backend.ask(ask)
        known.copy_pieces(staged)
    except BaseException:
        staged.discard()
        raise
    table = documents_table([row if ref is None else located(facts[row], ref) for ref, row in rows])
    finished = [sha for sha, row in facts.items() if not row["is_retryable"]]
    return DocumentTables(table, staged, known.reused, sorted(finished))


@dataclass
class _Work:
    """Which contents the files hold, and which of them are known."""

    reader: Reader
    known: KnownDocuments
    advance: Callable[[int], None]
    originals: dict[str, Original] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    known_facts: dict[str, Facts] = field(default_factory=dict)

    def place(self, ref: FileRef) -> tuple[FileRef | None, Any]:
        """A file and its content's SHA-256; or None and its row, where there is nothing to be read."""
        if ref.size_bytes > DOCUMENT_BYTES:
            reason = f"{ref.size_bytes} bytes: the platform takes {DOCUMENT_BYTES} at most"
            return self._done(refused(ref, "too_large", reason))
        try:
            sha256 = self._hash(ref)
        except FileTooLargeError as error:
            return self._done(refused(ref, "too_large", str(error)))
        except (SourceError, OSError) as error:
            return self._done(refused(ref, "unreadable", str(error) or type(error).__name__))
        if self.known.is_forgotten(sha256):
            return self._done(refused(ref, "unsupported", FORGOTTEN))
        self._know(sha256, ref)
        return ref, sha256

    def _done(self, row: Facts) -> tuple[None, Facts]:
        self.advance(1)
        return None, row

    def _know(self, sha256: str, ref: FileRef) -> None:
        if sha256 in self.originals:
            self.files[sha256] += 1
            return
        facts = self.known_facts.get(sha256) or self.known.facts(sha256)
        if facts is not None:
            self.known_facts[sha256] = facts
            self.advance(1)
            return
        self.files[sha256] = 1
        kind = document_type(ref.name, _FORMATS) or "txt"
        self.originals[sha256] = Original(
            document_id(sha256),
            sha256,
            ref.name.rpartition("/")[2],
            MEDIA_TYPES[kind],
            ref.size_bytes,
            partial(self._open, ref),
        )

    def _open(self, ref: FileRef) -> Path | bytes:
        return self.reader.local_path(ref) or self.reader.read(ref)

    def _hash(self, ref: FileRef) -> str:
        path = self.reader.local_path(ref)
        if path is None:
            return hashlib.sha256(self.reader.read(ref)).hexdigest()
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass
class _Pieces:
    """Rows of documents, and their pieces in the table that is being written."""

    staged: StagedTable
    backend: AionvisionBackend
    parameters: str

    def facts(self, original: Original, remote: Remote, text: RemoteText | None) -> Facts:
        """What `documents` says about a content; its pieces are written."""
        facts: Facts = {
            "document_id": original.image_id,
            "sha256": original.sha256,
            "size_bytes": original.size_bytes,
            "media_type": original.media_type,
            "document_type": _kind_of(original),
            "engine": self.backend.engine,
            "text_extraction_status": remote.status,
            "error": remote.error,
            "error_type": remote.error_type,
            "is_retryable": remote.is_retryable,
            "remote_id": remote.remote_id,
            "chunk_count": 0,
            "character_count": 0,
        }
        if text is None:
            return facts
        if text.error is not None:
            kind, reason, retryable = text.error
            lost = {"error": reason, "error_type": kind, "is_retryable": retryable}
            return {**facts, **lost, "text_extraction_status": "failed"}
        before = self.staged.rows
        for table in piece_tables(self._rows(original.image_id, text), *vectors_of(self.backend)):
            self.staged.append(table)
        return {
            **facts,
            "title": text.title,
            "page_count": text.page_count,
            "character_count": len(text.text),
            "chunk_count": self.staged.rows - before,
        }

    def _rows(self, document: str, text: RemoteText) -> Iterator[Facts]:
        place = 0
        for index, piece in enumerate(text.pieces):
            start = text.text.find(piece.content, place)
            start = start if start >= 0 else text.text.find(piece.content)
            place = max(place, start)
            yield {
                "document_id": document,
                "chunk_id": chunk_id(document, index, self.parameters),
                "chunk_index": index,
                "content": piece.content,
                "page_numbers": piece.page_numbers,
                "heading_hierarchy": piece.headings,
                "start_offset": start if start >= 0 else None,
                "end_offset": start + len(piece.content) if start >= 0 else None,
                "token_count": piece.token_count,
            }


def _kind_of(original: Original) -> str:
    return next(kind for kind, media in MEDIA_TYPES.items() if media == original.media_type)


def _windows(originals: Mapping[str, Original], size: int) -> Iterator[dict[str, Original]]:
    items = list(originals.items())
    for start in range(0, len(items), size):
        yield dict(items[start : start + size])
