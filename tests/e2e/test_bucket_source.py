"""The command line on a bucket: pictures with any keys, changes, deletions, and a bucket that is not there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from small_library import Run, draw_picture

from aion_dagster.cli import main
from aion_dagster.storage import Store

KEYS = ["a/b.jpg", "x//y.jpg", "naïve 😀.jpg", "tab\there.jpg", "c:\\w|<?>*.jpg", "%2e%2e/z.jpg"]


@pytest.fixture
def client(bucket: str) -> Any:
    return boto3.client("s3")


def put(client: Any, bucket: str, folder: Path, key: str, seed: int) -> None:
    draw_picture(folder / "picture.jpg", seed, (96, 72))
    client.put_object(Bucket=bucket, Key=key, Body=(folder / "picture.jpg").read_bytes())


def exported(result: dict[str, Any]) -> list[str]:
    folder = Path(result["exports"]["coco"])
    documents = [json.loads(p.read_text()) for p in folder.rglob("instances_*.json")]
    names = [image["file_name"] for document in documents for image in document["images"]]
    assert all((folder.resolve() in p.resolve().parents) for n in names for p in folder.rglob(n))
    return sorted(names)


def test_pictures_of_a_bucket_become_a_dataset_and_follow_it(
    run: Run, client: Any, bucket: str, tmp_path: Path
) -> None:
    for seed, key in enumerate(KEYS):
        put(client, bucket, tmp_path, key, seed)
    client.put_object(Bucket=bucket, Key="broken.jpg", Body=b"\xff\xd8\xff nothing")
    first = run(f"s3://{bucket}/", "--export", "coco,yolo")
    assert (first["ok"], first["failed"]) == (len(KEYS), 1)
    assert len(exported(first)) == len(KEYS)
    store = Store.open(tmp_path / "store", create=False)
    uris = store.tables.read("images")["uri"].to_pylist()
    assert f"s3://{bucket}/tab%09here.jpg" in uris
    assert "no work was done" in run()["output"]

    put(client, bucket, tmp_path, KEYS[0], 99)
    client.delete_object(Bucket=bucket, Key=KEYS[1])
    second = run()
    assert second["files"] == 1
    assert len(exported(second)) == len(KEYS) - 1
    library = store.tables.read("library").to_pylist()
    assert [bool(r["superseded_by"]) for r in library].count(True) == 1
    assert [bool(r["deleted_at"]) for r in library].count(True) == 1


def test_a_prefix_takes_what_begins_with_it(
    run: Run, client: Any, bucket: str, tmp_path: Path
) -> None:
    put(client, bucket, tmp_path, "in/a.jpg", 1)
    put(client, bucket, tmp_path, "out/b.jpg", 2)
    assert run(f"s3://{bucket}/in/", "--export", "none")["files"] == 1


def test_a_bucket_that_is_not_there_is_a_usage_error(
    bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["run", f"s3://{bucket}-none/", "--store", str(tmp_path / "store")])
    assert status == 2
    assert "there is no such bucket" in capsys.readouterr().err


def test_a_bucket_that_went_does_not_hold_up_a_folder(
    run: Run, client: Any, bucket: str, tmp_path: Path
) -> None:
    put(client, bucket, tmp_path, "a.jpg", 1)
    run(f"s3://{bucket}/", "--export", "none")
    client.delete_object(Bucket=bucket, Key="a.jpg")
    client.delete_bucket(Bucket=bucket)
    draw_picture(tmp_path / "folder" / "b.jpg", 3, (96, 72))
    result = run(tmp_path / "folder", "--export", "none")
    assert result["files"] == 1
    assert "there is no such bucket; passed over" in result["problems"].replace(".;", ";")
    store = Store.open(tmp_path / "store", create=False)
    assert list(store.ledger.deletions()) == []
