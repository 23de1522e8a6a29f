"""Documents as they come in: what they are, what their text is, how it is cut."""

from __future__ import annotations

import random
import re
from typing import Any, Final

from ..contents import Stored
from ..exchange import Asked
from ..world import TENANT, World
from .library import Library, RemoteFile, refreshes

DOCUMENT_TYPES: Final = ("pdf", "docx", "txt", "md")
_BY_MEDIA: Final = {
    "application/pdf": "pdf",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "text/plain": "txt",
    "text/markdown": "md",
}
_WORDS: Final = (
    "inspection", "safety", "report", "pole", "bridge", "damage", "crack", "concrete", "repair", "contract",
    "invoice", "meeting", "schedule", "valve", "pump", "pressure", "training", "survey", "river", "permit",
)  # fmt: skip
WORDS_IN_A_CHUNK: Final = 60


def document_type_of(filename: str, content_type: str) -> str | None:
    """pdf, docx, txt or md; None for anything else."""
    ending = filename.rpartition(".")[2].lower()
    return ending if ending in DOCUMENT_TYPES else _BY_MEDIA.get(content_type.partition(";")[0])


def new_document(
    world: World, asked: Asked, stored: Stored, filename: str, **more: Any
) -> RemoteFile:
    """A document that was taken in; its text is extracted from now on."""
    file_id = more.pop("file_id", None) or world.new_id("file")
    key = more.pop("object_key", None) or f"documents/{TENANT}/{file_id}/{filename}"
    kind = document_type_of(filename, more.pop("content_type", "")) or "txt"
    media = next(media for media, name in _BY_MEDIA.items() if name == kind)
    file = RemoteFile(file_id, "document", filename, media, stored, world.now(), key, **more)
    file.work = world.work("document", asked, filename, stored.sha256)
    pages = max(len(words_of(stored)) // 200, 1)
    file.extra = {
        "document_type": kind,
        "text_extraction_status": "pending",
        "page_count": pages,
        "chunk_count": None,
        "document_url": f"{world.storage_url}/documents/{file_id}",
    }
    library = world.room(Library)
    library.add(file)
    library.uploaded_this_month += 1
    if file.work.failure is None:
        world.books.bill(asked.entry, "documents")
    return file


@refreshes("document")
def refresh(world: World, file: RemoteFile) -> None:
    """How far the extraction of its text is."""
    state = file.work.state(world.now()) if file.work else "completed"
    file.extra["text_extraction_status"] = state
    file.extra["chunk_count"] = len(chunks_of(file)) if state == "completed" else None


def words_of(stored: Stored) -> list[str]:
    """The text of a document: its own where it is plain text, else one made from its hash."""
    content = stored.read()
    if content is not None and b"\0" not in content[:1000] and not content.startswith(b"%PDF"):
        words = content.decode("utf-8", "replace").split()
        if words:
            return words
    chance = random.Random(stored.sha256)
    return [chance.choice(_WORDS) for _ in range(300 + chance.randrange(300))]


def chunks_of(file: RemoteFile) -> list[dict[str, Any]]:
    """The pieces of a document's text."""
    words = words_of(file.stored)
    return [
        {
            "chunk_id": f"{file.id}-{index:04d}",
            "document_id": file.id,
            "document_filename": file.filename,
            "chunk_index": index,
            "content": " ".join(words[start : start + WORDS_IN_A_CHUNK]),
            "page_numbers": [start // 200 + 1],
            "heading_hierarchy": ["Report", f"Part {index + 1}"],
            "similarity_score": None,
            "metadata": {"token_count": len(words[start : start + WORDS_IN_A_CHUNK]) * 4 // 3},
        }
        for index, start in enumerate(range(0, len(words), WORDS_IN_A_CHUNK))
    ]


def likeness(query: str, text: str) -> float:
    """How much of a query's words a text has."""
    wanted = set(re.findall(r"\w+", query.lower()))
    found = set(re.findall(r"\w+", text.lower()))
    return round(len(wanted & found) / max(len(wanted), 1), 4)
