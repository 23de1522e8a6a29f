"""From a folder of pictures to exports through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.dataset as ds
import pytest
from small_library import Run, draw_picture, tree

from aion_dagster.cli import main
from aion_dagster.storage.store import Store

FORMATS = ("coco", "yolo", "voc", "csv")


def annotations(exports: Path) -> dict[str, list[dict]]:
    """Parts of all COCO files of an export together."""
    together: dict[str, list[dict]] = {"images": [], "annotations": [], "categories": []}
    for path in sorted((exports / "annotations").glob("instances_*.json")):
        part = json.loads(path.read_text())
        together["images"] += part["images"]
        together["annotations"] += part["annotations"]
        together["categories"] = part["categories"]
    return together


def test_a_folder_becomes_exports_in_four_formats_and_a_page(
    run: Run, pictures: Path, labels: Path
) -> None:
    result = run(pictures, "--labels", labels)
    assert (result["batches"], result["files"], result["ok"], result["failed"]) == (1, 12, 12, 0)
    assert result["paid_calls"] == 0
    assert result["errors"] == []
    assert set(result["exports"]) == set(FORMATS)
    coco = annotations(Path(result["exports"]["coco"]))
    assert len(coco["images"]) == 12
    assert len(coco["annotations"]) == 8
    assert [c["name"] for c in coco["categories"]] == ["dog", "cat", "never drawn"]
    assert Path(result["report"]).read_text().lower().startswith("<!doctype html>")
    assert "Nothing new" not in result["output"]


def test_a_second_run_does_no_work_and_says_so(run: Run, pictures: Path, labels: Path) -> None:
    first = run(pictures, "--labels", labels)
    before = tree(Path(first["report"]).parents[1])
    second = run(pictures, "--labels", labels)
    assert (second["batches"], second["files"]) == (0, 0)
    assert "Nothing new" in second["output"]
    assert tree(Path(first["report"]).parents[1]) == before


def test_one_more_file_costs_one_batch_of_one_file(
    run: Run, pictures: Path, labels: Path, tmp_path: Path
) -> None:
    run(pictures, "--labels", labels)
    draw_picture(pictures / "new.jpg", 99)
    result = run(pictures)
    assert (result["batches"], result["files"], result["ok"]) == (1, 1, 1)
    store = Store.open(tmp_path / "store", create=False)
    assert len(store.tables.batches("images")) == 2
    assert store.tables.read("library").num_rows == 13
    assert len(annotations(Path(result["exports"]["coco"]))["images"]) == 13


def test_pictures_that_were_there_keep_their_split_when_new_ones_come(
    run: Run, pictures: Path, labels: Path, tmp_path: Path
) -> None:
    run(pictures, "--labels", labels)
    store = Store.open(tmp_path / "store", create=False)
    columns = ["image_id", "split"]
    before = {
        r["image_id"]: r["split"]
        for r in store.sets.read("dataset/main")[0]["images"].select(columns).to_pylist()
    }
    for i in range(20):
        draw_picture(pictures / f"new {i}.jpg", 200 + i)
    run(pictures)
    after = {
        r["image_id"]: r["split"]
        for r in store.sets.read("dataset/main")[0]["images"].select(columns).to_pylist()
    }
    assert before.items() <= after.items()
    assert len(after) == 32


def test_touched_renamed_and_copied_files_are_not_computed_again(
    run: Run, pictures: Path, tmp_path: Path
) -> None:
    run(pictures)
    files = sorted(pictures.rglob("*.jpg"))
    files[0].touch()
    files[1].rename(pictures / "renamed.jpg")
    (pictures / "copy.jpg").write_bytes(files[2].read_bytes())
    result = run(pictures)
    assert result["files"] == 3
    store = Store.open(tmp_path / "store", create=False)
    library = store.tables.read("library")
    assert library.num_rows == 12
    assert max(len(places) for places in library["locations"].to_pylist()) == 2


def test_a_changed_file_supersedes_its_old_content(
    run: Run, pictures: Path, tmp_path: Path
) -> None:
    run(pictures)
    changed = sorted(pictures.rglob("*.jpg"))[0]
    draw_picture(changed, 500, (400, 300))
    result = run(pictures)
    store = Store.open(tmp_path / "store", create=False)
    library = store.tables.read("library").to_pylist()
    old = [r for r in library if r["superseded_by"]]
    assert len(library) == 13
    assert len(old) == 1
    assert old[0]["superseded_by"] in {r["image_id"] for r in library}
    assert len(annotations(Path(result["exports"]["coco"]))["images"]) == 12


def test_a_run_with_another_configuration_goes_on_watching_the_sources(
    run: Run, pictures: Path, tmp_path: Path
) -> None:
    run(pictures, "--export", "none")
    file = tmp_path / "aion.yaml"
    file.write_text("datasets: [{exports: [csv]}]")
    run("--config", file)
    draw_picture(pictures / "one more.jpg", 99)
    assert run()["files"] == 1
    draw_picture(pictures / "another.jpg", 98)
    assert run("--config", file)["files"] == 1


def test_labels_given_later_reach_pictures_of_earlier_batches(
    run: Run, pictures: Path, labels: Path
) -> None:
    first = run(pictures, "--batch-size", 5)
    assert first["batches"] == 3
    assert annotations(Path(first["exports"]["coco"]))["annotations"] == []
    second = run(pictures, "--labels", labels)
    assert second["files"] == 0
    assert len(annotations(Path(second["exports"]["coco"]))["annotations"]) == 8


def test_batches_side_by_side_give_the_same_exports(
    run: Run, pictures: Path, labels: Path, tmp_path: Path
) -> None:
    one = run(pictures, "--labels", labels, "--batch-size", 4, store=tmp_path / "one")
    two = run(pictures, "--labels", labels, "--batch-size", 4, "--jobs", 2, store=tmp_path / "two")
    assert (one["batches"], two["batches"]) == (3, 3)
    for name in FORMATS:
        assert tree(Path(one["exports"][name])) == tree(Path(two["exports"][name]))


def test_a_dataset_by_another_name_and_chosen_formats(run: Run, pictures: Path) -> None:
    result = run(pictures, "--dataset", "cats", "--export", "yolo,csv")
    assert set(result["exports"]) == {"yolo", "csv"}
    assert "/exports/cats/yolo" in result["exports"]["yolo"]


def test_an_empty_folder_is_no_error(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = run(tmp_path / "empty")
    assert (result["files"], result["exports"]) == (0, {})
    assert "No files found" in result["output"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["no/such/folder"], "is not a folder"),
        ([".", "--labels", "no/such/file.json"], "does not exist"),
        ([".", "--detect", "smells"], "detect"),
        ([".", "--export", "papyrus"], "export"),
        ([], "no source is given"),
    ],
)
def test_usage_errors_name_what_is_wrong_and_exit_with_2(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["run", *arguments, "--store", str(tmp_path / "store")])
    assert status == 2
    assert words in capsys.readouterr().err


def test_labels_that_are_no_labels_fail_the_run_with_their_name(
    run: Run, pictures: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text('{"images": [')
    result = run(pictures, "--labels", broken, status=1)
    assert "broken.json" in result["errors"][0]


def test_tables_are_plain_parquet_that_others_read(
    run: Run, pictures: Path, tmp_path: Path
) -> None:
    run(pictures, "--batch-size", 6)
    table = ds.dataset(
        tmp_path / "store" / "tables" / "images", partitioning="hive", format="parquet"
    ).to_table()
    assert table.num_rows == 12
    assert "batch" in table.column_names


def test_status_tells_what_stands_in_the_store(
    run: Run, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(pictures)
    assert main(["status", "--store", str(tmp_path / "store"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["files"] == {"ok": 12}
    assert facts["left_to_do"] == {"labels": False, "batches": 0, "assets": []}
    assert facts["configuration"]["sources"][0]["path"] == str(pictures)
    assert facts["descriptions"] == {"by_status": {"completed": 12}, "missing": {}}
    assert (facts["documents"], facts["links"]) == ({}, {})


def test_search_finds_by_color_by_looks_and_by_name(
    run: Run, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw_picture(pictures / "sunflower.jpg", 7, (64, 64))
    run(pictures)
    store = ["--store", str(tmp_path / "store"), "--json"]
    wanted = sorted(pictures.rglob("*.jpg"))[3]
    assert main(["search", "--like", str(wanted), *store]) == 0
    assert json.loads(capsys.readouterr().out)[0]["name"] == wanted.relative_to(pictures).as_posix()
    assert main(["search", "sunflower", *store]) == 0
    assert json.loads(capsys.readouterr().out)[0]["name"] == "sunflower.jpg"
    assert main(["search", "--color", "#808080", *store]) == 0
    assert isinstance(json.loads(capsys.readouterr().out), list)
