"""dataset/<name>/<format> and dataset/<name>/card: files on disk, swapped into place at once."""

import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import orjson

from aion_dagster import schemas
from aion_dagster.assets.workbench import Workbench, final_failures
from aion_dagster.checks.datasets import export_check, export_check_specs
from aion_dagster.config import DatasetConfig
from aion_dagster.configured_exports import captions, export_options, with_descriptions
from aion_dagster.curation.leaks import refuse_leaks
from aion_dagster.formats.annotation_files import ParquetAnnotations
from aion_dagster.formats.card import write_card
from aion_dagster.formats.export import ExportReport, count_export, write_export
from aion_dagster.formats.packing import archived
from aion_dagster.kept_originals import VersionPictures
from aion_dagster.resources.lineage import export_lineage
from aion_dagster.storage.exports import ExportStore
from aion_dagster.storage.exports_elsewhere import note_elsewhere
from aion_dagster.storage.places import Place, address, filesystem, place_of
from aion_dagster.storage.store import Store
from aion_dagster.values import Dataset

TITLES = {
    "coco": "COCO: instances_<split>.json, captions_<split>.json where there are captions, and pictures.",
    "yolo": "Ultralytics YOLO: data.yaml, labels and pictures.",
    "voc": "Pascal VOC: an XML file per picture.",
    "csv": "CSV: a row per box, a row per picture, a row per class.",
    "parquet": "Parquet: a row per box, a row per picture, a row per class.",
    "imagefolder": "Hugging Face imagefolder: metadata and pictures by split.",
    "webdataset": "WebDataset: tar shards of pictures with JSON.",
}

KINDS = {
    "coco": "json",
    "yolo": "yaml",
    "voc": "xml",
    "csv": "csv",
    "parquet": "parquet",
    "imagefolder": "huggingface",
    "webdataset": "tar",
}
"""What the annotations are written as, shown in the UI."""


def export_asset(bench: Workbench, config: DatasetConfig, format_name: str) -> dg.AssetsDefinition:
    """The factory of an export."""
    names = bench.names
    name = f"dataset/{config.name}/{format_name}"
    key = names.key(name)
    deps = [names.key(f"dataset/{config.name}")]
    if with_descriptions(config, format_name):
        deps.append(names.key("descriptions"))

    @dg.asset(
        key=key,
        deps=deps,
        description=TITLES[format_name],
        kinds={KINDS[format_name]},
        automation_condition=dg.AutomationCondition.eager(),
        check_specs=export_check_specs(key),
        **bench.whole_in(f"dataset_{config.name}"),
    )
    def export(context: dg.AssetExecutionContext) -> Iterator[Any]:
        store = bench.store(context)
        with final_failures():
            dataset, rows = stored_dataset(store, config.name)
            if config.leaks == "block":
                refuse_leaks(config.name, dataset.images)
            staging = store.exports.staging(config.name, format_name)
            earlier = store.exports.place(config.name, format_name)
            report = write_export(
                format_name,
                dataset,
                staging,
                VersionPictures(store, dataset, bench.sources(context)),
                export_options(config, format_name),
                progress=lambda n: bench.advance(name, n),
                rows=rows,
                previous=earlier if isinstance(earlier, Path) else None,
                descriptions=captions(store, config, format_name, dataset),
            )
            counts = count_export(format_name, staging)
            staging = _packed(store, config, format_name, staging)
            copied = _copied(store, config, format_name, staging, dataset.version)
            place = store.exports.publish(staging, config.name, format_name)
        fingerprint = bench.planner(context).whole(name)
        store.ledger.record_build(
            name,
            "",
            fingerprint,
            report.images,
            {"version": dataset.version, "run_id": context.run.run_id},
        )
        yield dg.MaterializeResult(
            metadata={
                **export_metadata(report, dataset, place, copied),
                **export_lineage(names, config.name),
            },
            data_version=dg.DataVersion(fingerprint[:16]),
            check_results=[export_check(key, dataset, report, counts)],
        )

    return export


def stored_dataset(store: Store, name: str) -> tuple[Dataset, ParquetAnnotations]:
    """The current version of a dataset, and its annotations, which stay in their file."""
    root = f"dataset/{name}"
    version = store.sets.current(root)
    tables, info = store.sets.read(root, version, but=("annotations",))
    tables["annotations"] = schemas.ANNOTATIONS.empty_table()
    file = store.sets.path(root, version) / "annotations.parquet"
    rows = ParquetAnnotations(address(file), None if isinstance(file, Path) else filesystem(file))
    return Dataset.from_tables(tables, info), rows


def _packed(store: Store, config: DatasetConfig, format_name: str, staging: Path) -> Path:
    """The export as it is to be published: as it is, or with everything in one archive."""
    kind = config.export_options.archive
    if kind == "none":
        return staging
    packed = store.exports.staging(config.name, format_name)
    archived(staging, packed, f"{config.name}-{format_name}", kind)
    shutil.rmtree(staging)
    return packed


def _copied(
    store: Store, config: DatasetConfig, format_name: str, staging: Path, version: str
) -> Place | None:
    """Where a copy of the export was put, None where none is wanted."""
    wanted = config.export_options.destination
    if wanted is None:
        return None
    exports = ExportStore(place_of(wanted), store.exports.scratch)
    note_elsewhere(store, exports.root / config.name / format_name, config.name, version)
    return exports.copy(staging, config.name, format_name, link=False)


def dataset_input(bench: Workbench, config: DatasetConfig) -> dg.AssetIn:
    """The dataset as an input."""
    return dg.AssetIn(
        bench.names.key(f"dataset/{config.name}"),
        input_manager_key=bench.names.resource("table_sets"),
    )


def export_metadata(
    report: ExportReport, dataset: Dataset, place: Place, copied: Place | None = None
) -> dict[str, Any]:
    """Place, counts and losses of an export."""
    lost = Counter(loss.kind for loss in report.losses)
    return {
        "dagster/uri": place.as_uri(),
        **({} if copied is None else {"copy": copied.as_uri()}),
        "dagster/row_count": report.images,
        "version": dataset.version,
        "boxes": report.annotations,
        "classes": report.categories,
        **{f"pictures_{s}": n for s, n in report.splits.items()},
        **({"turned without loss": report.turned} if report.turned else {}),
        **{f"lost: {kind}": n for kind, n in sorted(lost.items())},
    }


def card_asset(bench: Workbench, config: DatasetConfig) -> dg.AssetsDefinition:
    """One HTML page that shows a dataset."""
    names = bench.names
    name = f"dataset/{config.name}/card"
    exports = [f"dataset/{config.name}/{e}" for e in config.exports]

    @dg.asset(
        key=names.key(name),
        ins={"dataset": dataset_input(bench, config)},
        deps=[names.key(e) for e in exports],
        description="One self-contained page: pictures with their boxes, distributions, splits, losses.",
        kinds={"html"},
        automation_condition=dg.AutomationCondition.eager(),
        **bench.whole_in(f"dataset_{config.name}"),
    )
    def card(context: dg.AssetExecutionContext, dataset: Dataset) -> Iterator[Any]:
        store = bench.store(context)
        with final_failures():
            staging = store.exports.staging(config.name, "card")
            page = write_card(
                dataset,
                staging,
                partial(thumbnails, store),
                exports=export_summaries(store, config),
            )
            place = store.exports.publish(staging, config.name, "card")
        fingerprint = bench.planner(context).whole(name)
        bench.advance(name, 1)
        store.ledger.record_build(
            name, "", fingerprint, 1, {"version": dataset.version, "run_id": context.run.run_id}
        )
        yield dg.MaterializeResult(
            metadata={
                "page": _page(place / page.name),
                "dagster/uri": (place / page.name).as_uri(),
                "version": dataset.version,
            },
            data_version=dg.DataVersion(fingerprint[:16]),
        )

    return card


def _page(place: Place) -> dg.MetadataValue[Any]:
    if isinstance(place, Path):
        return dg.MetadataValue.path(place)
    return dg.MetadataValue.text(place.as_uri())


def thumbnails(store: Store, images: Sequence[str]) -> Mapping[str, bytes]:
    """The 256 px variant of each picture that has one."""
    places = store.tables.read("library", columns=["image_id", "batch"], image_ids=images)
    batches: dict[str, set[str]] = defaultdict(set)
    for row in places.to_pylist():
        batches[row["batch"]].add(row["image_id"])
    rows = store.tables.take_by_id("variants", batches, ["image_id", "small_256"])
    return dict(zip(rows["image_id"].to_pylist(), rows["small_256"].to_pylist(), strict=True))


def export_summaries(store: Store, config: DatasetConfig) -> dict[str, dict[str, Any]]:
    """Counts of each export as it stands on disk."""
    found: dict[str, dict[str, Any]] = {}
    for name in config.exports:
        facts = store.exports.read(config.name, name, "export.json")
        if facts is not None:
            counts = orjson.loads(facts)["counts"]
            found[name] = {
                "pictures": counts["images"],
                "boxes": counts["annotations"],
                "losses": counts["losses"],
            }
            if "turned_without_loss" in counts:
                found[name]["turned without loss"] = counts["turned_without_loss"]
    return found
