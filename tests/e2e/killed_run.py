"""`aion-dagster run` that is killed at one chosen moment, or that lists the moments there are.

usage: killed_run.py MOMENT ARGUMENTS…

MOMENT is `list:FILE` (run to the end and write every moment passed, one a line), `KIND:NAME:COUNT` (SIGKILL at the
COUNT-th time that this moment is passed), or `seconds:S` (SIGKILL after that time).
Moments are before and after each rename, each exchange of folders and each commit of the ledger, each piece of
progress of each asset, and before and after each batch's pictures are computed ahead and taken by its run.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy

from aion_dagster.backends.pictures_ahead import PicturesAhead
from aion_dagster.cli import main
from aion_dagster.commands import run as run_command
from aion_dagster.storage import swap

_DIGESTS = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]+|[0-9a-f]{12,}")
passed: Counter[str] = Counter()
wanted, number = "", 0


def moment(name: str) -> None:
    """Note that a moment is passed; die if it is the one."""
    passed[name] += 1
    if name == wanted and passed[name] == number:
        os.kill(os.getpid(), signal.SIGKILL)


def kind_of(place: Any) -> str:
    """What a rename is about, without what differs from run to run."""
    path = Path(_DIGESTS.sub("*", os.fsdecode(place)))
    if path.suffix != ".parquet":
        return path.name
    return "/".join([p for p in path.parts if not p.startswith("batch=")][-2:])


def around(module: Any, name: str, place: Callable[..., Any]) -> None:
    """Make a function pass a moment before and one after."""
    original = getattr(module, name)

    def watched(*arguments: Any, **named: Any) -> Any:
        label = kind_of(place(*arguments))
        moment(f"before {name}:{label}")
        result = original(*arguments, **named)
        moment(f"after {name}:{label}")
        return result

    setattr(module, name, watched)


around(os, "replace", lambda _source, target, *_: target)
around(os, "rename", lambda _source, target, *_: target)
around(swap, "_exchange", lambda _one, other: other)
around(run_command, "picture_tables", lambda *_: "ahead")
around(PicturesAhead, "take", lambda *_: "ahead")


@sqlalchemy.event.listens_for(sqlalchemy.engine.Engine, "commit")
def _commit(connection: Any) -> None:
    if "ledger" in str(connection.engine.url):
        moment("before commit:ledger")


class WatchedBars(run_command.Bars):
    def advance(self, asset: str, items: int) -> None:
        moment(f"step:{asset}")
        super().advance(asset, items)


run_command.Bars = WatchedBars  # type: ignore[misc]

if __name__ == "__main__":
    chosen = sys.argv[1]
    target, _, rest = chosen.partition(":")
    if target == "seconds":
        kill = threading.Timer(float(rest), os.kill, (os.getpid(), signal.SIGKILL))
        kill.daemon = True
        kill.start()
    elif target != "list":
        wanted, _, count = chosen.rpartition(":")
        number = int(count)
    status = main(sys.argv[2:])
    if target == "list":
        Path(rest).write_text("".join(f"{name}:{n}\n" for name, n in sorted(passed.items())))
    sys.exit(status)
