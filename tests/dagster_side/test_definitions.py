"""Definitions as the UI and the daemon load them: everything of a library in one repository."""

from __future__ import annotations

import itertools

import dagster as dg
import pytest

from aion_dagster.config import LibraryConfig
from aion_dagster.definitions import build_definitions
from aion_dagster.errors import ConfigError


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


ASSETS = {
    "labels",
    "images",
    "variants",
    "color_analyses",
    "visual_features",
    "text_regions",
    "codes",
    "descriptions",
    "embeddings",
    "label_matches",
    "label_losses",
    "annotations",
    "library",
    "near_duplicates",
    "search_index",
    *(f"dataset/main{part}" for part in ("", "/coco", "/yolo", "/voc", "/csv", "/card")),
    *(f"dataset/signs{part}" for part in ("", "/coco", "/card")),
}


def keys(defs: dg.Definitions) -> set[str]:
    return {spec.key.to_user_string() for spec in defs.resolve_all_asset_specs()}


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


def test_a_library_has_these_assets_jobs_and_sensors() -> None:
    defs = definitions("default")
    assert keys(defs) == ASSETS
    assert {job.name for job in defs.jobs or ()} == {"batch", "import_labels", "update_library"}
    assert {s.name for s in defs.sensors or ()} == {"new_files", "follow_batches"}
    assert keys(definitions("beach")) == {f"beach/{asset}" for asset in ASSETS}


def test_detectors_are_there_only_when_they_are_asked_for() -> None:
    defs = build_definitions(LibraryConfig.parse({"store": "somewhere"}))
    assert ASSETS - keys(defs) >= {"text_regions", "codes"}


def test_every_asset_check_job_and_sensor_says_what_it_is() -> None:
    defs = definitions("beach")
    for spec in defs.resolve_all_asset_specs():
        assert spec.description, spec.key
        assert spec.kinds, spec.key
    for check in defs.resolve_asset_graph().asset_check_keys:
        assert defs.resolve_asset_graph().get_check_spec(check).description, check
    for named in (*(defs.jobs or ()), *(defs.sensors or ())):
        assert named.description, named.name


@pytest.mark.parametrize(
    "path",
    [
        ("images", "library", "dataset/main", "dataset/main/coco", "dataset/main/card"),
        ("images", "color_analyses", "descriptions", "embeddings"),
        ("images", "text_regions", "annotations", "dataset/main"),
        ("labels", "label_matches", "dataset/main"),
        ("descriptions", "search_index"),
        ("library", "near_duplicates", "dataset/signs", "dataset/signs/coco"),
    ],
)
def test_lineage_leads_from_pictures_and_labels_to_exports(path: tuple[str, ...]) -> None:
    graph = definitions("default").resolve_asset_graph()
    for parent, child in itertools.pairwise(path):
        key = dg.AssetKey(child.split("/"))
        parents = {p.to_user_string() for p in graph.get(key).parent_keys}
        assert parent in parents, f"{child} comes from {sorted(parents)}"


def test_libraries_by_awkward_names_share_a_code_location() -> None:
    names = ["default", "input", "if", "library", "batch", "new", "match", "table", "x1_", "x"]
    merged = dg.Definitions.merge(*(definitions(name) for name in names))
    dg.Definitions.validate_loadable(merged)
    assert len(keys(merged)) == len(ASSETS) * len(names)


@pytest.mark.parametrize("name", ["dataset", "tables", "locks", "1x", "Über", "a-b", ""])
def test_names_that_would_collide_or_not_load_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="name: "):
        definitions(name)
