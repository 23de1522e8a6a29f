"""The runbook says of every check, error and way to end what it means."""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

import aion_dagster
from aion_dagster import LibraryConfig, build_definitions, cli
from aion_dagster.client.errors import AionvisionError
from aion_dagster.errors import AionError

PAGE = (Path(__file__).parents[1] / "docs" / "runbook.md").read_text()
NAMES = set(re.findall(r"`([A-Za-z_]+)`", PAGE))


def public_errors() -> Iterator[type[Exception]]:
    """Every error class of the package that may reach a user."""
    with patch.dict(os.environ, {"AION_CELERY_BROKER": "memory://"}):
        for module in pkgutil.walk_packages(aion_dagster.__path__, "aion_dagster."):
            if module.name.endswith("__main__") or ".migrations." in module.name:
                continue
            for name, value in vars(importlib.import_module(module.name)).items():
                if (
                    inspect.isclass(value)
                    and issubclass(value, AionError | AionvisionError)
                    and value.__module__ == module.name
                    and not name.startswith("_")
                ):
                    yield value


def test_every_error_is_explained() -> None:
    errors = {error.__name__ for error in public_errors()}
    assert len(errors) > 40
    assert errors - NAMES == set()


def test_no_error_is_explained_that_there_is_not() -> None:
    explained = {name for name in NAMES if name.endswith("Error")}
    assert explained - {error.__name__ for error in public_errors()} == set()


@pytest.mark.parametrize("backend", ["local", "aionvision"])
def test_every_check_is_explained(tmp_path: Path, backend: str) -> None:
    config = LibraryConfig.parse(
        {
            "store": str(tmp_path / "store"),
            "backend": backend,
            "documents": ["pdf"],
            "detect": ["text", "codes"],
        }
    )
    graph = build_definitions(config).resolve_asset_graph()
    checks = {key.name for key in graph.asset_check_keys}
    assert len(checks) >= 7
    assert checks - NAMES == set()


def test_every_command_is_there_that_the_page_names() -> None:
    named = set(re.findall(r"aion-dagster ([a-z]+)", PAGE))
    assert named - {*cli.COMMANDS} == set()


def test_every_exit_status_is_explained() -> None:
    source = inspect.getsource(cli.main)
    returned = set(re.findall(r"return (\d+)", source)) | {"0"}
    told = set(re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE))
    assert returned - told == set()
