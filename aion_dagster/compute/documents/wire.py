"""Messages between the process that reads documents and the one that asks: a JSON header and bytes, lengths first."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO, Final

from aion_dagster.compute.documents.document import (
    STATUSES,
    ExtractedDocument,
    Heading,
    Page,
)
from aion_dagster.errors import AionError

HEAD: Final = struct.Struct(">IQ")
"""Lengths of the header and of the body, in bytes."""


class WireError(AionError):
    """What came over the pipe is no message."""


def message(header: Mapping[str, Any]) -> bytes:
    """A header as bytes."""
    return json.dumps(header, ensure_ascii=True, separators=(",", ":")).encode("ascii")


def send(stream: BinaryIO, header: Mapping[str, Any], body: bytes = b"") -> None:
    """Write one message and flush."""
    first = message(header)
    stream.write(HEAD.pack(len(first), len(body)) + first)
    stream.write(body)
    stream.flush()


def receive(stream: BinaryIO) -> tuple[dict[str, Any], bytes] | None:
    """Read one message; None where the stream has ended."""
    lengths = stream.read(HEAD.size)
    if len(lengths) < HEAD.size:
        return None
    header, body = HEAD.unpack(lengths)
    first = stream.read(header)
    return json.loads(first), stream.read(body)


def document_message(document: ExtractedDocument) -> tuple[dict[str, Any], bytes]:
    """A document as header and body (its text in UTF-8)."""
    facts = {
        "status": document.status,
        "document_type": document.document_type,
        "reason": document.reason,
        "engine": document.engine,
        "title": document.title,
        "author": document.author,
        "page_count": document.page_count,
        "pages": [(p.start, p.end) for p in document.pages],
        "headings": [(h.level, h.title, h.start) for h in document.headings],
        "textless_pages": document.textless_pages,
    }
    return facts, document.text.encode("utf-8")


def document_from(facts: Mapping[str, Any], body: bytes) -> ExtractedDocument:
    """The reverse of `document_message`, which believes nothing: the sender may have been taken over by a file.

    Raises:
        WireError: a value is of another type, or a place lies outside the text.
    """
    try:
        text = body.decode("utf-8")
        pages = tuple(Page(n, int(a), int(b)) for n, (a, b) in enumerate(facts["pages"], 1))
        headings = tuple(Heading(int(v), str(t), int(s)) for v, t, s in facts["headings"])
        found = ExtractedDocument(
            status=facts["status"],
            document_type=facts["document_type"],
            reason=_text_or_none(facts["reason"]),
            engine=_text_or_none(facts["engine"]),
            text=text,
            pages=pages,
            headings=headings,
            title=_text_or_none(facts["title"]),
            author=_text_or_none(facts["author"]),
            page_count=None if facts["page_count"] is None else int(facts["page_count"]),
            textless_pages=tuple(int(n) for n in facts["textless_pages"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise WireError(f"not a document: {error}") from error
    places = [at for p in pages for at in (p.start, p.end)]
    starts = [h.start for h in headings]
    inside = all(0 <= at <= len(text) for at in (*places, *starts))
    kinds = ("pdf", "docx", "txt", "md", None)
    if not inside or sorted(places) != places or sorted(starts) != starts:
        raise WireError("not a document: places outside its text or out of order")
    if found.status not in STATUSES or found.document_type not in kinds:
        raise WireError("not a document: unknown status or type")
    return found


def _text_or_none(value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value


def limits_message(limits: Any) -> dict[str, Any]:
    """Limits as JSON."""
    return asdict(limits)


def high_water(pid: int) -> int:
    """The most memory that a running process ever held, in bytes; 0 where it is gone or there is no /proc.

    Not ru_maxrss, which counts what the parent held when it started the process.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
