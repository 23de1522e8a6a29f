"""Answers of paid calls on a file, in the instant in which they are read: until they stand in the ledger."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from aion_dagster.storage import process
from aion_dagster.storage.call_records import CallKey, Settlement

_ENDING: Final = ".replies"


class ReplyLog:
    """One file per process, `<process>.replies`, in a folder that all processes of a ledger share.

    The ledger's database has one writer at a time, and one that waits for the disk takes milliseconds. A process that
    is killed while an answer waits for its turn has paid for nothing; a line on a file takes microseconds, and what
    was written outlives the process. Whoever comes next settles what dead processes left.
    """

    def __init__(self, folder: Path) -> None:
        """Files in `folder`, which is made with the first of them."""
        self._folder = folder
        self._lock = threading.Lock()
        self._open: _OpenFile | None = None

    def keep(self, results: Mapping[CallKey, Settlement]) -> None:
        """Write answers down, unless they are; for a few microseconds, whatever the ledger is doing."""
        with self._lock:
            file = self._opened()
            new = {k.digest: r for k, r in results.items() if k.digest not in file.waiting}
            lines = [orjson.dumps([d.hex(), asdict(result)]) for d, result in new.items()]
            file.waiting |= new.keys()
            os.write(file.handle, b"".join(line + b"\n" for line in lines))

    def noted(self, keys: Iterable[CallKey]) -> None:
        """These stand in the ledger now."""
        with self._lock:
            file = self._opened()
            file.waiting -= {key.digest for key in keys}
            if not file.waiting:
                file.place.unlink(missing_ok=True)
                os.close(file.handle)
                self._open = None

    def left(self) -> Iterator[tuple[Path, list[tuple[bytes, Settlement]]]]:
        """The files of dead processes of this machine, each with (digest of the call, answer); delete them when noted."""
        if not self._folder.is_dir():
            return
        for place in sorted(self._folder.glob(f"*{_ENDING}")):
            if not process.is_alive(place.name.removesuffix(_ENDING)):
                yield place, list(_answers(place))

    def _opened(self) -> _OpenFile:
        # A forked process needs a file of its own.
        if self._open is None or self._open.pid != os.getpid():
            self._folder.mkdir(parents=True, exist_ok=True)
            place = self._folder / f"{process.identity()}{_ENDING}"
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._open = _OpenFile(os.getpid(), place, os.open(place, flags, 0o600))
        return self._open


@dataclass
class _OpenFile:
    """This process's file, and the digests of the calls on it that do not stand in the ledger."""

    pid: int
    place: Path
    handle: int
    waiting: set[bytes] = field(default_factory=set)


def _answers(place: Path) -> Iterator[tuple[bytes, Settlement]]:
    try:
        lines = place.read_bytes().splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        try:
            digest, values = orjson.loads(line)
            yield bytes.fromhex(digest), Settlement(**_known(values))
        except (orjson.JSONDecodeError, ValueError, TypeError):
            # Cut off in the middle by a full disk: the call stays in doubt.
            continue


def _known(values: dict[str, Any]) -> dict[str, Any]:
    return {name: values[name] for name in Settlement.__dataclass_fields__ if name in values}
