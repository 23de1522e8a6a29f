"""`aion-dagster search`: pictures by words and meaning, by color, or by looks."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from aion_dagster.backends.local import LocalBackend
from aion_dagster.commands.settings import store_config
from aion_dagster.compute.picture_pass import PassSettings, PictureInput, run_pass
from aion_dagster.config import LibraryConfig
from aion_dagster.errors import ConfigError, StorageError
from aion_dagster.planning import word_index
from aion_dagster.schemas import STATUS_OK
from aion_dagster.search.colors import by_color
from aion_dagster.search.fusion import reciprocal_rank
from aion_dagster.search.hits import Hit
from aion_dagster.search.index import WordIndex
from aion_dagster.search.looks import similar
from aion_dagster.search.vectors import nearest
from aion_dagster.storage.store import Store
from aion_dagster.values import FileRef

Result = dict[str, Any]
DEPTH = 200
"""Pictures of each ranking that are fused: a short list must not depend on how short it is."""


def search(args: Namespace) -> int:
    """Print the pictures found, best first."""
    asked = [a for a in (args.text, args.color, args.like) if a]
    if len(asked) != 1:
        raise ConfigError("name one of: TEXT, --color COLOR, --like FILE")
    config = store_config(args)
    store = Store.open(config.store, library=config.name, create=False)
    if store.ledger.build("library") is None:
        raise StorageError(
            f"{store.root}: nothing to search yet; 'aion-dagster run SOURCE' fills it"
        )
    library = _live(store)
    if args.text:
        found = _by_text(config, store, args.text, args.limit)
    elif args.color:
        found = _by_color(store, args.color, args.limit)
    else:
        found = _by_looks(store, library, Path(args.like), args.limit)
    results = [_located(r, library) for r in found if r["image_id"] in library][: args.limit]
    if args.json:
        print(json.dumps(results))  # noqa: T201 - the command's output
    else:
        _print(results)
    return 0


def _live(store: Store) -> dict[str, dict[str, Any]]:
    """Pictures in use by id."""
    columns = ["image_id", "name", "uri", "phash", "superseded_by"]
    rows = store.tables.read("library", columns=columns).to_pylist()
    return {r["image_id"]: r for r in rows if r["superseded_by"] is None}


def _by_text(config: LibraryConfig, store: Store, text: str, limit: int) -> list[Result]:
    """Words by BM25 and meaning by vectors, fused by rank."""
    with WordIndex.open(word_index(store)) as index:
        words = index.search(text, limit=max(limit, DEPTH))
    if not words:
        print("No picture has these words; the nearest in meaning, if any:", file=sys.stderr)  # noqa: T201
    lists: list[Sequence[Hit]] = [words]
    backend = LocalBackend(text_model=config.text_model)
    if backend.unavailable("embed_text") is None:
        vectors = store.tables.read("embeddings", columns=["image_id", "vector"])
        if vectors.num_rows:
            flat = vectors["vector"].combine_chunks().flatten().to_numpy()
            matrix = flat.reshape(vectors.num_rows, -1)
            query = backend.embed_text([text])[0]
            lists.append(nearest(vectors["image_id"].to_pylist(), matrix, query, max(limit, DEPTH)))
    snippets = {h.image_id: h.snippet for h in words if h.snippet}
    return [
        {"image_id": h.image_id, "score": h.score, "text": snippets.get(h.image_id)}
        for h in reciprocal_rank(lists, limit=max(limit, DEPTH))
    ]


def _by_color(store: Store, color: str, limit: int) -> list[Result]:
    """Pictures that hold a color near the one named, by hex code or name."""
    table = store.tables.read("color_analyses", columns=["image_id", "dominant_colors"])
    is_hex = color.startswith("#") or _is_hex(color)
    hits = by_color(
        table,
        hex=color if is_hex else None,
        name=None if is_hex else color,
        limit=limit * 2,
    )
    return [
        {
            "image_id": h.image_id,
            "score": h.match_score,
            "hex": h.matched_hex,
            "percentage": h.matched_percentage,
        }
        for h in hits
    ]


def _is_hex(text: str) -> bool:
    return len(text) == 6 and all(c in "0123456789abcdefABCDEF" for c in text)


def _by_looks(
    store: Store, library: Mapping[str, Mapping[str, Any]], path: Path, limit: int
) -> list[Result]:
    """Pictures that look like a file: same shapes and colors, not the same meaning."""
    phash, descriptor = looks_of(path)
    features = store.tables.read("visual_features", columns=["image_id", "descriptor"])
    images = pa.table(
        {
            "image_id": list(library),
            "phash": pa.array([r["phash"] for r in library.values()], pa.string()),
        }
    )
    hits = similar(features, images, np.asarray(descriptor, np.float32), phash, limit * 2)
    return [{"image_id": h.image_id, "score": h.score} for h in hits]


def looks_of(path: Path) -> tuple[str, list[float]]:
    """Perceptual hash and descriptor of a picture file.

    Raises:
        ConfigError: it cannot be read, or is no picture.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"--like {path}: cannot be read ({error.strerror})") from None
    ref = FileRef("", path.as_posix(), path.name, "", len(data), datetime.now(UTC))
    settings = PassSettings(parts=frozenset({"images", "visual_features"}))
    chunk = next(run_pass([PictureInput(ref, lambda: data)], settings))
    row = chunk.images.to_pylist()[0]
    if row["status"] != STATUS_OK:
        raise ConfigError(f"--like {path}: {row['error']}")
    return row["phash"], chunk.visual_features["descriptor"].to_pylist()[0]


def _located(result: Result, library: Mapping[str, Mapping[str, Any]]) -> Result:
    row = library[result["image_id"]]
    return {**result, "name": row["name"], "uri": row["uri"]}


def _print(results: Sequence[Result]) -> None:
    if not results:
        print("Nothing found.")  # noqa: T201 - the command's output
    for r in results:
        detail = r.get("text") or (f"{r['hex']} {r['percentage']:.0f} %" if r.get("hex") else "")
        print(f"{r['score']:.3f}  {r['name']}  {detail}".rstrip())  # noqa: T201
