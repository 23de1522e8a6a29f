"""What is up to date and what is not: a fingerprint of its inputs for every table, and the work that is left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING

from aion_dagster.backends.detections import DETECTION_TABLES, Detection, DetectionTable
from aion_dagster.backends.local import LocalBackend
from aion_dagster.backends.protocol import UploadingBackend, VisionBackend
from aion_dagster.compute.picture_pass import PassSettings
from aion_dagster.config import DatasetConfig, LibraryConfig
from aion_dagster.dataset_inputs import made_from
from aion_dagster.errors import StorageError
from aion_dagster.identity import digest
from aion_dagster.label_config import LabelsConfig
from aion_dagster.label_places import label_entries
from aion_dagster.recipes import Digest, Recipe
from aion_dagster.search.library_tables import shared_index
from aion_dagster.storage.ledger_records import BatchRecord, Build
from aion_dagster.storage.store import Store

if TYPE_CHECKING:
    from aion_dagster.backends.documents import DocumentSettings

PICTURE_TABLES = ("images", "variants", "color_analyses", "visual_features")
"""Tables that come from the one decode pass."""

DOCUMENT_TABLES = ("documents", "document_chunks")
"""Tables that one reading of the document files makes."""

ANNOTATION_TABLES = ("label_matches", "label_losses", "annotations")
"""Tables that one matching step writes together."""

REVISION = "revision"
"""In the `info` of the library's build: `Ledger.revision` as it was then."""

UNFINISHED = "unfinished"
"""In the `info` of a build: how many rows may be tried again."""

REQUIRED = (*PICTURE_TABLES, *ANNOTATION_TABLES)
"""Tables without which a batch has no place in the library."""

LOGIC = {
    "detections": 1,
    "descriptions": 1,
    "uploads": 1,
    "embeddings": 2,
    "image_embeddings": 1,
    "documents": 1,
    "labels": 2,
    "annotations": 1,
    "remote_colors": 1,
    "write_back": 1,
    "links": 1,
    "usage": 1,
    "library": 1,
    "near_duplicates": 1,
    "search_index": 2,
    "dataset": 1,
    "export": 2,
    "card": 2,
}
"""Raised when the meaning of what an asset computes changes, so that existing stores are brought up to date."""


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


def partitioned_assets(config: LibraryConfig) -> tuple[str, ...]:
    """Assets with a partition per batch, in topological order."""
    is_remote = config.backend == "aionvision"
    return (
        *decoded_tables(config),
        *detection_tables(config).values(),
        *(("uploads",) if is_remote else ()),
        *(("color_analyses",) if has_remote_colors(config) else ()),
        "descriptions",
        "embeddings",
        *(("image_embeddings",) if config.models.joint is not None else ()),
        *(DOCUMENT_TABLES if config.documents else ()),
        *ANNOTATION_TABLES,
        *(("write_back",) if is_remote and config.aionvision.write_back else ()),
    )


def decoded_tables(config: LibraryConfig) -> tuple[str, ...]:
    """Tables that the decode pass makes: all, unless colors are measured elsewhere."""
    left_out = {"color_analyses"} if has_remote_colors(config) else set()
    return tuple(table for table in PICTURE_TABLES if table not in left_out)


def has_remote_colors(config: LibraryConfig) -> bool:
    """Whether colors come from the platform."""
    return config.backend == "aionvision" and config.aionvision.colors


def has_remote_documents(config: LibraryConfig) -> bool:
    """Whether documents are read by the platform."""
    return bool(config.documents) and config.backend == "aionvision" and config.aionvision.documents


def remote_assets(config: LibraryConfig) -> tuple[str, ...]:
    """Assets about a remote account that runs keep up to date."""
    if config.backend != "aionvision":
        return ()
    links = ("links",) if config.aionvision.links else ()
    return (*links, "usage") if config.aionvision.usage else links


def detection_tables(config: LibraryConfig) -> dict[Detection, DetectionTable]:
    """What is looked for in pictures → its table."""
    return {d: table for d, table in DETECTION_TABLES.items() if d in config.detect}


def configured_backend(config: LibraryConfig) -> VisionBackend:
    """Who answers heavy questions for this library."""
    local = LocalBackend(
        text_model=config.text_model, models=config.models, endpoint=config.endpoint
    )
    if config.backend == "local":
        return local
    from aion_dagster.backends.aionvision import AionvisionBackend

    return AionvisionBackend(config.aionvision, local)


def dataset_assets(dataset: DatasetConfig) -> tuple[str, ...]:
    """A dataset, its exports and its card."""
    root = f"dataset/{dataset.name}"
    return (root, *(f"{root}/{e}" for e in dataset.exports), f"{root}/card")


def whole_assets(config: LibraryConfig) -> tuple[str, ...]:
    """Assets over all batches, in topological order."""
    return (
        "library",
        "near_duplicates",
        "search_index",
        *(a for d in config.datasets for a in dataset_assets(d)),
    )


def pass_settings(config: LibraryConfig) -> PassSettings:
    """The decode pass as configured."""
    return PassSettings(
        n_colors=config.colors, max_pixels=config.max_pixels, max_bytes=config.max_file_bytes
    )


def document_settings(config: LibraryConfig) -> DocumentSettings:
    """The reading of documents as configured."""
    from aion_dagster.backends.documents import DocumentSettings

    return DocumentSettings(ocr="text" in config.detect, max_bytes=config.max_file_bytes)


def _labels_print(labels: Sequence[str | LabelsConfig]) -> str:
    """Fingerprint of these labels: what is configured, and the files that it stands for."""
    written = [e if isinstance(e, str) else e.model_dump(mode="json") for e in labels]
    places = [e if isinstance(e, str) else e.path for e in labels]
    files = [entry for place in places for entry in label_entries(place)]
    # A library without labels has nothing to bring up to date.
    return digest(["labels", LOGIC["labels"] if labels else 1, written, files])


@dataclass
class Planner:
    """Compares what the ledger says was built with what would be built now."""

    config: LibraryConfig
    store: Store
    backend: VisionBackend
    _recipes: dict[str, Recipe] = field(default_factory=dict)

    @cached_property
    def labels(self) -> str:
        """Fingerprint of the label files as they are now.

        Raises:
            ConfigError: a label file is not there.
        """
        return _labels_print(self.config.labels)

    @cached_property
    def _stored_labels(self) -> str:
        """Fingerprint of the imported labels; where none ever were, that of no labels."""
        return self._made("labels") or _labels_print([])

    @cached_property
    def records(self) -> dict[str, BatchRecord]:
        """Batch → what the ledger says of it, in the order of recording."""
        return {b.key: b for b in self.store.ledger.batches()}

    def batch(self, batch: str) -> dict[str, str]:
        """Asset → fingerprint of what it is made from when it is made now: with the labels that are imported.

        The label files may have changed since; what is made now is stale then, and `expected` differs.
        """
        return self._batch(self._record(batch), self._stored_labels)

    def expected(self, batch: str) -> dict[str, str]:
        """Asset → fingerprint of what it should be made from: with the label files as they are now."""
        return self._batch(self._record(batch), self.labels)

    def batch_with(self, batch: str, manifest_digest: str) -> dict[str, str]:
        """As `batch`, were its manifest another one."""
        record = replace(self._record(batch), manifest_digest=manifest_digest)
        return self._batch(record, self._stored_labels)

    def _record(self, batch: str) -> BatchRecord:
        """One batch; the others are not read for that."""
        if "records" in self.__dict__:
            return self.records[batch]
        found = self.store.ledger.batch(batch)
        if found is None:
            raise StorageError(f"The ledger knows no batch {batch!r}.")
        return found

    def _batch(self, record: BatchRecord, labels: str) -> dict[str, str]:
        if labels not in self._recipes:
            self._recipes[labels] = Recipe(partial(self._fingerprints, labels))
        return self._recipes[labels].fingerprints(record.manifest_digest)

    def _fingerprints(self, labels: str, manifest: str, digest: Digest) -> dict[str, str]:
        """By asset, for a batch of this manifest; whatever depends on the batch follows from `manifest` by `digest`."""
        settings = pass_settings(self.config)
        # Which files are pictures depends on which are documents.
        files: list[object] = [
            manifest,
            *([list(self.config.documents)] if self.config.documents else []),
        ]
        picture = digest([*files, settings.operation(), settings.parameters()])
        prints = dict.fromkeys(PICTURE_TABLES, picture)
        detected: list[str | None] = [None, None]  # text, codes; what older stores were built with
        for place, (operation, table) in enumerate(DETECTION_TABLES.items()):
            if operation in self.config.detect:
                identity = self.backend.identity(operation)
                prints[table] = digest([picture, identity, LOGIC["detections"]])
                detected[place : place + 1] = [prints[table]]
        if isinstance(self.backend, UploadingBackend):
            prints["uploads"] = digest([picture, self.backend.engine, LOGIC["uploads"]])
        if has_remote_colors(self.config):
            parts = [prints["uploads"], self.config.colors, LOGIC["remote_colors"]]
            prints["color_analyses"] = digest(parts)
        prints["descriptions"] = digest(
            [picture, detected, self.backend.identity("describe"), LOGIC["descriptions"]]
        )
        prints["embeddings"] = digest(
            [prints["descriptions"], self.backend.identity("embed_text"), LOGIC["embeddings"]]
        )
        if self.config.models.joint is not None:
            identity = self.backend.identity("embed_images")
            prints["image_embeddings"] = digest([picture, identity, LOGIC["image_embeddings"]])
        if self.config.documents:
            documents = digest([files, self._document_parameters(), LOGIC["documents"]])
            prints |= dict.fromkeys(DOCUMENT_TABLES, documents)
        prints["label_matches"] = digest([picture, labels, LOGIC["annotations"]])
        prints["label_losses"] = prints["label_matches"]
        prints["annotations"] = digest([prints["label_matches"], detected])
        if "uploads" in prints:
            remote = self.config.aionvision
            wanted = [list(remote.write_back), list(remote.tags), LOGIC["write_back"]]
            made = [prints[asset] for asset in ("uploads", "descriptions", "annotations")]
            prints["write_back"] = digest([made, wanted])
        return prints

    def _document_parameters(self) -> str:
        from aion_dagster.backends.document_settings import (
            document_parameters,
            remote_document_parameters,
        )

        if has_remote_documents(self.config):
            return remote_document_parameters(self._engine, self.backend)
        return document_parameters(document_settings(self.config), self.backend)

    def made(self, batch: str, asset: str, unfinished: Sequence[str]) -> tuple[str, dict[str, int]]:
        """The fingerprint to record for what was made now, and the `info` of its build.

        `unfinished` names what is missing and may come another time: the fingerprint is not the expected one then, so
        that the next plan includes the asset once more, and whatever is made of it is known to be incomplete.
        """
        return _marked(self.batch(batch)[asset], unfinished)

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
        if kind[0] == "links":
            parts: list[object] = [self._engine, list(self.config.aionvision.links)]
        elif kind[0] == "usage":
            # Read anew each day.
            parts = [self._engine, datetime.now(UTC).date().isoformat()]
        elif kind[0] == "library":
            built = self._built("images")
            parts = [[key, built[key]] for key in sorted(self.usable_batches())]
            if revision := self.store.ledger.revision():
                parts.append([REVISION, revision])
        elif kind[0] == "near_duplicates":
            parts = [self._made("library"), self.config.near_duplicate_distance]
        elif kind[0] == "search_index":
            parts = [self._made("library"), sorted(self._built("descriptions").items())]
            if self.config.documents:
                parts.append(sorted(self._built("document_chunks").items()))
        else:
            return self._dataset(kind)
        return digest([LOGIC[kind[0]], parts])

    @property
    def _engine(self) -> str:
        """Which account of which server; nothing where there is none."""
        return self.backend.engine if isinstance(self.backend, UploadingBackend) else ""

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
        built = {a: self._built(a) for a in partitioned_assets(self.config)} if wanted else {}
        absent = {asset: self._absent(asset, prints, wanted) for asset, prints in built.items()}
        stale: dict[str, tuple[str, ...]] = {}
        for key in wanted:
            prints = self.expected(key)
            old = {
                asset
                for asset, made in built.items()
                if made.get(key) != prints[asset] or key in absent[asset]
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


EXPORT_OPTIONS: dict[str, tuple[str, ...]] = {
    "coco": (
        "keep_exif",
        "link_pictures",
        "coco_first_category_id",
        "coco_segmentation",
        "export_options",
    ),
    "yolo": ("keep_exif", "link_pictures", "export_options"),
    "voc": ("keep_exif", "link_pictures", "voc_coordinates", "export_options"),
    "csv": ("export_options",),
    "parquet": ("export_options",),
    "imagefolder": ("keep_exif", "link_pictures", "export_options"),
    "webdataset": ("keep_exif", "export_options"),
}
"""Fields of `DatasetConfig` that an export depends on, beyond the dataset's version."""
