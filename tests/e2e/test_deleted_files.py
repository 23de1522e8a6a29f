"""A picture whose file is deleted leaves the next dataset, and comes back with its file at no cost."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from small_library import Run

from aion_dagster.cli import main
from aion_dagster.storage import Store


def exported(result: dict[str, Any]) -> list[str]:
    folder = Path(result["exports"]["coco"])
    documents = [json.loads(p.read_text()) for p in folder.rglob("instances_*.json")]
    return sorted(image["file_name"] for document in documents for image in document["images"])


def test_a_deleted_picture_leaves_the_dataset_and_the_search_and_returns_with_its_file(
    run: Run, pictures: Path, tmp_path: Path, capsys: Any
) -> None:
    first = run(pictures)
    everything = exported(first)
    lost = sorted(pictures.rglob("*.jpg"))[4]
    shutil.move(lost, tmp_path / "aside.jpg")
    second = run(pictures)
    assert (second["files"], second["gone"]) == (0, 1)
    assert "1 file is no longer in the sources" in second["output"]
    assert lost.as_uri() in second["output"]
    assert len(exported(second)) == len(everything) - 1
    library = Store.open(tmp_path / "store", create=False).tables.read("library").to_pylist()
    assert [r["name"] for r in library if r["deleted_at"]] == [
        lost.relative_to(pictures).as_posix()
    ]

    tables, _ = Store.open(tmp_path / "store", create=False).sets.read("dataset/main")
    assert [(r["name"], r["reason"]) for r in tables["left_out"].to_pylist()] == [
        (lost.relative_to(pictures).as_posix(), "deleted")
    ]
    search = ["search", lost.stem, "--store", str(tmp_path / "store"), "--json"]
    assert main(search) == 0
    assert lost.name not in {Path(hit["name"]).name for hit in json.loads(capsys.readouterr().out)}

    assert "no work was done" in run(pictures)["output"]
    shutil.move(tmp_path / "aside.jpg", lost)
    third = run(pictures)
    assert (third["batches"], third["gone"]) == (0, 0)
    assert exported(third) == everything


def test_a_folder_that_is_suddenly_empty_is_taken_for_broken(
    run: Run, pictures: Path, tmp_path: Path
) -> None:
    run(pictures)
    pictures.rename(tmp_path / "unmounted")
    pictures.mkdir()
    result = run(pictures)
    assert "nothing is listed any more" in result["output"]
    store = Store.open(tmp_path / "store", create=False)
    assert list(store.ledger.deletions()) == []
