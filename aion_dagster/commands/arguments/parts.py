"""What the arguments of several commands have in common, and what their values must be."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Final, TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

LAST_LINE: Final = "one JSON object as the last line of output"


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Tells defaults that say something, once."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        told = action.help or ""
        if action.default in (None, False, []) or "(default: " in told:
            return told
        return super()._get_help_string(action)


def add_command(commands: Commands, name: str, what: str) -> argparse.ArgumentParser:
    """A command with the arguments that all of them have; `what` it does is told in its help."""
    command = commands.add_parser(
        name,
        help=what,
        description=f"{what[0].upper()}{what[1:]}.",
        allow_abbrev=False,
        formatter_class=_Help,
    )
    command.add_argument(
        "--store", metavar="DIR", help="where results live (default: ./aion-store)"
    )
    command.add_argument("--config", metavar="FILE", help="a LibraryConfig as YAML")
    command.add_argument("--library", metavar="NAME", help="one of several libraries in the store")
    return command


def add_actions(commands: Commands, name: str, what: str) -> Commands:
    """A command of several actions, each to be added as a command of its own."""
    whole = commands.add_parser(name, help=what, allow_abbrev=False)
    return whole.add_subparsers(dest="action", required=True, metavar="ACTION")


def add_no_wait(command: argparse.ArgumentParser) -> None:
    """`--no-wait`, of commands that take the store's lock."""
    command.add_argument(
        "--no-wait", action="store_true", help="fail at once where another process uses the store"
    )


def add_json(command: argparse.ArgumentParser, what: str = "as JSON") -> None:
    """`--json`."""
    command.add_argument("--json", action="store_true", help=what)


def add_careful(command: argparse.ArgumentParser) -> None:
    """Those of commands that change a store and can say before what they would do."""
    command.add_argument("--dry-run", action="store_true", help="change nothing, only tell")
    add_json(command)


def number_of(what: str, below: float) -> Callable[[str], float]:
    """A type of arguments: a number of these things, 0 or more."""

    def number(text: str) -> float:
        try:
            found = float(text)
        except ValueError:
            found = -1.0
        if not 0 <= found < below:
            raise argparse.ArgumentTypeError(f"{text!r} must be a number of {what}, 0 or more")
        return found

    return number


def positive(text: str) -> int:
    """A type of arguments: a whole number, 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number, 1 or more")
    return int(text)
