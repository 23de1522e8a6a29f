"""A run that is killed at any moment and run again ends as if nothing had happened."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from small_library import tree

from aion_dagster.resources.instance import embedded_instance
from aion_dagster.storage.store import Store

SCRIPT = Path(__file__).with_name("killed_run.py")
TIER = os.environ.get("AION_TEST_TIER", "test")
KILLS = {"test": 2, "soak": 0}
"""Kills per tier; 0 means one at every kind of moment there is, and some by the clock."""
BY_THE_CLOCK = 8
SHARES = {"test": 1, "soak": 8}
"""Parts of the kills that may run side by side."""
BATCH = 7
AHEAD = {
    "test": {"before take:ahead:2": {1}},
    "soak": {
        "before picture_tables:ahead:1": {0},
        "after picture_tables:ahead:1": {0},
        "before take:ahead:1": {0},
        "after take:ahead:1": {0},
        "before picture_tables:ahead:2": {0, 1},
        "after picture_tables:ahead:2": {0, 1},
        "before take:ahead:2": {1},
        "after take:ahead:2": {1},
    },
}
"""Kills between a batch's pictures and the run that takes them; how many batches may have theirs put away by then.

While the second batch is computed the first one's run is under way.
"""
SEED = int(os.environ.get("AION_KILL_SEED", "20261120"))
NOT_REPEATED = {"processing_time_ms", "generated_at"}
"""Columns of clocks."""


def call(
    moment: str, pictures: Path, labels: Path, store: Path
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), moment, "run", str(pictures), "--labels", str(labels)]
    # Into files: a pipe would stay open as long as any process that the killed one has left behind.
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        done = subprocess.run(
            [*command, "--batch-size", str(BATCH), "--store", str(store)],
            stdout=out,
            stderr=err,
            check=False,
        )
        err.seek(0)
        return subprocess.CompletedProcess(command, done.returncode, "", err.read())


def contents(store: Store) -> dict[str, Any]:
    """Everything that a store holds, without what clocks write."""
    rows: dict[str, Any] = {}
    for table in (
        "images",
        "variants",
        "color_analyses",
        "visual_features",
        "descriptions",
        "annotations",
        "label_matches",
        "embeddings",
        "library",
        "near_duplicates",
    ):
        data: pa.Table = store.tables.read(table)
        rows[table] = data.drop_columns(sorted(NOT_REPEATED & set(data.column_names))).to_pylist()
    rows["batches"] = [(b.key, b.file_count, b.blocked_reason) for b in store.ledger.batches()]
    rows["dataset"] = {k: v.to_pylist() for k, v in store.sets.read("dataset/main")[0].items()}
    return rows


def half_written(store: Path) -> list[Path]:
    """Temporary files of tables, which no process that lives will put in their place."""
    return list((store / "tables").rglob(".*.tmp"))


@pytest.fixture(scope="module")
def uninterrupted(picture_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A run that nobody killed: its moments, its exports, its tables."""
    from small_library import coco

    folder = tmp_path_factory.mktemp("uninterrupted")
    labels = folder / "labels.json"
    names = sorted(p.relative_to(picture_folder).as_posix() for p in picture_folder.rglob("*.jpg"))
    boxes = [(i, "cat" if i % 3 else "dog", [10.0 + i, 20.0, 50.0, 40.0]) for i in range(8)]
    import json

    labels.write_text(json.dumps(coco([(n, 320, 240) for n in names], boxes)))
    done = call(f"list:{folder / 'moments'}", picture_folder, labels, folder / "store")
    assert done.returncode == 0, done.stderr
    return {
        "pictures": picture_folder,
        "labels": labels,
        "moments": (folder / "moments").read_text().split("\n")[:-1],
        "exports": tree(folder / "store" / "exports"),
        "contents": contents(Store.open(folder / "store", create=False)),
    }


def chosen_moments(passed: list[str], count: int) -> list[str]:
    """`count` random moments of different kinds; for 0 one of each kind and some by the clock."""
    draw = random.Random(SEED)
    kinds = [line.rpartition(":")[::2] for line in passed]
    one_each = [f"{name}:{draw.randint(1, int(n))}" for name, n in kinds]
    if count:
        steps = [m for m in one_each if m.startswith("step:")]
        renames = [m for m in one_each if "rename" in m or "replace" in m or "_exchange" in m]
        return draw.sample(steps, count // 2) + draw.sample(renames, count - count // 2)
    return one_each + [f"seconds:{draw.uniform(2, 12):.2f}" for _ in range(BY_THE_CLOCK)]


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("share", range(SHARES[TIER]))
def test_a_killed_run_is_completed_by_the_next(
    share: int, uninterrupted: dict[str, Any], tmp_path: Path
) -> None:
    moments = chosen_moments(uninterrupted["moments"], KILLS[TIER])[share :: SHARES[TIER]]
    print(f"seed {SEED}: {len(moments)} kills: {moments}")
    where = uninterrupted["pictures"], uninterrupted["labels"]
    killed = 0
    for i, moment in enumerate(moments):
        store = tmp_path / str(i)
        first = call(moment, *where, store)
        killed += first.returncode == -9
        # By the clock it may have been over before; at a moment of its own it never is.
        assert first.returncode == -9 or moment.startswith("seconds:"), (moment, first.stderr)
        second = call("seconds:600", *where, store)
        assert second.returncode == 0, (moment, second.stderr)
        assert tree(store / "exports") == uninterrupted["exports"], moment
        assert contents(Store.open(store, create=False)) == uninterrupted["contents"], moment
        with embedded_instance(str(store)) as instance:
            unfinished = [r for r in instance.get_runs() if not r.is_finished]
        assert not unfinished, moment
        assert not half_written(store), moment
        shutil.rmtree(store)
    print(f"{killed} of {len(moments)} runs were killed")
    by_the_clock = sum(m.startswith("seconds:") for m in moments)
    assert killed >= len(moments) - by_the_clock


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("moment", "put_away"), AHEAD[TIER].items())
def test_pictures_that_were_computed_ahead_and_not_put_away_are_all_that_is_computed_again(
    moment: str, put_away: set[int], uninterrupted: dict[str, Any], tmp_path: Path
) -> None:
    where = uninterrupted["pictures"], uninterrupted["labels"]
    store = tmp_path / "store"
    first = call(moment, *where, store)
    assert first.returncode == -9, first.stderr
    tables = Store.open(store, create=False).tables
    # A batch with this table is not decoded altogether again: the others are computed where they are missing.
    done = len(tables.batches("images"))
    assert done in put_away
    listed = tmp_path / "moments"
    second = call(f"list:{listed}", *where, store)
    assert second.returncode == 0, second.stderr
    assert tree(store / "exports") == uninterrupted["exports"]
    assert contents(Store.open(store, create=False)) == uninterrupted["contents"]
    assert not half_written(store)
    passes = dict(line.rsplit(":", 1) for line in listed.read_text().splitlines())
    batches = len(uninterrupted["contents"]["batches"])
    assert int(passes["after picture_tables:ahead"]) == batches - done
