"""`aion-dagster search`: pictures by words and meaning, by color, or by looks; pieces of documents."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path
from typing import Any

from aion_dagster.backends.local import LocalBackend
from aion_dagster.commands.settings import store_config
from aion_dagster.compute.color_names import FAMILIES
from aion_dagster.config import LibraryConfig
from aion_dagster.errors import ConfigError, SourceError, UnavailableError
from aion_dagster.search.color_query import ColorQuery, ColorQueryError, is_hex
from aion_dagster.search.filters import DocumentFilters, Filters
from aion_dagster.search.found import Found, FoundChunk
from aion_dagster.search.library import LibrarySearch


def search(args: Namespace) -> int:
    """Print what was found, best first, each with the reasons why."""
    if bool(args.text) + bool(args.like) > 1 or not (args.text or args.like or args.color):
        raise ConfigError("name one of: TEXT, --like FILE, --color COLOR (a filter beside another)")
    config = store_config(args)
    backend = LocalBackend(
        text_model=config.text_model, models=config.models, endpoint=config.endpoint
    )
    if args.pictures and config.models.joint is not None:
        missing = backend.unavailable("embed_images")
        if missing:
            raise UnavailableError(missing)
    with _open(config, backend) as library:
        found = _found(library, args)
    if args.json:
        print(json.dumps([_plain(f) for f in found]))
    else:
        _print(found)
    return 0


def _open(config: LibraryConfig, backend: LocalBackend) -> LibrarySearch:
    """The library with the models that its tables were made with, where they are there."""
    texts = backend.unavailable("embed_text") is None
    pictures = backend.unavailable("embed_images") is None
    return LibrarySearch.open(
        config.store,
        config.name,
        embed=backend.embed_text if texts else None,
        text_model=backend.identity("embed_text") if texts else None,
        embed_for_pictures=backend.embed_query if pictures else None,
        picture_model=backend.identity("embed_images") if pictures else None,
    )


def _found(library: LibrarySearch, args: Namespace) -> Sequence[Found | FoundChunk]:
    if args.documents:
        return library.documents(args.text, filters=_document_filters(args), limit=args.limit)
    for flag, given in (("--min-bytes", args.min_bytes), ("--max-bytes", args.max_bytes)):
        if given is not None:
            raise ConfigError(f"{flag} is for documents: give --documents with it")
    color = _color(args)
    filters = _filters(args, color if args.text or args.like else None)
    if args.pictures:
        if not args.text:
            raise ConfigError("--pictures searches for TEXT in the pictures themselves")
        return library.image_text(args.text, filters=filters, limit=args.limit)
    if args.text:
        return library.text(args.text, filters=filters, limit=args.limit)
    if args.like:
        try:
            return library.like(Path(args.like), filters=filters, limit=args.limit)
        except SourceError as error:
            raise ConfigError(f"--like: {error}") from None
    return library.color(**asdict(color or ColorQuery()), filters=filters, limit=args.limit)


def _color(args: Namespace) -> ColorQuery | None:
    """`--color` as a code, a family or a name."""
    if not args.color:
        return None
    if args.color.startswith("#") or (len(args.color) == 6 and is_hex(args.color)):
        asked = {"hex": args.color}
    else:
        asked = {"family" if args.color.lower() in FAMILIES else "name": args.color}
    try:
        return ColorQuery(
            **asked, delta_e_threshold=args.delta_e, min_percentage=args.min_percentage
        )
    except ColorQueryError as error:
        raise ConfigError(f"--color, --delta-e: {error}") from None


def _filters(args: Namespace, color: ColorQuery | None) -> Filters:
    return Filters(
        tags=tuple(args.tag),
        since=_day("--since", args.since),
        until=_day("--until", args.until),
        min_width=args.min_width,
        min_height=args.min_height,
        sources=tuple(args.source),
        formats=tuple(args.format),
        names=tuple(args.name),
        color=color,
    )


def _document_filters(args: Namespace) -> DocumentFilters:
    if not args.text:
        raise ConfigError("--documents searches for TEXT")
    for_pictures = {
        "--color": args.color,
        "--pictures": args.pictures,
        "--tag": args.tag,
        "--min-width": args.min_width,
        "--min-height": args.min_height,
    }
    wrong = [flag for flag, given in for_pictures.items() if given]
    if wrong:
        raise ConfigError(f"{', '.join(wrong)}: for pictures, not beside --documents")
    return DocumentFilters(
        since=_day("--since", args.since),
        until=_day("--until", args.until),
        min_bytes=args.min_bytes,
        max_bytes=args.max_bytes,
        sources=tuple(args.source),
        formats=tuple(args.format),
        names=tuple(args.name),
    )


def _day(flag: str, text: str | None) -> date | None:
    """A date, or a date and time."""
    if text is None:
        return None
    try:
        return date.fromisoformat(text) if len(text) <= 10 else datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"{flag} {text}: write a date as 2026-05-31, with a time as 2026-05-31T18:00"
        ) from None


def _plain(found: Found | FoundChunk) -> dict[str, Any]:
    """A result as JSON: what does not belong to a reason's kind is left out."""
    reasons = [{k: v for k, v in asdict(r).items() if v not in (None, ())} for r in found.reasons]
    return {**asdict(found), "reasons": reasons}


def _print(found: Sequence[Found | FoundChunk]) -> None:
    if not found:
        print("Nothing found.")
    for one in found:
        print(f"{one.score:.3f}  {_title(one)}")
        if isinstance(one, FoundChunk) and not any(r.snippet for r in one.reasons):
            print(f"       {one.snippet}")
        for reason in one.reasons:
            print(f"       {reason}")


def _title(found: Found | FoundChunk) -> str:
    if isinstance(found, Found):
        return found.name
    pages = ", ".join(map(str, found.page_numbers))
    word = "page" if len(found.page_numbers) == 1 else "pages"
    return " › ".join([f"{found.name}{f', {word} {pages}' if pages else ''}", *found.heading])
