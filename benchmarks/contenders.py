"""What `run_1000.py` measures: command lines by name, each on a folder of pictures and a fresh state."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from watched import Watched, processes_in, watch

HERE = Path(__file__).resolve().parent
SHARED = HERE.parents[1] / "shared" / "bench"
"""Scripts of the same workload on other systems; they are no part of the repository."""
PROCESSES = 2


@dataclass(frozen=True)
class Contender:
    """A command line that follows from a fresh folder for its state, its environment, and the folder it is run in."""

    command: Callable[[Path], list[str]]
    environment: Callable[[Path], dict[str, str]] = field(default=lambda _state: {})
    folder: Path | None = None

    def run(self, state: Path, *, memory: bool) -> Watched:
        """Run it once; servers that it leaves behind in its state are ended."""
        try:
            return watch(
                self.command(state),
                environment=self.environment(state),
                folder=self.folder,
                memory=memory,
                state=state,
            )
        finally:
            end(processes_in(state))


def end(processes: list[psutil.Process]) -> None:
    """End servers, those that do not listen by force."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    for process in psutil.wait_procs(processes, timeout=10)[1]:
        with suppress(psutil.NoSuchProcess):
            process.kill()


Contenders = dict[str, Contender]


def _run(pictures: Path, *options: str) -> Contender:
    ours = str(Path(sys.executable).with_name("aion-dagster"))
    return Contender(
        lambda state: [ours, "run", str(pictures), "--store", str(state), "--json", *options]
    )


def standard(pictures: Path, labels: Path) -> Contenders:
    """The product as it is used, our floor, and our pass without anything around it."""
    core = ("--config", str(HERE / "core.yaml"))
    python = sys.executable
    processes = ("--processes", str(PROCESSES))
    return {
        "floor": Contender(
            lambda state: [python, str(HERE / "floor.py"), str(pictures), str(state), *processes]
        ),
        "bare_pass": Contender(
            lambda state: [python, str(HERE / "bare_pass.py"), str(pictures), str(state)]
        ),
        "run": _run(pictures, *core),
        "run_coco": _run(
            pictures, *core, "--labels", str(labels), "--dataset", "bench", "--export", "coco"
        ),
        "run_vectors": _run(pictures),
    }


def race(pictures: Path, pixeltable: Path | None, datachain: Path | None) -> Contenders:
    """The product without exports, and the same workload on other systems as far as they are here."""
    python, images = sys.executable, str(pictures)
    found = {"race": _run(pictures, "--config", str(HERE / "race.yaml"))}
    if not SHARED.is_dir():
        return found
    floor, peer, other = (
        str(SHARED / f"bench_{name}.py") for name in ("floor", "pixeltable", "datachain")
    )
    found["race_floor"] = Contender(
        lambda state: [python, floor, images, str(state), "--procs", str(PROCESSES)]
    )
    if pixeltable is not None:
        found["pixeltable"] = Contender(
            lambda _: [str(pixeltable), peer, images, "--fresh"],
            lambda state: {"PIXELTABLE_HOME": str(state), "PYTHONDONTWRITEBYTECODE": "1"},
        )
    if datachain is not None:
        # Its worker processes look for the workload's module in the current folder.
        found["datachain"] = Contender(
            lambda _: [str(datachain), other, images, "--parallel", str(PROCESSES)],
            lambda state: {
                "DATACHAIN_ROOT_DIR": str(state),
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            SHARED,
        )
    return found


def detecting(pictures: Path) -> Contenders:
    """The race's run on fewer pictures, with and without the steps for text and for codes."""
    config = ("--config", str(HERE / "race.yaml"))
    return {
        f"detect_{kind}": _run(pictures, *config, "--detect", kind)
        for kind in ("none", "text", "codes")
    }
