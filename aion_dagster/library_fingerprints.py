"""Fingerprints of what everything in a store is made from, or would be made from now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from aion_dagster.backends.protocol import VisionBackend
from aion_dagster.batch_fingerprints import BatchFingerprints, engine_of
from aion_dagster.config import LibraryConfig
from aion_dagster.dataset_inputs import made_from
from aion_dagster.descriptions_made import FOLLOWING, words_by_batch, words_followed
from aion_dagster.errors import StorageError
from aion_dagster.identity import digest
from aion_dagster.label_prints import labels_print
from aion_dagster.library_assets import EXPORT_OPTIONS, LOGIC, REQUIRED
from aion_dagster.storage.ledger_records import BatchRecord, Build
from aion_dagster.storage.store import Store

REVISION = "revision"
"""In the `info` of the library's build: `Ledger.revision` as it was then."""

UNFINISHED = "unfinished"
"""In the `info` of a build: how many rows may be tried again."""


@dataclass
class LibraryFingerprints:
    """What the ledger says that everything was made from, and what it would be made from now."""

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


def _marked(expected: str, unfinished: Sequence[str]) -> tuple[str, dict[str, int]]:
    """A fingerprint, and another one where something is missing."""
    if not unfinished:
        return expected, {}
    return digest([expected, UNFINISHED, sorted(unfinished)]), {UNFINISHED: len(unfinished)}


def _is_unfinished(build: Build | None) -> bool:
    return build is not None and bool(build.info.get(UNFINISHED))
