"""What binds pictures of a dataset, from where the configuration says: key files, attributes of the labels, patterns."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from aion_dagster.curation.group_keys import GivenKeys, GroupKey, NamePattern
from aion_dagster.dataset_config import DatasetConfig, GroupKeyConfig
from aion_dagster.errors import ConfigError
from aion_dagster.values import LabelSet, Loss

KEYS: Final = pa.schema([("image_id", pa.string()), ("key", pa.string())])


def group_keys(
    dataset: DatasetConfig,
    library: pa.Table,
    labels: LabelSet,
    matches: pa.Table,
    annotations: pa.Table,
) -> tuple[tuple[GroupKey, ...], tuple[Loss, ...]]:
    """What binds pictures, and losses "unmatched" for rows of key files that no picture answers to.

    Raises:
        ConfigError: a key file cannot be read or lacks a column, or nothing in the labels has the attribute.
    """
    keys: list[GroupKey] = []
    losses: list[Loss] = []
    for key in dataset.group_by:
        if isinstance(key, str):
            keys.append(key)
        elif key.pattern is not None:
            keys.append(NamePattern(key.pattern))
        elif key.file is not None:
            table, lost = _from_file(key, library)
            keys.append(GivenKeys(table))
            losses += lost
        else:
            keys.append(GivenKeys(_from_attribute(key.attribute or "", labels, matches, annotations)))  # fmt: skip
    return tuple(keys), tuple(losses)


def key_files(dataset: DatasetConfig) -> dict[str, list[int]]:
    """Size and time of every file that group keys are read from: what a dataset is made from, too."""
    found: dict[str, list[int]] = {}
    for key in dataset.group_by:
        if isinstance(key, GroupKeyConfig) and key.file is not None:
            try:
                status = Path(key.file).stat()
            except OSError as error:
                raise ConfigError(f"group_by: {key.file} cannot be read ({error.strerror})") from error  # fmt: skip
            found[key.file] = [status.st_size, status.st_mtime_ns]
    return found


def _from_file(key: GroupKeyConfig, library: pa.Table) -> tuple[pa.Table, list[Loss]]:
    place = f"group_by: {key.file}"
    try:
        with Path(key.file or "").open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            for column in (key.image, key.group):
                if column not in (reader.fieldnames or ()):
                    raise ConfigError(
                        f"{place} has no column {column!r}; it has {', '.join(reader.fieldnames or ())}."
                        " Name the columns by image and group"
                    )
            rows = [(row[key.image], row[key.group]) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{place} cannot be read: {error}") from error
    find = _finder(library)
    found: list[tuple[str, str]] = []
    losses = []
    for number, (name, value) in enumerate(rows, start=2):
        ids = find(name or "")
        if not ids:
            losses.append(Loss("unmatched", name or f"row {number}", "no picture of the group keys' file has this name"))  # fmt: skip
        elif value:
            found += [(image, value) for image in ids]
    columns = list(zip(*found, strict=True)) or [(), ()]
    return pa.table(dict(zip(KEYS.names, columns, strict=True)), schema=KEYS), losses


def _finder(library: pa.Table) -> Callable[[str], set[str]]:
    """Ids of the pictures that a text names: by id, SHA-256, name, or the last part of it."""
    known: dict[str, set[str]] = defaultdict(set)
    columns = ("image_id", "sha256", "locations", "name")
    for image, sha, places, name in zip(*(library[c].to_pylist() for c in columns), strict=True):
        for one in {image, sha, name, *(p["name"] for p in places or ())}:
            known[one].add(image)
            known[one.rpartition("/")[2]].add(image)
    empty: set[str] = set()
    return lambda text: known.get(text, empty)


def _from_attribute(
    name: str, labels: LabelSet, matches: pa.Table, annotations: pa.Table
) -> pa.Table:
    pairs = {*_image_attributes(name, labels, matches)}
    own = annotations.filter(pc.is_valid(annotations["attributes"]))
    for image, said in zip(own["image_id"].to_pylist(), own["attributes"].to_pylist(), strict=True):
        pairs.update((image, key) for key in _values(said, name))
    if not pairs:
        raise ConfigError(
            f"group_by: nothing that the labels say of a picture is called {name!r}; take a field of theirs as attribute"
        )
    ids, keys = zip(*sorted(pairs), strict=True)
    return pa.table({"image_id": ids, "key": keys}, schema=KEYS)


def _image_attributes(name: str, labels: LabelSet, matches: pa.Table) -> Iterator[tuple[str, str]]:
    known = labels.images.filter(pc.is_valid(labels.images["attributes"]))
    said = dict(zip(known["label_image"].to_pylist(), known["attributes"].to_pylist(), strict=True))
    for number, image in zip(matches["label_image"].to_pylist(), matches["image_id"].to_pylist(), strict=True):  # fmt: skip
        for key in _values(said.get(number), name):
            yield image, key


def _values(attributes: str | None, name: str) -> Iterator[str]:
    """The value of a field of a JSON object, as text."""
    if attributes is None:
        return
    found = json.loads(attributes).get(name)
    if found is not None:
        yield found if isinstance(found, str) else json.dumps(found, sort_keys=True)
