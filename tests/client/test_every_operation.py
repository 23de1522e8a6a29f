"""Every operation of the API called by every method that calls it, with both clients, against the test server.

Requests and answers are held against the specification on both sides of the wire. Then all of it again with the server
on the other side of each contradiction between the vendor's documents: the same must come of it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest
from aionvision_server.fixtures import Server
from aionvision_server.sides import SIDES
from aionvision_server.specification import Specification, default_place
from case_running import blocking, plain, run, unknown, without
from operation_cases import CASES, Case
from operation_cases.made import Made
from wire import complaints, field_names, sent_fields

PLACE: Final = default_place()
SPECIFICATION: Final = Specification.read(PLACE) if PLACE else None
SOAK: Final = os.environ.get("AION_TEST_TIER") == "soak"
OPERATIONS: Final = list(dict.fromkeys(case.operation for case in CASES))

NEVER_SENT: Final = {
    # "Kept for backward compatibility but is no longer used", says the specification.
    "POST /chat/sessions/{session_id}/plans/{plan_id}/action": {"plan_data"},
}
"""Fields of the specification that no method sends."""


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
def test_an_operation_is_asked_and_understood(
    operation: str, sync: bool, aionvision: Server, tmp_path: Path
) -> None:
    sent: set[str] = set()
    for case in CASES:
        if case.operation != operation:
            continue
        outcome = run(aionvision, case, tmp_path, sync=sync)
        assert operation in outcome.called, case
        failed = [r.url for r in outcome.responses if r.status_code >= 400]
        assert len(failed) == len(case.lacking), f"{case}: {failed}"
        assert not list(unknown(outcome.result)), f"{case}: fields that the model does not know"
        aionvision.assert_clean()
        if SPECIFICATION is not None:
            assert not list(complaints(SPECIFICATION, outcome.responses)), case
            sent |= sent_fields(SPECIFICATION, operation, outcome.responses)
    if SPECIFICATION is not None and operation in SPECIFICATION.operations:
        missing = field_names(SPECIFICATION.operations[operation]) - sent
        assert missing == NEVER_SENT.get(operation, set())


ELSEWHERE: Final = {"presigned", "datasets", "presigned_limit"}
"""Sides that a case takes itself, since they say whether an operation is there at all."""

OF_ERRORS: Final = {"error_body", "too_many", "storage_quota"}
"""Sides that only errors show: see test_every_error.py."""

OTHERS: Final = {n: s.values[1:] for n, s in SIDES.items() if n not in ELSEWHERE | OF_ERRORS}

SETS: Final = [
    {name: values[min(number, len(values) - 1)] for name, values in OTHERS.items()}
    for number in range(max(map(len, OTHERS.values())))
]
"""The second values of all contradictions, then the third ones: each value that is not the specification's."""

ALONE: Final = [{name: value} for name, values in OTHERS.items() for value in values]

MEANT: Final = {
    ("color_status", "queued"): ("colors.", {"status"}),
    ("color_score", "lower"): ("colors.", {"match_score"}),
    ("document_score", "null"): ("documents.", {"score", "similarity_score"}),
    ("chunk_fields", "text"): ("documents.", {"metadata"}),
    ("chunk_embeddings", "given"): ("documents.", {"embedding"}),
    ("document_quota", "counts"): (
        "documents.",
        {"requested", "available", "message", "storage_limit_bytes"},
    ),
    ("progress", "polling"): ("uploads.", {"websocket_channel"}),
    ("quota_batch_size", "missing"): ("uploads.", {"max_batch_size", "max_concurrent_uploads"}),
    ("batch_size", "larger"): ("uploads.", {"max_batch_size"}),
    ("cloud_import", "sync"): (
        "cloud_storage.",
        {
            *("job_id", "is_async", "message", "provider", "status"),
            *("created_at", "updated_at", "completed_at"),
        },
    ),
    ("upload_status", "201"): ("usage.", {"status_code"}),
}
"""Below which resource which fields do mean something else on a side; every other one must hold the same."""


def meant(case: Case, sides: Mapping[str, str]) -> set[str]:
    """The fields that a case's result may differ in on these sides."""
    found = (MEANT.get(side, ("", set())) for side in sides.items())
    return {name for owner, names in found if case.method.startswith(owner) for name in names}


REAL: Final = frozenset({"timestamp", "response_time_ms"})
"""What the server takes from the real clock."""


def test_every_side_of_every_contradiction_is_taken() -> None:
    taken = {side for sides in SETS for side in sides.items()}
    taken |= {side for case in CASES for side in case.sides.items()}
    usual = {(name, side.values[0]) for name, side in SIDES.items()}
    every = {(n, value) for n, side in SIDES.items() if n not in OF_ERRORS for value in side.values}
    assert every - taken - usual == set()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_same_comes_of_it_on_the_other_sides(
    case: Case, aionvision: Server, tmp_path: Path
) -> None:
    expected = plain(run(aionvision, case, tmp_path).result)
    for number, sides in enumerate([*SETS, *(ALONE if SOAK else ())]):
        other = run(aionvision, case, tmp_path, sides=sides, sync=bool(number % 2))
        assert case.operation in other.called
        names = REAL | meant(case, sides)
        assert without(plain(other.result), names) == without(expected, names), sides
        aionvision.assert_clean()


@pytest.mark.parametrize("word", SIDES["session_end"].values)
def test_a_session_is_over_by_whatever_word_for_failures(
    word: str, aionvision: Server, tmp_path: Path
) -> None:
    aionvision.side(session_end=word)
    batch = "POST /user-files/upload/stream-batch"
    with blocking(aionvision) as client:
        made = Made(aionvision, client, tmp_path)
        aionvision.fault("failing", batch, about=r"100\.png")
        state = client.uploads.wait_for_session(made.session())
        assert (state.status, state.failed_files) == (word, 1)
        aionvision.fault("reject", batch)
        files, names = made.pictures(7)
        rejected = client.uploads.stream_batch(files, filenames=names)
        assert rejected.status == ("failed" if word == "completed" else "rejected")
        over = client.uploads.wait_for_session(rejected.session_id)
        assert over.status == rejected.status
    aionvision.assert_clean()
