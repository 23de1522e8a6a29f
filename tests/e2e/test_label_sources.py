"""Labels as the configuration says: zipped, their classes mapped, their pictures found by hash; changed later."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import yaml
from small_library import Run


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
