"""A library in a `defs.yaml`, loaded as `dg` loads a project."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
import traceback
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import dagster as dg
import pytest
import yaml
from watched_library import WatchedLibrary, draw

import aion_dagster
from aion_dagster import LibraryConfig, VisionLibrary
from aion_dagster.resources.instance import embedded_instance

NUMBERS = itertools.count()
Project = Callable[..., Path]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Writes a project with one `defs.yaml` of a library and gives its folder."""

    def write(attributes: str, **environment: object) -> Path:
        package = f"shop{next(NUMBERS)}"
        place = tmp_path / "src" / package / "defs" / "pictures"
        place.mkdir(parents=True)
        for folder in (place.parent, place.parents[1]):
            (folder / "__init__.py").touch()
        indented = "".join(f"  {line}\n" for line in attributes.splitlines())
        text = f"type: aion_dagster.VisionLibrary\nattributes:\n{indented}"
        (place / "defs.yaml").write_text(text if attributes else text.splitlines()[0])
        (tmp_path / "pyproject.toml").write_text(
            f'[tool.dg]\ndirectory_type = "project"\n[tool.dg.project]\nroot_module = "{package}"\n'
        )
        monkeypatch.syspath_prepend(str(tmp_path / "src"))
        for name, value in environment.items():
            monkeypatch.setenv(name, str(value))
        return tmp_path

    return write


def configured(project: Path) -> LibraryConfig:
    tree = dg.ComponentTree.for_project(project)
    (component,) = tree.get_all_components(of_type=VisionLibrary)
    return component.config


def test_templates_stand_for_paths(project: Project, tmp_path: Path) -> None:
    folder = project(
        """
        store: "{{ env.SHOP_HOME }}/store"
        sources:
          - path: "{{ env.SHOP_PICTURES }}"
            recursive: false
          - "{{ env.SHOP_HOME }}/more"
        labels: ["{{ env.SHOP_HOME }}/labels.json"]
        text_model: "{{ env.SHOP_HOME }}/model"
        """,
        SHOP_HOME=tmp_path,
        SHOP_PICTURES=tmp_path / "pictures",
    )
    config = configured(folder)
    assert config == LibraryConfig.parse(
        {
            "store": str(tmp_path / "store"),
            "sources": [
                {"path": str(tmp_path / "pictures"), "recursive": False},
                str(tmp_path / "more"),
            ],
            "labels": [str(tmp_path / "labels.json")],
            "text_model": str(tmp_path / "model"),
        }
    )


def test_a_project_s_library_turns_new_files_into_tables(project: Project, tmp_path: Path) -> None:
    draw(tmp_path / "pictures", 1)
    folder = project(
        """
        name: shop
        store: "{{ env.SHOP_STORE }}"
        sources: [{path: "{{ env.SHOP_PICTURES }}", settle_seconds: 0}]
        datasets:
          - name: goods
            exports: [coco]
        """,
        SHOP_STORE=tmp_path / "store",
        SHOP_PICTURES=tmp_path / "pictures",
    )
    definitions = dg.load_from_defs_folder(path_within_project=folder)
    dg.Definitions.validate_loadable(definitions)
    with embedded_instance(str(tmp_path / "store")) as instance:
        library = WatchedLibrary(configured(folder), instance)
        library.definitions = definitions
        (run,) = library.accept(library.tick())
        assert run.success
    assert library.store.root == tmp_path / "store" / "shop"
    assert library.store.tables.read("images").num_rows == 1


def test_without_attributes_it_is_the_default_library(project: Project) -> None:
    assert configured(project("")) == LibraryConfig()


@pytest.mark.parametrize(
    ("attributes", "field"),
    [
        ("batch_files: 0", "batch_files"),
        ("name: Not A Name", "name"),
        ("sorces: [a]", "sorces"),
        ("datasets:\n  - name: main\n    splits: {train: 0.5}", "splits"),
        ("datasets:\n  - exports: [papyrus]", "exports"),
        ("sources:\n  - path: a\n    recursiv: true", "recursiv"),
        ('backend: "{{ env.SHOP_BACKEND }}"', "backend"),
    ],
)
def test_a_wrong_value_is_an_error_that_names_its_field(
    project: Project, attributes: str, field: str
) -> None:
    folder = project(attributes, SHOP_BACKEND="abacus")
    with pytest.raises(Exception, match="Error while loading component") as caught:
        dg.load_from_defs_folder(path_within_project=folder)
    shown = format_error(caught.value)
    assert re.search(rf"{field}[.0-9]* at .*defs\.yaml:[0-9]+", shown), shown


def test_a_template_without_a_value_is_an_error_that_names_file_and_field(project: Project) -> None:
    folder = project('store: "{{ env.SHOP_NOT_SET }}"')
    with pytest.raises(Exception, match="Error while loading component") as caught:
        dg.load_from_defs_folder(path_within_project=folder)
    assert re.search(r"ConfigError: .*defs/pictures: store: ", format_error(caught.value))


def format_error(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def test_dg_finds_the_component() -> None:
    (entry,) = entry_points(group="dagster_dg_cli.registry_modules", name="aion_dagster")
    module = entry.load()
    assert "VisionLibrary" in dir(module)
    assert issubclass(module.VisionLibrary, dg.Component)
    schema = VisionLibrary.get_model_cls().model_json_schema()
    assert set(schema["properties"]) == set(LibraryConfig.model_fields)


def test_the_package_offers_its_front_doors_and_is_imported_without_dagster() -> None:
    code = "import sys, aion_dagster; sys.exit('dagster' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert set(aion_dagster.__all__) <= set(dir(aion_dagster))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = aion_dagster.nothing


def test_further_datasets_and_pipelines_of_a_library_are_made(
    project: Project, tmp_path: Path
) -> None:
    draw(tmp_path / "pictures", 6)
    folder = project(
        """
        store: "{{ env.SHOP_STORE }}"
        sources: [{path: "{{ env.SHOP_PICTURES }}", settle_seconds: 0}]
        """,
        SHOP_STORE=tmp_path / "store",
        SHOP_PICTURES=tmp_path / "pictures",
    )
    further = beside(
        folder,
        "further",
        "aion_dagster.Dataset",
        {"library": "pictures", "name": "street", "exports": ["csv"]},
    )
    beside(
        folder,
        "agents",
        "aion_dagster.AgentPipeline",
        {"library": "pictures", "name": "look", "steps": [{"search_images": "landscape"}]},
    )
    definitions = dg.load_from_defs_folder(path_within_project=folder)
    with embedded_instance(str(tmp_path / "store")) as instance:
        library = WatchedLibrary(configured(folder), instance)
        library.definitions = definitions
        library.accept(library.tick())
        for job in ("update_library", "update_dataset_street", "run_pipeline_look"):
            assert definitions.resolve_job_def(job).execute_in_process(instance=instance).success
    exports = tmp_path / "store" / "exports"
    assert {p.name for p in (exports / "street").iterdir()} == {"csv", "card"}
    assert (exports / "main" / "coco").is_dir()
    config = yaml.safe_load((further / "defs.yaml").read_text())
    config["attributes"]["name"] = "main"
    (further / "defs.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(Exception, match="Error while") as caught:
        dg.load_from_defs_folder(path_within_project=folder)
    assert "has a dataset 'main' already" in format_error(caught.value)


def test_a_dataset_of_no_library_is_an_error_that_says_so(project: Project) -> None:
    folder = project("")
    beside(folder, "lost", "aion_dagster.Dataset", {"library": "nowhere", "name": "street"})
    with pytest.raises(Exception, match="Error while") as caught:
        dg.load_from_defs_folder(path_within_project=folder)
    assert "there is no component in 'nowhere'" in format_error(caught.value)


def beside(project: Path, name: str, kind: str, attributes: dict[str, object]) -> Path:
    """Another component in the same project; its folder."""
    (defs,) = project.glob("src/*/defs")
    place = defs / name
    place.mkdir()
    (place / "__init__.py").touch()
    (place / "defs.yaml").write_text(yaml.safe_dump({"type": kind, "attributes": attributes}))
    return place
