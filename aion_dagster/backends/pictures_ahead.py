"""The pictures of the next batch, computed while those of the one before are written and booked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import pairwise
from threading import Event
from types import TracebackType
from typing import Protocol, Self

from aion_dagster.backends.pictures import PictureTables


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
    """One batch ahead of whoever takes them, in their order; a context manager that leaves nothing staged behind.

    A pass runs in a thread of its own, one at a time. A picture that the batch before has too is decoded once: the pass
    waits for the results of that batch to be recorded, and finds them.
    """

    def __init__(self, compute: Compute) -> None:
        """`compute` is called in a thread."""
        self._compute = compute
        self._after: dict[str, str] = {}
        self._running: tuple[str, Future[PictureTables]] | None = None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="pictures-ahead")
        self._stopped = Event()
        self._in_hand: frozenset[str] = frozenset()  # contents of the batch that was taken last
        self._put_away = Event()

    def expect(self, batches: Sequence[str]) -> None:
        """These will be taken one after the other; the first one is begun."""
        self._after = dict(pairwise(batches))
        if batches:
            self._begin(batches[0])

    def take(self, batch: str) -> PictureTables:
        """What the pass made of a batch, computed now unless it has been already; then the one after it is begun.

        Whoever takes a batch is done with the one taken before.

        Raises:
            AionError: as the pass raises it; a second call computes the batch anew.
        """
        self._put_away.set()
        if self._running is not None and self._running[0] != batch:
            self._drop()
        _, future = self._running or self._begin(batch)
        self._running = None
        result = future.result()
        if batch in self._after:
            self._in_hand = frozenset(result.content_hashes())
            self._put_away.clear()
            self._begin(self._after[batch])
        return result

    def _begin(self, batch: str) -> tuple[str, Future[PictureTables]]:
        future = self._pool.submit(
            self._compute, batch, go_on=self._go_on, before_asking=self._wait_for
        )
        self._running = batch, future
        return self._running

    def _go_on(self, _files: int) -> None:
        if self._stopped.is_set():
            raise CancelledError

    def _wait_for(self, hashes: Collection[str]) -> None:
        """Return once the results of these contents are recorded, where the batch in hand has some of them."""
        if not self._in_hand.isdisjoint(hashes):
            self._put_away.wait()
        self._go_on(0)

    def _drop(self) -> None:
        """Stop what is being computed, and remove what it staged."""
        if self._running is None:
            return
        (_, future), self._running = self._running, None
        self._stopped.set()
        self._put_away.set()
        # Nobody asked for this batch yet: whoever does computes it, and meets the error if it is still there.
        with suppress(Exception, CancelledError):
            future.result().discard()
        self._stopped.clear()

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
