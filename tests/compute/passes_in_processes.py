"""What `test_picture_workers.py` runs in a process of its own: one with a single thread, which may fork.

usage: passes_in_processes.py WHAT FOLDER
"""

from __future__ import annotations

import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import picture_files as files
import pyarrow as pa

from aion_dagster.compute.picture_pass import PassSettings, PictureInput, run_pass
from aion_dagster.compute.picture_workers import PictureWorkers

TABLES = ("images", "variants", "color_analyses", "visual_features")
SMALL = {"width": 64, "height": 48}


def workers(processes: int = 2) -> PictureWorkers:
    made = PictureWorkers.beside(processes)
    assert made is not None
    return made


def inputs(count: int) -> list[PictureInput]:
    """Pictures of several formats, each content twice, some of them damaged."""
    kinds = {0: "PNG", 1: "GIF", 2: "WEBP"}
    made = []
    for i in range(count):
        content = i // 2
        if content % 7 == 3:
            data = files.jpeg(content)[:1500]
        elif content % 5 in kinds:
            data = files.saved(files.scene(**SMALL, seed=content), kinds[content % 5])
        else:
            data = files.jpeg(content, **SMALL)
        made.append(files.picture(f"{i}.jpg", data))
    return made


def same_tables(_folder: Path) -> None:
    settings = PassSettings(in_flight=12, threads=2)
    with workers() as processes:
        ours = list(run_pass(inputs(40), settings, workers=processes))
    theirs = list(run_pass(inputs(40), settings))
    assert [c.done for c in ours] == [c.done for c in theirs]
    for table in TABLES:
        one, other = (pa.concat_tables(getattr(c, table) for c in p) for p in (ours, theirs))
        assert one == other, table
    statuses = {s for c in ours for s in c.images["status"].to_pylist()}
    assert statuses == {"ok", "unreadable"}


def killed_in_the_middle(_folder: Path) -> None:
    """Somebody kills a process while a pass is under way: its pictures are measured by another one."""
    settings = PassSettings(in_flight=12, threads=2)
    ours = []
    with workers() as processes:
        for chunk in run_pass(inputs(60), settings, workers=processes):
            ours.append(chunk)
            if len(ours) == 2:
                os.kill(next(iter(processes._pool._processes)), signal.SIGKILL)
    theirs = list(run_pass(inputs(60), settings))
    for table in TABLES:
        one, other = (pa.concat_tables(getattr(c, table) for c in p) for p in (ours, theirs))
        assert one == other, table


def doubled_unless_fatal(folder: Path, numbers: list[int]) -> list[int]:
    """Twice each number; 3 ends the process, and so does 5 the first time."""
    for number in numbers:
        once = folder / "once"
        if number == 3 or (number == 5 and not once.exists()):
            once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
    return [2 * n for n in numbers]


def ended_processes(folder: Path) -> None:
    double = partial(doubled_unless_fatal, folder)
    with workers() as processes:
        jobs = [processes.submit(double, [i, i + 1], lambda n: -n) for i in range(0, 8, 2)]
        assert [n for j in jobs for n in j.result()] == [0, 2, 4, -3, 8, 10, 12, 14]
        # New processes take the place of those that ended.
        assert processes.submit(double, [20, 21], lambda n: -n).result() == [40, 42]
        assert processes.submit(double, [3], lambda n: -n).result() == [-3]
        assert processes.submit(double, [22], lambda n: -n).result() == [44]


def takes_requests(numbers: list[int]) -> list[bool]:
    return [signal.getsignal(signal.SIGTERM) == signal.SIG_DFL for _ in numbers]


def requests_to_end(_folder: Path) -> None:
    """A pool whose process died asks the others to end, and waits for that."""
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
    with workers() as processes:
        assert processes.submit(takes_requests, [1, 2], lambda _: False).result() == [True, True]


def refused(numbers: list[int]) -> list[int]:
    raise ValueError(f"not {numbers[0]}")


def errors(_folder: Path) -> None:
    with workers() as processes:
        for number in range(50):  # more than there are mailboxes
            job = processes.submit(refused, [number], lambda n: n)
            try:
                job.result()
            except ValueError as error:
                assert str(error) == f"not {number}"  # noqa: PT017 - no pytest in here
            else:
                raise AssertionError(number)
            assert not job.cancel()


def measured(lists: list[bytes]) -> list[int]:
    return [len(data) for data in lists]


def many_and_large(_folder: Path) -> None:
    with workers() as processes:
        sizes = [(i * 37_000) % 3_000_000 for i in range(100)]
        jobs = [processes.submit(measured, [bytes(s)], lambda _: -1) for s in sizes]
        assert [job.result() for job in jobs] == [[s] for s in sizes]


def given_up(_folder: Path) -> None:
    """A consumer that stops early, again and again; what it gave up does not come up in later passes."""
    with workers() as processes:
        for _ in range(20):
            running = run_pass(inputs(24), PassSettings(in_flight=8), workers=processes)
            next(running)
            running.close()
        chunks = list(run_pass(inputs(24), PassSettings(in_flight=8), workers=processes))
        rows = [r for c in chunks for r in c.images.to_pylist()]
        assert [r["name"] for r in rows] == [f"{i}.jpg" for i in range(24)]


def in_flight(_folder: Path) -> None:
    """At most so many files are held, whatever the batch: those read and not yet given to the caller."""
    read, given, most = 0, 0, 0

    def reading(item: PictureInput) -> bytes:
        nonlocal read, most
        read += 1
        most = max(most, read - given)
        return item.read()

    counted = (PictureInput(i.ref, partial(reading, i)) for i in inputs(120))
    with workers() as processes:
        for chunk in run_pass(counted, PassSettings(in_flight=8, threads=2), workers=processes):
            given += chunk.done
    # A chunk more, which is read while the caller has the tables of the one before.
    assert most <= 8 + 4, most
    assert given == 120


def where_it_is_not_possible(_folder: Path) -> None:
    assert PictureWorkers.beside(1) is None
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(PictureWorkers.beside, 2).result() is None


def asleep(_numbers: list[int]) -> list[int]:
    signal.pause()
    return []


def killed(_folder: Path) -> None:
    """Tells the ids of its processes and dies while one of them is at work."""
    with workers() as processes:
        processes.submit(asleep, [1], lambda n: n)
        print(*processes._pool._processes, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(sys.argv[2]))
