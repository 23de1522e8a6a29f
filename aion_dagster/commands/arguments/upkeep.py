"""Commands that look after a store: `gc`, `forget`, `compact`, `ledger`."""

from __future__ import annotations

from aion_dagster.commands.arguments.parts import (
    Commands,
    add_actions,
    add_careful,
    add_command,
    add_json,
    add_no_wait,
    number_of,
    positive,
)


def gc(commands: Commands, what: str) -> None:
    """`aion-dagster gc`."""
    command = add_command(commands, "gc", what)
    command.add_argument("--yes", action="store_true", help="remove it; otherwise it is listed")
    command.add_argument(
        "--older-than",
        type=number_of("hours", 1_000_000),
        default=24.0,
        metavar="HOURS",
        help="leave alone what was written within so many hours",
    )
    command.add_argument(
        "--keep-versions",
        type=positive,
        metavar="N",
        help="also remove versions of datasets and labels, but for the current one, those that exports are made of, and"
        " the N that were written last (default: all stay)",
    )
    add_no_wait(command)
    add_json(command)


def forget(commands: Commands, what: str) -> None:
    """`aion-dagster forget`."""
    command = add_command(commands, "forget", what)
    command.add_argument(
        "what",
        nargs="*",
        metavar="URI|SHA",
        help="a file's URI or path, the SHA-256 of its bytes, or its id; none to end what was interrupted",
    )
    command.add_argument("--yes", action="store_true", help="erase it; otherwise it is listed")
    command.add_argument(
        "--remote",
        choices=["keep", "ours", "all"],
        default="keep",
        help="delete it at the Aionvision platform, too: what this library sent there, or all",
    )
    command.add_argument(
        "--no-rebuild",
        action="store_true",
        help="leave library, datasets, exports and index to the next run; until then they are missing",
    )
    add_no_wait(command)
    add_json(command)


def compact(commands: Commands, what: str) -> None:
    """`aion-dagster compact`."""
    command = add_command(commands, "compact", what)
    command.add_argument(
        "--older-than",
        type=number_of("days", 100_000),
        default=7.0,
        metavar="DAYS",
        help="leave alone what was taken in within so many days",
    )
    command.add_argument(
        "--batch-size",
        type=positive,
        metavar="N",
        help="files in a merged batch, at most (default: as for new batches)",
    )
    add_no_wait(command)
    add_careful(command)


def ledger(commands: Commands, what: str) -> None:
    """`aion-dagster ledger ACTION`."""
    actions = add_actions(commands, "ledger", what)
    command = add_command(actions, "rebuild", what)
    command.add_argument(
        "--force", action="store_true", help="even where the ledger fits the store"
    )
    add_careful(command)
