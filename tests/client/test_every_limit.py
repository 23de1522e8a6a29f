"""Every limit that the specification states, overstepped: refused before anything is sent, with the field's name."""

from __future__ import annotations

import inspect
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from aionvision_server.fixtures import Server
from aionvision_server.specification import Operation, Specification, default_place
from case_running import QUICK, taken
from operation_cases import CASES, Case
from operation_cases.case import Given
from operation_cases.made import Made

from aion_dagster.client import AionVision, SyncAionVision, errors

PLACE: Final = default_place()
pytestmark = [
    pytest.mark.needs_shared,
    pytest.mark.skipif(PLACE is None, reason="needs the vendor's specification"),
]
OPERATIONS: Final = Specification.read(PLACE).operations if PLACE else {}
KEY: Final = "aion_" + "k" * 20


def wrong_values(operation: Operation) -> Iterator[tuple[str, Any]]:
    """Parameters and fields with values that the schema does not allow."""
    schemas = {p.name: p.schema for p in operation.parameters.values() if p.place == "query"}
    for body in operation.body.values():
        schemas |= body.get("properties", {})
    for name, schema in schemas.items():
        for kind in schema.get("anyOf", (schema,)):
            yield from ((name, value) for value in _beyond(kind))


def _beyond(schema: Mapping[str, Any]) -> Iterator[Any]:
    if "minimum" in schema:
        yield schema["minimum"] - 1
    if "exclusiveMinimum" in schema:
        yield schema["exclusiveMinimum"]
    if "maximum" in schema:
        yield schema["maximum"] + 1
    if schema.get("minLength"):
        yield ""
    if "maxLength" in schema:
        yield "x" * (schema["maxLength"] + 1)
    if schema.get("minItems"):
        yield []
    if "maxItems" in schema:
        yield [str(uuid.UUID(int=n)) for n in range(schema["maxItems"] + 1)]
    if "enum" in schema or str(schema.get("pattern", "")).startswith("^("):
        yield "unheard_of"


def method_of(client: Any, case: Case) -> Any:
    for name in case.method.split("."):
        client = getattr(client, name)
    return client


def overstepping() -> list[Any]:
    """Each case with each wrong value for a parameter of its method that has the field's name."""
    found = []
    client = AionVision(KEY)
    for case in CASES:
        if case.operation not in OPERATIONS or case.begin is not None:
            continue
        known = inspect.signature(method_of(client, case)).parameters
        for name, value in wrong_values(OPERATIONS[case.operation]):
            if name in known:
                shown = f"{case}-{name}-{str(value)[:8]}"
                found.append(pytest.param(case, name, value, id=shown))
    return found


@pytest.mark.parametrize(("case", "name", "value"), overstepping())
def test_a_value_beyond_a_limit_is_not_sent(
    case: Case, name: str, value: Any, aionvision: Server, tmp_path: Path
) -> None:
    aionvision.side(**case.sides)
    with SyncAionVision(api_key=aionvision.key, base_url=aionvision.url, **QUICK) as client:
        made = Made(aionvision, client, tmp_path)
        method = method_of(client, case)
        arguments = changed(method, case.arguments(made), name, value)
        before = len(aionvision.log())
        if (case.method, value) == ("uploads.check_duplicates", []):
            assert method([]).duplicates == []  # nothing is asked about nothing
        else:
            with pytest.raises(errors.ValidationError) as caught:
                taken(method(*arguments.args, **arguments.kwargs))
            assert caught.value.details["field"] == name
            assert caught.value.status is None
        assert len(aionvision.log()) == before


def changed(method: Any, arguments: Given, name: str, value: Any) -> Given:
    """Arguments, one of them another."""
    bound = inspect.signature(method).bind(*arguments.args, **arguments.kwargs)
    bound.arguments[name] = value
    return Given(bound.args, bound.kwargs)


def test_the_limits_were_found() -> None:
    """A change of the specification's layout would otherwise leave nothing to overstep."""
    assert len(overstepping()) > 200
