"""Descriptions that are made again by hand, from the same inputs, with other words: what is made of them follows."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

import dagster as dg
import pytest
from aionvision_server.fixtures import Server
from remote_runs import asked, configured, ready, rows
from small_library import Run

from aion_dagster.cli import main
from aion_dagster.client import SyncAionVision
from aion_dagster.commands.settings import store_config
from aion_dagster.definitions import BATCH_JOB, build_definitions
from aion_dagster.planning import Planner, configured_backend
from aion_dagster.resources.instance import embedded_instance
from aion_dagster.storage.store import Store


@pytest.fixture(autouse=True)
def key(aionvision: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    return ready(aionvision, monkeypatch)


def materialize(store: Path, asset: str) -> None:
    """What somebody does in the UI: one asset of the only batch, and nothing else."""
    config = store_config(Namespace(store=str(store), config=None))
    (batch,) = Store.open(store, create=False).tables.batches("images")
    job = build_definitions(config, quiet=True).resolve_job_def(BATCH_JOB)
    with embedded_instance(str(store)) as instance:
        assert job.execute_in_process(
            instance=instance, partition_key=batch, asset_selection=[dg.AssetKey(asset)]
        ).success


def found(store: Path, words: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Image ids that `search` finds by words, the best first."""
    main(["search", words, "--store", str(store), "--json"])
    return [hit["image_id"] for hit in json.loads(capsys.readouterr().out.splitlines()[-1])]


def left(store: Path) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    config = store_config(Namespace(store=str(store), config=None))
    opened = Store.open(store, create=False)
    plan = Planner(config, opened, configured_backend(config)).plan()
    return dict(plan.batches), plan.whole


def renamed(server: Server, store: Path, title: str) -> str:
    """Somebody gives a picture another title in the remote library; its image id."""
    picture = rows(store, "descriptions")[2]
    with SyncAionVision(server.key, base_url=server.url) as client:
        client.files.update(picture["remote_id"], title=title)
    return str(picture["image_id"])


def test_the_search_index_and_the_vectors_say_what_the_descriptions_say(
    run: Run,
    pictures: Path,
    tmp_path: Path,
    aionvision: Server,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store = tmp_path / "store"
    settings = configured(tmp_path / "aion.yaml", aionvision, library={"text_model": "auto"})
    run(pictures, "--config", settings)
    before = {r["image_id"]: r["vector"] for r in rows(store, "embeddings")}
    image = renamed(aionvision, store, "zinnia meadow")
    assert left(store) == ({}, ())
    materialize(store, "descriptions")
    (batch,) = Store.open(store, create=False).tables.batches("images")
    assert left(store) == ({batch: ("embeddings",)}, ("search_index",))
    result = run("--config", settings)
    assert result["paid_calls"] == 0
    assert found(store, "zinnia", capsys)[0] == image
    after = {r["image_id"]: r["vector"] for r in rows(store, "embeddings")}
    if before:
        assert [i for i in before if after[i] != before[i]] == [image]
    requests = asked(aionvision)
    assert left(store) == ({}, ())
    assert "no work was done" in run("--config", settings)["output"]
    assert asked(aionvision) == requests


def test_the_same_words_again_leave_everything_as_it_is(
    run: Run, pictures: Path, tmp_path: Path, aionvision: Server
) -> None:
    store = tmp_path / "store"
    run(pictures, "--config", configured(tmp_path / "aion.yaml", aionvision))
    materialize(store, "descriptions")
    assert left(store) == ({}, ())
    renamed(aionvision, store, "zinnia meadow")
    materialize(store, "descriptions")
    run("--config", configured(tmp_path / "aion.yaml", aionvision))
    materialize(store, "descriptions")
    assert left(store) == ({}, ())


def test_words_that_change_back_and_forth_are_followed_each_time(
    run: Run,
    pictures: Path,
    tmp_path: Path,
    aionvision: Server,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store = tmp_path / "store"
    settings = configured(tmp_path / "aion.yaml", aionvision)
    run(pictures, "--config", settings)
    for title, other in (("zinnia", "heron"), ("heron", "zinnia"), ("zinnia", "heron")):
        image = renamed(aionvision, store, title)
        materialize(store, "descriptions")
        run("--config", settings)
        assert image in found(store, title, capsys)
        assert image not in found(store, other, capsys)
