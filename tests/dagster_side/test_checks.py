"""Checks tell what is wrong with a batch, a dataset or an export, and the blocking one keeps a batch out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_library import coco
from watched_library import Watch, WatchedLibrary, configuration, draw

from aion_dagster import schemas
from aion_dagster.checks.batches import undescribed_check
from aion_dagster.checks.datasets import export_check
from aion_dagster.definitions import BATCH_JOB, LIBRARY_JOB
from aion_dagster.formats.export import ExportCounts, ExportReport
from aion_dagster.planning import partitioned_assets, whole_assets
from aion_dagster.resources.naming import Names
from aion_dagster.values import Dataset, Loss

FINE = (True, dg.AssetCheckSeverity.WARN)
"""What a share check says when there is nothing to say."""


def evaluations(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {e.check_name: e for e in result.get_asset_check_evaluations()}


def facts(evaluation: Any) -> dict[str, Any]:
    return {name: value.value for name, value in evaluation.metadata.items()}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pictures and a file that is none."""
    folder = tmp_path_factory.mktemp("mixed")
    draw(folder, 1, 2, 3)
    (folder / "broken|name.jpg").write_bytes(b"\xff\xd8\xff no picture")
    return folder


@pytest.mark.parametrize(
    ("limit", "severity"),
    [(0.25, dg.AssetCheckSeverity.WARN), (0.24, dg.AssetCheckSeverity.ERROR)],
)
def test_unreadable_files_warn_and_above_the_limit_fail(
    watch: Watch, mixed: Path, tmp_path: Path, limit: float, severity: dg.AssetCheckSeverity
) -> None:
    library = watch(configuration(tmp_path / "store", mixed, max_unreadable_share=limit))
    (run,) = library.accept(library.tick())
    assert run.success  # a share is no reason to stop
    found = evaluations(run)
    share = found["unreadable_share"]
    assert (share.passed, share.severity) == (False, severity)
    assert share.partition == library.batches()[0]
    assert {k: v for k, v in facts(share).items() if k != "first"} == {
        "bad": 1,
        "total": 4,
        "share": 0.25,
        "limit": limit,
    }
    assert "'broken|name.jpg': unreadable" in facts(share)["first"]
    assert found["rows_equal_manifest"].passed
    described = found["undescribed_share"]
    assert (described.passed, described.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert (facts(described)["bad"], facts(described)["total"]) == (1, 4)


def tampered(path: Path, change: Callable[[pa.Table], pa.Table]) -> bytes:
    """Change a manifest; what it was."""
    before = path.read_bytes()
    pq.write_table(change(pq.ParquetFile(path).read()), path)
    return before


def renamed(manifest: pa.Table) -> pa.Table:
    """The manifest with the version of one file changed."""
    versions = manifest["version"].to_pylist()
    place = manifest.column_names.index("version")
    return manifest.set_column(place, "version", pa.array(["0-0", *versions[1:]], pa.string()))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda manifest: manifest.slice(1), "3 files, but 2 rows"),
        (renamed, "names other files than those that were recorded"),
    ],
)
def test_a_batch_that_is_not_its_manifest_is_blocked_until_it_is(
    watch: Watch,
    inbox: Path,
    tmp_path: Path,
    change: Callable[[pa.Table], pa.Table],
    words: str,
) -> None:
    library = watch(configuration(tmp_path / "store", inbox))
    result = library.tick()
    (batch,) = library.batches()
    manifest = library.store.manifests.path(batch)
    before = tampered(manifest, change)
    (run,) = library.accept(result)
    check = evaluations(run)["rows_equal_manifest"]
    assert not check.passed
    assert check.blocking
    assert words in (check.description or "")
    assert not library.store.tables.exists("annotations", batch)
    (record,) = library.store.ledger.batches("blocked")
    assert words in (record.blocked_reason or "")
    assert library.materialize(LIBRARY_JOB, ["library"]).success
    assert library.store.tables.read("library").num_rows == 0

    manifest.write_bytes(before)
    again = library.planned()[batch]
    assert set(again) == set(partitioned_assets(library.config))
    assert library.materialize(BATCH_JOB, again, partition_key=batch).success
    assert library.store.ledger.batches("blocked") == []
    assert library.materialize(LIBRARY_JOB, ["library"]).success
    assert library.store.tables.read("library").num_rows == 3


def test_undescribed_pictures_warn_and_above_the_limit_fail() -> None:
    names = Names("default")
    status = ["completed", "failed", "completed", "completed"]
    rows = schemas.DESCRIPTIONS.empty_table()
    columns = {f.name: pa.nulls(4, f.type) for f in rows.schema}
    columns["image_id"] = pa.array(["a", "b", "c", "d"])
    columns["description_status"] = pa.array(status)
    columns["description_error"] = pa.array([None, "no answer", None, None])
    rows = pa.table(columns)
    warning = undescribed_check(names, rows, limit=0.25)
    assert (warning.passed, warning.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "- b: no answer" in facts(warning)["first"]
    assert undescribed_check(names, rows, limit=0.2).severity == dg.AssetCheckSeverity.ERROR
    fine = undescribed_check(names, rows.filter(pa.compute.field("image_id") != "b"), limit=0.0)
    assert (fine.passed, fine.severity) == FINE
    nothing = undescribed_check(names, rows.slice(0, 0), limit=0.0)
    assert (nothing.passed, nothing.severity) == FINE


@pytest.fixture(scope="module")
def labelled(watch: Watch, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A dataset of three pictures, two of them labelled, exported as COCO and CSV: library and evaluations."""
    folder = tmp_path_factory.mktemp("labelled")
    draw(folder / "inbox", 1, 2, 3)
    pictures = [(p.name, 96, 72) for p in sorted((folder / "inbox").iterdir())]
    boxes = [(i, "cat", [1.0, 2.0, 30.0, 40.0]) for i in range(2)]
    (folder / "labels.json").write_text(json.dumps(coco(pictures[:2], boxes)))
    library = watch(
        configuration(
            folder / "store",
            folder / "inbox",
            labels=[str(folder / "labels.json")],
            datasets=[{"name": "main", "exports": ["coco", "csv"]}],
        )
    )
    for _ in range(2):
        library.accept(library.tick())
    run = library.materialize(LIBRARY_JOB, whole_assets(library.config))
    assert run.success
    found = {
        (e.asset_key.to_user_string(), e.check_name): e for e in run.get_asset_check_evaluations()
    }
    return {"library": library, "found": found}


def test_exports_are_read_back_and_equal_the_dataset(labelled: dict[str, Any]) -> None:
    for name in ("coco", "csv"):
        check = labelled["found"][f"dataset/main/{name}", "equals_dataset"]
        assert check.passed, check.description
        counted = facts(check)
        assert (counted["pictures"], counted["boxes"], counted["classes"]) == (3, 2, 2)


def test_a_dataset_warns_of_pictures_that_no_label_names(labelled: dict[str, Any]) -> None:
    check = labelled["found"]["dataset/main", "all_pictures_labelled"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert (facts(check)["unlabelled"], facts(check)["pictures"]) == (1, 3)
    assert labelled["found"]["dataset/main", "splits_do_not_leak"].passed


def checked(
    library: WatchedLibrary,
    written: tuple[int, int, int],
    read: tuple[int, int, int],
    *losses: Loss,
    train: int | None = None,
) -> dg.AssetCheckResult:
    """The check of an export of the dataset with 3 pictures, 2 boxes and 2 classes."""
    dataset = Dataset.from_tables(*library.store.sets.read("dataset/main"))
    report = ExportReport("coco", *written, splits={"train": written[0], "val": 0}, losses=losses)
    counts = ExportCounts(*read, splits={"train": read[0] if train is None else train})
    return export_check(dg.AssetKey(["x"]), dataset, report, counts)


def test_an_export_that_reads_back_otherwise_fails(labelled: dict[str, Any]) -> None:
    library = labelled["library"]
    assert checked(library, (3, 2, 2), (3, 2, 2)).passed
    for read in ((3, 1, 2), (2, 2, 2), (3, 2, 1)):
        check = checked(library, (3, 2, 2), read)
        assert not check.passed
        assert f"read {read}" in (check.description or "")
    assert not checked(library, (3, 2, 2), (3, 2, 2), train=2).passed


def test_what_is_missing_from_an_export_must_be_reported(labelled: dict[str, Any]) -> None:
    library = labelled["library"]
    for less in ((2, 2, 2), (3, 1, 2), (3, 2, 1)):
        assert not checked(library, less, less).passed
    gone = Loss("missing", "a.jpg", "is gone")
    check = checked(library, (2, 2, 2), (2, 2, 2), gone)
    assert check.passed
    assert facts(check)["lost: missing"] == 1
