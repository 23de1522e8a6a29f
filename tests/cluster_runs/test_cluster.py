"""Workers, broker and database of a cluster fail in the middle: every batch completes, and nothing is done twice."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from aionvision_server.fixtures import Server, running
from cluster import Cluster, cluster, until
from dagster import DagsterRunStatus, RunsFilter
from PIL import Image

from aion_dagster.storage.store import Store

SOAK = os.environ.get("AION_TEST_TIER") == "soak"
BATCHES = 40 if SOAK else 4
WORKERS = 3 if SOAK else 2
FILES = 3

pytestmark = pytest.mark.timeout(3000)


@pytest.fixture
def server() -> Iterator[Server]:
    with running("--plan", "UNLIMITED") as started:
        started.described_at_once()
        yield started


@pytest.fixture
def running_cluster(s3_endpoint: str, bucket: str) -> Iterator[Cluster]:
    with cluster(s3_endpoint, bucket, WORKERS) as made:
        yield made


def test_every_batch_completes_though_a_worker_the_broker_and_the_database_fail(
    running_cluster: Cluster, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = running_cluster
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(BATCHES * FILES):
        Image.new("RGB", (48, 32), (number % 256, number // 256, 99)).save(
            pictures / f"{number:04}.png"
        )
    made.environment["AIONVISION_API_KEY"] = server.key
    made.configure(
        {
            "sources": [str(pictures)],
            "backend": "aionvision",
            "aionvision": {"base_url": server.url, "plan": "unlimited", "polling_interval": 0.05},
            "text_model": "none",
            "batch_files": FILES,
            "scan_seconds": 2,
            "datasets": [{"exports": ["csv"]}],
        }
    )
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    made.start()
    with made.instance() as instance:

        def succeeded() -> int:
            done = RunsFilter(statuses=[DagsterRunStatus.SUCCESS], tags={"dagster/partition": []})
            runs = instance.get_runs(RunsFilter(statuses=done.statuses))
            return len({r.tags["dagster/partition"] for r in runs if "dagster/partition" in r.tags})

        def at_work() -> int:
            return instance.get_runs_count(RunsFilter(statuses=[DagsterRunStatus.STARTED]))

        try:
            until(lambda: succeeded() >= BATCHES // 8 and at_work() > 0, 400, "no batch is done")
            made.kill_worker()
            until(lambda: succeeded() >= BATCHES // 4, 600, "nothing more after a worker's end")
            made.redis.stop()
            made.redis.start()
            until(lambda: succeeded() >= BATCHES // 2, 600, "nothing more after the broker's end")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{made.logs()}") from None
    made.postgres.stop()
    made.postgres.start()
    with made.instance() as instance, Store.open(made.environment["AION_STORE"]) as store:

        def described() -> int:
            return len(store.tables.batches("descriptions"))

        def library() -> int:
            return store.tables.dataset("library").count_rows()

        try:
            until(lambda: described() == BATCHES, 1200, "not every batch is described")
            until(lambda: library() == BATCHES * FILES, 600, "the library is not whole")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{made.logs()}") from None
        rows = store.tables.dataset("images").to_table(columns=["uri", "status"]).to_pylist()
        assert Counter(r["status"] for r in rows) == {"ok": BATCHES * FILES}
        assert len({r["uri"] for r in rows}) == len(rows)
        texts = store.tables.dataset("descriptions").to_table(columns=["description_status"])
        assert set(texts["description_status"].to_pylist()) == {"completed"}
    counted = server.counters()
    assert counted["remote_objects"] == {"image": BATCHES * FILES}
    assert counted["descriptions_billed"] == BATCHES * FILES
    assert counted["described_more_than_once"] == {}
