"""Which files are taken for documents: by extension, among the formats that were asked for."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

DOCUMENT_EXTENSIONS: Final = {
    "pdf": "pdf",
    "docx": "docx",
    "txt": "txt",
    "md": "md",
    "markdown": "md",
}
"""Extension → document format."""


def document_type(name: str, formats: Collection[str]) -> str | None:
    """The format of a file that counts as a document; None for one that may be a picture.

    The name decides where a file goes, its bytes what it is.

    Args:
        name: a file name or path, of any case.
        formats: pdf, docx, txt, md: those that the library takes in.
    """
    _, dot, extension = name.rpartition("/")[2].lower().rpartition(".")
    found = DOCUMENT_EXTENSIONS.get(extension) if dot else None
    return found if found in formats else None
