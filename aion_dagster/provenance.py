"""Where a picture or an annotation comes from: source object, bytes, batch, runs, models, parameters and cost."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from aion_dagster import identity, schemas
from aion_dagster.errors import ConfigError
from aion_dagster.source_files import SourceFile, files_called
from aion_dagster.storage.ledger_records import Build
from aion_dagster.storage.ledger_trace import KnownCall, KnownResult
from aion_dagster.storage.store import Store

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_SHOWN: Final = 10
_ABOUT_PICTURES: Final = (
    "images", "color_analyses", "visual_features", "descriptions", "embeddings", "annotations", "text_regions", "codes",
    "objects", "image_embeddings",
)  # fmt: skip
_MODEL_COLUMNS: Final = ("engine", "provider", "model", "status", "description_status", "remote_id", "credits", "processing_time_ms", "generated_at")  # fmt: skip


@dataclass(frozen=True)
class Step:
    """A table that has a row about the picture: which run made it, from what, and by which model."""

    table: str
    batch: str
    run_id: str | None
    built_at: str | None
    fingerprint: str | None
    made_by: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """Where the bytes lie, or lay, as a source has them."""

    source: str
    uri: str
    name: str
    version: str
    size_bytes: int | None
    batch: str


@dataclass(frozen=True)
class InDataset:
    """A version of a dataset that the picture is in, and the exports made of it."""

    dataset: str
    version: str
    is_current: bool
    file_name: str
    split: str
    group_id: str
    run_id: str | None
    exports: Mapping[str, str]
    annotations: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Trace:
    """All that is known of one picture; of the annotation that was asked about, where it was one.

    `state` is in use, superseded by <id>, or deleted.
    """

    image_id: str
    sha256: str
    name: str
    state: str
    width: int
    height: int
    places: tuple[Place, ...]
    annotation: Mapping[str, Any] | None
    steps: tuple[Step, ...]
    results: tuple[KnownResult, ...]
    calls: tuple[KnownCall, ...]
    credits: float
    datasets: tuple[InDataset, ...]

    def plain(self) -> dict[str, Any]:
        """As JSON can hold it."""
        plain = asdict(self)
        for call in plain["calls"]:
            call["updated_at"] = call["updated_at"].isoformat()
        return plain


def trace_image(store: Store, image_id: str, annotation: Mapping[str, Any] | None = None) -> Trace:
    """Everything about a picture of the library, or of a version of a dataset that the library has lost.

    Raises:
        ConfigError: nothing is known of such a picture.
    """
    datasets = tuple(_datasets(store, image_id))
    row = _library_row(store, image_id) or _version_row(store, image_id)
    if row is None:
        raise ConfigError(f"there is no picture {image_id} in {store.root}")
    sha256 = str(row["sha256"])
    calls = tuple(store.ledger.calls_about(sha256))
    places = tuple(Place(**{f: p.get(f) for f in Place.__dataclass_fields__}) for p in row["locations"] or ())  # fmt: skip
    batches = {str(row["batch"]), *(p.batch for p in places)} - {"None"}
    return Trace(
        image_id=image_id,
        sha256=sha256,
        name=str(row["name"]),
        state=_state(row),
        width=row["width"],
        height=row["height"],
        places=places,
        annotation=annotation,
        steps=tuple(_steps(store, image_id, batches)),
        results=tuple(store.ledger.results_about(sha256)),
        calls=calls,
        credits=sum(c.credits or 0.0 for c in calls),
        datasets=datasets,
    )


def image_of(store: Store, asked: str) -> str | None:
    """The id of the picture that an image id, a SHA-256 or a file name in an export means; None where it means none.

    Raises:
        ConfigError: several pictures have this name.
    """
    if _SHA256.fullmatch(asked.lower()):
        asked = identity.image_id(asked.lower())
    found = _where(store, "image_id", asked) or _exported(store, asked)
    if len(found) > 1:
        named = {image: _library_row(store, image) or {} for image in sorted(found)[:_SHOWN]}
        places = [f"{(row.get('locations') or [{}])[0].get('uri', 'gone')} ({i})" for i, row in named.items()]  # fmt: skip
        raise ConfigError(f"{asked!r} is the name of {len(found)} pictures: {', '.join(places)}; name one by its URI or id")  # fmt: skip
    return next(iter(found), None)


def file_of(store: Store, asked: str) -> SourceFile | None:
    """The file that a URI, a path, a name in a source or the last part of one means; None where it means none.

    Raises:
        ConfigError: it means several that are not the same picture.
    """
    found = files_called(store, asked)
    if len({file.image_id or file.uri for file in found}) > 1:
        places = ", ".join(file.uri for file in found[:_SHOWN])
        raise ConfigError(f"{asked!r} is the name of {len(found)} files: {places}; name one by its URI")  # fmt: skip
    return next(iter(found), None)


def annotation_of(store: Store, annotation_id: str) -> Mapping[str, Any] | None:
    """The row of an annotation, as labels and detectors say it now, or as a version of a dataset has it."""
    data = store.tables.dataset("annotations")
    rows = data.to_table(filter=ds.field("annotation_id") == annotation_id)
    if rows.num_rows:
        return _plain_row(rows)
    for name in _dataset_sets(store):
        for version in reversed(store.sets.history(name)):
            table = store.sets.read_table(name, version.version, "annotations")
            rows = table.filter(pc.equal(table["annotation_id"], annotation_id))
            if rows.num_rows:
                return _plain_row(rows)
    return None


def _plain_row(rows: pa.Table) -> Mapping[str, Any]:
    row: dict[str, Any] = rows.slice(0, 1).to_pylist()[0]
    return {k: v for k, v in row.items() if v is not None}


def _dataset_sets(store: Store) -> list[str]:
    return [n for n in store.sets.names() if n.startswith("dataset/")]


def _where(store: Store, column: str, value: str) -> set[str]:
    """Ids of pictures with a value, in the library or in versions of datasets."""
    found: set[str] = set()
    if store.tables.exists("library"):
        rows = store.tables.dataset("library").to_table(["image_id"], filter=ds.field(column) == value)  # fmt: skip
        found |= set(rows["image_id"].to_pylist())
    for name in () if found else _dataset_sets(store):
        for version in store.sets.versions(name):
            table = store.sets.read_table(name, version, "images", ["image_id", column] if column != "image_id" else ["image_id"])  # fmt: skip
            found |= set(table.filter(pc.equal(table[column], value))["image_id"].to_pylist())
    return found


def _exported(store: Store, file_name: str) -> set[str]:
    found: set[str] = set()
    for name in _dataset_sets(store):
        version = store.sets.current(name)
        if version is not None:
            table = store.sets.read_table(name, version, "images", ["image_id", "file_name"])
            same = pc.equal(table["file_name"], file_name)
            found |= set(table.filter(same)["image_id"].to_pylist())
    return found


def _library_row(store: Store, image_id: str) -> Mapping[str, Any] | None:
    if not store.tables.exists("library"):
        return None
    rows = store.tables.read("library", image_ids=[image_id])
    found: list[dict[str, Any]] = rows.to_pylist()
    return found[0] if found else None


def _version_row(store: Store, image_id: str) -> Mapping[str, Any] | None:
    """A picture as the latest version of a dataset has it that knows it."""
    empty: dict[str, Any] = dict.fromkeys(schemas.LIBRARY.names)
    for name in _dataset_sets(store):
        for version in reversed(store.sets.history(name)):
            table = store.sets.read_table(name, version.version, "images")
            rows: list[dict[str, Any]] = table.filter(
                pc.equal(table["image_id"], image_id)
            ).to_pylist()
            if rows:
                return empty | {"name": rows[0]["file_name"], "deleted_at": True} | rows[0]
    return None


def _state(row: Mapping[str, Any]) -> str:
    if row["deleted_at"] is not None:
        return "deleted"
    return f"superseded by {row['superseded_by']}" if row["superseded_by"] else "in use"


def _steps(store: Store, image_id: str, batches: set[str]) -> Iterator[Step]:
    for table in _ABOUT_PICTURES:
        for batch in sorted(batches):
            if not store.tables.exists(table, batch):
                continue
            rows = store.tables.read(table, batch=batch, image_ids=[image_id])
            if rows.num_rows:
                made_by = _made_by(table, rows)
                yield _step(table, batch, store.ledger.build(table, batch), made_by)


def _made_by(table: str, rows: pa.Table) -> dict[str, Any]:
    """Engine, model and cost as the row says them; of annotations, whose they are and what that refers to."""
    if table == "annotations":
        refs = zip(rows["origin"].to_pylist(), rows["origin_ref"].to_pylist(), strict=True)
        return {"origins": sorted({f"{origin}: {ref}" for origin, ref in refs})}
    row = rows.slice(0, 1).to_pylist()[0]
    found = {c: row[c] for c in _MODEL_COLUMNS if row.get(c) is not None}
    return {k: v if isinstance(v, str | int | float) else str(v) for k, v in found.items()}


def _step(table: str, batch: str, build: Build | None, made_by: Mapping[str, Any]) -> Step:
    if build is None:
        return Step(table, batch, None, None, None, made_by)
    at = build.built_at.isoformat(timespec="seconds")
    return Step(table, batch, build.info.get("run_id"), at, build.fingerprint, made_by)


def _datasets(store: Store, image_id: str) -> Iterator[InDataset]:
    columns = ["image_id", "file_name", "split", "group_id"]
    for name in _dataset_sets(store):
        dataset = name.removeprefix("dataset/")
        for version in store.sets.history(name):
            table = store.sets.read_table(name, version.version, "images", columns)
            for row in table.filter(pc.equal(table["image_id"], image_id)).to_pylist():
                boxes = store.sets.read_table(name, version.version, "annotations")
                own = boxes.filter(pc.equal(boxes["image_id"], image_id)).to_pylist()
                yield InDataset(
                    dataset,
                    version.version,
                    version.is_current,
                    row["file_name"],
                    row["split"],
                    row["group_id"],
                    store.sets.facts(name, version.version).get("run_id"),
                    _exports(store, dataset, version.version),
                    tuple({k: v for k, v in box.items() if v is not None} for box in own),
                )


def _exports(store: Store, dataset: str, version: str) -> dict[str, str]:
    """Exports that are made of a version → where they are."""
    found = {}
    for export in store.exports.names(dataset):
        build = store.ledger.build(f"dataset/{dataset}/{export}")
        if build is not None and build.info.get("version") == version:
            found[export] = str(store.exports.place(dataset, export))
    again = f"{dataset}-{version}"
    return found | {f"{e} (again)": str(store.exports.place(again, e)) for e in store.exports.names(again)}  # fmt: skip
