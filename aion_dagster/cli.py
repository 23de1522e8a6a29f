"""`aion-dagster`: the command line. Parses arguments; each command is a module of `aion_dagster.commands`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.metadata import version
from typing import Final

from aion_dagster.commands.arguments import questions, upkeep, work
from aion_dagster.commands.arguments.parts import Commands
from aion_dagster.commands.saying import say
from aion_dagster.errors import AionError, ConfigError

COMMANDS = {
    "run": "take in new files, compute everything about them, curate and export",
    "dev": "open the Dagster UI on the store, with the sources watched",
    "search": "find pictures by words, by color or by looks",
    "dataset": "list, show and compare versions of datasets, or export one again",
    "trace": "tell where an exported picture or annotation comes from",
    "pipeline": "list the configured pipelines of agents, or run one",
    "costs": "show what paid calls cost, by day and operation",
    "retry": "try again what failed for a time, or with --all for good",
    "gc": "list what nothing in the store refers to any more; with --yes remove it",
    "forget": "list all that is known of a picture or document; with --yes erase it everywhere, for good",
    "compact": "merge small batches into larger ones",
    "ledger": "make a lost or damaged ledger anew from what the store holds",
    "status": "show the configuration in force and what stands in the store",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status: 0 all there, 1 something failed, 2 usage."""
    args = parser().parse_args(arguments)
    _choose_arrow_s_memory()
    _end_when_asked()
    try:
        # Imported after parsing: --help and usage errors answer at once.
        module = import_module(f"aion_dagster.commands.{args.command}")
        status: int = getattr(module, args.command)(args)
        sys.stdout.flush()
    except ConfigError as error:
        say(f"aion-dagster {args.command}: {error}")
        return 2
    except AionError as error:
        say(f"aion-dagster {args.command}: {error}")
        return 1
    except KeyboardInterrupt:
        say("interrupted; the next run continues where this one stopped")
        return 130
    except BrokenPipeError:
        # Whoever reads has had enough (`… | head`): nothing more is written, not even at the end of the interpreter.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return status


def _choose_arrow_s_memory() -> None:
    """Arrow reads this when it is imported: jemalloc gives back what tables have freed, where mimalloc keeps it, thread by thread.

    A run over 1,000 pictures needs 40 MiB less with it. Not every build for other systems has it.
    """
    if sys.platform == "linux":
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "jemalloc")


def _end_when_asked() -> None:
    """Have a request to end do what an interrupt does, and both do it for a command in the background of a script too.

    A shell has interrupts ignored there, and Dagster treats requests to end as it finds interrupts treated.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) in (signal.SIG_IGN, signal.SIG_DFL):
            signal.signal(number, signal.default_int_handler)


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(prog="aion-dagster", description="Vision data as Dagster assets.")
    top.add_argument("--version", action="version", version=version("aion_dagster"))
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, what in COMMANDS.items():
        _ARGUMENTS[name](commands, what)
    return top


_ARGUMENTS: Final[Mapping[str, Callable[[Commands, str], None]]] = {
    "run": work.run,
    "dev": work.dev,
    "search": questions.search,
    "dataset": questions.dataset,
    "trace": questions.trace,
    "pipeline": work.pipeline,
    "costs": questions.costs,
    "retry": work.retry,
    "gc": upkeep.gc,
    "forget": upkeep.forget,
    "compact": upkeep.compact,
    "ledger": upkeep.ledger,
    "status": questions.status,
}


if __name__ == "__main__":
    sys.exit(main())
