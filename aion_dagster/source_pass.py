"""A pass over a source, in as many parts as it takes: what is there, what is gone, where to go on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from aion_dagster.errors import CursorExpiredError
from aion_dagster.sources import ScanPage, Source
from aion_dagster.storage import Ledger
from aion_dagster.storage.ledger_records import KnownVersion, SourceState
from aion_dagster.storage.ledger_scans import Sighting
from aion_dagster.values import FileRef, Loss


class SourcePass:
    """A part of a pass; `SourcePass.opened` begins or continues one, `close` ends the part.

    The cursor that callers keep is a JSON list: the id of the pass in the ledger, empty where it follows changes, and
    the source's own cursor.

    Attributes:
        is_over: the last page has been read.
        scanned: files that were listed.
        deleted: files that were found to be gone.
        unsettled: new files that changed too lately to be taken in.
        problems: what could not be listed.
    """

    def __init__(self, source: Source, ledger: Ledger, pass_id: str, place: str | None) -> None:
        """Use `opened`."""
        self.is_over = False
        self.scanned = self.deleted = self.unsettled = 0
        self.problems: list[Loss] = []
        self._source, self._ledger = source, ledger
        self._pass_id, self._place = pass_id, place
        self._sighting = Sighting()
        self._receipts: list[tuple[object, frozenset[tuple[str, str]]]] = []
        self._resume: str | None = None

    @classmethod
    def opened(cls, source: Source, ledger: Ledger, cursor: str | None) -> SourcePass:
        """The pass that a cursor continues, or a new one: one that follows changes where that is possible."""
        if cursor is not None and (parsed := _parsed(cursor)):
            return cls(source, ledger, *parsed)
        state = ledger.source_state(source.name)
        if state.resume is not None and not _is_due(source, state):
            return cls(source, ledger, "", state.resume)
        return cls(source, ledger, ledger.begin_pass(source.name), None)

    @property
    def cursor(self) -> str:
        """Where the next page begins."""
        return json.dumps([self._pass_id, self._place])

    def next_page(self, deadline: float | None) -> ScanPage:
        """The next page; from the beginning where the source has lost its place."""
        try:
            page = self._source.scan(self._place, deadline)
        except CursorExpiredError:
            if self._place is None:
                raise
            if self._pass_id:
                self._ledger.drop_pass(self._pass_id)
            self._pass_id, self._place = self._ledger.begin_pass(self._source.name), None
            self._sighting = Sighting()
            page = self._source.scan(None, deadline)
        self._place, self.is_over = page.cursor, page.cursor is None
        self._resume = page.resume
        self.scanned += len(page.files)
        self.problems.extend(page.problems)
        return page

    def new_files(self, page: ScanPage, *, settle_seconds: float) -> list[FileRef]:
        """The files of a page that no batch holds; notes which of the known ones are there, changed, or gone.

        Args:
            page: as `next_page` gave it.
            settle_seconds: leave files for later that changed within so many seconds, where a later pass lists them.
        """
        name = self._source.name
        known = self._ledger.known_files(name, [*(f.uri for f in page.files), *page.present])
        if self._pass_id:
            self._sighting.known.add(version.id for each in known.values() for version in each)
            self._sighting.files += len(page.files) + len(page.present)
            self._sighting.unlisted.update(page.unlisted)
        if page.removed:
            self.deleted += self._ledger.mark_deleted(name, page.removed)
        new = self._ledger.without_forgotten(unknown_files(self._ledger, page.files, known))
        if settle_seconds and self._pass_id:
            settled = [file for file in new if not _is_fresh(file, settle_seconds)]
            self.unsettled += len(new) - len(settled)
            new = settled
        if page.receipt is not None:
            self._receipts.append((page.receipt, frozenset((f.uri, f.version) for f in new)))
        return new

    def close(self, left: Iterable[FileRef], *, may_be_empty: bool) -> bool:
        """Note in the ledger what was seen, and what is gone where the pass is complete; tell the source.

        Args:
            left: files of this part that no batch holds yet.
            may_be_empty: False where a pass that listed nothing at all shall delete nothing.

        Returns:
            Whether the pass is complete.
        """
        open_files = {(file.uri, file.version) for file in left}
        complete = self.is_over and not open_files
        if complete and self._pass_id:
            deleted = self._ledger.end_pass(
                self._pass_id, self._sighting, resume=self._resume, may_be_empty=may_be_empty
            )
            self.deleted += deleted or 0
            if deleted is None:
                self.problems.append(_emptied(self._source.name))
        elif complete:
            self._ledger.end_changes(self._source.name, resume=self._resume)
        elif self._pass_id:
            self._ledger.note_seen(self._pass_id, self._sighting)
        for receipt, files in self._receipts:
            if files.isdisjoint(open_files):
                self._source.acknowledge(receipt)
        return complete


def unknown_files(
    ledger: Ledger, files: Sequence[FileRef], known: Mapping[str, Sequence[KnownVersion]]
) -> list[FileRef]:
    """The file versions that no batch holds; known ones that are not current become current again."""
    new: dict[tuple[str, str], FileRef] = {}
    returned = []
    for file in files:
        versions = {v.version: v.is_current for v in known.get(file.uri, ())}
        if file.version not in versions:
            new[file.uri, file.version] = file
        elif not versions[file.version]:
            returned.append(file)
    if returned:
        ledger.mark_current(returned)
    return list(new.values())


def _parsed(cursor: str) -> tuple[str, str | None] | None:
    """The parts of a cursor; None where an earlier version of this package wrote it."""
    try:
        pass_id, place = json.loads(cursor)
    except (ValueError, TypeError):
        return None
    return (pass_id, place) if isinstance(pass_id, str) else None


def _is_due(source: Source, state: SourceState) -> bool:
    """Whether a source whose changes are followed is to be listed anew."""
    if source.relist_seconds is None:
        return False
    listed = state.listed_at
    return listed is None or datetime.now(UTC) - listed >= timedelta(seconds=source.relist_seconds)


def _is_fresh(file: FileRef, seconds: float) -> bool:
    """Whether a file changed within the last seconds; clocks of file servers may run a little ahead."""
    return abs(datetime.now(UTC) - file.modified_at) < timedelta(seconds=seconds)


def _emptied(source: str) -> Loss:
    return Loss(
        "missing",
        source,
        "nothing is listed any more, though files of it are known; none of them was taken for deleted. Where it was "
        "emptied on purpose, set may_be_empty on the source",
    )
