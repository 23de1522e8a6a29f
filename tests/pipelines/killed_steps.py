"""Runs the paid pipeline, and is killed at one chosen moment.

usage: killed_steps.py STORE URL MOMENT

MOMENT is 0 (run to the end and print how many moments there were) or the number of the one to die at. Moments are
before and after each file that is put in its place, and before each commit of the ledger.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import sqlalchemy
from remote_library import ran, remote_agents

from aion_dagster.storage.store import Store

lock = threading.Lock()
passed = 0
chosen = int(sys.argv[3])


def moment() -> None:
    global passed
    with lock:
        passed += 1
        if passed == chosen:
            os.kill(os.getpid(), signal.SIGKILL)


def around(name: str) -> None:
    original: Callable[..., Any] = getattr(os, name)

    def watched(*arguments: Any, **named: Any) -> Any:
        moment()
        result = original(*arguments, **named)
        moment()
        return result

    setattr(os, name, watched)


if __name__ == "__main__":
    with Store.open(sys.argv[1]) as store:
        agents = remote_agents(store, sys.argv[2])
        around("replace")
        around("rename")
        sqlalchemy.event.listen(sqlalchemy.engine.Engine, "commit", lambda _connection: moment())
        done = ran(store, agents)
        assert all(one.stored is not None for one in done.values()), done
    print(passed)
