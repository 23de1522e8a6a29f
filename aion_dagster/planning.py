"""What is up to date and what is not: the work that is left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from aion_dagster.descriptions_made import FOLLOWING, WORDS
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
from aion_dagster.library_fingerprints import REVISION, UNFINISHED, LibraryFingerprints
from aion_dagster.search.library_tables import shared_index

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
class Planner(LibraryFingerprints):
    """Compares what the ledger says was built with what would be built now."""

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
