"""labels: the imported label files; label_matches and annotations: what they say about a batch's pictures."""

import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import dagster as dg
import pyarrow as pa

from aion_dagster import schemas
from aion_dagster.assets.workbench import Workbench, final_failures, keys, table_output
from aion_dagster.backends.detections import Detection, DetectionTable, as_annotations
from aion_dagster.curation.matching import LabelIndex, LabelMatches, index_labels, match_labels
from aion_dagster.formats.label_sets import map_classes, merge_labels, placed, told_apart
from aion_dagster.formats.labels import read_labels
from aion_dagster.label_config import LabelsConfig
from aion_dagster.label_places import fetched, label_folder
from aion_dagster.planning import ANNOTATION_TABLES, detection_tables
from aion_dagster.resources.access import open_store
from aion_dagster.resources.outputs import Built
from aion_dagster.storage.store import Store
from aion_dagster.values import LabelSet, losses_table


def label_asset(bench: Workbench) -> dg.AssetsDefinition:
    """The configured label files as one set."""
    names = bench.names

    @dg.asset(
        key=names.key("labels"),
        io_manager_key=names.resource("table_sets"),
        description="Imported labels (COCO, YOLO, Pascal VOC, CSV, Label Studio, CVAT) before they are matched with"
        " pictures.",
        kinds={"parquet"},
        **bench.whole_in("labels"),
    )
    def labels(context: dg.AssetExecutionContext) -> Any:
        with final_failures():
            fingerprint = bench.planner(context).labels
            sources = bench.config.label_sources
            folders = [label_folder(one.path) for one in sources]
            merged = merge_labels(told_apart([import_labels(one) for one in sources], folders))
        facts = {
            "dagster/row_count": merged.annotations.num_rows,
            "pictures": merged.images.num_rows,
            "classes": len(merged.categories),
            "losses": len(merged.losses),
            **{
                f"lost: {kind}": n
                for kind, n in sorted(Counter(x.kind for x in merged.losses).items())
            },
        }
        yield dg.Output(
            Built(merged, fingerprint, facts), data_version=dg.DataVersion(fingerprint[:16])
        )

    return labels


def import_labels(source: LabelsConfig) -> LabelSet:
    """One configured source of labels, its classes mapped and its pictures named as configured.

    Raises:
        LabelError: there is nothing to read, or a file is not what it claims to be.
        StorageError: a bucket cannot be read.
    """
    with fetched(source.path) as path:
        labels = read_labels(path, source.format)
    mapped = map_classes(labels, source.classes)
    return placed(mapped, prefix=source.prefix, match=source.match)


def annotation_assets(bench: Workbench) -> dg.AssetsDefinition:
    """Labels matched with a batch's pictures, beside what detectors found in them."""
    names = bench.names
    detected = detection_tables(bench.config)
    descriptions = {
        "label_matches": "Which picture is named by which entry of the labels, with boxes or without.",
        "label_losses": "Labels of this batch that were ambiguous or did not fit their picture.",
        "annotations": "Boxes: imported labels, and text, codes and objects where they were looked for.",
    }

    @dg.multi_asset(
        name=names.op("match_labels"),
        outs=bench.outs("labels", {table: descriptions[table] for table in ANNOTATION_TABLES}),
        deps=keys(names, ["images", "labels", *detected.values()]),
        partitions_def=names.partitions,
        retry_policy=bench.partitioned["retry_policy"],
        required_resource_keys=bench.resource_keys,
    )
    def annotations(context: dg.AssetExecutionContext) -> Iterator[Any]:
        store = bench.store(context)
        # Before the labels are read: if others are imported meanwhile, these annotations are stale, not fresh.
        prints = {b: bench.planner(context).batch(b) for b in context.partition_keys}
        index = label_index(bench.config.store, bench.config.name, store.sets.current("labels"))
        matched = {b: match_batch(store, index, b) for b in context.partition_keys}
        built: dict[str, dict[str, Built]] = {table: {} for table in ANNOTATION_TABLES}
        for batch, matches in matched.items():
            rows = batch_annotations(store, batch, matches, detected)
            bench.advance("annotations", rows.num_rows)
            key = prints[batch]
            built["label_matches"][batch] = Built(matches.matches, key["label_matches"])
            built["label_losses"][batch] = Built(losses_table(matches.losses), key["label_matches"])
            built["annotations"][batch] = Built(rows, key["annotations"])
        for table in ANNOTATION_TABLES:
            yield table_output(table, built[table])

    return annotations


@lru_cache(maxsize=4)
def label_index(uri: str, library: str, version: str | None) -> LabelIndex:
    """The stored labels, indexed once per process and version."""
    if version is None:
        return index_labels(LabelSet.empty())
    tables, info = open_store(uri, library).sets.read("labels", version)
    return index_labels(LabelSet.from_tables(tables, info))


def match_batch(store: Store, index: LabelIndex, batch: str) -> LabelMatches:
    """Labels of one batch's pictures; names in other batches make a label ambiguous."""
    images = store.tables.read("images", batch=batch)
    own = set(zip(images["source"].to_pylist(), images["uri"].to_pylist(), strict=True))
    basenames = {name.rsplit("/", 1)[-1].casefold() for name in images["name"].to_pylist()}
    elsewhere = {
        basename: [name for source, uri, name in places if (source, uri) not in own]
        for basename, places in store.ledger.uris_with_name(basenames).items()
    }
    return match_labels(index, images, elsewhere=elsewhere)


def batch_annotations(
    store: Store,
    batch: str,
    matches: LabelMatches,
    detected: Mapping[Detection, DetectionTable],
) -> pa.Table:
    """Label boxes and detected regions of one batch, in the schema of `annotations`."""
    tables = [matches.annotations]
    for origin, table in detected.items():
        rows = as_annotations(store.tables.read(table, batch=batch), origin)
        tables.append(pa.Table.from_pylist(list(_with_ids(rows)), schema=schemas.ANNOTATIONS))
    return pa.concat_tables(tables)


def _with_ids(rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Give each detected region an id that follows from what it is."""
    for row in rows:
        name = f"{row['image_id']}|{row['origin']}|{row['origin_ref']}|{row['bbox']}|{row['text']}"
        yield {"annotation_id": str(uuid.uuid5(uuid.NAMESPACE_OID, name)), **row}
