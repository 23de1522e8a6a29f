"""What kind of document some bytes are: the content decides, the name only proposes."""

from __future__ import annotations

import zipfile
from io import BytesIO
from typing import Final

from aion_dagster.compute.documents.document import DocumentType, ExtractionError
from aion_dagster.compute.documents.text_encoding import is_text

_PDF_HEADER_WITHIN: Final = 1024
"""PDF readers accept junk before the header up to here (ISO 32000-1, annex H, note 13)."""

_OTHERS: Final = (
    (0, b"\xff\xd8\xff", "a JPEG picture"),
    (0, b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (0, b"GIF8", "a GIF picture"),
    (8, b"WEBP", "a WebP picture"),
    (0, b"II*\x00", "a TIFF picture"),
    (0, b"MM\x00*", "a TIFF picture"),
    (0, b"{\\rtf", "a Rich Text document"),
    (0, b"%!PS", "a PostScript document"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"Rar!", "a RAR archive"),
    (4, b"ftyp", "a video"),
)
_OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED_PACKAGE: Final = "EncryptedPackage".encode("utf-16-le")
_ARCHIVES: Final = (
    ("word/", "a Word file of another kind than DOCX"),
    ("xl/", "a spreadsheet"),
    ("ppt/", "a presentation"),
    ("META-INF/container.xml", "an EPUB book"),
    ("content.xml", "an OpenDocument file"),
)
_MAIN_PART: Final = b"wordprocessingml.document.main+xml"


def kind_of(data: bytes, proposed: DocumentType) -> DocumentType:
    """What `data` is. Text has no signature, so only a name that says txt or md makes a text of it.

    Raises:
        ExtractionError: `empty`; `unsupported` for what is something else; `encrypted` for a locked office file;
            `unreadable` for what is nothing recognisable.
    """
    if not data:
        raise ExtractionError("empty", "the file has 0 bytes")
    as_text = proposed in ("txt", "md")
    header = data.find(b"%PDF-", 0, _PDF_HEADER_WITHIN)
    if header == 0 or (header > 0 and not as_text):
        return "pdf"
    if data.startswith(_OLE):
        raise _ole(data)
    for offset, magic, meaning in _OTHERS:
        if data.startswith(magic, offset):
            raise ExtractionError("unsupported", f"its content is {meaning}, not a document")
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _archive(data, proposed)
    if as_text:
        if is_text(data):
            return proposed
        raise ExtractionError("unsupported", f"not a text: it begins with {data[:8].hex(' ')}")
    raise _unrecognised(data, proposed)


def _unrecognised(data: bytes, proposed: DocumentType) -> ExtractionError:
    what = {"pdf": "no PDF header", "docx": "not a ZIP archive"}[proposed]
    if is_text(data[:4096]):
        start = data[:24].decode("utf-8", "replace")
        return ExtractionError(
            "unreadable", f"{what}: a text that begins {start!r}; name it .txt to have it read"
        )
    return ExtractionError("unreadable", f"{what}: it begins with {data[:8].hex(' ')}")


def _ole(data: bytes) -> ExtractionError:
    if _ENCRYPTED_PACKAGE in data:
        return ExtractionError("encrypted", "the office file is locked by a password")
    return ExtractionError("unsupported", "an office file from before 2007; save it as DOCX or PDF")


def _archive(data: bytes, proposed: DocumentType) -> DocumentType:
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            names = set(archive.namelist())
            if "[Content_Types].xml" in names:
                with archive.open("[Content_Types].xml") as part:
                    if _MAIN_PART in part.read(2**20):
                        return "docx"
    except Exception as error:  # zipfile raises almost anything on damaged archives
        if isinstance(error, MemoryError):
            raise
        if proposed == "docx":
            reason = f"the archive is damaged or cut off ({error})"
            raise ExtractionError("unreadable", reason) from error
        raise ExtractionError("unsupported", "its content is a damaged ZIP archive") from error
    for mark, meaning in _ARCHIVES:
        if any(name.startswith(mark) for name in names):
            raise ExtractionError("unsupported", f"its content is {meaning}, not a document")
    raise ExtractionError("unsupported", "its content is a ZIP archive, not a document")
