"""What a source is: something that lists file versions page by page, and reads them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from aion_dagster.values import FileRef, Loss


@dataclass(frozen=True, slots=True)
class ScanPage:
    """A part of a source's files.

    A pass is a chain of pages from `scan(None)`, or from where an earlier pass ended, to the page without a cursor. A
    pass that began with None lists everything: what it does not name is deleted. One that began with `resume` follows
    changes: only what it names in `removed` is deleted.

    Attributes:
        files: files that may be taken in, each once.
        cursor: continues the pass after this page; None where the pass is over.
        problems: entries of the source that could not be listed, with the reason.
        present: URIs of files that are there and cannot be taken in now (archived, unreadable); they are not deleted.
        unlisted: URI prefixes below which files may be that could not be listed; none of them is deleted.
        removed: URIs that are known to be gone.
        resume: with the last page of a pass: the cursor from which a later pass follows changes; None where every pass
            has to list everything.
        receipt: given to `Source.acknowledge` once everything on this page is recorded.
    """

    files: tuple[FileRef, ...]
    cursor: str | None
    problems: tuple[Loss, ...] = ()
    present: tuple[str, ...] = ()
    unlisted: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    resume: str | None = None
    receipt: object = None


class Source(Protocol):
    """A place where files come from. Reading needs no earlier scan: the reference is enough.

    A class that names this one as its base inherits what suits most: every pass lists everything, nothing is
    acknowledged, and no file lies on this machine.
    """

    relist_seconds: float | None = None
    """Sources that follow changes: after this time a pass lists everything again; None: never."""

    @property
    def name(self) -> str:
        """The source's name; every FileRef of it carries it."""
        ...

    def check(self) -> None:
        """Look whether the source can be listed, at the cost of one request.

        Raises:
            SourceError: it cannot, and why.
        """
        ...

    def scan(self, cursor: str | None = None, deadline: float | None = None) -> ScanPage:
        """List the next page of files, in an order that does not depend on earlier scans.

        Args:
            cursor: where the page before ended, or the `resume` of an earlier pass; None to list everything.
            deadline: a moment of `time.monotonic()` at which to stop; some progress is made even when it has passed.

        Raises:
            CursorExpiredError: the cursor means nothing any more; everything is to be listed again.
            SourceError: the source cannot be listed.
        """
        ...

    def acknowledge(self, receipt: object) -> None:  # noqa: ARG002 - most sources need not be told
        """What the page of this receipt names is recorded; the source need not name it again."""
        return

    def read(self, ref: FileRef) -> bytes:
        """The bytes of exactly this version of a file.

        Raises:
            FileVanishedError: it is gone.
            FileChangedError: it is another version now.
            FileTooLargeError: it is larger than allowed.
            SourceError: it cannot be read.
        """
        ...

    def local_path(self, ref: FileRef) -> Path | None:  # noqa: ARG002 - a source elsewhere needs none of it
        """Where exactly this version of a file lies on this machine; None where the source is not local.

        Raises:
            FileVanishedError: it is gone.
            FileChangedError: it is another version now.
            SourceError: the reference is none of this source.
        """
        return None
