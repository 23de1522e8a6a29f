"""Versions of datasets: which there are, what is in them, how they differ, and exporting any of them again."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from aion_dagster.backends.originals import Reader
from aion_dagster.curation.fingerprint import DatasetDiff
from aion_dagster.curation.leaks import refuse_leaks
from aion_dagster.errors import ConfigError, ExportError
from aion_dagster.formats.export import ExportReport, Options, count_export, write_export
from aion_dagster.formats.packing import Archive, archived
from aion_dagster.kept_originals import VersionPictures
from aion_dagster.storage.erasing import ERASED
from aion_dagster.storage.exports import refuse_other_folders
from aion_dagster.storage.exports_elsewhere import note_elsewhere
from aion_dagster.storage.places import Place
from aion_dagster.storage.store import Store
from aion_dagster.storage.swap import staging_folder, swap_folder
from aion_dagster.values import Dataset

ROOT = "dataset/"


@dataclass(frozen=True)
class Manifest:
    """What a version consists of.

    `after` is the version that was current when it was made; `left_out` counts pictures of the library by the reason why
    they are not in it, `losses` what could not be kept as it was by kind; `settings` what it was made with; `erased`
    how many of its pictures were forgotten since: its name stands for all of them.
    """

    dataset: str
    version: str
    is_current: bool
    written_at: datetime | None
    after: str | None
    run_id: str | None
    pictures: int
    boxes: int
    splits: Mapping[str, int]
    classes: Mapping[str, int]
    left_out: Mapping[str, int]
    losses: Mapping[str, int]
    settings: Mapping[str, Any]
    erased: int = 0

    def plain(self) -> dict[str, Any]:
        """As JSON can hold it."""
        at = self.written_at
        return vars(self) | {"written_at": at.isoformat(timespec="seconds") if at else None}


def dataset_names(store: Store) -> list[str]:
    """Datasets that have a version, sorted."""
    return [n.removeprefix(ROOT) for n in store.sets.names() if n.startswith(ROOT)]


def manifests(store: Store, name: str) -> list[Manifest]:
    """The versions of a dataset in the order in which they were made first.

    Raises:
        ConfigError: there is no such dataset.
    """
    _known(store, name)
    found = []
    for one in store.sets.history(ROOT + name):
        dataset, info = _read(store, name, one.version)
        at, after, current = one.written_at, one.after, one.is_current
        found.append(_manifest(dataset, info, at, after, is_current=current))
    return found


def manifest(store: Store, name: str, version: str | None = None) -> Manifest:
    """That of one version, by default the current one; `version` may be the beginning of one.

    Raises:
        ConfigError: there is no such dataset or version, or several begin like this.
    """
    wanted = resolved(store, name, version)
    one = next(v for v in store.sets.history(ROOT + name) if v.version == wanted)
    dataset, info = _read(store, name, wanted)
    return _manifest(dataset, info, one.written_at, one.after, is_current=one.is_current)


def resolved(store: Store, name: str, version: str | None) -> str:
    """The version that is meant: the current one, or the only one that begins like this.

    Raises:
        ConfigError: there is no such dataset or version, or several begin like this.
    """
    _known(store, name)
    if version is None:
        return store.sets.current(ROOT + name) or ""
    found = [v for v in store.sets.versions(ROOT + name) if v.startswith(version)]
    if len(found) != 1:
        known = ", ".join(v.version for v in store.sets.history(ROOT + name)[-10:])
        what = "several versions begin" if found else "no version begins"
        raise ConfigError(f"dataset {name}: {what} with {version!r}; the latest are {known}")
    return found[0]


def load(store: Store, name: str, version: str | None = None) -> Dataset:
    """A version of a dataset, as `resolved` understands it."""
    return _read(store, name, resolved(store, name, version))[0]


def previous_of(store: Store, name: str, version: str) -> str | None:
    """The version before: the one that was current when this one was made, or the one that was made before it.

    Where the content returned to a version that had been there, it is the one that was made last meanwhile.
    """
    history = store.sets.history(ROOT + name)
    known = [v.version for v in history]
    one = history[known.index(version)]
    if one.is_current and known[-1] != version:
        return known[-1]
    if one.after in known:
        return one.after
    place = known.index(version)
    return known[place - 1] if place else None


def names_of(found: DatasetDiff, before: Dataset, after: Dataset) -> dict[str, list[str]]:
    """File names of the pictures that a difference is about, by what became of them; sorted."""
    parts = {
        "added": (found.added, after),
        "removed": (found.removed, before),
        "changed": (found.changed, after),
        "moved": (found.moved, after),
        "regrouped": (found.regrouped, after),
    }
    return {what: _names(dataset.images, ids) for what, (ids, dataset) in parts.items()}


def _names(images: pa.Table, ids: Sequence[str]) -> list[str]:
    wanted = pc.is_in(images["image_id"], value_set=pa.array(list(ids), pa.string()))
    return sorted(images.filter(wanted)["file_name"].to_pylist())


@dataclass(frozen=True)
class Exported:
    """An export of a version, where it is, and how many lines its loss report has."""

    format: str
    place: Place
    report: ExportReport
    losses: int


def export_version(
    store: Store,
    dataset: Dataset,
    reader: Reader,
    options: Mapping[str, Options],
    *,
    folder: Path | None = None,
    leaks: bool = False,
    captions: Mapping[str, Mapping[str, str]] | None = None,
    archive: Archive | None = None,
) -> list[Exported]:
    """Export a version, in formats with their options, all or none of them.

    Args:
        store: the dataset's.
        dataset: the version.
        reader: of original files.
        options: format → options.
        folder: where to, each format in a folder below; by default the store's exports, beside those of the current
            version as `<dataset>-<version>`. Pictures there are copies, never links.
        leaks: export although groups lie in several splits.
        captions: format → image_id → what was written about the picture.
        archive: one file instead of a folder.

    Raises:
        ExportError: splits leak, the bytes of pictures are gone, or some were erased; nothing was written.
        StorageError: a folder that is no export has the place of one; nothing was written.
    """
    if folder is not None:
        for kind in options:
            refuse_other_folders(folder / kind)
    if not leaks:
        refuse_leaks(dataset.name, dataset.images)
    _refuse_erased(store, dataset)
    pictures = VersionPictures(store, dataset, reader)
    if set(options) - {"csv", "parquet"}:
        pictures.require(dataset)
    name = f"{dataset.name}-{dataset.version}"
    staged: dict[str, Path] = {}
    reports: dict[str, ExportReport] = {}
    try:
        for kind, chosen in options.items():
            place = staging_folder(folder / kind) if folder else store.exports.staging(name, kind)
            staged[kind] = place
            reports[kind] = write_export(
                kind,
                dataset,
                place,
                pictures,
                chosen,
                descriptions=(captions or {}).get(kind),
                link=folder is None,
            )
            _complete(kind, dataset, place, reports[kind])
            if archive:
                _pack(place, f"{dataset.name}-{kind}", archive)
        return [
            Exported(
                kind,
                _publish(store, dataset, folder, kind, staged[kind]),
                report,
                len(dataset.losses) + len(report.losses),
            )
            for kind, report in reports.items()
        ]
    finally:
        for place in staged.values():
            shutil.rmtree(place, ignore_errors=True)


def _refuse_erased(store: Store, dataset: Dataset) -> None:
    """A version that has lost pictures is not what its name says."""
    erased = store.sets.facts(ROOT + dataset.name, dataset.version).get(ERASED, 0)
    if erased:
        raise ExportError(
            f"Of version {dataset.version} of dataset {dataset.name} {erased} of {erased + dataset.images.num_rows}"
            " pictures were erased by 'aion-dagster forget', so that it cannot be exported as what it was; nothing was"
            " written. 'aion-dagster run' makes a version without them."
        )


def _publish(
    store: Store, dataset: Dataset, folder: Path | None, kind: str, staging: Path
) -> Place:
    if folder is None:
        return store.exports.publish(staging, f"{dataset.name}-{dataset.version}", kind)
    refuse_other_folders(folder / kind)
    note_elsewhere(store, folder / kind, dataset.name, dataset.version)
    swap_folder(staging, folder / kind)
    return folder / kind


def _pack(place: Path, name: str, archive: Archive) -> None:
    """Everything in a folder into one file in it."""
    packed = staging_folder(place)
    try:
        archived(place, packed, name, archive)
        shutil.rmtree(place)
        packed.rename(place)
    finally:
        shutil.rmtree(packed, ignore_errors=True)


def _complete(kind: str, dataset: Dataset, place: Path, report: ExportReport) -> None:
    """Refuse what lacks pictures that were there a moment ago, or reads otherwise than it was written."""
    missing = [loss.subject for loss in report.losses if loss.kind == "missing"]
    if missing:
        raise ExportError(f"{kind} of version {dataset.version}: pictures went away meanwhile: {', '.join(missing[:20])}")  # fmt: skip
    counts = count_export(kind, place)
    if (counts.images, counts.annotations) != (report.images, report.annotations):
        raise ExportError(
            f"{kind} of version {dataset.version} reads otherwise than it was written:"
            f" {counts.images} pictures and {counts.annotations} boxes, not {report.images} and {report.annotations}"
        )


def _known(store: Store, name: str) -> None:
    known = dataset_names(store)
    if name not in known:
        raise ConfigError(
            f"there is no dataset {name!r} in {store.root}; there are: {', '.join(known) or 'none'}"
        )


def _read(store: Store, name: str, version: str) -> tuple[Dataset, dict[str, Any]]:
    tables, info = store.sets.read(ROOT + name, version)
    return Dataset.from_tables(tables, info), info


def _manifest(
    dataset: Dataset,
    info: Mapping[str, Any],
    written_at: datetime | None,
    after: str | None,
    *,
    is_current: bool,
) -> Manifest:
    boxes = Counter(dataset.annotations["category"].drop_null().to_pylist())
    return Manifest(
        dataset=dataset.name,
        version=dataset.version,
        is_current=is_current,
        written_at=written_at,
        after=after,
        run_id=info.get("run_id"),
        pictures=dataset.images.num_rows,
        boxes=dataset.annotations.num_rows,
        splits=dict(sorted(Counter(dataset.images["split"].to_pylist()).items())),
        classes={c.name: boxes[c.name] for c in dataset.categories},
        left_out=dict(sorted(Counter(dataset.left_out["reason"].to_pylist()).items())),
        losses=dict(sorted(Counter(loss.kind for loss in dataset.losses).items())),
        settings=dict(dataset.settings),
        erased=info.get(ERASED, 0),
    )
