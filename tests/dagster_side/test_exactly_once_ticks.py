"""Real ticks over a real bucket: every live object is in exactly one batch, and every batch gets exactly one run."""

from __future__ import annotations

import itertools
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import boto3
import dagster as dg
import pytest
import sqlalchemy as sa
import yaml
from fresh_database import fresh_database
from hypothesis import given, settings
from hypothesis import strategies as st
from s3_server import ENVIRONMENT
from watched_library import RUN_KEY, WatchedLibrary

from aion_dagster.config import LibraryConfig
from aion_dagster.resources.instance import embedded_instance
from aion_dagster.sources import s3
from aion_dagster.sources.source import ScanPage

IS_SOAK = os.environ.get("AION_TEST_TIER") == "soak"
SEQUENCES = 50 if IS_SOAK else 2
LONGEST = 60 if IS_SOAK else 25
NUMBERS = itertools.count()

KEYS = st.sampled_from([f"{letter}/{i}.jpg" for letter in "ab" for i in range(3)])
SENSOR = st.integers(0, 1)
STEPS = st.one_of(
    *(
        st.tuples(st.just(kind), KEYS)
        for kind in ("add", "overwrite, equal size", "touch", "delete", "re-add")
    ),
    st.tuples(st.just("rename"), KEYS, KEYS),
    st.tuples(st.just("tick"), SENSOR),
    st.tuples(st.just("tick"), SENSOR),
    st.tuples(st.just("tick, the other one inside"), SENSOR),
    st.tuples(st.just("tick, the process dies"), SENSOR, st.integers(1, 12)),
    st.tuples(st.just("tick, the daemon dies"), SENSOR, st.integers(0, 2)),
    st.tuples(st.just("runs end")),
)


class Died(BaseException):
    """The process ends here."""


class Story:
    """A bucket, a library, and two sensors over them that each have a cursor of their own."""

    def __init__(self, bucket: str, client: Any, sensors: tuple[WatchedLibrary, WatchedLibrary]):
        self.bucket, self.client, self.sensors = bucket, client, sensors
        self.earlier: dict[str, bytes] = {}
        self.launched: Counter[str] = Counter()

    def happens(self, kind: str, *more: Any) -> None:
        if kind == "runs end":
            self.runs_end()
        elif kind.startswith("tick"):
            self.tick(kind, *more)
        else:
            self.change(kind, *more)

    def change(self, kind: str, key: str, target: str = "") -> None:
        old = self.objects().get(key)
        if old is None:
            if kind in ("add", "re-add"):
                self.put(key, self.earlier.get(key, b"") if kind == "re-add" else b"")
            return
        self.earlier[key] = old
        if kind in ("delete", "rename"):
            self.client.delete_object(Bucket=self.bucket, Key=key)
        if kind == "rename":
            self.put(target, old)
        elif kind == "touch":
            self.put(key, old)
        elif kind == "overwrite, equal size":
            self.put(key, b"")

    def put(self, key: str, data: bytes) -> None:
        # Written within the second in which another version was: times are as good as equal.
        body = data or b"%08d" % next(NUMBERS)
        self.client.put_object(Bucket=self.bucket, Key=key, Body=body)

    def objects(self) -> dict[str, bytes]:
        listed = self.client.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        return {
            item["Key"]: self.client.get_object(Bucket=self.bucket, Key=item["Key"])["Body"].read()
            for item in listed
        }

    def live(self) -> set[tuple[str, str]]:
        listed = self.client.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        return {
            (f"s3://{self.bucket}/{item['Key']}", f"{item['ETag'].strip(chr(34))}-{item['Size']}")
            for item in listed
        }

    def tick(self, kind: str, sensor: int, where: int = 0) -> None:
        library = self.sensors[sensor]
        with pytest.MonkeyPatch.context() as patch:
            if kind.endswith("inside"):
                self.between(
                    patch, lambda: self.accept(1 - sensor, self.sensors[1 - sensor].tick())
                )
            if kind.endswith("process dies"):
                self.die_at(patch, where)
            try:
                result = library.tick()
            except Died:
                return
        self.accept(sensor, result, dies=where if kind.endswith("daemon dies") else None)

    def between(self, patch: pytest.MonkeyPatch, act: Any) -> None:
        """Have something happen once, after a page was listed and before it is looked at."""
        scan, acts = s3.S3Source.scan, [act]

        def scanned(*arguments: Any) -> ScanPage:
            page = scan(*arguments)
            if acts:
                acts.pop()()
            return page

        patch.setattr(s3.S3Source, "scan", scanned)

    def die_at(self, patch: pytest.MonkeyPatch, boundary: int) -> None:
        """Have the process die before the n-th commit to the ledger, or right after it where n is even."""
        ledger, passed = self.sensors[0].store.ledger._database, itertools.count(1)
        write = ledger.write

        def dying(**more: Any) -> Any:
            number = next(passed)
            if number * 2 - 1 == boundary:
                raise Died
            stack = ExitStack()
            connection = stack.enter_context(write(**more))

            class Written:
                def __enter__(self) -> sa.Connection:
                    return connection

                def __exit__(self, *error: Any) -> None:
                    stack.__exit__(*error)
                    if number * 2 == boundary and error[0] is None:
                        raise Died

            return Written()

        patch.setattr(ledger, "write", dying)

    def accept(self, sensor: int, result: Any, dies: int | None = None) -> None:
        """What the daemon does; it dies before the partitions, the reservation or the launch of the runs."""
        library = self.sensors[sensor]
        if dies == 0:
            return
        library.store_partitions(result)
        if dies == 1:
            return
        for request in result.run_requests:
            known = library.instance.get_runs(dg.RunsFilter(tags={RUN_KEY: request.run_key}))
            run = known[0] if known else library.reserve(request)
            if dies == 2 or run.status != dg.DagsterRunStatus.NOT_STARTED:
                continue
            library.instance.report_run_canceling(run)  # a run that is under way
            library.store.ledger.mark_started(request.partition_key)
            self.launched[request.partition_key] += 1
        if dies is None:
            library.cursor = result.cursor

    def runs_end(self) -> None:
        instance = self.sensors[0].instance
        for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.CANCELING])):
            instance.report_run_failed(run)

    def comes_to_rest(self) -> None:
        for sensor in (0, 1, 0, 1):
            for _ in range(60):
                self.runs_end()
                result = self.sensors[sensor].tick()
                self.accept(sensor, result)
                if not result.run_requests and '"places": {}' in result.cursor:
                    break
            else:
                raise AssertionError("the sensor never comes to rest")

    def check(self) -> None:
        library = self.sensors[0]
        store = library.store
        held = Counter(
            (file.uri, file.version)
            for batch in library.batches()
            for file in store.manifests.read(batch)
        )
        live = self.live()
        assert set(held.values()) <= {1}
        assert live <= set(held)
        assert {(v.uri, v.version) for v in store.ledger.current_versions()} == live
        gone = {d.uri for d in store.ledger.deletions()}
        assert gone == {uri for uri, _ in held} - {uri for uri, _ in live}
        assert library.partitions() >= set(library.batches())
        assert self.launched == dict.fromkeys(library.batches(), 1)


@pytest.fixture(scope="module")
def client(s3_endpoint: str) -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        yield boto3.client("s3", endpoint_url=s3_endpoint)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, empty_instance: Path
) -> Iterator[tuple[Path, dg.DagsterInstance]]:
    """A store with its instance; with both databases on a server, or in files."""
    store = tmp_path_factory.mktemp("place") / "store"
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        if request.param == "sqlite":
            shutil.copytree(empty_instance, store / "dagster")
            yield store, stack.enter_context(embedded_instance(str(store)))
            return
        url = stack.enter_context(fresh_database(request.getfixturevalue("postgres")))
        patch.setenv("AION_LEDGER_URL", url)
        home = tmp_path_factory.mktemp("home")
        settings = {"storage": {"postgres": {"postgres_url": url}}}
        (home / "dagster.yaml").write_text(yaml.safe_dump(settings))
        yield store, stack.enter_context(dg.DagsterInstance.from_config(str(home)))


@settings(max_examples=SEQUENCES)
@given(steps=st.lists(STEPS, min_size=4, max_size=LONGEST))
def test_every_live_object_is_in_one_batch_with_one_run(
    place: tuple[Path, dg.DagsterInstance],
    client: Any,
    s3_endpoint: str,
    steps: list[tuple[Any, ...]],
) -> None:
    store, instance = place
    name = f"story{next(NUMBERS)}_{os.getpid()}"
    bucket = name.replace("_", "-")
    client.create_bucket(Bucket=bucket)
    config = LibraryConfig.parse(
        {
            "name": name,
            "store": str(store),
            "sources": [
                {
                    "type": "s3",
                    "name": "pics",
                    "bucket": bucket,
                    "endpoint_url": s3_endpoint,
                    "may_be_empty": True,
                }
            ],
            "batch_files": 2,
            "max_batches_per_tick": 2,
            "max_unfinished_batches": 3,
            "datasets": [],
        }
    )
    first = WatchedLibrary(config, instance)
    second = WatchedLibrary(config, instance)
    second.__dict__["definitions"] = first.definitions
    story = Story(bucket, client, (first, second))
    for step in steps:
        story.happens(*step)
    story.comes_to_rest()
    story.check()
