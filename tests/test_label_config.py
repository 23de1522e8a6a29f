"""Labels as configuration: a path, or a mapping; on disk, or in a bucket."""

from __future__ import annotations

import json
import os
from pathlib import Path

import boto3
import pytest

from aion_dagster.assets.labels import import_labels
from aion_dagster.config import LabelsConfig, LibraryConfig
from aion_dagster.errors import ConfigError, LabelError, StorageError
from aion_dagster.label_places import fetched, label_entries, label_place_exists
from aion_dagster.label_prints import labels_print

COCO = {
    "images": [{"id": 1, "file_name": "a.jpg"}],
    "categories": [{"id": 1, "name": "automobile"}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5]}],
}


def put(bucket: str, key: str, data: bytes | str) -> None:
    body = data.encode() if isinstance(data, str) else data
    boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=body)


def test_an_entry_is_a_path_or_a_mapping_and_both_survive_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    entries = [
        "l.json",
        {"path": "m", "classes": {"a": "b", "c": None}, "match": "name"},
        "s3://b/l",
    ]
    config = LibraryConfig.parse({"store": str(tmp_path / "s"), "labels": entries})
    assert config.labels[0] == str(tmp_path / "l.json")
    assert [one.path for one in config.label_sources] == [
        *(str(tmp_path / "l.json"), str(tmp_path / "m"), "s3://b/l")
    ]
    assert config.label_sources[1].classes == {"a": "b", "c": None}
    config.remember()
    assert LibraryConfig.from_env({"AION_STORE": str(tmp_path / "s")}).labels == config.labels


def test_the_environment_names_several_and_the_colon_of_a_uri_parts_nothing():
    text = os.pathsep.join(["/l/a.json", "s3://b/l", "/c"])
    config = LibraryConfig.from_env({"AION_LABELS": text, "AION_STORE": "/nowhere"})
    assert config.labels == ("/l/a.json", "s3://b/l", "/c")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"path": "l", "format": "tfrecord"}, "labels.0.format"),
        ({"path": "l", "match": "md5"}, "labels.0.match"),
        ({"path": "l", "class": {}}, "labels.0.class"),
        ({"path": "l", "classes": {"a": " "}}, "null to leave it out"),
        ({"path": "l", "prefix": "../x"}, "labels.0.prefix"),
        ({"format": "coco"}, "labels.0.path"),
        ("gs://b/l", "s3://bucket"),
        ({"path": "https://h/l"}, "labels.0.path"),
    ],
)
def test_what_is_wrong_is_said_at_its_place(entry, message):
    with pytest.raises(ConfigError) as error:
        LibraryConfig.parse({"labels": [entry]})
    assert message in str(error.value)


def test_a_source_is_imported_as_configured(tmp_path):
    (tmp_path / "l.json").write_text(json.dumps(COCO))
    source = LabelsConfig(
        path=str(tmp_path / "l.json"),
        format="coco",
        classes={"automobile": "car"},
        prefix="x",
        match="path",
    )
    labels = import_labels(source)
    assert labels.annotations["category"].to_pylist() == ["car"]
    assert labels.images.select(["file_name", "match"]).to_pylist() == [
        {"file_name": "x/a.jpg", "match": "path"}
    ]
    with pytest.raises(LabelError, match="Label Studio"):
        import_labels(source.model_copy(update={"format": "label_studio"}))
    with pytest.raises(LabelError, match="no labels of format yolo"):
        import_labels(LabelsConfig(path=str(tmp_path), format="yolo"))


def test_labels_in_a_bucket_are_read_as_a_file_a_folder_and_an_archive(bucket, tmp_path):
    put(bucket, "sets/one/a.json", json.dumps(COCO))
    put(bucket, "sets/yolo/data.yaml", "names: [cat]\n")
    put(bucket, "sets/yolo/labels/val/a.txt", "0 .5 .5 .2 .2\n")
    put(bucket, "sets/yolo/images/val/a.jpg", "not fetched")
    for path, names in (
        (f"s3://{bucket}/sets/one/a.json", ["a.jpg"]),
        (f"s3://{bucket}/sets/one", ["a.jpg"]),
        (f"s3://{bucket}/sets/yolo/", ["a.jpg"]),
    ):
        assert label_place_exists(path)
        labels = import_labels(LabelsConfig(path=path))
        assert labels.images["file_name"].to_pylist() == names
        assert labels.annotations.num_rows == 1
    put(bucket, "bad.json", "{")
    with pytest.raises(LabelError) as error:
        import_labels(LabelsConfig(path=f"s3://{bucket}/bad.json"))
    assert str(error.value).startswith(f"s3://{bucket}/bad.json: ")


def test_what_stands_for_labels_in_a_bucket_changes_with_every_write(bucket):
    path = f"s3://{bucket}/sets"
    put(bucket, "sets/a.json", "{}")
    put(bucket, "sets/picture.jpg", "x")
    first = list(label_entries(path))
    assert [entry[0] for entry in first] == [f"{path}/a.json"]
    put(bucket, "sets/a.json", "{ }")
    assert list(label_entries(path)) != first
    with pytest.raises(ConfigError, match="there is nothing"):
        list(label_entries(f"s3://{bucket}/none"))
    with pytest.raises(LabelError, match="no labels there"), fetched(f"s3://{bucket}/none"):
        pass
    with pytest.raises(StorageError), fetched("s3://no-such-bucket-anywhere/x"):
        pass


def test_keys_that_are_no_paths_are_refused(bucket):
    put(bucket, "sets/a//b.json", "{}")
    with pytest.raises(LabelError, match="no path"), fetched(f"s3://{bucket}/sets"):
        pass


def test_label_files_on_disk_are_told_by_size_and_time(tmp_path):
    (tmp_path / "a.csv").write_text("x")
    (tmp_path / "b.tar.gz").write_text("x")
    (tmp_path / "c.jpg").write_text("x")
    assert [Path(str(e[0])).name for e in label_entries(str(tmp_path))] == ["a.csv", "b.tar.gz"]
    with pytest.raises(ConfigError, match="gone"):
        list(label_entries(str(tmp_path / "gone.json")))


def test_labels_are_stale_when_a_file_or_what_is_made_of_it_changes(tmp_path):
    path = tmp_path / "l.json"
    path.write_text(json.dumps(COCO))
    plain = labels_print([str(path)])
    mapped = LabelsConfig(path=str(path), classes={"automobile": "car"})
    assert labels_print([str(path)]) == plain
    assert len({plain, labels_print([]), labels_print([mapped])}) == 3
    assert labels_print([mapped]) != labels_print([mapped.model_copy(update={"match": "name"})])
    path.write_text(json.dumps(COCO) + "\n")
    assert labels_print([str(path)]) != plain
