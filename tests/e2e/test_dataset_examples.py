"""The examples of datasets do what their page says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow as pa
import pytest
import yaml
from small_library import Run

from aion_dagster.config import LibraryConfig
from aion_dagster.storage.store import Store

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "datasets.md").read_text()


@pytest.mark.parametrize("block", re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
def test_every_configuration_on_the_page_is_one(block: str, tmp_path: Path) -> None:
    LibraryConfig.parse({"store": str(tmp_path), **yaml.safe_load(block)})


def test_the_page_names_every_field_of_a_selection_and_of_quality() -> None:
    from aion_dagster.dataset_config import QualityConfig, SelectConfig

    fields = (*SelectConfig.model_fields, *QualityConfig.model_fields)
    assert [f for f in fields if f"`{f}`" not in PAGE] == []


def test_the_example_runs(pictures: Path, labels: Path, tmp_path: Path, run: Run) -> None:
    """On drawn pictures instead of photographs: each dataset has what its comment says."""
    config = ROOT / "examples" / "datasets.yaml"
    run(pictures, "--labels", labels, "--config", config)
    with Store.open(tmp_path / "store", create=False) as store:

        def version(name: str) -> dict[str, pa.Table]:
            return store.sets.read(f"dataset/{name}")[0]

        assert version("main")["images"].num_rows == 12
        good = version("good")
        assert good["images"].num_rows == 10
        assert good["left_out"]["reason"].to_pylist() == ["unlabelled"] * 2
        brown = version("brown")
        assert brown["images"].num_rows + brown["left_out"].num_rows == 12
        assert store.exports.names("good") == ["card", "yolo"]
        facts = json.loads(store.exports.read("brown", "coco", "export.json") or b"{}")
        assert facts["counts"]["images"] == brown["images"].num_rows
