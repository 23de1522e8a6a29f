"""That nothing of the API is missing: each operation has a method or stands among those left out, each method has a case."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Iterator
from functools import cached_property
from typing import Any, Final

import pytest
from aionvision_server.specification import Specification, default_place
from client_operations import operations
from client_types import resource
from operation_cases import CASES, OMITTED
from operation_table import OF_OLDER_SERVERS, PAGE, page_with_table

from aion_dagster.client.attributes import AsyncResources
from aion_dagster.client.attributes_blocking import SyncResources

PLACE: Final = default_place()
LEFT_OUT: Final = {operation for several in OMITTED.values() for operation in several}

BESIDE_THE_API: Final = {
    "uploads.send_presigned": "sends to storage, by the URL that the API gave",
    "documents.send_presigned": "sends to storage, by the URL that the API gave",
    "uploads.send_one": "`stream` behind its checks",
    "uploads.send_several": "`stream_batch` behind its checks",
}
"""Methods without a case of their own, and why."""


@pytest.fixture
def specified() -> set[str]:
    if PLACE is None:
        pytest.skip("needs the vendor's specification")
    return set(Specification.read(PLACE).operations)


@pytest.mark.needs_shared
def test_every_operation_has_a_method_or_is_left_out_on_purpose(specified: set[str]) -> None:
    called = set(operations())
    assert len(specified) == 182
    assert specified - called - LEFT_OUT == set()
    assert called - specified == OF_OLDER_SERVERS
    assert LEFT_OUT - specified == set()
    assert LEFT_OUT & called == set()


def test_every_operation_of_the_client_is_tried() -> None:
    assert {case.operation for case in CASES} == set(operations())


def public_methods(holder: type) -> Iterator[tuple[str, Any]]:
    for name, member in vars(holder).items():
        if isinstance(member, cached_property):
            owner = resource(f"client.{name}", sync=holder is SyncResources)
            for method in dir(owner):
                if not method.startswith("_") and callable(getattr(owner, method)):
                    yield f"{name}.{method}", getattr(owner, method)


def test_every_public_method_is_tried() -> None:
    tried = {case.method for case in CASES} | BESIDE_THE_API.keys()
    assert {name for name, _ in public_methods(AsyncResources)} - tried == set()


def test_every_method_has_a_blocking_twin_with_the_same_parameters() -> None:
    awaited, blocking = dict(public_methods(AsyncResources)), dict(public_methods(SyncResources))
    internal = {"uploads.send_one", "uploads.send_several"}
    assert awaited.keys() - blocking.keys() <= internal
    assert blocking.keys() <= awaited.keys()
    for name, method in blocking.items():
        ours, theirs = inspect.signature(method), inspect.signature(awaited[name])
        assert list(ours.parameters.values()) == list(theirs.parameters.values()), name


def test_the_table_of_the_documentation_is_up_to_date() -> None:
    text = PAGE.read_text("utf-8")
    assert text == page_with_table(text), "run tests/client/operation_table.py"


def test_importing_the_client_imports_no_resource() -> None:
    """Their hundreds of models take longer than everything else; each comes with its first use."""
    program = "import sys, aion_dagster.client; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    ours = [name for name in done.stdout.split() if name.startswith("aion_dagster.client.")]
    assert "aion_dagster.client.transport" in ours
    assert not [name for name in ours if ".resources." in name or ".models." in name]
