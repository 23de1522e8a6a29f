"""What tells of a picture, looked for in everything that a store consists of."""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import sqlalchemy as sa

from aion_dagster.storage.bucket import BucketPath
from aion_dagster.storage.store import Store

Needles = Mapping[str, bytes]


def needles_of(store: Store, sha256: str, file: Path, **more: str) -> dict[str, bytes]:
    """Everything by which a picture that was computed can be recognised."""
    rows = store.tables.dataset("images").to_table().to_pylist()
    row = next(r for r in rows if r["sha256"] == sha256)
    variants = store.tables.dataset("variants").to_table().to_pylist()
    found = next(v for v in variants if v["image_id"] == row["image_id"])
    pixels = {name: value for name, value in found.items() if isinstance(value, bytes)}
    return {
        "sha256": sha256.encode(),
        "image_id": row["image_id"].encode(),
        "file name": file.name.encode(),
        "uri": row["uri"].encode(),
        "original": file.read_bytes(),
        **{f"variant {name}": value for name, value in pixels.items()},
        **{f"variant {n}, base64": base64.b64encode(v) for n, v in pixels.items()},
        "perceptual hash": row["phash"].encode(),
        "blur hash": row["blur_hash"].encode(),
        **{name: text.encode() for name, text in more.items()},
    }


def traces(files: Iterable[tuple[str, bytes]], needles: Needles) -> set[tuple[str, str]]:
    """Needle and file, wherever one is found: in the bytes, and in what Parquet and SQLite hold."""
    found = set()
    for name, data in files:
        said = [data, *decoded(data)]
        found |= {(n, name) for n, needle in needles.items() if any(needle in s for s in said)}
    return found


def files_of(*folders: Path, without: Iterable[str] = ()) -> Iterator[tuple[str, bytes]]:
    """Every file below some folders, but for those in subfolders of these names."""
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            inside = path.relative_to(folder).parts
            if path.is_file() and not set(inside) & set(without):
                yield str(path.relative_to(folder)), path.read_bytes()


def objects_of(place: BucketPath) -> Iterator[tuple[str, bytes]]:
    """Every object below a place, in all versions that the bucket keeps."""
    client = place.client
    pages = client.get_paginator("list_object_versions")
    for page in pages.paginate(Bucket=place.bucket, Prefix=place.key):
        for item in page.get("Versions", ()):
            answer = client.get_object(
                Bucket=place.bucket, Key=item["Key"], VersionId=item["VersionId"]
            )
            yield f"{item['Key']} {item['VersionId']}", answer["Body"].read()


def database_of(url: str) -> Iterator[tuple[str, bytes]]:
    """Every table of a PostgreSQL database, as its rows are read."""
    engine = sa.create_engine(url)
    found = sa.inspect(engine)
    with engine.connect() as connection:
        for schema in found.get_schema_names():
            for table in found.get_table_names(schema=schema) if "_" not in schema else ():
                rows = connection.execute(sa.text(f'SELECT * FROM "{schema}"."{table}"'))
                yield f"{schema}.{table}", b"\n".join(map(spelled, rows))
    engine.dispose()


def decoded(data: bytes) -> Iterator[bytes]:
    """What the bytes stand for, where they are Parquet or SQLite."""
    if data[:4] == b"PAR1":
        table = pq.read_table(BytesIO(data))
        yield b"\n".join(spelled(row.values()) for row in table.to_pylist())
    elif data[:15] == b"SQLite format 3":
        with closing(sqlite3.connect(":memory:")) as opened:
            # Out of WAL mode, which a database in memory cannot have.
            opened.deserialize(data[:18] + b"\1\1" + data[20:])
            names = opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            for (name,) in names:
                rows = opened.execute(f'SELECT * FROM "{name}"').fetchall()
                yield b"\n".join(map(spelled, rows))


def spelled(values: Iterable[Any]) -> bytes:
    """Values as text; bytes as they are."""
    parts = [v if isinstance(v, bytes) else repr(v).encode() for v in values]
    return b"\t".join(parts)
