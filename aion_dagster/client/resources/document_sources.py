"""Documents to send: which files are meant, what they are, and the key under which a repetition is recognised."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Final

from aion_dagster.client import limits
from aion_dagster.client.resources.upload_sources import (
    FileInput,
    Source,
    source_of,
    sources_of,
)

DOCUMENT_TYPES: Final = {
    ".pdf": "application/pdf",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".txt": "text/plain",
    ".md": "text/markdown",
}
"""Suffixes of the documents that the API takes."""

_NAMED: Final = "PDF, DOCX, TXT or MD is expected"


def check_document_type(content_type: str) -> None:
    """A media type of a document.

    Raises:
        ValidationError: the API takes no such documents.
    """
    bare = content_type.partition(";")[0].strip().lower()
    if bare not in DOCUMENT_TYPES.values():
        raise limits.refuse("content_type", f"{content_type!r}, {_NAMED}")


def document_of(file: FileInput, filename: str | None = None, *, field: str = "file") -> Source:
    """A document to send, looked at but not read; what it is, is told by its name.

    Raises:
        ValidationError: it is not there, cannot be read, is empty, too large or of another kind.
    """
    return _document(source_of(file, filename, field=field), field)


def documents_of(
    files: FileInput | Sequence[FileInput],
    filenames: Sequence[str] | None,
    *,
    recursive: bool,
    include_hidden: bool,
) -> list[Source]:
    """The documents to send, folders replaced by the documents in them, ordered by path.

    Raises:
        ValidationError: as `document_of`; or there is none; or names are given for folders.
    """
    listed = _listed(files)
    folders = [file for file in listed if _is_folder(file)]
    if not folders:
        sources = sources_of(listed, filenames)
    elif filenames is not None:
        raise limits.refuse("filenames", "names can be given for files, not for folders")
    else:
        sources = []
        for file in listed:
            if isinstance(file, str | os.PathLike) and _is_folder(file):
                paths = sorted(_documents_in(Path(file), recursive, include_hidden))
                sources += [source_of(path, field="files") for path in paths]
            else:
                sources.append(source_of(file, field="files"))
    if not sources:
        raise limits.refuse("files", "no PDF, DOCX, TXT or MD file is there")
    return [_document(source, "files") for source in sources]


def idempotency_key(source: Source, storage_target: str | None) -> str:
    """The key of a document's upload: the same for the same content under the same name to the same place.

    A server that sees it again takes both for one upload; so other requests must not have it.

    Raises:
        UploadError: the file cannot be read.
    """
    content = hashlib.sha256()
    for piece in source.pieces():
        content.update(piece)
    place = "\n".join((source.name, source.media_type, storage_target or "default"))
    return f"{content.hexdigest()}-{hashlib.sha256(place.encode()).hexdigest()[:16]}"


def _document(source: Source, field: str) -> Source:
    suffix = PurePath(source.name).suffix.lower()
    if suffix not in DOCUMENT_TYPES:
        raise limits.refuse(field, f"{source.name}: {_NAMED}, told by the end of the name")
    source.check(field, limits.DOCUMENT_BYTES)
    return replace(source, media_type=DOCUMENT_TYPES[suffix])


def _documents_in(folder: Path, recursive: bool, include_hidden: bool) -> Iterator[Path]:
    for where, folders, names in os.walk(folder, onerror=_unreadable):
        folders[:] = [f for f in folders if recursive and (include_hidden or f[0] != ".")]
        for name in names:
            path = Path(where, name)
            seen = include_hidden or name[0] != "."
            if seen and path.suffix.lower() in DOCUMENT_TYPES and path.is_file():
                yield path


def _listed(files: FileInput | Sequence[FileInput]) -> list[FileInput]:
    if isinstance(files, str | os.PathLike | bytes | bytearray | memoryview) or hasattr(
        files, "read"
    ):
        return [files]  # type: ignore[list-item]  # whatever can be read
    return list(files)


def _is_folder(file: FileInput) -> bool:
    return isinstance(file, str | os.PathLike) and Path(file).is_dir()


def _unreadable(error: OSError) -> None:
    raise limits.refuse("files", f"{error.filename}: {error.strerror}") from error
