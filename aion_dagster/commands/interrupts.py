"""Interrupts and requests to end that arrive while Dagster has the say over them."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_ASKED: Final = frozenset((signal.SIGINT, signal.SIGTERM))
_MOST: Final = 4_096


@contextmanager
def heeding_interrupts() -> Iterator[None]:
    """Interrupt whoever comes after what is done here, where somebody asked for that meanwhile.

    While it executes a job, Dagster turns an interrupt into the failure of the step that is at work, or, between two steps,
    into nothing; either way the command would go on with the next job.

    Raises:
        KeyboardInterrupt: at the end.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    told, tell = os.pipe()
    os.set_blocking(told, False)
    os.set_blocking(tell, False)
    # The interpreter writes the number of every signal that it handles there, whichever function handles it.
    before = signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
    try:
        yield
        try:
            asked = _ASKED & set(os.read(told, _MOST))
        except BlockingIOError:
            asked = frozenset()
    finally:
        signal.set_wakeup_fd(before)
        os.close(told)
        os.close(tell)
    if asked:
        raise KeyboardInterrupt
