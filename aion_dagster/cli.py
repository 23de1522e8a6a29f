"""`aion-dagster`: the command line. Parses arguments; each command is a module of `aion_dagster.commands`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version

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
    try:
        # Imported after parsing: --help and usage errors answer at once.
        module = import_module(f"aion_dagster.commands.{args.command}")
        status: int = getattr(module, args.command)(args)
        sys.stdout.flush()
    except ConfigError as error:
        _complain(f"aion-dagster {args.command}: {error}")
        return 2
    except AionError as error:
        _complain(f"aion-dagster {args.command}: {error}")
        return 1
    except KeyboardInterrupt:
        _complain("interrupted; the next run continues where this one stopped")
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


def _complain(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201 - the command's output


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(prog="aion-dagster", description="Vision data as Dagster assets.")
    top.add_argument("--version", action="version", version=version("aion_dagster"))
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _run_arguments(_command(commands, "run"))
    _dev_arguments(_command(commands, "dev"))
    _search_arguments(_command(commands, "search"))
    _dataset_arguments(commands)
    _trace_arguments(_command(commands, "trace"))
    _pipeline_arguments(commands)
    _costs_arguments(_command(commands, "costs"))
    _retry_arguments(_command(commands, "retry"))
    _gc_arguments(_command(commands, "gc"))
    _forget_arguments(_command(commands, "forget"))
    _compact_arguments(_command(commands, "compact"))
    _ledger_arguments(commands)
    _command(commands, "status").add_argument("--json", action="store_true", help="as JSON")
    return top


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, what: str = ""
) -> argparse.ArgumentParser:
    """A command with the arguments that all of them have; `what` it does stands in `COMMANDS`."""
    what = what or COMMANDS[name]
    command = commands.add_parser(
        name,
        help=what,
        description=f"{what[0].upper()}{what[1:]}.",
        allow_abbrev=False,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    command.add_argument(
        "--store", metavar="DIR", help="where results live (default: ./aion-store)"
    )
    command.add_argument("--config", metavar="FILE", help="a LibraryConfig as YAML")
    command.add_argument("--library", metavar="NAME", help="one of several libraries in the store")
    return command


def _run_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "sources",
        nargs="*",
        metavar="SOURCE",
        help="folders of pictures; added to those that the store already watches",
    )
    command.add_argument("--dataset", metavar="NAME", help="name of the dataset (default: main)")
    command.add_argument(
        "--export",
        metavar="FORMATS",
        help="coco,yolo,voc,csv,parquet,imagefolder,webdataset or none (default: the first four)",
    )
    command.add_argument(
        "--labels",
        action="append",
        metavar="FILE|DIR|s3://…",
        help="labels in COCO, YOLO, Pascal VOC, CSV, or as Label Studio and CVAT export them; may be zipped; may be given"
        " several times; replaces earlier ones",
    )
    command.add_argument(
        "--backend", choices=["local", "aionvision"], help="who computes heavy steps"
    )
    command.add_argument(
        "--detect",
        metavar="KINDS",
        help="text,codes,objects or none: look for them in the pictures",
    )
    command.add_argument(
        "--documents",
        metavar="FORMATS",
        help="pdf,docx,txt,md or none: take such files in as documents",
    )
    command.add_argument("--batch-size", type=_positive, metavar="N", help="files per batch (500)")
    command.add_argument(
        "--jobs", type=_positive, default=1, metavar="N", help="batches side by side, as processes"
    )
    command.add_argument(
        "--no-wait", action="store_true", help="fail at once where another process uses the store"
    )
    command.add_argument(
        "--json", action="store_true", help="one JSON object as the last line of output"
    )


def _dev_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--host", default="127.0.0.1", help="address to listen on")
    command.add_argument("--port", type=int, default=3000, help="port to listen on")


def _search_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("text", nargs="?", metavar="TEXT", help="words or a sentence")
    command.add_argument(
        "--color",
        metavar="COLOR",
        help="a color such as '#c4a87c', its name or its family; beside TEXT or --like a filter",
    )
    command.add_argument("--like", metavar="FILE", help="a picture: find ones that look like it")
    command.add_argument("--documents", action="store_true", help="search documents for TEXT")
    command.add_argument(
        "--pictures",
        action="store_true",
        help="compare TEXT with the pictures themselves (needs models.joint)",
    )
    command.add_argument(
        "--tag", action="append", default=[], metavar="TAG", help="has this tag; repeat for several"
    )
    command.add_argument(
        "--since", metavar="DATE", help="captured (documents: changed) on this day or later"
    )
    command.add_argument("--until", metavar="DATE", help="the same, on this day or before")
    command.add_argument("--min-width", type=_positive, metavar="N", help="pixels, upright")
    command.add_argument("--min-height", type=_positive, metavar="N", help="pixels, upright")
    command.add_argument(
        "--source", action="append", default=[], metavar="NAME", help="comes from this source"
    )
    command.add_argument(
        "--format",
        action="append",
        default=[],
        metavar="NAME",
        help="jpeg, png, image/webp …; of documents pdf, docx, txt, md",
    )
    command.add_argument(
        "--name",
        action="append",
        default=[],
        metavar="PATTERN",
        help="its name fits, such as 'contracts/*' or '*.pdf'; repeat for any of several",
    )
    command.add_argument("--min-bytes", type=_positive, metavar="N", help="size of a document")
    command.add_argument("--max-bytes", type=_positive, metavar="N", help="size of a document")
    command.add_argument(
        "--min-percentage",
        type=float,
        default=5.0,
        metavar="N",
        help="share of the picture that the color must have",
    )
    command.add_argument(
        "--delta-e",
        type=float,
        default=15.0,
        metavar="N",
        help="how far a color may be (CIEDE2000)",
    )
    command.add_argument("--limit", type=_positive, default=20, metavar="N", help="most results")
    command.add_argument("--json", action="store_true", help="as JSON")


def _dataset_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    whole = commands.add_parser("dataset", help=COMMANDS["dataset"], allow_abbrev=False)
    actions = whole.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = _command(actions, "list", "show the versions of all datasets, or of one")
    listing.add_argument("name", nargs="?", metavar="NAME", help="of one dataset")
    showing = _command(actions, "show", "show what is in a version, and what it was made with")
    comparing = _command(actions, "diff", "show what differs between two versions")
    exporting = _command(actions, "export", "export any version again, or nothing where its files are gone")  # fmt: skip
    for action in (showing, comparing, exporting):
        action.add_argument("name", metavar="NAME", help="of the dataset")
    for action in (showing, exporting):
        action.add_argument("--version", metavar="VERSION", help="or its beginning (default: the current one)")  # fmt: skip
    comparing.add_argument("before", nargs="?", metavar="BEFORE", help="a version (default: the one before AFTER)")  # fmt: skip
    comparing.add_argument("after", nargs="?", metavar="AFTER", help="a version (default: the current one)")  # fmt: skip
    exporting.add_argument("--format", metavar="FORMATS", help="such as coco,yolo (default: those of the configuration)")  # fmt: skip
    exporting.add_argument("--to", metavar="DIR", help="a folder per format in DIR (default: in the store, as exports/NAME-VERSION)")  # fmt: skip
    for action in (listing, showing, comparing, exporting):
        action.add_argument("--json", action="store_true", help="as JSON")


def _trace_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "id",
        metavar="ID",
        help="an annotation id, an image id, a SHA-256, a file name in an export or a source, or a file of an export",
    )
    command.add_argument(
        "--annotation", metavar="ID", help="where ID is an exported COCO file: an id in it"
    )
    command.add_argument("--json", action="store_true", help="as JSON")


def _pipeline_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    whole = commands.add_parser("pipeline", help=COMMANDS["pipeline"], allow_abbrev=False)
    actions = whole.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = _command(actions, "list", "show the pipelines and what their steps take from")
    running = _command(actions, "run", "run a pipeline; what stands already is not done again")
    running.add_argument("name", metavar="NAME", help="one of those that 'list' shows")
    running.add_argument("--again", action="store_true", help="ask everything anew")
    running.add_argument(
        "--no-wait", action="store_true", help="fail at once where another process uses the store"
    )
    for action in (listing, running):
        action.add_argument("--json", action="store_true", help="as JSON")


def _costs_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--since", metavar="DATE", help="first day, such as 2026-01-31 (UTC)")
    command.add_argument("--until", metavar="DATE", help="last day")
    command.add_argument("--json", action="store_true", help="as JSON")


def _retry_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--all", action="store_true", help="also what failed for good, such as refused pictures"
    )
    command.add_argument(
        "--no-wait", action="store_true", help="fail at once where another process uses the store"
    )
    command.add_argument(
        "--json", action="store_true", help="one JSON object as the last line of output"
    )


def _gc_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--yes", action="store_true", help="remove it; otherwise it is listed")
    command.add_argument(
        "--older-than",
        type=_hours,
        default=24.0,
        metavar="HOURS",
        help="leave alone what was written within so many hours",
    )
    command.add_argument(
        "--keep-versions",
        type=_positive,
        metavar="N",
        help="also remove versions of datasets and labels, but for the current one, those that exports are made of, and"
        " the N that were written last (default: all stay)",
    )
    command.add_argument(
        "--no-wait", action="store_true", help="fail at once where another process uses the store"
    )
    command.add_argument("--json", action="store_true", help="as JSON")


def _forget_arguments(command: argparse.ArgumentParser) -> None:
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
    command.add_argument(
        "--no-wait", action="store_true", help="fail at once where another process uses the store"
    )
    command.add_argument("--json", action="store_true", help="as JSON")


def _hours(text: str) -> float:
    try:
        hours = float(text)
    except ValueError:
        hours = -1.0
    if not 0 <= hours < 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number of hours, 0 or more")
    return hours


def _ledger_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    whole = commands.add_parser("ledger", help=COMMANDS["ledger"], allow_abbrev=False)
    actions = whole.add_subparsers(dest="action", required=True, metavar="ACTION")
    command = _command(actions, "rebuild", COMMANDS["ledger"])
    command.add_argument(
        "--force", action="store_true", help="even where the ledger fits the store"
    )
    _careful_arguments(command)


def _compact_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--older-than",
        type=_days,
        default=7.0,
        metavar="DAYS",
        help="leave alone what was taken in within so many days",
    )
    command.add_argument(
        "--batch-size",
        type=_positive,
        metavar="N",
        help="files in a merged batch, at most (default: as for new batches)",
    )
    command.add_argument(
        "--no-wait", action="store_true", help="fail at once where another process uses the store"
    )
    _careful_arguments(command)


def _careful_arguments(command: argparse.ArgumentParser) -> None:
    """Those of commands that change a store and can say before what they would do."""
    command.add_argument("--dry-run", action="store_true", help="change nothing, only tell")
    command.add_argument("--json", action="store_true", help="as JSON")


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = -1
    if not 0 <= days < 100_000:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number of days, 0 or more")
    return days


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number, 1 or more")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
