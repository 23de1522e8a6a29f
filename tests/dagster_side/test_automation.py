"""What is made by itself when something upstream is made."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from aion_dagster.config import LibraryConfig
from aion_dagster.definitions import build_definitions


class Automation:
    """A code location whose automation conditions are evaluated tick by tick."""

    def __init__(self, store: Path) -> None:
        self.definitions = build_definitions(LibraryConfig(store=str(store)))
        self.instance = dg.DagsterInstance.ephemeral()
        self.cursor: object = None

    def made(self, asset: str, partition: str | None = None) -> None:
        key = dg.AssetKey(asset.split("/"))
        event = dg.AssetMaterialization(key, partition=partition)
        self.instance.report_runless_asset_event(event)

    def tick(self) -> set[str]:
        """Assets that are asked for in one tick."""
        result = dg.evaluate_automation_conditions(
            defs=self.definitions, instance=self.instance, cursor=self.cursor
        )
        self.cursor = result.cursor
        return {
            key.to_user_string()
            for key in self.definitions.resolve_asset_graph().get_all_asset_keys()
            if result.get_num_requested(key)
        }


@pytest.fixture
def automation(tmp_path: Path) -> Automation:
    fresh = Automation(tmp_path / "store")
    fresh.tick()
    return fresh


def test_labels_alone_ask_for_no_dataset_before_there_is_a_library(automation: Automation) -> None:
    automation.made("labels")
    assert automation.tick() == set()


def test_a_batch_asks_for_library_dataset_and_exports_together(automation: Automation) -> None:
    automation.instance.add_dynamic_partitions("batches", ["one"])
    automation.made("images", "one")
    wanted = {"library", "near_duplicates", "search_index", "dataset/main"}
    exports = {f"dataset/main/{e}" for e in ("coco", "yolo", "voc", "csv", "card")}
    assert automation.tick() == wanted | exports


def test_nothing_new_asks_for_nothing(automation: Automation) -> None:
    automation.instance.add_dynamic_partitions("batches", ["one"])
    automation.made("images", "one")
    asked = automation.tick()
    for asset in sorted(asked, key=lambda a: a.count("/")):
        automation.made(asset)
    automation.tick()
    assert automation.tick() == set()
