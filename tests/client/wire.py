"""What went over the wire, held against the specification from the client's side of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import orjson
from aionvision_server.routing import Routes
from aionvision_server.specification import PREFIX, Operation, Specification


def complaints(specification: Specification, responses: list[httpx.Response]) -> Iterator[str]:
    """What is wrong with answers of JSON as they reached the client."""
    for operation, response in _of_api(specification, responses):
        if _is_json(response):
            body = orjson.loads(response.content)
            wrong = specification.operations[operation].wrong_answer(response.status_code, body)
            if wrong:
                yield f"{operation}: {wrong}"


def sent_fields(
    specification: Specification, operation: str, responses: list[httpx.Response]
) -> set[str]:
    """Parameters and fields of bodies that the requests of an operation held: `?limit`, `steps.agent`."""
    found: set[str] = set()
    for called, response in _of_api(specification, responses):
        if called == operation:
            request = response.request
            found |= {f"?{name}" for name in request.url.params}
            if request.headers.get("content-type") == "application/json":
                found |= set(_named(orjson.loads(request.content)))
            found |= {field.name for field in getattr(request.stream, "fields", ())}
    return found


def field_names(operation: Operation) -> set[str]:
    """Parameters and fields of bodies that an operation takes."""
    found = {f"?{p.name}" for p in operation.parameters.values() if p.place == "query"}
    for schema in operation.body.values():
        found |= set(_known(schema))
    return found


def _named(value: Any, at: str = "") -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield f"{at}{name}"
            yield from _named(each, f"{at}{name}.")
    elif isinstance(value, list):
        for each in value:
            yield from _named(each, at)


def _known(schema: Mapping[str, Any], at: str = "") -> Iterator[str]:
    for each in schema.get("anyOf", ()):
        yield from _known(each, at)
    if "items" in schema:
        yield from _known(schema["items"], at)
    for name, each in schema.get("properties", {}).items():
        yield f"{at}{name}"
        yield from _known(each, f"{at}{name}.")


def _of_api(
    specification: Specification, responses: list[httpx.Response]
) -> Iterator[tuple[str, httpx.Response]]:
    """The answers of the API, not those of storage nor of operations that the specification no longer has."""
    routes = Routes(specification.operations)
    for response in responses:
        path = response.request.url.path
        found = routes.find(response.request.method, path.removeprefix(PREFIX))
        if isinstance(found, tuple) and path.startswith(PREFIX):
            yield found[0], response


def _is_json(response: httpx.Response) -> bool:
    """Whether a body of JSON was read whole; an answer that was streamed is not kept."""
    kind: str = response.headers.get("content-type", "")
    return kind == "application/json" and hasattr(response, "_content") and bool(response.content)
