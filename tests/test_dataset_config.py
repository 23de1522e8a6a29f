"""Datasets as configuration: every field documented, errors that point at their place, inputs beside the tables."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from pydantic import BaseModel

from aion_dagster import schemas
from aion_dagster.config import LibraryConfig
from aion_dagster.dataset_config import (
    DatasetConfig,
    GroupKeyConfig,
    QualityConfig,
    SelectConfig,
)
from aion_dagster.dataset_inputs import group_keys, settings_of, splits_of_labels, tables_read
from aion_dagster.errors import ConfigError
from aion_dagster.search.selection import ColorCondition, SearchCondition, TextCondition
from aion_dagster.values import LabelSet

EXAMPLE = {
    "name": "street",
    "select": {
        "sources": ["cameras"],
        "since": "2026-01-01",
        "any_of": [{"tags": ["night"]}, {"search": {"meaning": "a street at night", "top": 500}}],
        "none_of": [{"text": {"contains": "invoice", "field": "visible_text"}}, {"color": "#fff"}],
    },
    "quality": {"min_width": 320, "max_aspect": 3},
    "origins": ["labels", "objects"],
    "min_scores": {"objects": 0.6},
    "group_by": ["folder", {"pattern": r"cam(\d+)"}, {"attribute": "patient_id"}],
    "splits_from": ["previous", "labels", "version:0123456789abcdef", "dataset:other"],
    "near_duplicates": "keep_one",
    "keep": ["labelled", "latest"],
}


@pytest.mark.parametrize(
    "model",
    [DatasetConfig, SelectConfig, QualityConfig, GroupKeyConfig, ColorCondition, TextCondition, SearchCondition],
)  # fmt: skip
def test_every_field_is_documented(model: type[BaseModel]) -> None:
    text = model.__doc__ or ""
    assert [f for f in model.model_fields if not re.search(rf"\b{f}\b", text)] == []


def test_a_configuration_survives_being_remembered(tmp_path: Path) -> None:
    config = LibraryConfig.parse({"store": str(tmp_path), "datasets": [EXAMPLE]})
    config.remember()
    assert LibraryConfig.from_env({}, flags={"store": str(tmp_path)}) == config
    assert config.datasets[0].select.any_of[1].search is not None


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (["select", "any_of", 0, "tagz"], "x", r"datasets\.0\.select\.any_of\.0\.tagz: .*line \d+, did you mean tags\?"),
        (["quality", "min_witdh"], 1, r"datasets\.0\.quality\.min_witdh: .*did you mean min_width\?"),
        (["group_by", 1, "patern"], 1, r"datasets\.0\.group_by\.1\.patern: .*did you mean pattern\?"),
        (["group_by", 1, "pattern"], "(", r"datasets\.0\.group_by\.1: .*no regular expression"),
        (["group_by", 0], "owner", r"datasets\.0\.group_by\.0: .*'folder' or 'source'"),
        (["splits_from", 0], "before", r"datasets\.0\.splits_from: .*'before' is none of previous"),
        (["min_scores", "objects"], 2, r"datasets\.0\.min_scores: .*0 to 1"),
        (["select", "search"], {"words": "a", "color": "#fff"}, r"datasets\.0\.select\.search: .*exactly one of"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named_with_its_line(
    tmp_path: Path, path: list[Any], value: Any, said: str
) -> None:
    wrong = json.loads(json.dumps(EXAMPLE))
    place = wrong
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    file = tmp_path / "aion.yaml"
    file.write_text(yaml.safe_dump({"datasets": [wrong]}))
    with pytest.raises(ConfigError, match=said) as error:
        LibraryConfig.from_env({}, file=file)
    line = re.search(r"line (\d+)", str(error.value))
    assert line is not None
    assert file.read_text().splitlines()[int(line[1]) - 1].strip()


def test_settings_that_were_always_there_keep_their_meaning() -> None:
    old = DatasetConfig(group_by=("folder",), near_duplicates="keep_one", seed=3)
    settings = settings_of(old, ("folder",)).fingerprintable()
    assert settings["group_by"] == ["folder"]
    assert "select" not in settings
    assert tables_read(old) == frozenset()
    wanted = DatasetConfig.model_validate(EXAMPLE)
    assert tables_read(wanted) == {"descriptions", "embeddings", "color_analyses"}
    assert settings_of(wanted, ()).fingerprintable()["select"]["sources"] == ["cameras"]


def library(*names: str) -> pa.Table:
    rows = [
        dict.fromkeys(schemas.LIBRARY.names)
        | {"image_id": f"id-{n}", "sha256": f"sha-{n}", "name": n, "locations": []}
        for n in names
    ]
    return pa.Table.from_pylist(rows, schema=schemas.LIBRARY)


def labelled(entries: list[dict[str, Any]]) -> tuple[LabelSet, pa.Table]:
    empty = dict.fromkeys(schemas.LABEL_IMAGES.names)
    images = [empty | {"label_image": i, "file_name": e["name"]} | {k: v for k, v in e.items() if k != "name"} for i, e in enumerate(entries)]  # fmt: skip
    matches = [{"label_image": i, "file_name": e["name"], "image_id": f"id-{e['name']}"} for i, e in enumerate(entries)]  # fmt: skip
    nothing = LabelSet.empty()
    return (
        LabelSet(pa.Table.from_pylist(images, schema=schemas.LABEL_IMAGES), nothing.annotations, ()),
        pa.Table.from_pylist(matches, schema=schemas.LABEL_MATCHES),
    )  # fmt: skip


NOTHING = (LabelSet.empty(), schemas.LABEL_MATCHES.empty_table(), schemas.ANNOTATIONS.empty_table())


def test_group_keys_come_from_a_file_by_name_last_part_or_hash(tmp_path: Path) -> None:
    file = tmp_path / "keys.csv"
    file.write_text(
        "who,which\np1,a/one.jpg\np1,two.jpg\np2,sha-b/three.jpg\np3,nobody.jpg\n,a/one.jpg\n"
    )
    config = DatasetConfig.model_validate({"group_by": [{"file": str(file), "image": "which", "group": "who"}]})  # fmt: skip
    pictures = library("a/one.jpg", "b/two.jpg", "b/three.jpg")
    (keys,), losses = group_keys(config, pictures, *NOTHING)
    assert not isinstance(keys, str)
    assert sorted(keys.table.to_pylist(), key=str) == [  # type: ignore[union-attr]
        {"image_id": "id-a/one.jpg", "key": "p1"},
        {"image_id": "id-b/three.jpg", "key": "p2"},
        {"image_id": "id-b/two.jpg", "key": "p1"},
    ]
    assert [x.subject for x in losses] == ["nobody.jpg"]
    with pytest.raises(ConfigError, match="has no column 'group'; it has who, which"):
        group_keys(
            DatasetConfig.model_validate({"group_by": [{"file": str(file), "image": "which"}]}),
            pictures,
            *NOTHING,
        )
    with pytest.raises(ConfigError, match="cannot be read"):
        group_keys(DatasetConfig.model_validate({"group_by": [{"file": "/nowhere.csv"}]}), pictures, *NOTHING)  # fmt: skip


def test_group_keys_come_from_what_labels_say_of_pictures_and_boxes() -> None:
    labels, matches = labelled(
        [{"name": "a", "attributes": '{"patient_id": 7}'}, {"name": "b", "attributes": None}]
    )
    said = dict.fromkeys(schemas.ANNOTATIONS.names) | {
        "image_id": "id-b",
        "attributes": '{"patient_id": "eight"}',
    }
    boxes = pa.Table.from_pylist([said], schema=schemas.ANNOTATIONS)
    config = DatasetConfig.model_validate({"group_by": [{"attribute": "patient_id"}]})
    (keys,), _ = group_keys(config, library("a", "b"), labels, matches, boxes)
    assert keys.table["key"].to_pylist() == ["7", "eight"]  # type: ignore[union-attr]
    other = DatasetConfig.model_validate({"group_by": [{"attribute": "ward"}]})
    with pytest.raises(ConfigError, match="'ward'"):
        group_keys(other, library("a", "b"), labels, matches, boxes)


def test_splits_of_label_files_are_taken_over_and_contradictions_reported() -> None:
    labels, matches = labelled(
        [
            {"name": "a", "split": "train"},
            {"name": "b", "split": "valid"},
            {"name": "a", "split": "test"},
            {"name": "c", "split": "minival"},
            {"name": "d", "split": None},
        ]
    )
    splits, losses = splits_of_labels(labels, matches)
    assert splits.to_pylist() == [
        {"image_id": "id-a", "split": "train"},
        {"image_id": "id-b", "split": "val"},
    ]
    assert [(x.kind, x.subject) for x in losses] == [("split", "a"), ("split", "c")]
