"""Forget one picture or document: find everything that tells of it, erase it, and keep it from coming back."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote_from_bytes

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from aion_dagster.compute.documents.identifiers import document_id
from aion_dagster.config import LibraryConfig
from aion_dagster.errors import ConfigError, StorageError
from aion_dagster.identity import digest, image_id, manifest_digest
from aion_dagster.planning import Planner, configured_backend
from aion_dagster.storage import erasing
from aion_dagster.storage.erasing import Found
from aion_dagster.storage.erasure_target import Target
from aion_dagster.storage.ledger_erasure import FileVersion, Reprint, Slimmed
from aion_dagster.storage.places import write_bytes
from aion_dagster.storage.store import Store

FOLDER: Final = "forgotten"
"""Below a store: what was erased, as marks; and erasures that have not come to their end, as they are."""

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_FACTS: Final = ("source", "uri", "name", "version", "sha256")
_REMOTE: Final = {"uploads": "image_id", "descriptions": "image_id", "documents": "document_id"}
"""Tables that say under which id the platform has a content."""


@dataclass(frozen=True, order=True)
class RemoteObject:
    """What the platform holds of a target; `was_there`: it had the content before this library sent it."""

    kind: str
    remote_id: str
    was_there: bool = False


@dataclass(frozen=True)
class Erasure:
    """A target, where it was found, and what a remote platform has of it."""

    target: Target
    found: Found
    remote: tuple[RemoteObject, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "target": self.target.to_json(),
            "found": self.found.to_json(),
            "remote": [[r.kind, r.remote_id, r.was_there] for r in self.remote],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Erasure:
        """The reverse of `to_json`."""
        remote = tuple(RemoteObject(*each) for each in data["remote"])
        return cls(Target.from_json(data["target"]), Found.from_json(data["found"]), remote)


def plan_erasure(store: Store, what: str) -> Erasure | None:
    """Find all that a store holds of a picture or document.

    Args:
        store: where to look.
        what: the SHA-256 of its bytes, its id, the URI of a file that holds it, or a path of this machine. A URI stands
            for every version of its file and for all contents that these had, wherever else those are found.

    Returns:
        What is to be erased, and where; None where nothing is known of it.
    """
    target = _target(store, what)
    if target is None:
        return None
    return Erasure(target, erasing.find(store, target), tuple(sorted(_remote(store, target))))


def is_forgotten(store: Store, what: str) -> bool:
    """Whether this content was erased before."""
    return _SHA256.fullmatch(what) is not None and bool(store.ledger.forgotten_contents([what]))


def erase(config: LibraryConfig, store: Store, erasure: Erasure) -> None:
    """Erase it. To be called under the exclusive lock; killed at any moment, `pending` gives it to the next call.

    Raises:
        StorageError: a place cannot be read or written; what is left of the erasure is pending.
    """
    target = erasure.target
    marks = sorted(mark.hex() for mark in target.marks)
    name = digest(marks)[:16]
    now = datetime.now(UTC).isoformat(timespec="seconds")
    # First of all it must not come back: a run after a crash would see its file, and know nothing of it.
    facts = {"format": 1, "marks": marks, "forgotten_at": now}
    write_bytes(store.root / FOLDER / f"{name}.json", orjson.dumps(facts))
    store.ledger.note_forgotten(target.marks)
    note = store.root / FOLDER / f"pending-{name}.json"
    write_bytes(note, orjson.dumps(erasure.to_json()))
    batches = store.ledger.batches_of(target.files) | erasure.found.manifests
    slimmed = {batch: _slimmed(store, target, batch) for batch in sorted(batches)}
    prints = list(_reprints(config, store, slimmed))
    erasing.erase(store, target, erasure.found, prints)
    store.ledger.erase(
        target.files, target.sha256s, mentions=target.mentions, batches=slimmed, prints=prints
    )
    left = erasing.find(store, target)
    if left:
        raise StorageError(
            f"Something still tells of what is to be forgotten ({_places(left)}): run 'aion-dagster forget' once more."
        )
    store.ledger.compact_database()
    note.unlink(missing_ok=True)
    _purge(store, f"pending-{name}.json")


def pending(store: Store) -> list[Erasure]:
    """Erasures that were begun and have not come to their end."""
    folder = store.root / FOLDER
    if not folder.is_dir():
        return []
    notes = sorted(p.name for p in folder.iterdir() if p.name.startswith("pending-"))
    return [Erasure.from_json(orjson.loads((folder / name).read_bytes())) for name in notes]


def restore_marks(store: Store) -> int:
    """Give a ledger that was lost the marks of what was erased, from the store; how many."""
    folder = store.root / FOLDER
    if not folder.is_dir():
        return 0
    marks: set[bytes] = set()
    for place in [*folder.iterdir()]:
        if place.suffix == ".json" and not place.name.startswith((".", "pending-")):
            marks.update(map(bytes.fromhex, orjson.loads(place.read_bytes())["marks"]))
    store.ledger.note_forgotten(marks)
    return len(marks)


def _target(store: Store, what: str) -> Target | None:
    """Everything by which a picture or document is known."""
    is_content = _SHA256.fullmatch(what) is not None
    known: list[tuple[FileVersion, str]] = []
    if is_content:
        first = _files(store, "sha256", {what})
    elif _ID.fullmatch(what):
        first = _files(store, "image_id", {what}) or _files(store, "document_id", {what})
    else:
        uri = _uri(what)
        first, known = _files(store, "uri", {uri}), store.ledger.versions_of(uri)
    contents = {row["sha256"] for row in first if row["sha256"]} | ({what} if is_content else set())
    rows = [*first, *_files(store, "sha256", contents)]
    files = {FileVersion(r["source"], r["uri"], r["version"]) for r in rows}
    files |= {version for version, _ in known}
    ids = {image_id(sha) for sha in contents} | {document_id(sha) for sha in contents}
    if not files and not _is_computed(store, ids):
        return None
    uris = _without_others(store, files)
    names = {r["name"] for r in rows if r["uri"] in uris} | _recorded_names(store, uris)
    return Target(
        sha256s=frozenset(contents),
        ids=frozenset(ids),
        files=frozenset(files),
        uris=frozenset(uris),
        names=frozenset(_own_names(store, names, uris)),
        label_images=frozenset(_label_images(store, ids)),
    )


def _uri(what: str) -> str:
    """A path of this machine as sources name it; a URI as it is."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", what):
        return what
    path = Path(what).expanduser().absolute()
    return "file://" + quote_from_bytes(bytes(path))


def _files(store: Store, column: str, values: Collection[str]) -> list[dict[str, Any]]:
    """Rows of files in `images` and `documents`, by one of their columns."""
    found: list[dict[str, Any]] = []
    for table in ("images", "documents"):
        if not values or not store.tables.exists(table):
            continue
        data = store.tables.dataset(table)
        if column in data.schema.names:
            test = ds.field(column).isin(pa.array(sorted(values), pa.string()))
            found += data.to_table(columns=list(_FACTS), filter=test).to_pylist()
    return found


def _is_computed(store: Store, ids: Collection[str]) -> bool:
    """Whether something is known of contents of which no file is."""
    wanted = pa.array(sorted(ids), pa.string())
    return any(
        store.tables.dataset(table).count_rows(filter=ds.field(column).isin(wanted))
        for table, column in {"variants": "image_id", "document_chunks": "document_id"}.items()
        if ids and store.tables.exists(table)
    )


def _without_others(store: Store, files: Collection[FileVersion]) -> set[str]:
    """The URIs of which no version stays."""
    gone = set(files)
    return {
        uri
        for uri in {f.uri for f in files}
        if all(version in gone for version, _ in store.ledger.versions_of(uri))
    }


def _recorded_names(store: Store, uris: Collection[str]) -> set[str]:
    """Names of files that no table has yet, from the manifests."""
    batches = {batch for uri in uris for _, batch in store.ledger.versions_of(uri)}
    return {
        file.name
        for batch in batches
        if store.manifests.path(batch).is_file()
        for file in store.manifests.read(batch)
        if file.uri in uris
    }


def _own_names(store: Store, names: Collection[str], uris: Collection[str]) -> set[str]:
    """Relative and base names, but for those that files have which stay."""
    bases = {name.rpartition("/")[2] for name in names}
    others = store.ledger.uris_with_name(sorted(bases))
    staying = {
        base: {name for _, uri, name in files if uri not in uris} for base, files in others.items()
    }
    taken = set().union(*staying.values()) if staying else set()
    free = {base for base in bases if not staying.get(base)}
    # A name without a letter or digit, or of one sign, would be found everywhere.
    return {name for name in free | (set(names) - taken) if len(name) > 1}


def _label_images(store: Store, ids: Collection[str]) -> set[int]:
    if not ids or not store.tables.exists("label_matches"):
        return set()
    test = ds.field("image_id").isin(pa.array(sorted(ids), pa.string()))
    rows = store.tables.dataset("label_matches").to_table(columns=["label_image"], filter=test)
    return set(rows["label_image"].to_pylist())


def _remote(store: Store, target: Target) -> Iterator[RemoteObject]:
    """What the platform has of it, each object once."""
    seen: dict[str, RemoteObject] = {}
    for table, column in _REMOTE.items():
        if not store.tables.exists(table):
            continue
        columns = [c for c in ("remote_id", "was_there") if c in store.tables.schema(table).names]
        test = ds.field(column).isin(pa.array(sorted(target.ids), pa.string()))
        rows = store.tables.dataset(table).to_table(columns=columns, filter=test)
        kind = "document" if table == "documents" else "file"
        for row in rows.filter(pc.is_valid(rows["remote_id"])).to_pylist():
            was_there = bool(row.get("was_there"))
            seen.setdefault(row["remote_id"], RemoteObject(kind, row["remote_id"], was_there))
    yield from seen.values()


def _slimmed(store: Store, target: Target, batch: str) -> Slimmed:
    """What the ledger is to say of a batch when the target is gone from it."""
    if not store.manifests.path(batch).is_file():
        raise StorageError(
            f"Batch {batch!r} has no manifest, so that it cannot be told what is left of it: bring"
            f" {store.manifests.path(batch)} back from a copy, and run 'aion-dagster forget' once more."
        )
    files = [
        f for f in store.manifests.read(batch) if (f.source, f.uri, f.version) not in target.files
    ]
    return Slimmed(manifest_digest(files), len(files), sum(f.size_bytes for f in files))


def _reprints(
    config: LibraryConfig, store: Store, batches: Mapping[str, Slimmed]
) -> Iterator[Reprint]:
    """Builds that are as good as before: only the digest of their manifest is another."""
    planner = Planner(config, store, configured_backend(config))
    recorded = {b.key for b in store.ledger.batches()}
    for batch, facts in batches.items():
        if batch not in recorded:
            continue
        try:
            before, after = planner.batch(batch), planner.batch_with(batch, facts.manifest_digest)
        except ConfigError:
            return  # the backend of the configuration is not there: the batches are made again
        for asset, old in before.items():
            yield Reprint(asset, batch, old, after[asset])


def _purge(store: Store, name: str) -> None:
    from aion_dagster.storage.bucket import BucketPath

    place = store.root / FOLDER / name
    if isinstance(place, BucketPath):
        place.purge_versions()


def _places(found: Found) -> str:
    tables = [f"table {t} of {b}" if b else f"table {t}" for t, b in sorted(found.tables)]
    sets = [f"set {name} {version}" for name, version in sorted(found.sets)]
    exports = [f"export {d}/{e}" for d, e in sorted(found.exports)]
    return ", ".join(
        [*tables, *(f"manifest {m}" for m in sorted(found.manifests)), *sets, *exports]
    )
