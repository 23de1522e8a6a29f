"""`python -m tests.aionvision_server`: the server, to try the remote backend without an account."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path

from .plans import PLANS
from .server import serve, world_of
from .sides import SIDES
from .specification import VARIABLE, default_place
from .world import TEST_KEY, World


def main() -> None:
    """Serve until interrupted (or, with --while-stdin, until standard input ends)."""
    given = _arguments()
    place = None if given.no_spec else (given.spec or default_place())
    world = world_of(place, tuple(given.key) or (TEST_KEY,))
    world.first_plan = given.plan
    world.begin()
    for side in given.side:
        name, _, value = side.partition("=")
        try:
            world.sides.take(name, value)
        except ValueError as error:
            sys.exit(f"--side: {error}")
    try:
        asyncio.run(_run(world, given, place))
    finally:
        world.close()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.aionvision_server", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 (default): any free one")
    parser.add_argument("--plan", choices=sorted(PLANS), default="UNLIMITED")
    parser.add_argument(
        "--spec", type=Path, help=f"the vendor's openapi.json; by default {VARIABLE}, or ../shared"
    )
    parser.add_argument("--no-spec", action="store_true", help="as if there were none")
    parser.add_argument("--key", action="append", default=[], help="an API key; may be repeated")
    parser.add_argument(
        "--side", action="append", default=[], metavar="NAME=VALUE", help=", ".join(SIDES)
    )
    parser.add_argument(
        "--json", action="store_true", help="print one line of JSON instead of text"
    )
    parser.add_argument("--while-stdin", action="store_true", help="end when standard input does")
    return parser.parse_args()


async def _run(world: World, given: argparse.Namespace, place: Path | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if given.while_stdin:
        loop.add_reader(sys.stdin.fileno(), lambda: sys.stdin.buffer.raw.read(1) or stop.set())  # type: ignore[attr-defined]

    def started(world: World) -> None:
        told = {
            "base_url": world.base_url,
            "key": next(iter(world.keys)),
            "storage_url": world.storage_url,
            "foreign_url": world.foreign_url,
            "admin_url": world.base_url.removesuffix("/api/v2") + "/_test",
            "endpoint_url": world.base_url.removesuffix("/api/v2") + "/v1",
            "specification": str(place) if place else None,
        }
        print(json.dumps(told) if given.json else _welcome(told), flush=True)

    await serve(world, given.port, started, stop)


def _welcome(told: dict[str, str | None]) -> str:
    judged = told["specification"] or "nothing but the client's own models (no specification found)"
    return f"""Aionvision test server
  AIONVISION_BASE_URL={told["base_url"]}
  AIONVISION_API_KEY={told["key"]}
  OpenAI-compatible endpoint: {told["endpoint_url"]}
  counters: {told["admin_url"]}/counters
  requests and answers are held against {judged}
Stop with Ctrl+C; nothing is kept."""


if __name__ == "__main__":
    main()
