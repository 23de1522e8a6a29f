"""XML of labels parsed safely: Pascal VOC's small documents, and large ones child by child."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring
from defusedxml.ElementTree import iterparse as wary_iterparse

UNREADABLE: Final = (ET.ParseError, OSError, ValueError, LookupError)
"""What `parsed` raises for a file that is gone or no whole XML file."""
HOSTILE: Final = DefusedXmlException
"""What `parsed` raises for a document that declares entities."""

_BLOCK: Final = 1 << 20
_OTHER_ENCODING: Final = re.compile(rb"<\?xml[^>]*encoding=(?!.utf-8)", re.IGNORECASE)


def parsed(path: Path) -> ET.Element:
    """The root element of an XML file.

    Entities can only be declared in a document type declaration. A file in UTF-8 in which no `<!` occurs has none,
    and goes to the parser in C; every other goes through defusedxml, which is seven times slower and refuses entities.

    Raises:
        UNREADABLE: the file cannot be read, or is cut off, or not XML.
        HOSTILE: it declares entities.
    """
    data = path.read_bytes()
    if _needs_care(data) or _OTHER_ENCODING.match(data):
        element: ET.Element = fromstring(data)
        return element
    return ET.fromstring(data)  # noqa: S314 - no declaration, so no entity


def children(path: Path) -> Iterator[tuple[ET.Element, ET.Element]]:
    """The root of an XML file, which stays empty, with each of its children; a child is gone when the next one comes.

    Raises:
        UNREADABLE: the file cannot be read, or is cut off, or not XML.
        HOSTILE: it declares entities.
    """
    with path.open("rb") as file:
        first = file.read(_BLOCK)
        careful = bool(_OTHER_ENCODING.match(first)) or _needs_care(first)
        tail = first[-1:]
        while not careful and (block := file.read(_BLOCK)):
            careful = _needs_care(tail + block)
            tail = block[-1:]
        file.seek(0)
        parse = wary_iterparse if careful else ET.iterparse  # as in `parsed`
        depth, root = 0, None
        for event, element in parse(file, events=("start", "end")):
            if event == "start":
                depth += 1
                root = element if root is None else root
                continue
            depth -= 1
            if depth == 1 and root is not None:
                yield root, element
                root.clear()


def _needs_care(data: bytes) -> bool:
    return b"<!" in data or b"\0" in data
