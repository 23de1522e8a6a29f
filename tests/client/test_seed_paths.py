"""Every path, example of an answer and code of an error that the vendor's documents list, held against the client."""

from __future__ import annotations

import re
from typing import Any, Final

import httpx
import pydantic
import pytest
import seed_tables as seeds
from case_running import unknown
from client_operations import answers, operations
from client_types import member_types
from seed_tables import Example

from aion_dagster.client import errors
from aion_dagster.client.answers import error_of
from aion_dagster.client.models.files import UserFile, UserFileDetails
from aion_dagster.client.models.links import LinkDetails, LinkItem

pytestmark = [
    pytest.mark.needs_shared,
    pytest.mark.skipif(not seeds.SEEDS.is_dir(), reason=f"needs {seeds.SEEDS}"),
]

PATHS: Final = sorted(seeds.paths()) if seeds.SEEDS.is_dir() else []
EXAMPLES: Final = list(seeds.examples()) if seeds.SEEDS.is_dir() else []

OF_DICTIONARY: Final = {"POST /user-files/{}/trigger-variants"}
"""The reference promises a plain dictionary."""


def called() -> dict[str, str]:
    """The client's operations with paths whose placeholders have no names."""
    return {seeds.unnamed(operation): operation for operation in operations()}


def test_the_documents_were_read_whole() -> None:
    """A change of their layout would otherwise leave nothing to compare."""
    assert len(PATHS) == 80
    assert len(EXAMPLES) == 30


@pytest.mark.parametrize("operation", PATHS)
def test_a_path_is_called_by_the_client(operation: str) -> None:
    assert operation in called(), seeds.paths()[operation]


@pytest.mark.parametrize("example", [e for e in EXAMPLES if e.kind == "Response"], ids=str)
def test_an_answer_of_the_documents_is_understood_whole(example: Example) -> None:
    for kind in answers()[called()[example.operation]]:
        if example.operation in OF_DICTIONARY:
            continue
        read = pydantic.TypeAdapter(kind).validate_python(example.value)
        ours = "Link" not in kind.__name__ or example.operation == "POST /user-files/links"
        assert not ours or not list(unknown(read))
        again = read.model_dump(mode="json", by_alias=False)
        for name, value in example.value.items():
            if isinstance(value, str | int | float) and name in again:
                assert _same(again[name], value), name


def _same(read: Any, sent: Any) -> bool:
    """Moments may be written with a zone or without."""
    return read == sent or str(read).removesuffix("Z") == str(sent).removesuffix("Z")


@pytest.mark.parametrize("example", [e for e in EXAMPLES if e.kind == "Fields"], ids=str)
def test_a_file_has_the_fields_of_every_media_type(example: Example) -> None:
    model = UserFile if example.operation.endswith("user-files") else UserFileDetails
    for name in example.value:
        member_types(model, name)


@pytest.mark.parametrize("model", [UserFile, UserFileDetails, LinkItem, LinkDetails])
def test_a_link_has_the_fields_of_links(model: type) -> None:
    listed = seeds.link_fields()
    assert len(listed) == 10
    for name in listed:
        member_types(model, name)


CODES: Final = {
    "INVALID_API_KEY": errors.AuthenticationError,
    "EXPIRED_API_KEY": errors.AuthenticationError,
    "RATE_LIMIT_ERROR": errors.RateLimitError,
    "STORAGE_QUOTA_EXCEEDED": errors.QuotaExceededError,
    "USAGE_LIMIT_EXCEEDED": errors.QuotaExceededError,
    "MEMORY_LIMIT_EXCEEDED": errors.RateLimitError,
    "IMAGE_PROCESSING_ERROR": errors.ServerError,
    "TIMEOUT": errors.AionvisionTimeoutError,
}
STATUSES: Final = {
    400: errors.ValidationError,
    401: errors.AuthenticationError,
    402: errors.QuotaExceededError,
    403: errors.AionvisionPermissionError,
    404: errors.ResourceNotFoundError,
    409: errors.ConflictError,
    422: errors.ValidationError,
    429: errors.RateLimitError,
    500: errors.ServerError,
    502: errors.ServerError,
    503: errors.ServerError,
}
GOOD: Final = {200, 201, 204, 302}


def test_every_code_of_the_documents_has_its_class() -> None:
    text = (
        seeds.text_of(seeds.API_README)
        .partition("### Common Error Codes")[2]
        .partition("## Pag")[0]
    )
    codes = re.findall(r"^\| `([A-Z_]+)` \|", text, re.M)
    assert set(codes) == CODES.keys()
    for code, kind in CODES.items():
        body = {"error": {"code": code, "message": "words", "details": {}}, "request_id": "r"}
        error = error_of(httpx.Response(502, json=body))
        assert type(error) is kind, code
        assert (error.code, error.message, error.request_id) == (code, "words", "r")


def test_every_status_of_the_documents_has_its_class() -> None:
    text = (
        seeds.text_of(seeds.API_README).partition("### HTTP Status")[2].partition("### Common")[0]
    )
    statuses = {int(s) for s in re.findall(r"^\| `(\d+)` \|", text, re.M)}
    assert statuses == STATUSES.keys() | GOOD
    for status, kind in STATUSES.items():
        assert type(error_of(httpx.Response(status))) is kind, status


def test_the_error_of_the_documents_names_its_field() -> None:
    text = seeds.text_of(seeds.API_README).partition("## Error Format")[2]
    body = text.partition("```json\n")[2].partition("```")[0]
    error = error_of(httpx.Response(422, content=body.encode()))
    assert isinstance(error, errors.ValidationError)
    assert error.code == "VALIDATION_ERROR"
    assert error.details["field"] == "limit"
    assert error.request_id == "550e8400-e29b-41d4-a716-446655440000"
