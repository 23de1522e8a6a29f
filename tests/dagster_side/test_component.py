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
from aion_dagster.components.scaffolding import LibraryExample
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
    ("attributes", "line", "message"),
    [
        ("batch_files: 0", 3, "batch_files: "),
        ("name: Not A Name", 3, "name: "),
        ("sorces: [a]", 3, r"sorces: .*did you mean sources\?"),
        ("datasets:\n  - name: main\n    splits: {train: 0.5}", 5, r"datasets\.0\.splits: "),
        ("datasets:\n  - exports: [papyrus]", 4, r"datasets\.0\.exports\.0: "),
        ("datasets:\n  - exports: coco", 4, r"datasets\.0\.exports: must be a list, .*\[coco\]"),
        ("sources:\n  - path: a\n    recursiv: true", 5, r"sources\.0\.recursiv: .*recursive"),
        ('backend: "{{ env.SHOP_BACKEND }}"', 3, "backend: .*'local' or 'aionvision'"),
        (
            "pipelines:\n  - {name: a, steps: [{chat: x}]}\n  - {name: a, steps: [{chat: x}]}",
            5,
            r"pipelines\.1\.name: pipeline names must differ",
        ),
        (
            "pipelines:\n  - name: a\n    steps:\n      - search_image: blue",
            6,
            r"pipelines\.0\.steps\.0: 'search_image' is no agent; there are search_images",
        ),
        (
            "pipelines:\n  - name: a\n    steps:\n      - search_images: blue\n        depends_on: [4]",
            7,
            r"pipelines\.0\.steps\.0\.depends_on: ",
        ),
    ],
)
def test_a_wrong_value_is_an_error_that_names_file_line_and_field(
    project: Project, attributes: str, line: int, message: str
) -> None:
    shown = refusal(project(attributes, SHOP_BACKEND="abacus"))
    assert re.search(rf"ConfigError: .*/defs/pictures/defs\.yaml:{line}: {message}", shown), shown
    assert "Invalid error type" not in shown
    assert "Value error" not in shown


def test_several_wrong_values_are_named_together(project: Project) -> None:
    shown = refusal(project("batch_files: 0\ncolors: 99"))
    assert re.search(r"defs\.yaml:3: batch_files: .*\n.*defs\.yaml:4: colors: ", shown), shown


@pytest.mark.parametrize("spelling", ["project_root", "context.project_root"])
def test_the_project_s_folder_has_the_names_that_dagster_gives_it(
    project: Project, tmp_path: Path, spelling: str
) -> None:
    root = f"{{{{ {spelling} }}}}"
    config = configured(project(f'store: "{root}/store"\nsources: ["{root}/pictures", "{root}"]\n'))
    assert config.store == str(tmp_path / "store")
    assert [s.place for s in config.sources] == [str(tmp_path / "pictures"), str(tmp_path)]


def test_what_is_scaffolded_lies_inside_the_project(project: Project, tmp_path: Path) -> None:
    config = configured(project(yaml.safe_dump(dict(LibraryExample.attributes))))
    assert config.store == str(tmp_path / "aion-store")
    assert [s.place for s in config.sources] == [str(tmp_path / "pictures")]


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ env.SHOP_NOT_SET }}", "the environment variable SHOP_NOT_SET is not set"),
        ("{{ env.SHOP_NOT_SET }}/store", "the environment variable SHOP_NOT_SET is not set"),
        ("{{ env('SHOP_NOT_SET') }}/store", "Environment variable SHOP_NOT_SET is not set"),
        ("{{ projekt_root }}/store", "'projekt_root' is undefined; there are .*project_root"),
        ("{{ projekt_root }}", "'projekt_root' is undefined; there are .*project_root"),
        ("{{ context.projekt_root }}/store", "has no attribute 'projekt_root'"),
        ("{{ context.project_root", "unexpected end of template"),
    ],
)
def test_a_template_without_a_value_is_an_error_that_names_file_line_and_field(
    project: Project, template: str, reason: str
) -> None:
    shown = refusal(project(f'colors: 4\nsources: ["/pictures", "{template}"]'))
    place = r"ConfigError: .*/defs/pictures/defs\.yaml:4: sources\.1: "
    assert re.search(f"{place}.*{reason}", shown), shown


def test_a_variable_that_is_not_set_may_be_replaced(project: Project) -> None:
    config = configured(
        project(
            """
            store: "{{ env.SHOP_NOT_SET or '/first' }}/store"
            sources: ["{{ env('SHOP_NOT_SET', '/second') }}", "{{ env.SHOP_NOT_SET | default('/third') }}"]
            """
        )
    )
    assert config.store == "/first/store"
    assert [s.place for s in config.sources] == ["/second", "/third"]


def test_numbers_may_be_templates_and_text_without_one_stays_text(project: Project) -> None:
    config = configured(
        project(
            """
            batch_files: "{{ env.SHOP_BATCH }}"
            text_model: "2024"
            pipelines: [{name: ask, steps: [{chat: "1, 2"}]}]
            """,
            SHOP_BATCH=7,
        )
    )
    assert (config.batch_files, config.text_model) == (7, "2024")
    assert config.pipelines[0].steps[0].intent == "1, 2"


def refusal(project: Path) -> str:
    """What is shown for a project that cannot be loaded."""
    with pytest.raises(Exception, match="Error while") as caught:
        dg.load_from_defs_folder(path_within_project=project)
    return format_error(caught.value)


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


@pytest.mark.parametrize(
    ("kind", "attributes", "line", "message"),
    [
        ("Dataset", {"library": "nowhere", "name": "x"}, 2, "library: there is no component in"),
        ("Dataset", {"name": "x"}, 1, "library: must name the folder"),
        ("Dataset", {"library": ["pictures"], "name": "x"}, 2, "library: must name the folder"),
        ("Dataset", {"library": "pictures", "name": "main"}, 3, "name: .*a dataset 'main' already"),
        ("Dataset", {"library": "pictures", "name": "x", "exports": "csv"}, 4, "exports: must be"),
        (
            "AgentPipeline",
            {"library": "pictures", "name": "x", "steps": ["a"]},
            5,
            r"steps\.0: must",
        ),
        (
            "AgentPipeline",
            {"library": "pictures", "name": "x", "steps": [{"chat": "a", "depends_on": [3]}]},
            6,
            r"steps\.0\.depends_on: step 0 ",
        ),
        (
            "AgentPipeline",
            {"backend": "aionvision", "library": "pictures", "name": "x", "steps": [{"chat": "a"}]},
            2,
            "backend: .* needs that of the library",
        ),
    ],
)
def test_what_cannot_be_added_to_a_library_is_an_error_that_names_file_line_and_field(
    project: Project, kind: str, attributes: dict[str, object], line: int, message: str
) -> None:
    folder = project("")
    beside(folder, "more", f"aion_dagster.{kind}", attributes)
    shown = refusal(folder)
    place = rf"ConfigError: .*/defs/more/defs\.yaml:{line + 1}: "
    assert re.search(place + message, shown), shown


def test_an_added_component_without_attributes_is_an_error(project: Project) -> None:
    folder = project("")
    place = beside(folder, "more", "aion_dagster.Dataset", {})
    (place / "defs.yaml").write_text("type: aion_dagster.Dataset\n")
    assert re.search(r"ConfigError: .*/defs/more/defs\.yaml:1: library: ", refusal(folder))


def beside(project: Path, name: str, kind: str, attributes: dict[str, object]) -> Path:
    """Another component in the same project; its folder."""
    (defs,) = project.glob("src/*/defs")
    place = defs / name
    place.mkdir()
    (place / "__init__.py").touch()
    (place / "defs.yaml").write_text(
        yaml.safe_dump({"type": kind, "attributes": attributes}, sort_keys=False)
    )
    return place
