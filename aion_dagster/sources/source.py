"""What a source is: something that lists file versions page by page, and reads them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from aion_dagster.values import FileRef, Loss


@dataclass(frozen=True, slots=True)
class ScanPage:
    """A part of a source's files.

    `cursor` continues the scan after this page; None says that the scan is complete. `problems` are entries of the
    source that could not be listed, with the reason.
    """

    files: tuple[FileRef, ...]
    cursor: str | None
    problems: tuple[Loss, ...] = ()


class Source(Protocol):
    """A place where files come from. Reading needs no earlier scan: the reference is enough."""

    @property
    def name(self) -> str:
        """The source's name; every FileRef of it carries it."""
        ...

    def scan(self, cursor: str | None = None, deadline: float | None = None) -> ScanPage:
        """List the next page of files, in an order that does not depend on earlier scans.

        Args:
            cursor: where the page before ended; None to begin.
            deadline: a moment of `time.monotonic()` at which to stop; some progress is made even when it has passed.

        Raises:
            SourceError: the source cannot be listed.
        """
        ...

    def read(self, ref: FileRef) -> bytes:
        """The bytes of exactly this version of a file.

        Raises:
            FileVanishedError: it is gone.
            FileChangedError: it is another version now.
            FileTooLargeError: it is larger than allowed.
            SourceError: it cannot be read.
        """
        ...

    def local_path(self, ref: FileRef) -> Path | None:
        """Where exactly this version of a file lies on this machine; None where the source is not local.

        Raises:
            FileVanishedError: it is gone.
            FileChangedError: it is another version now.
            SourceError: the reference is none of this source.
        """
        ...
