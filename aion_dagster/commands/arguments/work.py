"""Commands that take in, compute and make: `run`, `dev`, `pipeline`, `retry`."""

from __future__ import annotations

from aion_dagster.commands.arguments.parts import (
    LAST_LINE,
    Commands,
    add_actions,
    add_command,
    add_json,
    add_no_wait,
    positive,
)


def run(commands: Commands, what: str) -> None:
    """`aion-dagster run`."""
    command = add_command(commands, "run", what)
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
    command.add_argument(
        "--batch-size", type=positive, metavar="N", help="files per batch (default: 500)"
    )
    command.add_argument(
        "--jobs", type=positive, default=1, metavar="N", help="batches side by side, as processes"
    )
    add_no_wait(command)
    add_json(command, LAST_LINE)


def dev(commands: Commands, what: str) -> None:
    """`aion-dagster dev`."""
    command = add_command(commands, "dev", what)
    command.add_argument("--host", default="127.0.0.1", help="address to listen on")
    command.add_argument("--port", type=int, default=3000, help="port to listen on")


def pipeline(commands: Commands, what: str) -> None:
    """`aion-dagster pipeline ACTION`."""
    actions = add_actions(commands, "pipeline", what)
    listing = add_command(actions, "list", "show the pipelines and what their steps take from")
    running = add_command(actions, "run", "run a pipeline; what stands already is not done again")
    running.add_argument("name", metavar="NAME", help="one of those that 'list' shows")
    running.add_argument("--again", action="store_true", help="ask everything anew")
    add_no_wait(running)
    for action in (listing, running):
        add_json(action)


def retry(commands: Commands, what: str) -> None:
    """`aion-dagster retry`."""
    command = add_command(commands, "retry", what)
    command.add_argument(
        "--all", action="store_true", help="also what failed for good, such as refused pictures"
    )
    add_no_wait(command)
    add_json(command, LAST_LINE)
