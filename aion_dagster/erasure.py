"""Erase one picture or document, and keep it from coming back; what is begun is ended, whoever is killed on the way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

import orjson

from aion_dagster.config import LibraryConfig
from aion_dagster.erasure_planning import Erasure
from aion_dagster.errors import ConfigError, StorageError
from aion_dagster.identity import digest, manifest_digest
from aion_dagster.planning import Planner, configured_backend
from aion_dagster.storage import erasing
from aion_dagster.storage.bucket import BucketPath
from aion_dagster.storage.bucket_upkeep import purge_versions
from aion_dagster.storage.erasure_found import Found, find
from aion_dagster.storage.erasure_target import Target
from aion_dagster.storage.exports import FACTS, POINTER
from aion_dagster.storage.ledger_erasure import Reprint, Slimmed
from aion_dagster.storage.places import Place, place_of, write_bytes
from aion_dagster.storage.store import FORGOTTEN, Store

_AGENTS: Final = ("agent:",)
"""What the operations of pipelines begin with: what they answered may rest on any picture that they were given."""


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
    write_bytes(store.root / FORGOTTEN / f"{name}.json", orjson.dumps(facts))
    store.ledger.note_forgotten(target.marks)
    note = store.root / FORGOTTEN / f"pending-{name}.json"
    write_bytes(note, orjson.dumps(erasure.to_json()))
    batches = store.ledger.batches_of(target.files) | erasure.found.manifests
    slimmed = {batch: _slimmed(store, target, batch) for batch in sorted(batches)}
    prints = list(_reprints(config, store, slimmed))
    erasing.erase(store, target, erasure.found, prints)
    for place in copies(config, erasure.found):
        erasing.remove_folder(place)
        if isinstance(place, BucketPath):
            purge_versions(place)
    # What a killed process read and could not note: it would be noted by whoever comes next.
    store.ledger.paid_calls("forget").look([])
    store.ledger.erase(
        target.files,
        target.sha256s,
        mentions=target.mentions,
        operations=_AGENTS if erasure.found.derived else (),
        batches=slimmed,
        prints=prints,
    )
    left = find(store, target)
    if left:
        raise StorageError(
            f"Something still tells of what is to be forgotten ({_places(left)}): run 'aion-dagster forget' once more."
        )
    store.ledger.compact_database()
    note.unlink(missing_ok=True)
    _purge(store, f"pending-{name}.json")


def copies(config: LibraryConfig, found: Found) -> list[Place]:
    """Copies of exports that the configuration has put elsewhere."""
    places = [
        place_of(str(dataset.export_options.destination)) / dataset.name / name
        for dataset in config.datasets
        for of, name in sorted(found.exports)
        if of == dataset.name and dataset.export_options.destination is not None
    ]
    # Whatever else may be there is none of ours.
    return [p for p in places if (p / FACTS).is_file() or (p / POINTER).is_file()]


def pending(store: Store) -> list[Erasure]:
    """Erasures that were begun and have not come to their end."""
    folder = store.root / FORGOTTEN
    if not folder.is_dir():
        return []
    notes = sorted(p.name for p in folder.iterdir() if p.name.startswith("pending-"))
    return [Erasure.from_json(orjson.loads((folder / name).read_bytes())) for name in notes]


def restore_marks(store: Store) -> int:
    """Give a ledger that was lost the marks of what was erased, from the store; how many."""
    folder = store.root / FORGOTTEN
    if not folder.is_dir():
        return 0
    marks: set[bytes] = set()
    for place in [*folder.iterdir()]:
        if place.suffix == ".json" and not place.name.startswith((".", "pending-")):
            marks.update(map(bytes.fromhex, orjson.loads(place.read_bytes())["marks"]))
    store.ledger.note_forgotten(marks)
    return len(marks)


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
    place = store.root / FORGOTTEN / name
    if isinstance(place, BucketPath):
        purge_versions(place)


def _places(found: Found) -> str:
    tables = [f"table {t} of {b}" if b else f"table {t}" for t, b in sorted(found.tables)]
    sets = [f"set {name} {version}" for name, version in sorted(found.sets)]
    exports = [f"export {d}/{e}" for d, e in sorted(found.exports)]
    return ", ".join(
        [*tables, *(f"manifest {m}" for m in sorted(found.manifests)), *sets, *exports]
    )
