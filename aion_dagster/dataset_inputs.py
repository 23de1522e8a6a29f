"""What a dataset is made from beside its tables: the pictures asked for, what is measured, splits that are given."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from aion_dagster.backends.local import LocalBackend
from aion_dagster.config import LibraryConfig
from aion_dagster.curation.columns import places_in
from aion_dagster.curation.dataset import Before, DatasetSettings
from aion_dagster.curation.group_keys import GroupKey
from aion_dagster.curation.quality import Quality
from aion_dagster.dataset_config import DatasetConfig, SelectConfig
from aion_dagster.dataset_group_keys import group_keys as group_keys
from aion_dagster.dataset_group_keys import key_files
from aion_dagster.errors import ConfigError
from aion_dagster.search.selecting import Models, selected_pictures
from aion_dagster.storage.store import Store
from aion_dagster.values import Dataset, LabelSet, Loss

SPLITS: Final = pa.schema([("image_id", pa.string()), ("split", pa.string())])

SAME_SPLIT: Final = {
    "training": "train",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "testing": "test",
}
"""Names of splits in label files, as datasets call them."""

_MEASURES: Final = {
    "sharpness": "visual_features",
    "contrast": "visual_features",
    "brightness": "color_analyses",
}
"""Column → table."""


def tables_read(config: DatasetConfig) -> frozenset[str]:
    """Tables that a dataset reads beside library, near_duplicates, labels and annotations."""
    measured = Quality(**config.quality.model_dump()).measured
    return config.select.reads() | {_MEASURES[column] for column in measured}


def selection(config: LibraryConfig, dataset: DatasetConfig, store: Store) -> pa.Array | None:
    """Ids of the pictures that are asked for; None for all."""
    if dataset.select == SelectConfig():
        return None
    backend = LocalBackend(
        text_model=config.text_model, models=config.models, endpoint=config.endpoint
    )
    reads = dataset.select.reads()
    texts = "embeddings" in reads and backend.unavailable("embed_text") is None
    pictures = "image_embeddings" in reads and backend.unavailable("embed_images") is None
    models = Models(
        embed=backend.embed_text if texts else None,
        text_model=backend.identity("embed_text") if texts else None,
        embed_for_pictures=backend.embed_query if pictures else None,
        picture_model=backend.identity("embed_images") if pictures else None,
    )
    return selected_pictures(dataset.select, store, models)


def measures(dataset: DatasetConfig, store: Store) -> pa.Table | None:
    """image_id and what the quality filters want measured; None where they want nothing."""
    wanted = sorted(Quality(**dataset.quality.model_dump()).measured)
    found: pa.Table | None = None
    for table in sorted({_MEASURES[column] for column in wanted}):
        columns = [c for c in wanted if _MEASURES[c] == table]
        rows = store.tables.read(table, columns=["image_id", *columns])
        if found is None:
            found = rows
            continue
        places = places_in(found["image_id"], rows["image_id"])
        for column in columns:
            values = rows[column].take(pa.array(places, mask=places < 0))
            found = found.append_column(column, values)
    return found


def settings_of(dataset: DatasetConfig, keys: tuple[GroupKey, ...]) -> DatasetSettings:
    """What curation needs to know of a configuration; `keys` as `group_keys` gives them."""
    more: dict[str, Any] = {}
    plain = dataset.model_dump(mode="json", exclude_defaults=True, include={"select", "group_by", "splits_from"})  # fmt: skip
    for name in ("select", "splits_from"):
        if name in plain:
            more[name] = plain[name]
    given = [k for k in plain.get("group_by", ()) if not isinstance(k, str)]
    if given:
        # A version does not depend on where a file lies: its keys stand in the groups.
        more["group_keys"] = [{k: v for k, v in key.items() if k != "file"} for key in given]
    return DatasetSettings(
        name=dataset.name,
        origins=dataset.origins,
        unlabelled=dataset.unlabelled,
        classes=dataset.classes,
        shares={str(split): share for split, share in dataset.splits.items()},
        seed=dataset.seed,
        near_duplicates=dataset.near_duplicates,
        keep=dataset.keep,
        group_by=keys,
        min_score=dataset.min_score,
        min_scores={str(origin): score for origin, score in dataset.min_scores.items()},
        quality=Quality(**dataset.quality.model_dump()),
        more=more,
    )


def before_of(
    dataset: DatasetConfig,
    store: Store,
    labels: LabelSet,
    matches: pa.Table,
) -> tuple[Before, tuple[Loss, ...]]:
    """What is fixed: splits by `splits_from`, and the classes and hashes of the version before.

    Raises:
        ConfigError: a version or dataset that splits are taken from is not there.
    """
    name = f"dataset/{dataset.name}"
    previous = dataset_version(store, name)
    splits = SPLITS.empty_table()
    losses: list[Loss] = []
    for source in dataset.splits_from:
        given, lost = _splits_of(source, name, previous, store, labels, matches)
        new = places_in(given["image_id"], splits["image_id"]) < 0
        splits = pa.concat_tables([splits, given.filter(pa.array(new))])
        losses += lost
    classes = tuple(c.name for c in previous.categories) if previous else ()
    hashes = previous.hashes if previous else None
    return Before(splits if splits.num_rows else None, classes, hashes), tuple(losses)


def _splits_of(
    source: str,
    name: str,
    previous: Dataset | None,
    store: Store,
    labels: LabelSet,
    matches: pa.Table,
) -> tuple[pa.Table, list[Loss]]:
    if source == "labels":
        return splits_of_labels(labels, matches)
    kind, _, value = source.partition(":")
    if kind == "version" and value not in store.sets.versions(name):
        raise ConfigError(f"splits_from: {name} has no version {value}; see 'aion-dagster dataset list'")  # fmt: skip
    found = previous
    if kind == "version":
        found = dataset_version(store, name, value)
    elif kind == "dataset":
        found = dataset_version(store, f"dataset/{value}")
        if found is None:
            raise ConfigError(f"splits_from: there is no dataset {value!r} yet; make it first")
    if found is None:
        return SPLITS.empty_table(), []
    return found.images.select(SPLITS.names), []


def splits_of_labels(labels: LabelSet, matches: pa.Table) -> tuple[pa.Table, list[Loss]]:
    """The splits in which label files have their pictures; losses "split" where they contradict each other or say another one."""
    known = labels.images.filter(pc.is_valid(labels.images["split"]))
    own = dict(zip(known["label_image"].to_pylist(), known["split"].to_pylist(), strict=True))
    found: dict[str, str] = {}
    losses: dict[tuple[str, str], Loss] = {}
    entries = zip(matches["label_image"].to_pylist(), matches["image_id"].to_pylist(), matches["file_name"].to_pylist(), strict=True)  # fmt: skip
    for number, image, file_name in sorted(entries, key=lambda e: (e[1], e[0])):
        said = own.get(number)
        if said is None:
            continue
        split = SAME_SPLIT.get(said.lower(), said.lower())
        if split not in ("train", "val", "test"):
            detail = f"its label file says split {said!r}; only train, val and test are taken over"
            losses[file_name, detail] = Loss("split", file_name, detail)
        elif found.setdefault(image, split) != split:
            detail = f"label files have it in {found[image]} and in {split}; {found[image]} counts"
            losses[file_name, detail] = Loss("split", file_name, detail)
    columns = {"image_id": list(found), "split": list(found.values())}
    return pa.table(columns, schema=SPLITS), list(losses.values())


def dataset_version(store: Store, name: str, version: str | None = None) -> Dataset | None:
    """A version of a dataset, by default the current one; None where there is none."""
    if version is None and store.sets.current(name) is None:
        return None
    return Dataset.from_tables(*store.sets.read(name, version))


def made_from(dataset: DatasetConfig, store: Store) -> list[object]:
    """What tells that a dataset is to be made anew, beyond its settings and the tables that every dataset is made from."""
    tables = {t: _prints(store, t) for t in sorted(tables_read(dataset))}
    others = [s.partition(":")[2] for s in dataset.splits_from if s.startswith("dataset:")]
    versions = {name: store.sets.current(f"dataset/{name}") for name in others}
    return [tables, key_files(dataset), versions]


def _prints(store: Store, table: str) -> list[list[str]]:
    builds = store.ledger.builds(table)
    return [[batch, build.fingerprint] for batch, build in sorted(builds.items())]
