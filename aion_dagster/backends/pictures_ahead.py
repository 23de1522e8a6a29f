"""The pictures of the next batches, computed while those of the one before are written and booked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from threading import Event, Semaphore
from types import TracebackType
from typing import Final, Protocol, Self

from aion_dagster.backends.pictures import PictureTables

_AHEAD: Final = 2
"""Batches that are being computed or wait to be taken: with one, nothing is computed until it is taken."""


class Compute(Protocol):
    """Runs the pass over one batch."""

    def __call__(
        self,
        batch: str,
        *,
        go_on: Callable[[int], None],
        before_asking: Callable[[Collection[str]], None],
    ) -> PictureTables:
        """Tell `go_on` how many files each chunk had, and `before_asking` contents that will be looked for elsewhere."""
        ...


class PicturesAhead:
    """Two batches ahead of whoever takes them, in their order; a context manager that leaves nothing staged behind.

    Passes run in a thread of their own, one at a time. A picture that a batch before has too is decoded once: the pass
    waits for the results of that batch to be recorded, and finds them.
    """

    def __init__(self, compute: Compute) -> None:
        """`compute` is called in a thread."""
        self._compute = compute
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="pictures-ahead")
        self._line = _Line()
        self._expected: list[str] = []

    def expect(self, batches: Sequence[str]) -> None:
        """These will be taken one after the other; the first one is begun."""
        self._expected = list(batches)
        for batch in batches:
            self._begin(batch)

    def take(self, batch: str) -> PictureTables:
        """What the pass made of a batch, computed now unless it has been already.

        Whoever takes a batch is done with the one taken before.

        Raises:
            AionError: as the pass raises it; a second call computes the batch anew.
        """
        self._line.put_away()
        if next(iter(self._line.futures), None) != batch:
            self._drop()
            for each in self._from(batch):
                self._begin(each)
        future = self._line.futures.pop(batch)
        try:
            result = future.result()
        finally:
            self._line.room.release()
        self._line.taken = batch
        return result

    def _from(self, batch: str) -> list[str]:
        """This batch and those that are expected after it."""
        if batch not in self._expected:
            return [batch]
        return self._expected[self._expected.index(batch) :]

    def _begin(self, batch: str) -> None:
        line = self._line
        line.futures[batch] = self._pool.submit(self._run, line, batch)

    def _run(self, line: _Line, batch: str) -> PictureTables:
        line.room.acquire()
        line.go_on(0)
        result = self._compute(batch, go_on=line.go_on, before_asking=line.wait_for)
        line.unrecorded[batch] = frozenset(result.content_hashes()), Event()
        return result

    def _drop(self) -> None:
        """Stop what is being computed, and remove what was staged and not taken."""
        line, self._line = self._line, _Line()
        line.stop()
        for future in line.futures.values():
            # Nobody asked for this batch yet: whoever does computes it, and meets the error if it is still there.
            with suppress(Exception, CancelledError):
                future.result().discard()

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        self._drop()
        self._pool.shutdown()


class _Line:
    """Batches in the order in which they will be taken.

    `unrecorded` has the contents of those that were computed and whose results cannot be found yet, by batch.
    """

    def __init__(self) -> None:
        self.futures: dict[str, Future[PictureTables]] = {}
        self.room = Semaphore(_AHEAD)
        self.unrecorded: dict[str, tuple[frozenset[str], Event]] = {}
        self.taken: str | None = None
        self._stopped = Event()

    def go_on(self, _files: int) -> None:
        if self._stopped.is_set():
            raise CancelledError

    def wait_for(self, hashes: Collection[str]) -> None:
        """Return once the results of these contents are recorded, where batches before have some of them."""
        for contents, recorded in list(self.unrecorded.values()):
            if not contents.isdisjoint(hashes):
                recorded.wait()
        self.go_on(0)

    def put_away(self) -> None:
        """The results of the batch that was taken last are recorded, or never will be."""
        if self.taken is not None:
            self.unrecorded.pop(self.taken)[1].set()
            self.taken = None

    def stop(self) -> None:
        self._stopped.set()
        for future in self.futures.values():
            if future.cancel():
                continue
            self.room.release()
        for _, recorded in list(self.unrecorded.values()):
            recorded.set()
