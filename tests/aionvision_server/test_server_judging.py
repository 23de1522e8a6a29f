"""The server as a judge: wrong requests are refused and written down, by the specification or without one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from .asking import Asker, asking
from .fixtures import running
from .pictures import jpeg
from .specification import Specification, default_place

NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def judged(ask: Asker) -> Asker:
    if not ask.server.by_specification:
        pytest.skip("needs the vendor's specification, which is not part of the repository")
    return ask


def reasons(ask: Asker) -> list[str]:
    return [v["reason"] for v in ask.server.counters()["violations"]]


WRONG: list[tuple[str, str, dict[str, Any], str]] = [
    ("GET", "/uploads/quota-check", {}, "query.file_count: Field required"),
    ("GET", "/uploads/quota-check?file_count=many", {}, "query.file_count: 'many' is not of type"),
    ("GET", "/user-files?limit=101", {}, "query.limit: 101 is greater than the maximum of 100"),
    ("GET", "/user-files?ids=a,b", {}, "query.ids.0: 'a,b' is not a 'uuid'"),
    ("GET", "/user-files?date_from=2025-01-01T00:00:00", {}, "is not a 'date-time'"),
    ("GET", "/user-files?search_mode=fuzzy", {}, "query.search_mode: 'fuzzy' is not one of"),
    ("GET", "/folders/nowhere", {}, "path.folder_id: 'nowhere' is not a 'uuid'"),
    ("POST", "/folders", {"json": {}}, "body: 'name' is a required property"),
    ("POST", "/folders", {"json": {"name": ""}}, "body.name: '' should be non-empty"),
    ("POST", "/folders", {"data": {"name": "x"}}, "application/json expected"),
    ("POST", "/folders", {}, "application/json expected, not ''"),
    ("POST", "/agents/pipeline", {"json": {"steps": []}}, "body.steps: [] should be non-empty"),
    (
        "POST",
        "/agents/pipeline",
        {"json": {"steps": [{"agent": "chat", "intent": "x" * 2001}]}},
        "body.steps.0.intent:",
    ),
    ("POST", "/user-files/upload/stream", {"files": {"picture": b"x"}}, "'file' is a required"),
    (
        "POST",
        "/user-files/upload/stream",
        {"files": {"file": ("a.jpg", jpeg(1))}, "data": {"auto_describe": "perhaps"}},
        "body.auto_describe: 'perhaps' is not of type 'boolean'",
    ),
]


@pytest.mark.needs_shared
@pytest.mark.parametrize(("method", "path", "request_", "reason"), WRONG)
def test_what_the_specification_does_not_allow_is_refused(
    judged: Asker, method: str, path: str, request_: dict[str, Any], reason: str
) -> None:
    told = judged.refused(422, method, path, **request_)
    assert told["detail"][0]["msg"]
    assert any(reason in found for found in reasons(judged)), reasons(judged)


@pytest.mark.needs_shared
def test_what_the_specification_does_not_know_is_ignored_and_written_down(judged: Asker) -> None:
    judged.get("/folders", limit=5)
    judged.post("/folders", name="x", color="red")
    judged.post("/agents/pipeline", steps=[{"agent": "chat", "intent": "hello", "model": "m"}])
    assert reasons(judged) == [
        "query.limit: not a parameter of this operation",
        "body.color: not a field of this operation",
        "body.steps.0.model: not a field of this operation",
    ]
    assert not any(v["refused"] for v in judged.server.counters()["violations"])


@pytest.mark.needs_shared
def test_fields_that_two_documents_name_are_no_violation(judged: Asker) -> None:
    judged.upload_many(1, intent="describe", verification_level="standard")
    assert reasons(judged) == []


@pytest.mark.needs_shared
def test_a_clean_conversation_is_told_from_one_that_is_not(judged: Asker) -> None:
    judged.upload(1)
    judged.server.assert_clean()
    judged.refused(422, "GET", "/uploads/quota-check")
    with pytest.raises(AssertionError, match="file_count: Field required"):
        judged.server.assert_clean()


def test_unknown_places_and_methods_are_told_apart(ask: Asker) -> None:
    ask.refused(404, "GET", "/nothing/here")
    response = ask.http.request("PUT", "/folders")
    assert (response.status_code, response.headers["allow"]) == (405, "GET, POST")


def test_json_that_is_none_is_refused(ask: Asker) -> None:
    broken = {"content": b'{"name": ', "headers": {"Content-Type": "application/json"}}
    assert "JSON" in ask.refused(422, "POST", "/folders", **broken)["detail"][0]["msg"]


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Authorization": ""}, 401, "INVALID_API_KEY"),
        ({"Authorization": "Bearer aion_wrong_0123456789abcdefghij"}, 401, "INVALID_API_KEY"),
        ({"Authorization": "Basic aion_test_0123456789abcdefghij"}, 401, "INVALID_API_KEY"),
        ({"Authorization": "Bearer aion_old_0123456789abcdefghij"}, 401, "EXPIRED_API_KEY"),
        ({"X-Tenant-ID": NOBODY}, 403, "FORBIDDEN"),
    ],
)
def test_only_valid_keys_of_the_tenant_are_let_in(
    ask: Asker, headers: dict[str, str], status: int, code: str
) -> None:
    ask.server.add_key("aion_old_0123456789abcdefghij", expired=True)
    told = ask.refused(status, "GET", "/folders", headers=headers)
    assert told["error"]["code"] == code
    assert told["request_id"]


def test_answers_name_their_request(ask: Asker) -> None:
    first, second = (ask.http.get("/folders").headers["x-request-id"] for _ in range(2))
    assert first != second


@pytest.fixture(scope="module")
def without() -> Iterator[Asker]:
    """A server that has no specification."""
    with running("--no-spec") as server, asking(server) as asker:
        yield asker


def test_without_a_specification_what_handlers_need_must_be_there(without: Asker) -> None:
    assert without.server.counters()["validated_by"] == "client models"
    without.refused(422, "POST", "/folders", json={})
    without.refused(422, "GET", "/uploads/quota-check")
    assert without.post("/folders", name="x")["name"] == "x"
    assert [v["reason"] for v in without.server.counters()["violations"]] == [
        "body.name: Field required",
        "query.file_count: Field required",
    ]


def test_without_a_specification_answers_are_held_against_the_clients_models(
    without: Asker,
) -> None:
    without.server.reset()
    file_id = without.uploaded(1)
    for path in ("/folders", "/user-files", f"/user-files/{file_id}", "/uploads/sessions"):
        without.get(path)
    assert without.server.counters()["own_violations"] == []


def test_the_clients_models_find_a_wrong_answer() -> None:
    from .client_models import ClientModels

    models = ClientModels()
    assert len(models) > 40
    assert models.wrong_answer("GET /folders", {"folders": []}) is None
    assert models.wrong_answer("GET /folders", {"folders": 7})
    assert models.wrong_answer("GET /nowhere", 7) is None


@pytest.mark.needs_shared
def test_what_handlers_need_is_what_the_specification_requires() -> None:
    from . import operations
    from .registry import HANDLERS

    place = default_place()
    if place is None:
        pytest.skip("needs the vendor's specification, which is not part of the repository")
    operations.register()
    for name, operation in Specification.read(place).operations.items():
        handler = HANDLERS.get(name)
        if handler is None:
            continue
        queried = [p for p in operation.parameters.values() if p.place == "query" and p.required]
        assert set(handler.asks) == {p.name for p in queried}, name
        required = {f for body in operation.body.values() for f in body.get("required", ())}
        assert set(handler.needs) == required, name


@pytest.mark.needs_shared
def test_every_operation_in_scope_has_a_handler() -> None:
    from . import operations
    from .registry import HANDLERS

    place = default_place()
    if place is None:
        pytest.skip("needs the vendor's specification, which is not part of the repository")
    operations.register()
    left_out = ("/auth/", "/payment/", "/sdk/", "/support/", "/user/")
    missing = [
        name
        for name in Specification.read(place).operations
        if name not in HANDLERS and not name.partition(" ")[2].startswith(left_out)
    ]
    assert missing == []
