"""Every answer that the specification allows, read by the model that the client reads it as."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pydantic
import pytest
from aionvision_server.specification import Specification, default_place
from case_running import unknown
from client_operations import answers
from specimens import MANNERS, specimen

from aion_dagster.client.models.chats import ChatResponse, PlanActionResponse

PLACE: Final = default_place()
pytestmark = [
    pytest.mark.needs_shared,
    pytest.mark.skipif(PLACE is None, reason="needs the vendor's specification"),
]

SPECIFICATION: Final = Specification.read(PLACE) if PLACE else None

READ_IN_STEPS: Final = {
    "POST /chat/sessions/{session_id}/messages": (ChatResponse,),
    "POST /chat/sessions/{session_id}/plans/{plan_id}/action": (PlanActionResponse,),
}
"""Answers that are completed before they are read."""


def schemas() -> dict[str, Mapping[str, Any]]:
    """What the operations of the client answer in JSON."""
    found = {}
    for name, operation in SPECIFICATION.operations.items() if SPECIFICATION else ():
        if name in answers() | READ_IN_STEPS and (
            schema := operation.answer_schema(operation.success)
        ):
            found[name] = schema
    return found


SCHEMAS: Final = schemas()


def test_the_models_of_most_operations_are_known() -> None:
    assert len(SCHEMAS) == 117


@pytest.mark.parametrize("manner", MANNERS)
@pytest.mark.parametrize("operation", SCHEMAS)
def test_an_answer_is_read(operation: str, manner: str) -> None:
    sent = specimen(SCHEMAS[operation], MANNERS[manner])
    for kind in {**answers(), **READ_IN_STEPS}[operation]:
        read = pydantic.TypeAdapter(kind).validate_python(sent)
        came = {name.rpartition(".")[2] for name in unknown(read)}
        assert came <= ({"announced_by_nobody"} if manner == "odd" else set()), kind
