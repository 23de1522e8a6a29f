"""The process that reads documents: `python -m aion_dagster.compute.documents.worker`, started by `DocumentReader`.

It takes requests on standard input and answers on standard output, one document after the other. It may use so much
address space and so much time as it is told, may write no files, and ends with the process that started it.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
import time
from typing import Any, BinaryIO, Final

from aion_dagster.compute.documents.document import (
    DocumentType,
    ExtractedDocument,
    ExtractionError,
    Limits,
)
from aion_dagster.compute.documents.wire import document_message, high_water, receive, send
from aion_dagster.errors import UnavailableError

BELIEVABLE_PAGE_BYTES: Final = 256
FREE_PAGES: Final = 100
_GRACE: Final = 5.0
"""Seconds that this process outlives its time limit if nobody ends it: the asking process is gone then."""


def seconds_for(pages: int, size: int, limits: Limits) -> float:
    """Time for a document of so many pages and bytes; a small file's claims to many pages are not believed."""
    believed = min(pages, size // BELIEVABLE_PAGE_BYTES)
    return limits.seconds + limits.seconds_per_page * max(0, believed - FREE_PAGES)


def main() -> int:
    """Answer requests until standard input ends."""
    requests, answers = _private_streams()
    memory = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches the group; the asking process decides
    send(answers, {"kind": "ready"})
    held = b""
    while (request := receive(requests)) is not None:
        header, body = request
        if header["kind"] == "extract":
            held = body
        try:
            _answer(header, held, answers)
        except MemoryError:
            held = body = b""
            send(answers, {"kind": "memory", "peak": _peak()})
            return 0
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        if not header.get("keep"):
            held = b""
    return 0


def _answer(header: dict[str, Any], data: bytes, answers: BinaryIO) -> None:
    limits = Limits(**header["limits"])
    signal.setitimer(signal.ITIMER_REAL, limits.seconds + _GRACE)
    if header["kind"] == "render":
        _render(header["page"], data, answers)
        return
    from aion_dagster.compute.documents.extract import read

    def told(pages: int) -> None:
        signal.setitimer(signal.ITIMER_REAL, seconds_for(pages, len(data), limits) + _GRACE)
        send(answers, {"kind": "pages", "pages": pages})

    kind: DocumentType = header["document_type"]
    try:
        found: ExtractedDocument = read(data, kind, limits, told)
    except UnavailableError as error:
        send(answers, {"kind": "unavailable", "reason": str(error)})
        return
    facts, text = document_message(found)
    send(answers, {"kind": "document", "peak": _peak(), **facts}, text)


def _render(number: int, data: bytes, answers: BinaryIO) -> None:
    from aion_dagster.compute.documents.rendering import Renderer

    try:
        with Renderer(data) as renderer:
            raster = renderer.raster(number)
    except ExtractionError as error:
        send(answers, {"kind": "unrendered", "reason": str(error), "peak": _peak()})
        return
    size = {"width": raster.width, "height": raster.height, "stride": raster.stride}
    send(answers, {"kind": "raster", "peak": _peak(), **size}, raster.data)


def _private_streams() -> tuple[BinaryIO, BinaryIO]:
    """The pipes, out of reach of libraries that print."""
    requests, answers = os.dup(0), os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    return os.fdopen(requests, "rb"), os.fdopen(answers, "wb")


def _end_with_parent(parent: int) -> None:
    """End when the asking process is gone: a document being read would keep this one from seeing that."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _peak() -> int:
    """Most memory that this process ever held, in bytes."""
    return high_water(os.getpid())


if __name__ == "__main__":
    sys.exit(main())
