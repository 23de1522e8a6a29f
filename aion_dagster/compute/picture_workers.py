"""Pictures measured in processes of their own: threads of one process wait for each other at every small step.

Whoever orchestrates beside the pass (Dagster writes a hundred events for a batch) is not slowed down by it either, and a
codec that crashes takes nobody else along.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from multiprocessing.context import BaseContext
from types import TracebackType
from typing import Any, Final, Generic, Protocol, Self, TypeVar

_MOST: Final = 16
"""More processes than this wait for the one that reads files and writes tables."""
_SET_PARENT_DEATH_SIGNAL: Final = 1
"""PR_SET_PDEATHSIG of prctl(2)."""
_MAILBOXES: Final = 32
"""Calls on their way at the same time; more of them take the slower way."""
_PROTOCOL: Final = 5
"""Of pickles."""

Item = TypeVar("Item")
Result = TypeVar("Result")
Measure = Callable[[list[Item]], list[Result]]


class Job(Protocol[Result]):
    """Results that are being made."""

    def result(self) -> list[Result]:
        """Wait for them."""
        ...

    def cancel(self) -> bool:
        """Do not begin, unless it has begun."""
        ...


class _Mailbox:
    """A file in memory that both sides have open: one writes a value, the other reads it.

    Through a pipe a value of a megabyte comes in pieces of 64 KiB, and for each of them the thread that reads must wait
    until Python's interpreter is its turn again.
    """

    def __init__(self) -> None:
        # Unbuffered: long byte strings go from one to the other without a copy in between.
        self._file = open(os.memfd_create("aion-dagster-pictures"), "r+b", buffering=0)  # noqa: PTH123, SIM115 - a handle, closed below

    def put(self, value: object) -> None:
        """Write a value in place of what was there."""
        self._file.seek(0)
        self._file.truncate()
        pickle.dump(value, self._file, _PROTOCOL)

    def take(self) -> Any:
        """Take out the value.

        Raises:
            EOFError: there is none.
        """
        self._file.seek(0)
        value = pickle.load(self._file)  # noqa: S301 - our own process wrote it
        self._file.truncate(0)
        return value

    def close(self) -> None:
        """Give it back to the system."""
        self._file.close()


_mailboxes: list[_Mailbox] = []
"""In a forked process: those of its parent."""


class PictureWorkers:
    """Processes that run a function over lists of items; a context manager that ends them.

    They are forked at once, which takes milliseconds and no memory, and must be made while this process has a single
    thread, no locks and no open databases. They end with this process, however it ends.

    Where a process dies over a list (a codec crashes, the system runs out of memory), its items are given one by one to a
    fresh process, which is started anew and not forked; only an item that ends this one too is lost.
    """

    def __init__(self, processes: int) -> None:
        """Fork so many."""
        self._processes = processes
        self._mailboxes = [_Mailbox() for _ in range(_MAILBOXES)]
        self._free = list(range(_MAILBOXES))
        _mailboxes[:] = self._mailboxes
        self._pool = _pool(processes, multiprocessing.get_context("fork"))
        self._is_forked = True
        self._spare: ProcessPoolExecutor | None = None
        with warnings.catch_warnings():
            # NumPy's threads, which do not count: they end before a fork, and begin anew when needed.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._pool.submit(_nothing).result()
        _mailboxes.clear()

    @classmethod
    def beside(cls, processes: int | None = None) -> PictureWorkers | None:
        """As many as there are cores (or so many); None where threads must do: one core, or this process must not fork."""
        count = min(processes or len(_cores()), _MOST)
        if count < 2 or sys.platform != "linux" or threading.active_count() > 1:
            return None
        return cls(count)

    @property
    def processes(self) -> int:
        """How many there are."""
        return self._processes

    def submit(
        self,
        measure: Measure[Item, Result],
        items: list[Item],
        lost: Callable[[Item], Result],
    ) -> Job[Result]:
        """Begin `measure(items)` in one of the processes; `lost` says what stands for an item that ends its process.

        All but `lost` must be picklable; `measure` gives one result for each item.
        """
        try:
            call = self._begin(measure, items)
        except BrokenExecutor:
            self._pool.shutdown()
            self._pool = _pool(self._processes, multiprocessing.get_context("spawn"))
            self._is_forked = False
            call = self._begin(measure, items)
        return _Watched(self, call, measure, items, lost)

    def _begin(
        self, measure: Measure[Item, Result], items: list[Item]
    ) -> tuple[Future[Any], int | None]:
        """The running call, and the mailbox that its results will be in; without one they come through a pipe."""
        if not (self._is_forked and self._free):
            return self._pool.submit(measure, items), None
        box = self._free.pop()
        try:
            self._mailboxes[box].put((measure, items))
            return self._pool.submit(_by_mail, box), box
        except BaseException:
            self._free.append(box)
            raise

    def collect(self, future: Future[Any], box: int | None) -> list[Any]:
        """Results of a call, once they are there; its mailbox is free then."""
        given = future.result()
        results: list[Any] = given if box is None else self._mailboxes[box].take()
        return results

    def free(self, box: int) -> None:
        """A mailbox that nothing will be read from any more."""
        self._free.append(box)

    def one_by_one(
        self, measure: Measure[Item, Result], items: Sequence[Item], lost: Callable[[Item], Result]
    ) -> list[Result]:
        """Each item alone, in a process that others do not share."""
        results: list[Result] = []
        for item in items:
            if self._spare is None:
                self._spare = _pool(1, multiprocessing.get_context("spawn"))
            try:
                results += self._spare.submit(measure, [item]).result()
            except BrokenExecutor:
                self._spare.shutdown()
                self._spare = None
                results.append(lost(item))
        return results

    def close(self) -> None:
        """End the processes, once what they have begun is done; a second call does nothing."""
        for pool in (self._pool, self._spare):
            if pool is not None:
                pool.shutdown(cancel_futures=True)
        while self._mailboxes:
            self._mailboxes.pop().close()

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End them."""
        self.close()


class _Watched(Generic[Item, Result]):
    """A job whose process may die."""

    def __init__(
        self,
        workers: PictureWorkers,
        call: tuple[Future[Any], int | None],
        measure: Measure[Item, Result],
        items: list[Item],
        lost: Callable[[Item], Result],
    ) -> None:
        self._workers, self._measure, self._items, self._lost = workers, measure, items, lost
        self._future, self._box = call

    def result(self) -> list[Result]:
        try:
            return self._workers.collect(self._future, self._box)
        except BrokenExecutor:
            return self._workers.one_by_one(self._measure, self._items, self._lost)
        finally:
            self._free()

    def cancel(self) -> bool:
        cancelled = self._future.cancel()
        self._future.add_done_callback(lambda _: self._free())
        return cancelled

    def _free(self) -> None:
        box, self._box = self._box, None
        if box is not None:
            self._workers.free(box)


def _cores() -> set[int]:
    return os.sched_getaffinity(0) if sys.platform == "linux" else set(range(os.cpu_count() or 1))


def _pool(processes: int, context: BaseContext) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(
        processes, mp_context=context, initializer=_begin, initargs=(os.getpid(),)
    )


def _begin(parent: int) -> None:
    """In a new process: leave interrupts from the keyboard to the parent, and end when it ends, or is asked to.

    Of a program that runs in the background a shell has interrupts ignored, Dagster then has requests to end ignored too,
    and a pool whose process died would wait for the others for ever.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:  # it has ended already
        os._exit(1)


def _by_mail(box: int) -> None:
    """Run the call that lies in a mailbox, and leave its results there."""
    measure, items = _mailboxes[box].take()
    _mailboxes[box].put(measure(items))


def _nothing() -> None:
    """The first task: with it all processes are forked."""
