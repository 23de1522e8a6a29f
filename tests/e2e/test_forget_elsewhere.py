"""`aion-dagster forget` on a bucket that keeps versions, with a ledger on PostgreSQL, and at the Aionvision platform."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from aionvision_server.fixtures import Server
from small_library import Run, draw_picture
from traces import database_of, files_of, needles_of, objects_of, traces

from aion_dagster.cli import main
from aion_dagster.storage.bucket import BucketPath
from aion_dagster.storage.store import Store


def sha_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for i, name in enumerate(("the bride.jpg", "b.jpg", "c.jpg")):
        draw_picture(tmp_path / "photos" / name, i)
    return tmp_path / "photos"


def test_nothing_is_left_in_a_bucket_with_versions_and_a_server(
    run: Run,
    photos: Path,
    bucket: str,
    postgres_database: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AION_LOCAL", str(tmp_path / "local"))
    monkeypatch.setenv("AION_LEDGER_URL", postgres_database)
    client = boto3.client("s3")
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    place = BucketPath(bucket, "library")
    arguments = ("--export", "csv", "--store", str(place))
    assert main(["run", str(photos), *arguments]) == 0
    wanted = photos / "the bride.jpg"
    with Store.open(str(place)) as store:
        needles = needles_of(store, sha_of(wanted), wanted)

    def left() -> set[tuple[str, str]]:
        everything = [
            *objects_of(place),
            *database_of(postgres_database),
            *files_of(tmp_path / "local", without=["dagster"]),
        ]
        return traces(everything, needles)

    # More than one version of some objects, and deleted ones: a second run with another picture.
    draw_picture(photos / "d.jpg", 44)
    assert main(["run", *arguments]) == 0
    assert {name for name, _ in left()} >= {"sha256", "image_id", "file name", "uri", "original"}

    assert main(["forget", str(wanted), "--yes", "--store", str(place)]) == 0
    assert left() == set()
    assert run(store=str(place))["files"] == 0
    assert left() == set()
    with Store.open(str(place)) as store:
        names = store.tables.read("library")["name"].to_pylist()
        assert sorted(names) == ["b.jpg", "c.jpg", "d.jpg"]
        assert store.exports.read("main", "csv", "images.csv") is not None


@pytest.fixture
def described(
    aionvision: Server, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[str]]:
    """Arguments for a store whose pictures were described by the platform."""
    monkeypatch.setenv("AIONVISION_API_KEY", aionvision.key)
    aionvision.plan("UNLIMITED")
    aionvision.described_at_once()
    remote = {"base_url": aionvision.url, "plan": "unlimited", "polling_interval": 0.02}
    config = tmp_path / "aion.yaml"
    settings = {"backend": "aionvision", "aionvision": remote, "text_model": "none"}
    config.write_text(yaml.safe_dump({"datasets": [{"exports": ["csv"]}], **settings}))
    arguments = ["--config", str(config), "--store", str(tmp_path / "store")]
    assert main(["run", str(photos), *arguments]) == 0
    yield arguments
    aionvision.assert_clean()


def deleted(server: Server) -> set[str]:
    return {o["id"] for o in server.objects() if o.get("deleted_at") or o.get("deleted")}


@pytest.mark.parametrize("which", ["keep", "ours"])
def test_words_and_answers_go_and_the_remote_file_when_asked_to(
    which: str,
    described: list[str],
    aionvision: Server,
    photos: Path,
    tmp_path: Path,
    capsys: Any,
) -> None:
    wanted, store = photos / "the bride.jpg", tmp_path / "store"
    with Store.open(store) as opened:
        rows = opened.tables.dataset("images").to_table().to_pylist()
        image = next(r["image_id"] for r in rows if r["name"] == wanted.name)
        words = opened.tables.dataset("descriptions").to_table().to_pylist()
        own = next(r for r in words if r["image_id"] == image)
        others = {r["description"] for r in words if r["image_id"] != image}
        needles = needles_of(opened, sha_of(wanted), wanted, remote=own["remote_id"])
    if own["description"] not in others:
        needles["description"] = own["description"].encode()
    found = {name for name, _ in traces(files_of(store, without=["dagster"]), needles)}
    assert found >= {"sha256", "image_id", "remote"}
    billed = aionvision.counters()["descriptions_billed"]

    assert main(["forget", str(wanted), "--remote", which, *described]) == 0
    said = capsys.readouterr().out
    assert own["remote_id"] in said
    assert ("to be deleted" if which == "ours" else "stays") in said
    assert deleted(aionvision) == set()

    assert main(["forget", str(wanted), "--remote", which, "--yes", *described]) == 0
    assert deleted(aionvision) == ({own["remote_id"]} if which == "ours" else set())
    assert traces(files_of(store, without=["dagster"]), needles) == set()
    with Store.open(store) as opened:
        assert opened.tables.dataset("descriptions").count_rows() == 2
        assert sum(s.calls for s in opened.ledger.spending()) > 0
    # The other pictures' descriptions were not paid again.
    assert main(["run", *described]) == 0
    assert aionvision.counters()["descriptions_billed"] == billed
