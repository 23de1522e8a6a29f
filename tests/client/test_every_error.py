"""Every operation refused in every way: the typed error that fits, in whichever shape the server says it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from aionvision_server.fixtures import Server
from aionvision_server.sides import SIDES
from case_running import NOW, QUICK, taken
from operation_cases import CASES, Case
from operation_cases.made import Made

from aion_dagster.client import SyncAionVision, errors

KINDS: Final = {
    400: errors.ValidationError,
    401: errors.AuthenticationError,
    402: errors.QuotaExceededError,
    403: errors.AionvisionPermissionError,
    404: errors.ResourceNotFoundError,
    409: errors.ConflictError,
    413: errors.QuotaExceededError,
    422: errors.ValidationError,
    429: errors.RateLimitError,
    500: errors.ServerError,
    502: errors.ServerError,
    503: errors.ServerError,
    504: errors.AionvisionTimeoutError,
}
TOO_MANY: Final = {
    "rate": errors.RateLimitError,
    "quota": errors.QuotaExceededError,
    "usage": errors.QuotaExceededError,
    "memory": errors.RateLimitError,
    "concurrency": errors.RateLimitError,
}
SHAPES: Final = ("spec", "envelope", "text", "detail")
SOME: Final = (400, 404, 500)
"""Statuses for which the specification declares a shape."""

SOAK: Final = os.environ.get("AION_TEST_TIER") == "soak"
WORDS: Final = "refused on purpose"


def simplest() -> Iterator[Case]:
    """One case of each operation: the method that does no more than call it."""
    seen: set[str] = set()
    for case in CASES:
        waits = any(word in case.method for word in ("wait", "iter", "upload_one"))
        if not waits and case.operation not in seen:
            seen.add(case.operation)
            yield case


def test_every_side_of_errors_is_taken() -> None:
    assert set(SIDES["error_body"].values) == set(SHAPES)
    assert set(SIDES["too_many"].values) == TOO_MANY.keys()


@pytest.mark.parametrize("case", list(simplest()), ids=lambda case: case.operation)
def test_a_refusal_is_the_error_that_fits(case: Case, aionvision: Server, tmp_path: Path) -> None:
    server = aionvision
    server.clock(at=NOW, speed=0)
    server.side(**case.sides)
    options = {**QUICK, "max_retries": 0}
    with SyncAionVision(api_key=server.key, base_url=server.url, **options) as client:
        arguments = case.arguments(Made(server, client, tmp_path))

        def refused(status: int) -> Any:
            server.fault("status", case.operation, status=status, message=WORDS)
            with pytest.raises(errors.AionvisionError) as caught:
                taken(case.call(client, arguments))
            error = caught.value
            assert error.request_id, error
            assert server.key not in f"{error!s}{error!r}{error.details}"
            return error

        for shape in SHAPES:
            server.side(error_body=shape)
            for status in KINDS if SOAK or shape == "spec" else SOME:
                error = refused(status)
                assert isinstance(error, KINDS[status]), f"{shape} {status}: {error!r}"
                assert error.status == status
                # Of two places where an operation may be, the first one's answer is told.
                elsewhere = error.code == "NO_DATASETS_API" or (status == 404 and case.lacking)
                assert WORDS in error.message or elsewhere
        server.side(error_body="spec")
        for meaning, kind in TOO_MANY.items():
            server.side(too_many=meaning)
            assert isinstance(refused(429), kind), meaning
        server.side(storage_quota="507")
        assert isinstance(refused(413), errors.QuotaExceededError)
    assert not server.counters()["failures"]
