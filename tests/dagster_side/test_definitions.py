"""Definitions as the UI and the daemon load them: everything of a library in one repository."""

from __future__ import annotations

import dagster as dg
import pytest

from aion_dagster.config import LibraryConfig
from aion_dagster.definitions import build_definitions


def definitions(name: str) -> dg.Definitions:
    return build_definitions(
        LibraryConfig.parse(
            {
                "name": name,
                "store": "somewhere",
                "detect": ["text", "codes"],
                "datasets": [{"name": "main"}, {"name": "signs", "exports": ["coco"]}],
            }
        )
    )


def groups(defs: dg.Definitions) -> set[str | None]:
    return {spec.group_name for spec in defs.resolve_all_asset_specs()}


@pytest.mark.parametrize("name", ["default", "beach"])
def test_everything_of_a_library_loads_together(name: str) -> None:
    dg.Definitions.validate_loadable(definitions(name))


def test_libraries_share_a_code_location() -> None:
    dg.Definitions.validate_loadable(
        dg.Definitions.merge(definitions("default"), definitions("beach"), definitions("forest"))
    )


def test_assets_are_shown_in_groups_of_their_library() -> None:
    parts = {"pictures", "labels", "library", "dataset_main", "dataset_signs"}
    assert groups(definitions("default")) == parts
    assert groups(definitions("beach")) == {f"beach_{part}" for part in parts}
