"""Find everything that tells of one picture or document."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from aion_dagster.compute.documents.identifiers import document_id
from aion_dagster.identity import image_id
from aion_dagster.source_files import uri_of
from aion_dagster.storage.erasure_found import Found, find
from aion_dagster.storage.erasure_target import Target
from aion_dagster.storage.ledger_erasure import FileVersion
from aion_dagster.storage.store import Store

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
    return Erasure(target, find(store, target), tuple(sorted(_remote(store, target))))


def is_forgotten(store: Store, what: str) -> bool:
    """Whether this content was erased before."""
    return _SHA256.fullmatch(what) is not None and bool(store.ledger.forgotten_contents([what]))


def _target(store: Store, what: str) -> Target | None:
    """Everything by which a picture or document is known."""
    is_content = _SHA256.fullmatch(what) is not None
    known: list[tuple[FileVersion, str]] = []
    if is_content:
        first = _files(store, "sha256", {what})
    elif _ID.fullmatch(what):
        first = _files(store, "image_id", {what}) or _files(store, "document_id", {what})
    else:
        uri = uri_of(what)
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
