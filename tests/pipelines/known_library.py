"""A library whose tables are written by hand, so that a test knows everything that is in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from aion_dagster import schemas
from aion_dagster.search.index_update import update_index
from aion_dagster.search.library import index_path
from aion_dagster.storage.ledger_records import BatchRecord
from aion_dagster.storage.store import Store
from aion_dagster.values import FileRef

BATCH = "office-20260101-000000000000"
PICTURES = {
    "pole-1": ("a/pole.jpg", "A damaged utility pole. It leans over a road.", ("pole", "road"), 9),
    "pole-2": ("b/pole.jpg", "A utility pole by a river, newly painted.", ("pole", "river"), 9),
    "tree-1": ("a/tree.jpg", "An old oak stands in a field.", ("tree", "field"), 10),
    "tree-2": ("b/oak.jpg", "An oak in a field under snow.", ("tree", "field", "snow"), 11),
}
"""Id → name, description, tags, hour at which it was taken."""

PAPERS = {
    "lease": ("Lease.pdf", ["The tenant pays on the first day.", "No dog may live here."]),
    "records": (
        "records.txt",
        [
            "The utility pole by the river was painted in May.",
            "The damaged pole over the road leans since the storm. Its repair is urgent.",
        ],
    ),
}
"""Id → name, pieces."""


LINKS = {
    "https://news.example/storm": (
        "The storm",
        "A storm broke many utility poles. Roads are shut.",
    ),
    "https://news.example/fair": ("The fair", "The fair opens on Sunday. There will be cake."),
}
"""URL → title, text."""


def rows(schema: pa.Schema, values: Sequence[Mapping[str, Any]]) -> pa.Table:
    empty = dict.fromkeys(schema.names)
    return pa.Table.from_pylist([{**empty, **v} for v in values], schema=schema)


def fill(store: Store, *, remote: bool = False) -> None:
    """Four pictures, two of them near-duplicates, and two documents; `remote`: all of them at the platform, too."""
    names = [name for name, *_ in PICTURES.values()] + [name for name, _ in PAPERS.values()]
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    files = [FileRef("office", f"file:///{n}", n, "1", 10, moment) for n in names]
    store.ledger.record_batch(BatchRecord(BATCH, "office", "0" * 64, len(files), 10), files)
    library = rows(
        schemas.LIBRARY,
        [
            {
                "image_id": image,
                "name": name,
                "uri": f"file:///{name}",
                "source": "office",
                "version": "1",
                "batch": BATCH,
                "width": 640,
                "height": 480,
                "captured_at": datetime(2026, 1, 1, hour),
                "phash": f"{hour:016x}",
                "gps": {"latitude": 52.5, "longitude": 13.4} if hour == 9 else None,
            }
            for image, (name, _, _, hour) in PICTURES.items()
        ],
    )
    store.tables.write("library", library)
    groups = [{"image_id": i, "group_id": "oak", "group_size": 2} for i in ("tree-1", "tree-2")]
    store.tables.write("near_duplicates", rows(schemas.NEAR_DUPLICATES, groups))
    links = [
        {"source_url": url, "page_title": title, "page_text": text, "domain": "news.example"}
        for url, (title, text) in LINKS.items()
    ]
    store.tables.write("links", rows(schemas.LINKS, links))
    pieces = [
        {
            "document_id": key,
            "chunk_id": f"{key}-{i}",
            "chunk_index": i,
            "content": text,
            "page_numbers": [i + 1],
            "heading_hierarchy": [],
        }
        for key, (_, texts) in PAPERS.items()
        for i, text in enumerate(texts)
    ]
    tables: dict[str, pa.Table] = {
        "images": rows(
            schemas.IMAGES,
            [
                {k: r[k] for k in r if k in schemas.IMAGES.names} | {"status": "ok"}
                for r in library.to_pylist()
            ],
        ),
        "descriptions": rows(
            schemas.DESCRIPTIONS,
            [
                {
                    "image_id": i,
                    "title": text.split(".")[0],
                    "description": text,
                    "tags": list(tags),
                }
                for i, (_, text, tags, _) in PICTURES.items()
            ],
        ),
        "color_analyses": rows(
            schemas.COLOR_ANALYSES,
            [
                {"image_id": i, "dominant_colors": [_color(i)], "brightness_category": "bright"}
                for i in PICTURES
            ],
        ),
        "document_chunks": rows(schemas.DOCUMENT_CHUNKS, pieces),
        "documents": rows(
            schemas.DOCUMENTS,
            [
                {
                    "document_id": key,
                    "name": name,
                    "uri": f"file:///{name}",
                    "source": "office",
                    "version": "1",
                    "text_extraction_status": "completed",
                    "remote_id": f"remote-{key}" if remote else None,
                }
                for key, (name, _) in PAPERS.items()
            ],
        ),
    }
    if remote:
        uploads = [
            {"image_id": i, "remote_id": f"remote-{i}", "status": "completed"} for i in PICTURES
        ]
        tables["uploads"] = rows(schemas.UPLOADS, uploads)
    for name, table in tables.items():
        store.tables.write(name, table, batch=BATCH)
        store.ledger.record_build(name, BATCH, "1", table.num_rows, {})
    update_index(
        index_path(store),
        library=library,
        batches={BATCH: "1"},
        read_descriptions=lambda batch: store.tables.read("descriptions", batch=batch),
        documents=pa.table(
            {
                "document_id": list(PAPERS),
                "name": [name for name, _ in PAPERS.values()],
                "uri": [f"file:///{name}" for name, _ in PAPERS.values()],
                "batch": [BATCH] * len(PAPERS),
            }
        ),
        document_batches={BATCH: "1"},
        read_chunks=lambda batch: store.tables.read("document_chunks", batch=batch),
    )
    store.ledger.record_build("library", "", "1", library.num_rows, {})


def _color(image: str) -> dict[str, Any]:
    family = "earth_tone" if image.startswith("pole") else "cool"
    known = {"hex": "#808080", "percentage": 60.0, "name": "grey", "family": family}
    return {f.name: None for f in schemas.DOMINANT_COLOR} | known
