"""Descriptions by an OpenAI-compatible endpoint: asked over real HTTP, paced, retried, and never trusted."""

from __future__ import annotations

import io
import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from vision_server import GOOD, Reply, Request, refuses, says, vision_server

from aion_dagster import schemas
from aion_dagster.backends.endpoint import EndpointDescriber
from aion_dagster.backends.endpoint_answers import AnswerError, read_answer
from aion_dagster.backends.pacing import LONGEST_WAIT, backoff, retry_after
from aion_dagster.backends.protocol import DescribeRequest
from aion_dagster.engines import EndpointConfig
from aion_dagster.errors import ConfigError, UnavailableError
from aion_dagster.storage.call_records import Cap
from aion_dagster.storage.ledger_calls import PaidCalls
from aion_dagster.storage.ledger_database import Database
from aion_dagster.storage.ledger_spending import spending

KEY = "sk-very-secret-0123456789"
Answer = Callable[[Request, int], Reply]


def jpeg(seed: int, size: tuple[int, int] = (640, 480)) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1] // 16, size[0] // 16, 3))
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).resize(size).save(buffer, "JPEG")
    return buffer.getvalue()


def request_for(count: int, *, broken: int = 0) -> DescribeRequest:
    """Pictures 0 … count − 1, the first `broken` of them unreadable."""
    rows = [
        {
            "image_id": f"image-{i}",
            "sha256": f"{i:064x}",
            "status": "unreadable" if i < broken else "ok",
            "error": "cut off" if i < broken else None,
        }
        for i in range(count)
    ]
    pictures = {f"image-{i}": jpeg(i) for i in range(broken, count)}

    def variants(ids: Sequence[str]) -> Mapping[str, bytes]:
        return {i: pictures[i] for i in ids}

    images = pa.Table.from_pylist(rows, schema=schemas.IMAGES)
    empty = schemas.COLOR_ANALYSES.empty_table(), schemas.VISUAL_FEATURES.empty_table()
    return DescribeRequest(images, *empty, None, None, variants=variants)


def described(
    answer: Answer, count: int = 1, *, broken: int = 0, **config: Any
) -> tuple[list[dict[str, Any]], list[Request]]:
    with vision_server(answer) as server:
        settings = EndpointConfig(base_url=server.url, model="tiny-vl", **config)
        table = EndpointDescriber(settings).describe(request_for(count, broken=broken))
    assert table.schema == schemas.DESCRIPTIONS
    return table.to_pylist(), server.requests


def test_every_picture_has_a_row_in_order_and_says_who_described_it() -> None:
    def answer(request: Request, _number: int) -> Reply:
        color = np.asarray(Image.open(io.BytesIO(request.picture))).mean()
        return says({**GOOD, "title": f"Brightness {color:.3f}"})

    rows, requests = described(answer, 9, broken=2)
    assert [r["image_id"] for r in rows] == [f"image-{i}" for i in range(9)]
    assert [r["description_status"] for r in rows] == ["failed"] * 2 + ["completed"] * 7
    assert rows[0]["description_error"] == "unreadable: cut off"
    assert len(requests) == 7
    for i, row in enumerate(rows[2:], start=2):
        mean = np.asarray(Image.open(io.BytesIO(jpeg(i)))).mean()
        assert row["title"] == f"Brightness {mean:.3f}"
        assert row["tags"] == ["lighthouse", "sea", "cliff"]
        assert row["visible_text"] == ""
        assert row["confidence_score"] is None
        assert row["provider"] == "openai_compatible"
        assert row["model"].startswith("tiny-vl@127.0.0.1-")
        assert row["remote_id"] == "call-1"


def test_the_picture_is_sent_no_larger_than_configured() -> None:
    _, (request,) = described(lambda *_: says(GOOD), longest_side=200)
    assert Image.open(io.BytesIO(request.picture)).size == (200, 150)


def test_no_more_are_asked_at_once_than_configured() -> None:
    together = threading.Barrier(3)

    def answer(_request: Request, number: int) -> Reply:
        if number < 3:
            together.wait(timeout=10)  # only passes when three are here at once
        return says(GOOD)

    with vision_server(answer) as server:
        settings = EndpointConfig(base_url=server.url, model="m", parallel=3)
        EndpointDescriber(settings).describe(request_for(12))
        assert server.at_once == 3


def test_certificates_are_read_once_for_all_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    described(lambda *_: says(GOOD))
    read: list[object] = []
    certificates = ssl.create_default_context

    def reading(*arguments: Any, **more: Any) -> ssl.SSLContext:
        read.append(arguments)
        return certificates(*arguments, **more)

    monkeypatch.setattr(ssl, "create_default_context", reading)
    for _ in range(3):
        described(lambda *_: says(GOOD))
    assert read == []


def test_a_server_that_knows_no_schema_is_asked_otherwise_and_only_once() -> None:
    def answer(request: Request, _number: int) -> Reply:
        return refuses(400, "unknown response_format") if request.format else says(GOOD)

    rows, requests = described(answer, 3, parallel=1)
    assert {r["description_status"] for r in rows} == {"completed"}
    assert [r.format for r in requests] == ["json_schema", "json_object", None, None, None]


def test_a_fenced_answer_is_read() -> None:
    rows, _ = described(lambda *_: says(f"```json\n{json.dumps(GOOD)}\n```"))
    assert rows[0]["title"] == "A lighthouse"


@pytest.mark.parametrize(
    "reply",
    [
        says("I see a lighthouse."),
        says({"title": "x"}),
        says({**GOOD, "tags": "sea"}),
        says("[" * 100_000),
        Reply(body={"choices": []}),
        Reply(body=b"<html>"),
        Reply(body=b"x" * (2**20 + 1)),
    ],
    ids=["prose", "incomplete", "wrong type", "nested", "empty", "html", "huge"],
)
def test_an_answer_that_is_no_description_is_asked_for_once_more_and_then_a_failed_row(
    reply: Reply,
) -> None:
    rows, requests = described(lambda *_: reply)
    assert len(requests) == 2
    assert rows[0]["description_status"] == "failed"
    assert rows[0]["description_error_type"] == "invalid_response"
    assert rows[0]["description_is_retryable"]
    assert rows[0]["title"] is None


def test_a_cut_off_answer_says_what_to_raise() -> None:
    rows, _ = described(lambda *_: says('{"title": "A li', finish_reason="length"))
    assert "max_output_tokens" in rows[0]["description_error"]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again_after_the_time_it_names(status: int) -> None:
    def answer(_request: Request, number: int) -> Reply:
        return refuses(status, **{"Retry-After": "0.05"}) if number < 2 else says(GOOD)

    rows, requests = described(answer)
    assert rows[0]["description_status"] == "completed"
    assert len(requests) == 3


def test_a_server_that_stays_busy_leaves_rows_to_be_tried_another_time() -> None:
    rows, requests = described(
        lambda *_: refuses(429, **{"Retry-After": "0"}), attempts=3, parallel=1
    )
    assert len(requests) == 3
    assert rows[0]["description_error_type"] == "rate_limited"
    assert rows[0]["description_is_retryable"]


def test_a_picture_that_is_refused_fails_alone() -> None:
    def answer(_request: Request, number: int) -> Reply:
        return refuses(413, "image too large") if number == 1 else says(GOOD)

    rows, requests = described(answer, 3, parallel=1)
    assert [r["description_status"] for r in rows] == ["completed", "failed", "completed"]
    assert "image too large" in rows[1]["description_error"]
    assert rows[1]["description_is_retryable"] is False
    assert len(requests) == 3


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refused_key_or_model_ends_the_step_at_once(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISION_KEY", KEY)
    reply = refuses(status, f"bad key {KEY}")
    with pytest.raises(UnavailableError) as caught:
        described(lambda *_: reply, 5, parallel=1, api_key_env="VISION_KEY")
    assert "127.0.0.1" in str(caught.value)
    assert KEY not in str(caught.value)


def test_the_key_goes_to_the_server_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISION_KEY", KEY)
    rows, (request,) = described(lambda *_: refuses(418, KEY), api_key_env="VISION_KEY")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in json.dumps(rows, default=str)
    settings = EndpointConfig(base_url="http://localhost/v1", model="m", api_key_env="VISION_KEY")
    assert KEY not in repr(EndpointDescriber(settings))


def test_a_key_that_a_server_sends_back_in_a_good_answer_is_masked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("VISION_KEY", KEY)
    said = {**GOOD, "description": f"A picture sent with {KEY}.", "tags": [KEY]}
    ((row,), _) = described(lambda *_: says(said), api_key_env="VISION_KEY")
    assert row["description_status"] == "completed"
    assert row["description"] == "A picture sent with …."
    assert KEY not in json.dumps(row, default=str)


def test_a_key_that_is_not_set_is_named() -> None:
    with pytest.raises(ConfigError, match="NO_SUCH_VARIABLE"):
        described(lambda *_: says(GOOD), api_key_env="NO_SUCH_VARIABLE")


def test_an_endpoint_that_is_not_there_is_unavailable() -> None:
    with vision_server(lambda *_: says(GOOD)) as server:
        gone = server.url
    settings = EndpointConfig(base_url=gone, model="m", attempts=1)
    for pictures in (1, 8):
        with pytest.raises(UnavailableError, match="cannot be reached") as caught:
            EndpointDescriber(settings).describe(request_for(pictures))
        assert gone in str(caught.value)
        assert "endpoint.base_url" in str(caught.value)


def test_an_endpoint_that_is_not_there_leaves_the_budget_whole(database: Database) -> None:
    with vision_server(lambda *_: says(GOOD)) as server:
        gone = server.url
    for pictures in (1, 8):
        calls = PaidCalls(database, run="one", caps=[Cap("library", calls=8)])
        with pytest.raises(UnavailableError):
            describe_with(calls, gone, pictures, attempts=2)
        assert calls.tally.calls == sum(spent.calls for spent in spending(database)) == 0


def test_proxies_of_the_environment_are_used_for_what_they_are_named_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)

    def status(url: str) -> str:
        settings = EndpointConfig(base_url=url, model="m", attempts=1, parallel=2)
        (row,) = EndpointDescriber(settings).describe(request_for(1)).to_pylist()
        return str(row["description_status"])

    outside = "http://vision.example/v1"
    with (
        vision_server(lambda *_: says(GOOD)) as proxy,
        vision_server(lambda *_: says(GOOD), host="127.0.0.2") as inside,
        vision_server(lambda *_: says(GOOD)) as loopback,
    ):
        monkeypatch.setenv("HTTP_PROXY", proxy.url.removesuffix("/v1"))
        monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.2")
        assert {status(url) for url in (outside, inside.url, loopback.url)} == {"completed"}
        assert [request.path for request in proxy.requests] == [f"{outside}/chat/completions"]
        monkeypatch.delenv("HTTP_PROXY")
        monkeypatch.setenv("ALL_PROXY", proxy.url.removesuffix("/v1"))
        monkeypatch.delenv("NO_PROXY")
        assert status(inside.url) == "completed"
        assert len(proxy.requests) == 2
    assert (len(inside.requests), len(loopback.requests)) == (1, 1)


def test_redirects_are_not_followed() -> None:
    rows, requests = described(
        lambda *_: Reply(307, {}, {"Location": "http://127.0.0.1:9/elsewhere"})
    )
    assert len(requests) == 1
    assert rows[0]["description_status"] == "failed"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield opened
    opened.close()


def describe_with(calls: PaidCalls, url: str, count: int, **settings: Any) -> list[dict[str, Any]]:
    config = EndpointConfig(base_url=url, model="m", **{"parallel": 1, **settings})
    return EndpointDescriber(config, calls=calls).describe(request_for(count)).to_pylist()


def test_repetitions_that_may_be_paid_are_counted_and_refusals_are_not(database: Database) -> None:
    def answer(_request: Request, number: int) -> Reply:
        return [
            refuses(503, **{"Retry-After": "0"}),
            refuses(429, **{"Retry-After": "0"}),
            says(GOOD),
            refuses(413),
        ][number]

    with vision_server(answer) as server:
        describe_with(PaidCalls(database, run="one"), server.url, 2)
    (spent,) = spending(database)
    # 503, and the repetition that 429 put off; 413.
    assert (spent.calls, spent.settled, spent.failed) == (3, 1, 1)


@pytest.mark.parametrize("status", [401, 403, 404])
@pytest.mark.parametrize("parallel", [1, 4])
def test_a_refused_key_leaves_the_budget_whole(
    status: int, parallel: int, database: Database
) -> None:
    def answer(_request: Request, number: int) -> Reply:
        return refuses(status) if number < 12 else says(GOOD)

    caps = [Cap("library", calls=2)]
    with vision_server(answer) as server:
        for run in ("one", "two", "three"):
            calls = PaidCalls(database, run=run, caps=caps)
            with pytest.raises(UnavailableError):
                describe_with(calls, server.url, 5, parallel=parallel)
            assert calls.tally.calls == 0
        assert sum(spent.calls for spent in spending(database)) == 0
        server.requests.extend(server.requests[:1] * 12)
        rows = describe_with(PaidCalls(database, run="four", caps=caps), server.url, 5)
    assert [row["description_status"] for row in rows].count("completed") == 2


def test_a_key_that_is_refused_after_a_failure_gives_back_one_call_of_two(
    database: Database,
) -> None:
    replies = [refuses(503, **{"Retry-After": "0"}), refuses(401)]
    with vision_server(lambda _request, number: replies[number]) as server:
        calls = PaidCalls(database, run="one")
        with pytest.raises(UnavailableError, match="refuses the key"):
            describe_with(calls, server.url, 1)
    (spent,) = spending(database)
    assert (spent.calls, calls.tally.calls) == (1, 1)


def test_answers_that_are_under_way_when_the_key_is_refused_are_kept(database: Database) -> None:
    asked = threading.Barrier(2)

    def answer(_request: Request, number: int) -> Reply:
        if number < 2:
            asked.wait(10)
        return says(GOOD) if number != 1 else refuses(401)

    with vision_server(answer) as server:
        with pytest.raises(UnavailableError, match="refuses the key"):
            describe_with(PaidCalls(database, run="one"), server.url, 6, parallel=2)
        (spent,) = spending(database)
        assert spent.calls == spent.settled == len(server.requests) - 1
        rows = describe_with(PaidCalls(database, run="two"), server.url, 6)
    assert {row["description_status"] for row in rows} == {"completed"}
    assert len(server.requests) == 7


def test_what_was_answered_once_is_not_asked_again(database: Database) -> None:
    with vision_server(lambda *_: says(GOOD)) as server:
        first = describe_with(PaidCalls(database, run="one"), server.url, 3)
        again = describe_with(PaidCalls(database, run="two"), server.url, 3)
        other = describe_with(PaidCalls(database, run="three"), server.url, 3, longest_side=512)
        assert len(server.requests) == 6
    assert again == first
    assert [row["description"] for row in other] == [row["description"] for row in first]


def test_only_what_may_pass_is_asked_again(database: Database) -> None:
    def answer(_request: Request, number: int) -> Reply:
        return [refuses(413), refuses(503), says(GOOD), says(GOOD)][number]

    with vision_server(answer) as server:
        first = describe_with(PaidCalls(database, run="one"), server.url, 3, attempts=1)
        again = describe_with(PaidCalls(database, run="two"), server.url, 3, attempts=1)
        assert len(server.requests) == 4
    retryable = [row["description_is_retryable"] for row in first]
    assert retryable == [False, True, None]
    assert [row["description_status"] for row in again] == ["failed", "completed", "completed"]
    assert again[0]["description_error"] == first[0]["description_error"]


def test_at_a_spent_budget_the_finished_stays_and_a_raised_one_continues(
    database: Database,
) -> None:
    with vision_server(lambda *_: says(GOOD)) as server:
        capped = PaidCalls(database, run="one", caps=[Cap("library", calls=2)])
        rows = describe_with(capped, server.url, 5)
        assert [row["description_status"] for row in rows].count("completed") == 2
        (reason,) = {r["description_error"] for r in rows if r["description_status"] == "failed"}
        assert "budget of 2 calls for this library" in reason
        assert {r["description_is_retryable"] for r in rows if r["description_error"]} == {True}
        raised = PaidCalls(database, run="one", caps=[Cap("library", calls=4)])
        rows = describe_with(raised, server.url, 5)
        assert [row["description_status"] for row in rows].count("completed") == 4
        assert len(server.requests) == 4


def test_tokens_that_the_server_names_are_kept(database: Database) -> None:
    def answer(_request: Request, _number: int) -> Reply:
        reply = says(GOOD)
        usage = {"prompt_tokens": 900, "completion_tokens": 70}
        return replace(reply, body={**reply.body, "usage": usage})

    with vision_server(answer) as server:
        describe_with(PaidCalls(database, run="one"), server.url, 2)
    (spent,) = spending(database)
    assert (spent.input_tokens, spent.output_tokens) == (1800, 140)
    assert spent.p50_ms is not None


@given(st.text())
def test_whatever_a_model_says_is_a_clean_answer_or_an_error(text: str) -> None:
    for content in (
        text,
        json.dumps({**GOOD, "title": text, "tags": [text], "visible_text": text}),
    ):
        try:
            answer = read_answer(content)
        except AnswerError:
            continue
        assert answer.title
        assert answer.title.isprintable()
        assert all(tag == tag.lower() and len(tag) <= 60 for tag in answer.tags)


@given(st.text() | st.floats().map(str) | st.datetimes().map(str))
def test_a_server_may_name_any_time_and_is_not_waited_for_for_ever(value: str) -> None:
    seconds = retry_after({"retry-after": value})
    assert seconds is None or 0 <= seconds <= LONGEST_WAIT


@given(st.integers(0, 60))
def test_waits_grow_and_end(attempt: int) -> None:
    assert 0.1 <= backoff(attempt) <= 30
