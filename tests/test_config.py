"""The configuration: flags over the file over the environment, errors that name fields, no secrets."""

from __future__ import annotations

import itertools
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from aion_dagster.config import (
    ENVIRONMENT,
    DatasetConfig,
    FolderSourceConfig,
    LibraryConfig,
    read_config_file,
)
from aion_dagster.errors import ConfigError

NUMBERS = itertools.count()

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "name": st.from_regex(r"x[a-z0-9_]{0,8}", fullmatch=True),
    "labels": st.lists(st.sampled_from(["/l/a.json", "/l/b", "/l/ü c"]), unique=True, min_size=1),
    "sources": st.lists(st.sampled_from(["/p/a", "/p/b"]), unique=True, min_size=1),
    "detect": st.lists(st.sampled_from(["text", "codes"]), unique=True, min_size=1),
}
"""Fields that the environment can set too, with values for them."""

ONLY_IN_FILES = {"batch_files": st.integers(1, 1000), "colors": st.integers(3, 16)}


def layer(fields: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Values for some of the fields."""
    return st.fixed_dictionaries({}, optional=fields)


def as_environment(values: dict[str, Any]) -> dict[str, str]:
    variables = {field: variable for variable, field in ENVIRONMENT.items()}
    separators = {"sources": os.pathsep, "labels": os.pathsep, "detect": ", "}
    return {
        variables[field]: separators[field].join(value) if isinstance(value, list) else value
        for field, value in values.items()
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("config")


@pytest.mark.parametrize("where", ["argument", "AION_CONFIG", "remembered"])
@given(layer(VALUES), layer(VALUES | ONLY_IN_FILES), layer(VALUES | ONLY_IN_FILES))
def test_a_flag_goes_over_the_file_and_the_file_over_the_environment(
    folder: Path,
    where: str,
    environment: dict[str, Any],
    file: dict[str, Any],
    flags: dict[str, Any],
) -> None:
    store = folder / str(next(NUMBERS))
    flags = {**flags, "store": str(store)}
    variables = as_environment(environment)
    given_file = None
    if where == "remembered":
        # What is remembered stands in the folder of the library that flags or environment name.
        file = {k: v for k, v in file.items() if k != "name"}
        chosen = {**environment, **flags}.get("name", "default")
        place = (store if chosen == "default" else store / chosen) / "aion.yaml"
    else:
        place = store / "given.yaml"
    place.parent.mkdir(parents=True)
    place.write_text(yaml.safe_dump(file, allow_unicode=True), encoding="utf-8")
    if where == "argument":
        given_file = place
        variables["AION_CONFIG"] = "/nowhere/else.yaml"
    elif where == "AION_CONFIG":
        variables["AION_CONFIG"] = str(place)
    config = LibraryConfig.from_env(variables, flags=flags, file=given_file)
    assert config == LibraryConfig.parse({**environment, **file, **flags})


def test_flags_that_were_not_given_leave_the_rest_alone(tmp_path: Path) -> None:
    config = LibraryConfig.from_env(
        {"AION_DETECT": "codes", "AION_STORE": str(tmp_path)},
        flags={"store": None, "name": None, "detect": None},
    )
    assert config.detect == ("codes",)
    assert config.store == str(tmp_path)


def test_empty_variables_are_as_good_as_none(tmp_path: Path) -> None:
    variables = dict.fromkeys([*ENVIRONMENT, "AION_CONFIG"], "")
    config = LibraryConfig.from_env(variables, flags={"store": str(tmp_path)})
    assert config == LibraryConfig(store=str(tmp_path))


def test_the_process_s_environment_is_read_where_no_other_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in (*ENVIRONMENT, "AION_CONFIG"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AION_STORE", str(tmp_path / "here"))
    assert LibraryConfig.from_env().store == str(tmp_path / "here")


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"sorces": ["a"]}, "sorces: there is no such field"),
        ({"batch_files": 0}, "batch_files: "),
        ({"sources": [{"path": "a", "recursiv": True}]}, r"sources\.0\.recursiv: "),
        ({"sources": [{"name": "a"}]}, r"sources\.0\.path: must be given"),
        ({"sources": [{"path": "a", "type": "ftp"}]}, r"sources\.0\.type: "),
        ({"datasets": [{"name": "Main"}]}, r"datasets\.0\.name: "),
        ({"datasets": [{"exports": ["coco", "papyrus"]}]}, r"datasets\.0\.exports\.1: "),
        ({"datasets": [{"splits": {"train": 0.5}}]}, r"datasets\.0\.splits: .*add up to 1"),
        ({"datasets": [{"splits": {"val": 1.0}}]}, r"datasets\.0\.splits: .*'train' needs"),
        ({"datasets": [{"splits": {"tran": 1.0}}]}, r"datasets\.0\.splits\.tran"),
        ({"datasets": [{}, {}]}, r"datasets\.1\.name: dataset names must differ, got"),
        (
            {"sources": [{"path": "a", "name": "x"}, {"path": "b", "name": "x"}]},
            r"sources\.1\.name: source names must differ",
        ),
        ({"name": "tables"}, "name: .*taken"),
        ({"detect": ["smells"]}, r"detect\.0: "),
        ({"max_unreadable_share": 1.5}, "max_unreadable_share: "),
        ({"a": 1, "b": 2}, "a: .*; b: "),
    ],
)
def test_an_error_names_the_place_and_the_field(
    tmp_path: Path, data: dict[str, Any], field: str
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(data))
    with pytest.raises(ConfigError, match=f"{re.escape(str(path))}: .*{field}"):
        LibraryConfig.from_env({}, flags={"store": str(tmp_path)}, file=path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"- a\n- b\n", "must hold a mapping such as 'store: …', not list"),
        (b"store: [", "is not YAML"),
        (b"store: \xff\xfe", "is not YAML"),
    ],
)
def test_files_that_are_no_configuration_are_named(
    tmp_path: Path, content: bytes, words: str
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=f"mine.yaml: {re.escape(words)}"):
        read_config_file(path)


def test_a_file_that_is_missing_is_an_error_only_where_it_was_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.yaml: cannot be read"):
        LibraryConfig.from_env({"AION_CONFIG": str(tmp_path / "gone.yaml")})
    assert LibraryConfig.from_env({"AION_STORE": str(tmp_path)}).sources == ()


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("# nothing yet\n")
    assert read_config_file(tmp_path / "empty.yaml") == {}


@given(st.permutations(["/p/a", "/q/a", "/q/b c", "/ü/Bilder!", "/p"]))
def test_sources_keep_their_names_in_whatever_order_they_come(paths: list[str]) -> None:
    config = LibraryConfig.parse({"sources": paths})
    names = {s.path: s.name for s in config.sources}
    assert len(set(names.values())) == len(paths)
    assert names == {p: FolderSourceConfig.model_validate(p).name for p in paths}
    assert all(re.fullmatch(r"[a-z0-9-]{1,40}", name) for name in names.values())


@pytest.mark.parametrize("written", ["pictures", "./pictures/", "x/../pictures", "~/pictures"])
def test_one_folder_written_in_several_ways_is_one_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    source = FolderSourceConfig.model_validate(written)
    assert source.path == str(tmp_path / "pictures")
    assert source.name == FolderSourceConfig.model_validate(str(tmp_path / "pictures")).name


def test_paths_are_absolute_so_that_other_folders_read_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = LibraryConfig.parse({"store": "s", "labels": ["l.json", "./l.json"]})
    assert config.store == str(tmp_path / "s")
    assert config.labels == (str(tmp_path / "l.json"),)


DATASETS = st.lists(
    st.builds(
        DatasetConfig,
        name=st.from_regex(r"[a-z][a-z0-9_]{0,5}", fullmatch=True),
        origins=st.sampled_from([("labels",), ("labels", "text")]),
        classes=st.none() | st.lists(st.text(min_size=1, max_size=5), max_size=3).map(tuple),
        splits=st.sampled_from([{"train": 1.0}, {"train": 0.7, "val": 0.3}]),
        seed=st.integers(0, 2**31),
        min_score=st.none() | st.floats(0, 1),
        exports=st.sampled_from([(), ("coco",), ("csv", "yolo")]),
    ),
    max_size=3,
    unique_by=lambda d: d.name,
).map(tuple)


def test_a_class_name_with_an_uncommon_line_break_is_remembered_as_it_is(folder: Path) -> None:
    store = folder / "line breaks"
    config = LibraryConfig.parse(
        {"store": str(store), "datasets": [{"classes": ["a\x85b", "Möwe", "\u2028"]}]}
    )
    config.remember()
    assert LibraryConfig.from_env({}, flags={"store": str(store)}) == config


@given(
    st.sampled_from(["default", "beach"]),
    layer(VALUES | ONLY_IN_FILES),
    DATASETS,
    st.booleans(),
)
def test_what_a_run_remembers_is_what_the_next_command_works_with(
    folder: Path, name: str, values: dict[str, Any], datasets: tuple[Any, ...], home: bool
) -> None:
    store = folder / f"remembered {next(NUMBERS)}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder))
        given_store = f"~/{store.name}" if home else str(store)
        config = LibraryConfig.parse(
            {**values, "name": name, "store": str(store)}
            | {"datasets": [d.model_dump() for d in datasets]}
        )
        config.remember()
        flags = {"store": given_store, "name": name}
        assert LibraryConfig.from_env({}, flags=flags) == config
        variables = {"AION_STORE": given_store, "AION_LIBRARY": name}
        assert LibraryConfig.from_env(variables) == config
    assert [p for p in store.rglob("*") if p.is_file()] == [config.remembered_path]


def test_a_file_that_names_no_sources_leaves_those_that_the_store_remembers(tmp_path: Path) -> None:
    store, file = tmp_path / "store", tmp_path / "aion.yaml"
    before = LibraryConfig.parse(
        {"store": str(store), "sources": [str(tmp_path / "a")], "colors": 8}
    )
    before.remember()
    file.write_text("colors: 4")
    config = LibraryConfig.from_env({}, flags={"store": str(store)}, file=file)
    assert (config.sources, config.colors) == (before.sources, 4)
    file.write_text(yaml.safe_dump({"store": str(store), "colors": 4}))
    assert LibraryConfig.from_env({"AION_CONFIG": str(file)}).sources == before.sources
    other = LibraryConfig.from_env({}, flags={"name": "beach"}, file=file)
    assert other.sources == (), "of another library"
    named = LibraryConfig.from_env({"AION_SOURCES": str(tmp_path / "b")}, file=file)
    assert [s.place for s in named.sources] == [str(tmp_path / "b")]
    file.write_text(yaml.safe_dump({"store": str(store), "sources": []}))
    assert LibraryConfig.from_env({}, file=file).sources == ()


def test_a_store_that_was_moved_is_worked_on_where_it_is(tmp_path: Path) -> None:
    before = LibraryConfig(store=str(tmp_path / "old"), name="beach", colors=8)
    before.remember()
    (tmp_path / "old").rename(tmp_path / "new")
    for variables in ({}, {"AION_STORE": str(tmp_path / "new"), "AION_LIBRARY": "beach"}):
        flags = {} if variables else {"store": str(tmp_path / "new"), "name": "beach"}
        config = LibraryConfig.from_env(variables, flags=flags)
        assert config == before.model_copy(update={"store": str(tmp_path / "new")})


def test_libraries_of_one_store_remember_apart(tmp_path: Path) -> None:
    one = LibraryConfig(store=str(tmp_path), colors=8)
    two = LibraryConfig(store=str(tmp_path), name="beach", colors=4)
    one.remember()
    two.remember()
    flags = {"store": str(tmp_path)}
    assert LibraryConfig.from_env({}, flags=flags) == one
    assert LibraryConfig.from_env({}, flags={**flags, "name": "beach"}) == two


def test_no_field_holds_a_secret() -> None:
    secret = re.compile("key|token|secret|password|credential")
    for model in (LibraryConfig, DatasetConfig, FolderSourceConfig):
        assert [name for name in model.model_fields if secret.search(name)] == []
    assert [v for v in ENVIRONMENT if secret.search(v.lower())] == []


def test_a_store_by_file_uri_is_the_folder_it_names(tmp_path: Path) -> None:
    place = tmp_path / "ü and #1"
    config = LibraryConfig(store=place.as_uri(), colors=8)
    assert config.store == str(place)
    config.remember()
    assert LibraryConfig.from_env({"AION_STORE": place.as_uri()}) == config


def test_a_store_by_uri_stays_as_it_is_written() -> None:
    assert LibraryConfig(store="s3://bucket/pictures").store == "s3://bucket/pictures"


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        LibraryConfig().colors = 3
