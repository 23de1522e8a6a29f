"""The archive of a DOCX made safe: unpacked within bounds, without pictures, without entity declarations."""

from __future__ import annotations

import zipfile
from io import BytesIO
from typing import Final

from aion_dagster.compute.documents.document import ExtractionError, Limits

_PIECE: Final = 64 * 2**10
_MAX_MEMBERS: Final = 20_000
_DECLARATIONS: Final = tuple(
    mark.encode(encoding)
    for mark in ("<!DOCTYPE", "<!ENTITY")
    for encoding in ("utf-8", "utf-16-le", "utf-16-be")
)
"""Office Open XML forbids document type declarations (ECMA-376 part 2); only bombs and file thieves have them."""


def safe_package(data: bytes, limits: Limits) -> bytes:
    """The archive with its XML parts stored plainly, and everything else (pictures, fonts, macros) empty.

    What a member's header says about its size is not believed: pieces are unpacked and counted.

    Raises:
        ExtractionError: `too_large` beyond `max_unpacked_bytes` or in a maze of members, `encrypted`, `unreadable` for
            damage or entity declarations.
    """
    out = BytesIO()
    left = limits.max_unpacked_bytes
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive, zipfile.ZipFile(out, "w") as plain:
            members = archive.infolist()
            if len(members) > _MAX_MEMBERS:
                raise ExtractionError("too_large", f"the archive has {len(members)} members")
            seen: set[str] = set()
            for member in members:
                if member.filename in seen:
                    continue
                seen.add(member.filename)
                content = b""
                if member.filename.lower().endswith((".xml", ".rels")):
                    content = _unpacked(archive, member, left, limits)
                    left -= len(content)
                plain.writestr(member.filename, content)
    except (ExtractionError, MemoryError):
        raise
    except Exception as error:  # zipfile and zlib raise almost anything on damaged archives
        reason = f"the archive is damaged or cut off ({error})"[:300]
        raise ExtractionError("unreadable", reason) from error
    return out.getvalue()


def _unpacked(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, left: int, limits: Limits
) -> bytes:
    if member.flag_bits & 1:
        raise ExtractionError("encrypted", f"{member.filename} is locked by a password")
    pieces = bytearray()
    with archive.open(member) as part:
        while piece := part.read(_PIECE):
            pieces += piece
            if len(pieces) > left:
                raise ExtractionError(
                    "too_large",
                    f"its XML unpacks to more than max_unpacked_bytes = {limits.max_unpacked_bytes}",
                )
    content = bytes(pieces)
    if any(mark in content for mark in _DECLARATIONS):
        reason = f"{member.filename} declares XML entities, which no office program writes"
        raise ExtractionError("unreadable", reason)
    return content
