"""Labels as the configuration says: zipped, their classes mapped, their pictures found by hash; changed later."""

from __future__ import annotations

import csv
import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import yaml
from small_library import Run, coco

from aion_dagster.storage import Store


def exported(result: dict[str, Any]) -> dict[str, int]:
    """Boxes by class over all splits of the COCO export."""
    counts: dict[str, int] = {}
    for path in Path(result["exports"]["coco"], "annotations").glob("instances_*.json"):
        content = json.loads(path.read_text())
        names = {c["id"]: c["name"] for c in content["categories"]}
        counts |= dict.fromkeys(names.values(), 0) | counts
        for row in content["annotations"]:
            counts[names[row["category_id"]]] += 1
    return counts


def test_rule_28_labels_of_several_sources_are_united_under_mapped_classes_and_follow_the_map(
    run: Run, pictures: Path, labels: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "labels.zip", "w") as archive:
        archive.write(labels, "export/annotations/instances_train.json")
    first = min(pictures.rglob("*.jpg"))
    sha = hashlib.sha256(first.read_bytes()).hexdigest()
    table = tmp_path / "more.csv"
    table.write_text(f"filename,x,y,width,height,class\n{sha}.jpg,1,2,30,40,bird\n")
    config = tmp_path / "aion.yaml"
    mapped = {"path": str(tmp_path / "labels.zip"), "classes": {"dog": "pet", "cat": "pet"}}
    hashed = {"path": str(table), "match": "hash"}
    settings = {"labels": [mapped, hashed], "datasets": [{"name": "main", "exports": ["coco"]}]}
    config.write_text(yaml.safe_dump(settings))
    result = run(pictures, "--config", config)
    assert exported(result) == {"pet": 8, "never drawn": 0, "bird": 1}
    mapped["classes"] = {"dog": "dog 2", "cat": None, "never drawn": None}
    config.write_text(yaml.safe_dump(settings))
    result = run(pictures, "--config", config)
    assert result["files"] == 0
    assert exported(result)["dog 2"] == 3
    losses = Path(result["exports"]["coco"], "losses.csv").read_text()
    assert "the class map leaves it out: 5 annotations" in losses


def bad_labels(path: Path, name: str) -> Path:
    """Labels of one picture: a good box, one that is no box, one of a class that is not there."""
    path.parent.mkdir(parents=True)
    content = coco([(name, 320, 240)], [(0, "cat", [10.0, 20.0, 50.0, 40.0])])
    good = content["annotations"][0]
    content["annotations"] += [
        {**good, "id": 18, "bbox": "nowhere"},
        {**good, "id": 19, "category_id": 77},
    ]
    path.write_text(json.dumps(content))
    return path


def test_rows_of_two_files_of_one_name_are_told_apart_and_the_run_says_what_became_of_the_labels(
    run: Run, pictures: Path, tmp_path: Path
) -> None:
    first, second = sorted(p.relative_to(pictures).as_posix() for p in pictures.rglob("*.jpg"))[:2]
    one = bad_labels(tmp_path / "a" / "ann.json", first)
    two = bad_labels(tmp_path / "b" / "ann.json", second)
    config = tmp_path / "aion.yaml"
    named = {"path": str(one), "classes": {"zebra": "horse"}}
    config.write_text(
        yaml.safe_dump({"labels": [named, str(two)], "datasets": [{"exports": ["csv"]}]})
    )
    result = run(pictures, "--config", config)
    losses = Path(result["exports"]["csv"], "losses.csv")
    with losses.open(newline="") as file:
        subjects = {r["subject"] for r in csv.DictReader(file) if r["kind"] == "invalid"}
    assert subjects == {f"{d}/ann.json: annotation {n}" for d in "ab" for n in (18, 19)}
    said = result["output"]
    assert "labels   2 boxes of 2 classes on 2 pictures, 10 pictures without" in said
    assert "4 rows of the label files could not be used" in said
    assert "the class map names what no label has: zebra" in said
    assert "fit no picture" not in said
    assert "fits no picture" not in said
    assert f"which and why: {losses}" in said
    with Store.open(tmp_path / "store", create=False) as store:
        refs = set(store.tables.read("annotations")["origin_ref"].to_pylist())
    assert refs == {"a/ann.json: annotation 1", "b/ann.json: annotation 1"}


def test_labels_of_which_none_fits_are_told_with_the_way_out(
    run: Run, pictures: Path, tmp_path: Path
) -> None:
    labels = bad_labels(tmp_path / "a" / "ann.json", "elsewhere/nothing like it.jpg")
    said = run(pictures, "--labels", labels, "--export", "csv")["output"]
    assert "1 label fits no picture" in said
    assert "no label fits any picture: the labels say 'elsewhere/nothing like it.jpg'" in said
    assert "'match: name'" in said
