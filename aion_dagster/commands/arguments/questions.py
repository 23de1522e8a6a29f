"""Commands that answer: `search`, `dataset`, `trace`, `costs`, `status`."""

from __future__ import annotations

from aion_dagster.commands.arguments.parts import (
    Commands,
    add_actions,
    add_command,
    add_json,
    positive,
)


def search(commands: Commands, what: str) -> None:
    """`aion-dagster search`."""
    command = add_command(commands, "search", what)
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
    command.add_argument("--min-width", type=positive, metavar="N", help="pixels, upright")
    command.add_argument("--min-height", type=positive, metavar="N", help="pixels, upright")
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
    command.add_argument("--min-bytes", type=positive, metavar="N", help="size of a document")
    command.add_argument("--max-bytes", type=positive, metavar="N", help="size of a document")
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
    command.add_argument("--limit", type=positive, default=20, metavar="N", help="most results")
    add_json(command)


def dataset(commands: Commands, what: str) -> None:
    """`aion-dagster dataset ACTION`."""
    actions = add_actions(commands, "dataset", what)
    listing = add_command(actions, "list", "show the versions of all datasets, or of one")
    listing.add_argument("name", nargs="?", metavar="NAME", help="of one dataset")
    showing = add_command(actions, "show", "show what is in a version, and what it was made with")
    comparing = add_command(actions, "diff", "show what differs between two versions")
    exporting = add_command(actions, "export", "export any version again, or nothing where its files are gone")  # fmt: skip
    for action in (showing, comparing, exporting):
        action.add_argument("name", metavar="NAME", help="of the dataset")
    for action in (showing, exporting):
        action.add_argument("--version", metavar="VERSION", help="or its beginning (default: the current one)")  # fmt: skip
    comparing.add_argument("before", nargs="?", metavar="BEFORE", help="a version (default: the one before AFTER)")  # fmt: skip
    comparing.add_argument("after", nargs="?", metavar="AFTER", help="a version (default: the current one)")  # fmt: skip
    exporting.add_argument("--format", metavar="FORMATS", help="such as coco,yolo (default: those of the configuration)")  # fmt: skip
    exporting.add_argument("--to", metavar="DIR", help="a folder per format in DIR (default: in the store, as exports/NAME-VERSION)")  # fmt: skip
    for action in (listing, showing, comparing, exporting):
        add_json(action)


def trace(commands: Commands, what: str) -> None:
    """`aion-dagster trace`."""
    command = add_command(commands, "trace", what)
    command.add_argument(
        "id",
        metavar="ID",
        help="an annotation id, an image id, a SHA-256, a path, URI or name of a file in a source, a file name in an"
        " export, or a file of an export",
    )
    command.add_argument(
        "--annotation", metavar="ID", help="where ID is an exported COCO file: an id in it"
    )
    add_json(command)


def costs(commands: Commands, what: str) -> None:
    """`aion-dagster costs`."""
    command = add_command(commands, "costs", what)
    command.add_argument("--since", metavar="DATE", help="first day, such as 2026-01-31 (UTC)")
    command.add_argument("--until", metavar="DATE", help="last day")
    add_json(command)


def status(commands: Commands, what: str) -> None:
    """`aion-dagster status`."""
    add_json(add_command(commands, "status", what))
