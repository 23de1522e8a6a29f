"""The documents of one batch: rows and pieces in the store's tables, nothing read twice."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, cast, runtime_checkable

import pyarrow as pa

from aion_dagster.backends.document_rows import (
    Embed,
    chunk_tables,
    content_facts,
    documents_table,
    located,
    refused,
)
from aion_dagster.backends.document_settings import DocumentSettings, document_parameters
from aion_dagster.backends.forgotten import FORGOTTEN
from aion_dagster.backends.known_documents import KnownDocuments
from aion_dagster.backends.protocol import VisionBackend
from aion_dagster.compute.documents.chunks import ChunkSettings, chunk
from aion_dagster.compute.documents.document import DocumentType
from aion_dagster.compute.documents.identifiers import document_id
from aion_dagster.compute.documents.ocr import ReadPage
from aion_dagster.compute.documents.reader import DocumentReader
from aion_dagster.compute.documents.tokens import WORDS, TokenOffsets, word_offsets
from aion_dagster.document_names import DOCUMENT_EXTENSIONS, document_type
from aion_dagster.errors import FileTooLargeError, SourceError
from aion_dagster.identity import digest
from aion_dagster.storage.staged import StagedTable
from aion_dagster.storage.store import Store
from aion_dagster.values import FileRef

__all__ = ["DocumentSettings", "DocumentTables", "compute_documents", "document_parameters"]

_FORMATS: Final = frozenset(DOCUMENT_EXTENSIONS.values())


@dataclass
class DocumentTables:
    """What was made of a batch's documents; `chunks` is on disk already and waits to be committed.

    Attributes:
        documents: a row per file, schema `DOCUMENTS`, in the order of the files.
        chunks: pieces of each distinct document, schema `DOCUMENT_CHUNKS`; commit or discard it.
        reused: files whose content had results in an earlier batch.
        finished: contents (SHA-256) whose results may be reused.
    """

    documents: pa.Table
    chunks: StagedTable
    reused: int
    finished: list[str]

    @property
    def unfinished(self) -> list[str]:
        """Contents (SHA-256) that another time may bring text of."""
        again = self.documents.filter(self.documents["is_retryable"])
        return sorted({sha or "" for sha in again["sha256"].to_pylist()})

    @property
    def failed(self) -> int:
        """Files without text."""
        statuses: list[str] = self.documents["text_extraction_status"].to_pylist()
        return len(statuses) - statuses.count("completed")


def compute_documents(
    batch: str,
    files: Sequence[FileRef],
    read: Callable[[FileRef], bytes],
    store: Store,
    settings: DocumentSettings,
    backend: VisionBackend,
    advance: Callable[[int], None],
) -> DocumentTables:
    """Read `files`, whose names say document; contents that an earlier batch has read are copied from its tables.

    One document is held at a time, its pieces a few hundred at a time. Vectors come from `backend` where it has a text
    model, whose tokenizer then measures the pieces; else the built-in one does and the vectors are null.

    Raises:
        UnavailableError: a library of the extra `documents` is missing.
    """
    staged = store.tables.stage("document_chunks", batch=batch)
    measure = _tokens(backend)
    pieces = settings.chunks(measure.longest)
    work = _Work(settings, pieces, staged, measure, *vectors_of(backend))
    known = KnownDocuments(
        batch, store, settings.operation(), document_parameters(settings, backend)
    )
    scans, missing = _scan_reader(settings, backend)
    rows: list[dict[str, Any]] = []
    try:
        with DocumentReader(settings.limits()) as reader:
            for ref in files:
                rows.append(work.row(ref, read, reader, known, scans, missing))
                advance(1)
        known.copy_pieces(staged)
    except BaseException:
        staged.discard()
        raise
    return DocumentTables(documents_table(rows), staged, known.reused, sorted(work.finished))


@dataclass(frozen=True)
class _Measure:
    """A tokenizer, its name, and how many tokens its model heeds, None without a model."""

    offsets: TokenOffsets
    name: str
    longest: int | None = None


@dataclass
class _Work:
    """The tables of a batch as they grow."""

    settings: DocumentSettings
    pieces: ChunkSettings
    staged: StagedTable
    measure: _Measure
    embed: Embed | None
    model: str | None
    finished: set[str] = field(default_factory=set)
    _facts: dict[str, dict[str, Any]] = field(default_factory=dict)

    def row(
        self,
        ref: FileRef,
        read: Callable[[FileRef], bytes],
        reader: DocumentReader,
        known: KnownDocuments,
        scans: ReadPage | None,
        missing: str | None,
    ) -> dict[str, Any]:
        """The row of one file; its pieces are written on the way."""
        if ref.size_bytes > self.settings.max_bytes:
            return refused(ref, "too_large", _too_many_bytes(ref.size_bytes, self.settings))
        try:
            data = read(ref)
        except FileTooLargeError as error:
            return refused(ref, "too_large", str(error))
        except (SourceError, OSError) as error:
            return refused(ref, "unreadable", str(error) or type(error).__name__)
        sha256 = hashlib.sha256(data).hexdigest()
        if known.is_forgotten(sha256):
            return refused(ref, "unsupported", FORGOTTEN)
        if sha256 not in self._facts:
            facts = known.facts(sha256)
            if facts is not None:
                self.finished.add(sha256)
            self._facts[sha256] = facts or self._new(ref, data, sha256, reader, scans, missing)
        return located(self._facts[sha256], ref)

    def _new(
        self,
        ref: FileRef,
        data: bytes,
        sha256: str,
        reader: DocumentReader,
        scans: ReadPage | None,
        missing: str | None,
    ) -> dict[str, Any]:
        name = document_id(sha256)
        document = reader.extract(data, document_type=_proposed(ref), ocr=scans)
        parameters = digest([self.settings.parameters(), self.measure.name])
        before = self.staged.rows
        pieces = chunk(document, self.measure.offsets, self.pieces)
        for table in chunk_tables(name, pieces, parameters, self.embed, self.model):
            self.staged.append(table)
        if not document.transient:
            self.finished.add(sha256)
        facts = content_facts(
            document,
            sha256=sha256,
            document_id=name,
            size=len(data),
            chunks=self.staged.rows - before,
        )
        if missing and document.textless_pages:
            facts["error"] = f"{facts['error']}; {missing}"
        return facts


def _proposed(ref: FileRef) -> DocumentType:
    return cast("DocumentType", document_type(ref.name, _FORMATS) or "txt")


def _too_many_bytes(size: int, settings: DocumentSettings) -> str:
    return f"the file has {size} bytes, more than max_bytes = {settings.max_bytes}"


class _Encoder(Protocol):
    @property
    def longest(self) -> int: ...

    def token_offsets(self, text: str) -> list[tuple[int, int]]: ...


@runtime_checkable
class _HasEncoder(Protocol):
    """A backend with a text model of its own."""

    def text_encoder(self) -> _Encoder: ...


def _tokens(backend: VisionBackend) -> _Measure:
    """What measures pieces: the text model's tokenizer where there is one."""
    if backend.unavailable("embed_text") is None and isinstance(backend, _HasEncoder):
        encoder = backend.text_encoder()
        return _Measure(encoder.token_offsets, backend.identity("embed_text"), encoder.longest)
    return _Measure(word_offsets, WORDS)


def vectors_of(backend: VisionBackend) -> tuple[Embed | None, str | None]:
    """What makes vectors of pieces, and its name; nothing where there is no text model."""
    if backend.unavailable("embed_text") is not None:
        return None, None
    return backend.embed_text, backend.identity("embed_text")


def _scan_reader(
    settings: DocumentSettings, backend: VisionBackend
) -> tuple[ReadPage | None, str | None]:
    """What reads scanned pages, or why nothing does."""
    if not settings.ocr:
        return None, "switch on text detection (detect: text) to have such pages read"
    missing = backend.unavailable("text")
    if missing is not None:
        return None, missing
    from aion_dagster.backends.document_scans import page_reader

    return page_reader(backend), None
