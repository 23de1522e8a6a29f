"""`DocumentReader`: text of documents from anywhere, read in a process that may crash, hang or swell without harm."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from aion_dagster.compute.documents.child import Child, ChildLostError
from aion_dagster.compute.documents.document import (
    DocumentType,
    ExtractedDocument,
    ExtractionError,
    Limits,
)
from aion_dagster.compute.documents.extract import extract, read
from aion_dagster.compute.documents.kinds import kind_of
from aion_dagster.compute.documents.ocr import ReadPage, read_scans
from aion_dagster.compute.documents.rendering import LONGEST_SIDE, Raster
from aion_dagster.compute.documents.wire import WireError, document_from, limits_message
from aion_dagster.compute.documents.worker import seconds_for
from aion_dagster.errors import UnavailableError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_RENEWED_ABOVE: Final = 2**28
"""A process that once held more bytes than this is not used again: what it still holds would count for the next file."""

_PLAIN: Final = ("txt", "md")
"""Decoded by Python alone, so read in this process."""


class DocumentReader:
    """Reads documents, one at a time, in a process that is started with the first PDF or DOCX and used until `close`.

    A file that crashes that process, takes too long or too much memory is a row with status `unreadable` and a reason;
    the next file gets a new process. A crash is tried again once. Threads may share a reader; they wait for each other.

    Attributes:
        peak_bytes: the most memory that any of its processes ever held.
        restarts: processes that were lost or given up.
    """

    def __init__(self, limits: Limits | None = None, *, in_process: bool = False) -> None:
        """Start nothing yet.

        Args:
            limits: bounds of time, memory, pages and text.
            in_process: read in this process, without bounds of time and memory: for files that one made oneself.
        """
        self.limits = limits or Limits()
        self.peak_bytes = 0
        self.restarts = 0
        self._in_process = in_process
        self._child: Child | None = None
        self._lock = threading.Lock()

    def extract(
        self, data: bytes, *, document_type: DocumentType, ocr: ReadPage | None = None
    ) -> ExtractedDocument:
        """The text of a document, or a status and a reason; see `extract.extract`.

        Raises:
            UnavailableError: the extra `documents` is not installed.
        """
        if self._in_process:
            return extract(data, document_type=document_type, limits=self.limits, ocr=ocr)
        with self._lock:
            if self._is_plain(data, document_type):
                return read(data, document_type, self.limits)
            begun = time.monotonic()
            try:
                try:
                    return self._apart(data, document_type, ocr, begun)
                except ChildLostError as error:
                    if not error.crashed:
                        raise
                # Processes are also ended by others (out of memory elsewhere): a second crash is the file's fault.
                return self._apart(data, document_type, ocr, begun)
            except ChildLostError as error:
                return ExtractedDocument("unreadable", document_type, str(error), transient=True)
            finally:
                self._settle()

    def start(self) -> int:
        """Start the process now, so that the first document does not wait for it; returns its process id."""
        with self._lock:
            return self._started().pid

    def close(self) -> None:
        """End the process."""
        with self._lock:
            if self._child is not None:
                self._child.end()
                self.peak_bytes = max(self.peak_bytes, self._child.peak)
                self._child = None

    def __enter__(self) -> Self:
        """The reader itself."""
        return self

    def __exit__(
        self, _k: type[BaseException] | None, _e: BaseException | None, _t: TracebackType | None
    ) -> None:
        """End the process."""
        self.close()

    def _is_plain(self, data: bytes, proposed: DocumentType) -> bool:
        """True where no parser of a library sees the bytes."""
        if not data or len(data) > self.limits.max_bytes:
            return True
        if proposed not in _PLAIN or data.startswith(b"PK"):
            return False
        try:
            return kind_of(data, proposed) in _PLAIN
        except ExtractionError:
            return True

    def _started(self) -> Child:
        self._settle()  # one that was killed between two documents must not cost the next one its text
        if self._child is None:
            self._child = Child(self.limits.memory_bytes)
        return self._child

    def _apart(
        self, data: bytes, proposed: DocumentType, ocr: ReadPage | None, begun: float
    ) -> ExtractedDocument:
        child = self._started()
        header = {
            "kind": "extract",
            "document_type": proposed,
            "limits": limits_message(self.limits),
            "keep": ocr is not None,
        }
        child.send(header, data, begun + self.limits.seconds)
        answer, body = self._answer(child, begun, len(data), 4 * self.limits.max_characters)
        try:
            found = document_from(answer, body)
        except WireError as error:
            child.end()
            raise ChildLostError(f"the reader's answer is no document ({error})") from error
        if ocr is None or not found.textless_pages:
            return found
        return read_scans(found, self._page, ocr, self.limits)

    def _answer(
        self, child: Child, begun: float, size: int, most: int
    ) -> tuple[dict[str, Any], bytes]:
        """The answer to a request; a count of pages before it gives it more time."""
        deadline = begun + self.limits.seconds
        while True:
            answer, body = child.receive(deadline, most=most)
            kind = answer.get("kind")
            if kind == "pages":
                pages = answer.get("pages")
                if isinstance(pages, int):
                    deadline = begun + seconds_for(pages, size, self.limits)
                continue
            if kind == "memory":
                child.end()
                room = self.limits.memory_bytes // 2**20
                raise ChildLostError(f"reading it takes more than {room} MiB of memory")
            if kind == "unavailable":
                raise UnavailableError(str(answer.get("reason")))
            return answer, body

    def _page(self, number: int) -> NDArray[np.uint8]:
        """A rendered page of the document that the process still holds."""
        child = self._child
        if child is None:
            raise ExtractionError("unreadable", "the reader has ended")
        begun = time.monotonic()
        header = {
            "kind": "render",
            "page": number,
            "limits": limits_message(self.limits),
            "keep": True,
        }
        try:
            child.send(header, b"", begun + self.limits.seconds)
            most = 4 * (LONGEST_SIDE + 16) ** 2
            answer, body = self._answer(child, begun, 0, most)
        except ChildLostError as error:
            raise ExtractionError("unreadable", str(error)) from error
        if answer.get("kind") != "raster":
            raise ExtractionError("unreadable", str(answer.get("reason")))
        try:
            raster = Raster(answer["width"], answer["height"], answer["stride"], body)
            return raster.rgb()
        except (KeyError, TypeError, ValueError) as error:
            raise ExtractionError("unreadable", f"page {number}: no picture ({error})") from error

    def _settle(self) -> None:
        """Give up a process that is gone or has grown."""
        if self._child is None:
            return
        self.peak_bytes = max(self.peak_bytes, self._child.peak)
        if self._child.ended or self._child.peak > _RENEWED_ABOVE:
            self._child.end()
            self._child = None
            self.restarts += 1
