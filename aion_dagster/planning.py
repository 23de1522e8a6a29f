"""What is up to date and what is not: a fingerprint of its inputs for every table, and the work that is left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from aion_dagster.backends.protocol import VisionBackend
from aion_dagster.batch_fingerprints import BatchFingerprints, engine_of
from aion_dagster.config import LibraryConfig
from aion_dagster.dataset_inputs import made_from
from aion_dagster.descriptions_made import FOLLOWING, WORDS, words_by_batch, words_followed
from aion_dagster.errors import StorageError
from aion_dagster.identity import digest
from aion_dagster.label_prints import labels_print
from aion_dagster.library_assets import (
    ANNOTATION_TABLES,
    DOCUMENT_TABLES,
    EXPORT_OPTIONS,
    LOGIC,
    PICTURE_TABLES,
    REQUIRED,
    configured_backend,
    dataset_assets,
    decoded_tables,
    detection_tables,
    document_settings,
    has_remote_colors,
    has_remote_documents,
    partitioned_assets,
    pass_settings,
    remote_assets,
    whole_assets,
)
from aion_dagster.search.library_tables import shared_index
from aion_dagster.storage.ledger_records import BatchRecord, Build
from aion_dagster.storage.store import Store

__all__ = [
    "ANNOTATION_TABLES",
    "DOCUMENT_TABLES",
    "EXPORT_OPTIONS",
    "LOGIC",
    "PICTURE_TABLES",
    "REQUIRED",
    "REVISION",
    "UNFINISHED",
    "Plan",
    "Planner",
    "configured_backend",
    "dataset_assets",
    "decoded_tables",
    "detection_tables",
    "document_settings",
    "has_remote_colors",
    "has_remote_documents",
    "partitioned_assets",
    "pass_settings",
    "remote_assets",
    "whole_assets",
]

REVISION = "revision"
"""In the `info` of the library's build: `Ledger.revision` as it was then."""

UNFINISHED = "unfinished"
"""In the `info` of a build: how many rows may be tried again."""


@dataclass(frozen=True)
class Plan:
    """The work that is left; false where everything is up to date.

    `batches` maps a batch to its stale assets in topological order; those of `incomplete` are stale only because rows
    failed that another time may bring. `remote` are stale assets about a remote account, which no batch is needed for.
    """

    labels: bool
    batches: Mapping[str, tuple[str, ...]]
    whole: tuple[str, ...]
    incomplete: frozenset[str] = frozenset()
    remote: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is anything to do."""
        return self.labels or bool(self.batches) or bool(self.whole) or bool(self.remote)


@dataclass
class Planner:
    """Compares what the ledger says was built with what would be built now."""

    config: LibraryConfig
    store: Store
    backend: VisionBackend

    @cached_property
    def _fingerprints(self) -> BatchFingerprints:
        return BatchFingerprints(self.config, self.backend)

    @cached_property
    def labels(self) -> str:
        """Fingerprint of the label files as they are now.

        Raises:
            ConfigError: a label file is not there.
        """
        return labels_print(self.config.labels)

    @cached_property
    def _stored_labels(self) -> str:
        """Fingerprint of the imported labels; where none ever were, that of no labels."""
        return self._made("labels") or labels_print([])

    @cached_property
    def records(self) -> dict[str, BatchRecord]:
        """Batch → what the ledger says of it, in the order of recording."""
        return {b.key: b for b in self.store.ledger.batches()}

    def batch(self, batch: str) -> dict[str, str]:
        """Asset → fingerprint of what it is made from when it is made now: with the labels that are imported.

        The label files may have changed since; what is made now is stale then, and `expected` differs.
        """
        return self._fingerprints.of(self._record(batch).manifest_digest, self._stored_labels)

    def expected(self, batch: str) -> dict[str, str]:
        """Asset → fingerprint of what it should be made from: with the label files as they are now."""
        return self._fingerprints.of(self._record(batch).manifest_digest, self.labels)

    @cached_property
    def signature(self) -> str:
        """What tells everything that batches should be made from, but for their files."""
        return digest(self._fingerprints.of("", self.labels))

    def batch_with(self, batch: str, manifest_digest: str) -> dict[str, str]:
        """As `batch`, were its manifest another one."""
        self._record(batch)
        return self._fingerprints.of(manifest_digest, self._stored_labels)

    def _record(self, batch: str) -> BatchRecord:
        """One batch; the others are not read for that."""
        if "records" in self.__dict__:
            return self.records[batch]
        found = self.store.ledger.batch(batch)
        if found is None:
            raise StorageError(f"The ledger knows no batch {batch!r}.")
        return found

    def made(self, batch: str, asset: str, unfinished: Sequence[str]) -> tuple[str, dict[str, Any]]:
        """The fingerprint to record for what was made now, and the `info` of its build.

        `unfinished` names what is missing and may come another time: the fingerprint is not the expected one then, so
        that the next plan includes the asset once more, and whatever is made of it is known to be incomplete.
        """
        fingerprint, info = _marked(self.batch(batch)[asset], unfinished)
        return fingerprint, info | (words_followed(self.store, batch) if asset in FOLLOWING else {})

    def unfinished(self, batch: str, asset: str) -> list[str]:
        """What an asset was made from, where that is incomplete; to pass on to `made`."""
        build = self.store.ledger.build(asset, batch)
        return [build.fingerprint] if build is not None and _is_unfinished(build) else []

    def is_unfinished(self, asset: str, batch: str = "") -> bool:
        """Whether rows of an asset failed that another time may bring."""
        return _is_unfinished(self.store.ledger.build(asset, batch))

    def whole(self, asset: str) -> str:
        """Fingerprint of what an asset over all batches would be made from, as its inputs stand in the store."""
        kind = asset.split("/")
        if kind[0] == "links" and self.config.links.urls:
            parts: list[object] = [self.config.links.model_dump(mode="json", exclude={"daily"})]
        elif kind[0] == "links":
            parts = [engine_of(self.backend), list(self.config.aionvision.links)]
        elif kind[0] == "usage":
            # Read anew each day.
            parts = [engine_of(self.backend), datetime.now(UTC).date().isoformat()]
        elif kind[0] == "library":
            built = self._built("images")
            parts = [[key, built[key]] for key in sorted(self.usable_batches())]
            if revision := self.store.ledger.revision():
                parts.append([REVISION, revision])
        elif kind[0] == "near_duplicates":
            parts = [self._made("library"), self.config.near_duplicate_distance]
        elif kind[0] == "search_index":
            parts = [self._made("library"), sorted(words_by_batch(self.store).items())]
            if self.config.documents:
                parts.append(sorted(self._built("document_chunks").items()))
        else:
            return self._dataset(kind)
        return digest([LOGIC[kind[0]], parts])

    def made_whole(self, asset: str, unfinished: Sequence[str]) -> tuple[str, dict[str, int]]:
        """As `made`, for an asset over all batches."""
        return _marked(self.whole(asset), unfinished)

    def usable_batches(self) -> set[str]:
        """Batches that may take part in the library: all that it needs is built, and no blocking check failed.

        A batch whose labels were never matched would pass for one without any.
        """
        usable = {key for key, record in self.records.items() if record.blocked_reason is None}
        for asset in REQUIRED:
            usable &= self._built(asset).keys()
        return usable

    def _built(self, asset: str) -> dict[str, str]:
        """Batch → fingerprint of what the asset was made from."""
        return self.store.ledger.fingerprints(asset)

    def _made(self, asset: str) -> str | None:
        """Fingerprint of what an unpartitioned asset was made from."""
        build = self.store.ledger.build(asset)
        return None if build is None else build.fingerprint

    def _dataset(self, path: list[str]) -> str:
        """Fingerprint of a dataset; of an export or card from the dataset's current version."""
        config = next(d for d in self.config.datasets if d.name == path[1])
        root = f"dataset/{config.name}"
        if len(path) == 2:
            settings = config.model_dump(mode="json", exclude={"exports", "export_options"})
            made = [self._made(a) for a in ("library", "near_duplicates", "labels")]
            return digest(
                [
                    LOGIC["dataset"],
                    made,
                    sorted(self._built("annotations").items()),
                    settings,
                    made_from(config, self.store),
                ]
            )
        version = self.store.sets.current(root)
        if path[2] == "card":
            return digest([LOGIC["card"], version, list(config.exports)])
        options = config.model_dump(mode="json", include=set(EXPORT_OPTIONS[path[2]]))
        if path[2] == "coco" and config.export_options.captions == "descriptions":
            options["descriptions"] = sorted(self._built("descriptions").items())
        return digest([LOGIC["export"], version, path[2], options])

    def plan(self) -> Plan:
        """The work that is left, as things stand."""
        return replace(self.plan_of(self.records), whole=self._whole())

    def plan_of(self, batches: Iterable[str]) -> Plan:
        """The work that is left on some batches, and on what is about none; nothing is said of assets over all batches."""
        wanted = list(batches)
        assets = partitioned_assets(self.config) if wanted else ()
        built = {a: self.store.ledger.fingerprints(a, wanted) for a in assets}
        absent = {asset: self._absent(asset, prints, wanted) for asset, prints in built.items()}
        unlike = self._unlike_descriptions() if wanted else {}
        stale: dict[str, tuple[str, ...]] = {}
        for key in wanted:
            prints = self.expected(key)
            old = {
                asset
                for asset, made in built.items()
                if made.get(key) != prints[asset]
                or key in absent[asset]
                or key in unlike.get(asset, ())
            }
            if self.records[key].blocked_reason is not None:
                # Blocked: only a pass that finds it whole lets it in again.
                old |= set(decoded_tables(self.config))
            if old & set(ANNOTATION_TABLES):
                old |= set(ANNOTATION_TABLES)
            if old:
                stale[key] = tuple(a for a in built if a in old)
        return Plan(
            labels=self._is_stale("labels"),
            batches=stale,
            whole=(),
            incomplete=self._incomplete(stale),
            remote=tuple(a for a in remote_assets(self.config) if self._is_stale(a)),
        )

    def _absent(self, asset: str, built: Mapping[str, str], batches: Iterable[str]) -> set[str]:
        """Batches for which an asset was built and its table is not there."""
        return self.store.tables.absent(asset, [key for key in batches if key in built])

    def _unlike_descriptions(self) -> dict[str, set[str]]:
        """Asset → batches where it was made of descriptions that have had other words since."""
        noted = {a: self.store.ledger.noted(a, WORDS) for a in ("descriptions", *FOLLOWING)}
        words = noted["descriptions"]
        return {
            asset: {b for b in words.keys() | noted[asset] if words.get(b) != noted[asset].get(b)}
            for asset in FOLLOWING
        }

    def _incomplete(self, stale: Mapping[str, tuple[str, ...]]) -> frozenset[str]:
        """Batches that are stale only because rows failed that another time may bring."""
        noted = self.store.ledger.builds_noting(UNFINISHED) if stale else set()
        return frozenset(b for b, assets in stale.items() if {(a, b) for a in assets} <= noted)

    def _is_stale(self, asset: str) -> bool:
        if asset == "labels" and not self.config.labels and self._made("labels") is None:
            return False  # never any labels: an empty set is read without a run that writes it
        expected = self.labels if asset == "labels" else self.whole(asset)
        return self._made(asset) != expected or not self._exists(asset)

    def _exists(self, asset: str) -> bool:
        """Whether an unpartitioned asset's result is where it belongs."""
        if asset == "search_index":
            return shared_index(self.store).exists()
        if asset == "labels" or asset.count("/") == 1:
            return self.store.sets.current(asset) is not None
        if asset.count("/") == 2:
            dataset, _, name = asset.removeprefix("dataset/").partition("/")
            return self.store.exports.place(dataset, name) is not None
        return self.store.tables.exists(asset)

    def _whole(self) -> tuple[str, ...]:
        """Stale assets over all batches; whatever depends on a stale one is stale too."""
        library = self._is_stale("library")
        near = library or self._is_stale("near_duplicates")
        index = library or self._is_stale("search_index")
        flags = {"library": library, "near_duplicates": near, "search_index": index}
        stale = [asset for asset, flag in flags.items() if flag]
        for dataset in self.config.datasets:
            root, *exports = dataset_assets(dataset)
            changed = near or self._is_stale(root)
            stale += [a for a in (root, *exports) if changed or self._is_stale(a)]
        return tuple(stale)


def _marked(expected: str, unfinished: Sequence[str]) -> tuple[str, dict[str, int]]:
    """A fingerprint, and another one where something is missing."""
    if not unfinished:
        return expected, {}
    return digest([expected, UNFINISHED, sorted(unfinished)]), {UNFINISHED: len(unfinished)}


def _is_unfinished(build: Build | None) -> bool:
    return build is not None and bool(build.info.get(UNFINISHED))
