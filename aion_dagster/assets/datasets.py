"""dataset/<name>: a curated, split and versioned dataset."""

from collections import Counter
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.dataset as ds

from aion_dagster.assets.automation import after
from aion_dagster.assets.workbench import Workbench, final_failures, keys
from aion_dagster.checks.datasets import dataset_check_specs, labelled_check, split_check
from aion_dagster.config import DatasetConfig
from aion_dagster.curation.dataset import build_dataset
from aion_dagster.curation.matching import unmatched_labels
from aion_dagster.dataset_group_keys import group_keys
from aion_dagster.dataset_inputs import (
    before_of,
    measures,
    selection,
    settings_of,
    tables_read,
)
from aion_dagster.formats.names import export_names
from aion_dagster.kept_originals import keep_originals
from aion_dagster.resources.lineage import dataset_lineage
from aion_dagster.resources.outputs import Built
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
        # Read where the selection or the quality filters look at them.
        deps=keys(names, sorted(tables_read(config) - set(inputs))),
        io_manager_key=names.resource("table_sets"),
        description="Pictures and boxes chosen, made consistent, split into train, val and test, and versioned.",
        kinds={"parquet"},
        automation_condition=after(names.key("library"), names.key("near_duplicates")),
        check_specs=dataset_check_specs(key, blocks=config.leaks == "block"),
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
        store = bench.store(context)
        matches = label_matches.to_table()
        rows = annotations.to_table(filter=ds.field("origin").isin(config.origins))
        with final_failures():
            before, unfixed = before_of(config, store, labels, matches)
            bonds, unbound = group_keys(config, library, labels, matches, rows)
            result = build_dataset(
                library=library,
                annotations=rows,
                near_duplicates=near_duplicates,
                categories=labels.categories,
                labelled=matches["image_id"],
                losses=(
                    *label_problems(labels, matches, label_losses.to_table()),
                    *unfixed,
                    *unbound,
                ),
                settings=settings_of(config, bonds),
                make_names=export_names,
                before=before,
                selected=selection(bench.config, config, store),
                measures=measures(config, store),
            )
            facts = dataset_metadata(result) | originals_kept(bench, context, result, library)
        bench.advance(name, result.images.num_rows)
        yield dg.Output(
            Built(result, fingerprint, {**facts, **dataset_lineage(names, config.origins)}),
            data_version=dg.DataVersion(result.version),
        )
        yield labelled_check(key, result)
        yield split_check(key, result, blocks=config.leaks == "block")

    return dataset


def originals_kept(
    bench: Workbench, context: dg.AssetExecutionContext, dataset: Dataset, library: pa.Table
) -> dict[str, Any]:
    """Keep the originals that `keep_originals` asks for; what was kept now, and what cannot be had."""
    rule = bench.config.keep_originals
    if rule == "none":
        return {}
    pictures = dataset.images if rule == "referenced" else library
    count, missing = keep_originals(bench.store(context), pictures, bench.sources(context))
    first = {"originals_missing_first": ", ".join(missing[:20])} if missing else {}
    return {"originals_kept": count, "originals_missing": len(missing), **first}


def label_problems(labels: LabelSet, matches: pa.Table, losses: pa.Table) -> tuple[Loss, ...]:
    """Losses of importing and matching; entries of the labels that no picture in the library answers to."""
    matching = tuple(dict.fromkeys(losses_from_table(losses)))
    explained = {loss.subject for loss in matching if loss.kind == "ambiguous"}
    unmatched = unmatched_labels(labels, matches["label_image"].to_pylist())
    return (*labels.losses, *matching, *(x for x in unmatched if x.subject not in explained))


def dataset_metadata(dataset: Dataset) -> dict[str, Any]:
    """Version, counts by split and class, losses by kind, and what was left out by reason."""
    splits = Counter(dataset.images["split"].to_pylist())
    boxes = Counter(dataset.annotations["category"].to_pylist())
    lost = Counter(loss.kind for loss in dataset.losses)
    left_out = Counter(dataset.left_out["reason"].to_pylist())
    classes = "\n".join(f"| {c.name} | {boxes[c.name]} |" for c in dataset.categories)
    return {
        "version": dataset.version,
        "dagster/row_count": dataset.images.num_rows,
        "boxes": dataset.annotations.num_rows,
        **{f"pictures_{split}": n for split, n in sorted(splits.items())},
        **{f"left out: {reason}": n for reason, n in sorted(left_out.items())},
        **{f"lost: {kind}": n for kind, n in sorted(lost.items())},
        "classes": dg.MetadataValue.md(f"| class | boxes |\n|---|---|\n{classes}"),
    }
