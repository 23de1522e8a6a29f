"""dataset/<name>: a curated, split and versioned dataset."""

from collections import Counter
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.dataset as ds

from aion_dagster.assets.automation import after
from aion_dagster.assets.workbench import Workbench, final_failures
from aion_dagster.checks.datasets import dataset_check_specs, labelled_check, split_check
from aion_dagster.config import DatasetConfig
from aion_dagster.curation.dataset import DatasetSettings, build_dataset
from aion_dagster.curation.matching import unmatched_labels
from aion_dagster.formats.names import export_names
from aion_dagster.resources.outputs import Built
from aion_dagster.storage.store import Store
from aion_dagster.values import Dataset, LabelSet, Loss, losses_from_table


def dataset_asset(bench: Workbench, config: DatasetConfig) -> dg.AssetsDefinition:
    """The factory of a dataset."""
    names = bench.names
    name = f"dataset/{config.name}"
    key = names.key(name)
    inputs = (
        "library",
        "near_duplicates",
        "labels",
        "annotations",
        "label_matches",
        "label_losses",
    )

    @dg.asset(
        key=key,
        ins={
            i: dg.AssetIn(
                names.key(i),
                input_manager_key=names.resource("table_sets") if i == "labels" else None,
            )
            for i in inputs
        },
        io_manager_key=names.resource("table_sets"),
        description="Pictures and boxes chosen, made consistent, split into train, val and test, and versioned.",
        kinds={"parquet"},
        automation_condition=after(names.key("library"), names.key("near_duplicates")),
        check_specs=dataset_check_specs(key),
        **bench.whole_in(f"dataset_{config.name}"),
    )
    def dataset(
        context: dg.AssetExecutionContext,
        library: pa.Table,
        near_duplicates: pa.Table,
        labels: LabelSet,
        annotations: ds.Dataset,
        label_matches: ds.Dataset,
        label_losses: ds.Dataset,
    ) -> Any:
        fingerprint = bench.planner(context).whole(name)
        before = previous_version(bench.store(context), name)
        matches = label_matches.to_table()
        with final_failures():
            result = build_dataset(
                library=library,
                annotations=annotations.to_table(filter=ds.field("origin").isin(config.origins)),
                near_duplicates=near_duplicates,
                categories=labels.categories,
                labelled=set(matches["image_id"].to_pylist()),
                losses=label_problems(labels, matches, label_losses.to_table()),
                settings=dataset_settings(config),
                previous_splits=previous_splits(before),
                make_names=export_names,
                previous_categories=tuple(c.name for c in before.categories) if before else (),
            )
        bench.advance(name, result.images.num_rows)
        yield dg.Output(
            Built(result, fingerprint, dataset_metadata(result)),
            data_version=dg.DataVersion(result.version),
        )
        yield labelled_check(key, result)
        yield split_check(key, result)

    return dataset


def dataset_settings(config: DatasetConfig) -> DatasetSettings:
    """What curation needs to know of a configuration."""
    return DatasetSettings(
        name=config.name,
        origins=config.origins,
        unlabelled=config.unlabelled,
        classes=config.classes,
        shares={str(split): share for split, share in config.splits.items()},
        seed=config.seed,
        near_duplicates=config.near_duplicates,
        group_by=config.group_by,
        min_score=config.min_score,
    )


def previous_version(store: Store, name: str) -> Dataset | None:
    """The version that is current now, if there is one."""
    if store.sets.current(name) is None:
        return None
    return Dataset.from_tables(*store.sets.read(name))


def previous_splits(before: Dataset | None) -> dict[str, str]:
    """Where pictures were: they stay there."""
    if before is None:
        return {}
    ids, splits = before.images["image_id"].to_pylist(), before.images["split"].to_pylist()
    return dict(zip(ids, splits, strict=True))


def label_problems(labels: LabelSet, matches: pa.Table, losses: pa.Table) -> tuple[Loss, ...]:
    """Losses of importing and matching; entries of the labels that no picture in the library answers to."""
    matching = tuple(dict.fromkeys(losses_from_table(losses)))
    explained = {loss.subject for loss in matching if loss.kind == "ambiguous"}
    unmatched = unmatched_labels(labels, matches["label_image"].to_pylist())
    return (*labels.losses, *matching, *(x for x in unmatched if x.subject not in explained))


def dataset_metadata(dataset: Dataset) -> dict[str, Any]:
    """Version, counts by split and class, and losses by kind."""
    splits = Counter(dataset.images["split"].to_pylist())
    boxes = Counter(dataset.annotations["category"].to_pylist())
    lost = Counter(loss.kind for loss in dataset.losses)
    classes = "\n".join(f"| {c.name} | {boxes[c.name]} |" for c in dataset.categories)
    return {
        "version": dataset.version,
        "dagster/row_count": dataset.images.num_rows,
        "boxes": dataset.annotations.num_rows,
        **{f"pictures_{split}": n for split, n in sorted(splits.items())},
        **{f"lost: {kind}": n for kind, n in sorted(lost.items())},
        "classes": dg.MetadataValue.md(f"| class | boxes |\n|---|---|\n{classes}"),
    }
