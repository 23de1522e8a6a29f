"""The committed stores of earlier releases: opened, migrated, read, given more pictures, exported."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import boto3
import pytest
from release_pictures import SECOND, put_pictures
from s3_server import ENVIRONMENT
from small_library import Run

from aion_dagster import schemas
from aion_dagster.storage import Store
from aion_dagster.storage.ledger_tables import HEAD
from aion_dagster.storage.store import FORMAT_VERSION, MARKER

STORES = Path(__file__).parents[1] / "stores"
RELEASES = sorted(p.parent.name for p in STORES.glob("*/aion-store.json"))


@pytest.fixture
def pictures(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The bucket as the stores saw it last."""
    for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": s3_endpoint}.items():
        monkeypatch.setenv(name, value)
    put_pictures(SECOND)
    yield boto3.client("s3")
    put_pictures({})


@pytest.fixture(params=RELEASES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of a release's store."""
    return Path(shutil.copytree(STORES / request.param, tmp_path / "store"))


def names(export: Path) -> set[str]:
    found = [json.loads(p.read_text()) for p in export.glob("annotations/*.json")]
    return {Path(image["file_name"]).name for one in found for image in one["images"]}


def pictures_of(store: Store) -> set[str]:
    """What is in the dataset; its version may be another one when a release measures or splits otherwise."""
    return set(store.sets.read("dataset/main")[0]["images"]["image_id"].to_pylist())


def test_a_store_of_an_earlier_release_goes_on(store: Path, run: Run, pictures: Any) -> None:
    exported = {p.name for p in (store / "exports/main/coco/images").rglob("*.png")}
    before = Store.open(store, create=False)
    dataset = pictures_of(before)
    assert before.tables.read("library").num_rows == 6
    assert len(list(before.ledger.current_versions())) == len(SECOND)
    assert len(list(before.ledger.deletions())) == 1
    assert before.ledger.source_state(before.ledger.batches()[0].source).listed_at is not None
    before.close()

    again = run()
    assert (again["files"], again["paid_calls"]) == (0, 0)
    assert pictures_of(Store.open(store, create=False)) == dataset

    put_pictures({**SECOND, "new/six.png": 6})
    result = run()
    assert (result["files"], result["ok"]) == (1, 1)
    export = Path(result["exports"]["coco"])
    assert names(export) == exported | {"six.png"}


def test_there_is_a_store_of_this_release_with_today_s_schemas() -> None:
    store = STORES / version("aion_dagster")
    assert json.loads((store / MARKER).read_bytes()) == {
        "format": FORMAT_VERSION,
        "tables": schemas.VERSION,
    }
    ledger = sqlite3.connect(f"file:{store}/ledger.sqlite?mode=ro&immutable=1", uri=True)
    assert ledger.execute("SELECT version_num FROM alembic_version").fetchall() == [(HEAD,)]
