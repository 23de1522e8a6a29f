"""Faults: each does what it says to the wire, and the books say what was done nevertheless."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from .asking import Asker, asking
from .connections import Connection
from .fixtures import Server

UPLOAD = "POST /user-files/upload/stream"
QUOTA = "/uploads/quota-check?file_count=1"


@pytest.mark.parametrize("wait", ["7", "Wed, 21 Oct 2099 07:28:00 GMT", None])
def test_429_names_a_wait_or_none(ask: Asker, wait: str | None) -> None:
    ask.server.fault("rate_limit", retry_after=wait)
    response = ask.http.get(QUOTA)
    assert response.status_code == 429
    assert response.headers.get("retry-after") == wait
    assert response.json()["error"]["code"] == "RATE_LIMIT_ERROR"
    assert ask.http.get(QUOTA).status_code == 200
    assert ask.server.counters()["refused_429"] == {"RATE_LIMIT_ERROR": 1}


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (402, "PAYMENT_REQUIRED"),
        (413, "STORAGE_QUOTA_EXCEEDED"),
        (500, "INTERNAL_ERROR"),
        (502, "BAD_GATEWAY"),
        (503, "SERVICE_UNAVAILABLE"),
        (504, "TIMEOUT"),
        (409, "CONFLICT"),
        (429, "USAGE_LIMIT_EXCEEDED"),
    ],
)
def test_any_status_and_code_can_be_asked_for_and_nothing_is_done(
    ask: Asker, status: int, code: str
) -> None:
    ask.server.fault("status", UPLOAD, status=status, code=code)
    response = ask.upload(1)
    error = response.json()["error"]
    assert (response.status_code, error if isinstance(error, str) else error["code"]) == (
        status,
        code,
    )
    assert ask.server.counters()["remote_objects"] == {}


def test_the_nth_request_of_an_operation_is_hit(ask: Asker) -> None:
    ask.server.fault("status", "GET /uploads/*", nth=3, status=503)
    assert [ask.http.get(QUOTA).status_code for _ in range(5)] == [200, 200, 503, 200, 200]
    ask.server.fault("status", "GET /uploads/*", every=2, status=500)
    assert [ask.http.get(QUOTA).status_code for _ in range(4)] == [200, 500, 200, 500]
    ask.server.clear_faults()
    assert ask.http.get(QUOTA).status_code == 200


def test_chance_has_a_seed(ask: Asker) -> None:
    def statuses() -> list[int]:
        number = ask.server.fault("status", probability=0.3, seed=7, status=503)
        found = [ask.http.get(QUOTA).status_code for _ in range(40)]
        ask.server.clear_faults(number)
        return found

    first = statuses()
    assert statuses() == first
    assert 4 <= first.count(503) <= 20


def test_a_request_about_a_certain_file_is_hit(ask: Asker) -> None:
    ask.server.fault("status", UPLOAD, about="^2.jpg$", status=422, code="BAD_IMAGE")
    assert [ask.upload(n).status_code for n in (1, 2, 3)] == [200, 422, 200]


def test_a_connection_is_reset_before_acceptance(ask: Asker) -> None:
    ask.server.fault("reset_before", UPLOAD)
    with pytest.raises(httpx.ReadError):
        ask.upload(1)
    counted = ask.server.counters()
    assert (counted["remote_objects"], counted["descriptions_billed"]) == ({}, 0)
    assert counted["replies_undelivered"] == 1
    assert counted["undelivered_billed"] == {}


def test_a_connection_is_reset_after_acceptance_and_the_work_is_billed(ask: Asker) -> None:
    ask.server.fault("reset_after", UPLOAD)
    with pytest.raises(httpx.ReadError):
        ask.upload(1)
    counted = ask.server.counters()
    assert (counted["remote_objects"], counted["descriptions_billed"]) == ({"image": 1}, 1)
    assert counted["undelivered_billed"] == {"descriptions": 1}
    assert ask.upload(1, skip_duplicates="true").json()["skipped"] is True


def test_a_gateway_fails_on_the_way_back(ask: Asker) -> None:
    ask.server.fault("lost", UPLOAD, status=502)
    assert ask.upload(1).status_code == 502
    ask.server.fault("html", UPLOAD, status=504, accepted=True)
    assert ask.upload(2).status_code == 504
    assert ask.server.counters()["remote_objects"] == {"image": 2}


def test_an_html_page_comes_instead_of_json(ask: Asker) -> None:
    ask.server.fault("html", status=503)
    response = ask.http.get(QUOTA)
    assert response.status_code == 503
    assert response.headers["content-type"].startswith("text/html")
    assert "<html>" in response.text


def test_json_is_cut_short_with_and_without_a_true_length(ask: Asker) -> None:
    ask.server.fault("truncate")
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        ask.http.get(QUOTA).json()
    ask.server.fault("cut")
    with pytest.raises(httpx.RemoteProtocolError):
        ask.http.get(QUOTA)
    assert ask.http.get(QUOTA).status_code == 200


def test_types_are_wrong(ask: Asker) -> None:
    ask.server.fault("wrong_types")
    told = ask.http.get(QUOTA).json()
    assert told["can_proceed"] == {"unexpected": True}
    assert told["requested"] == "1 or so"


def test_bodies_come_slowly_and_answers_late(ask: Asker) -> None:
    ask.server.fault("slow", seconds=0.2)
    ask.server.fault("delay", seconds=0.2, nth=2)
    begun = time.monotonic()
    assert ask.http.get(QUOTA).json()["requested"] == 1
    assert ask.http.get(QUOTA).json()["requested"] == 1
    assert time.monotonic() - begun > 0.3


def test_processing_sticks(ask: Asker) -> None:
    ask.server.fault("stuck", "POST /user-files/upload/stream-batch")
    session = ask.upload_many(*range(6)).json()["session_id"]
    ask.server.clock(advance=3600)
    path = f"/uploads/sessions/{session}/status"
    assert {ask.get(path)["status"] for _ in range(5)} == {"processing"}


def test_a_session_is_gone_when_it_is_asked_for(ask: Asker) -> None:
    ask.server.fault("expire", "POST /user-files/upload/stream-batch")
    session = ask.upload_many(*range(6)).json()["session_id"]
    assert ask.get(f"/uploads/sessions/{session}/status")["status"] == "expired"
    ask.refused(404, "GET", f"/uploads/sessions/{session}/results")


def test_a_file_of_a_batch_is_rejected(ask: Asker) -> None:
    ask.server.fault("reject", about="3.jpg", message="too blurred", retryable=True)
    answer = ask.upload_many(1, 2, 3).json()
    assert answer["rejections"] == [
        {"filename": "3.jpg", "index": 2, "reason": "too blurred", "retryable": True}
    ]


def test_faults_within_go_together_with_others(ask: Asker) -> None:
    ask.server.fault("failing", UPLOAD, about="1.jpg", retryable=False, message="BAD: no")
    ask.server.fault("reset_after", UPLOAD)
    with pytest.raises(httpx.ReadError):
        ask.upload(1)
    assert ask.server.counters()["descriptions_billed"] == 0


def test_a_redirect_leads_to_a_host_that_notes_keys(ask: Asker) -> None:
    ask.server.fault("redirect", times=2)
    response = ask.http.get(QUOTA)
    assert response.status_code == 307
    place = response.headers["location"]
    assert place.startswith(ask.server.foreign_url)
    httpx.get(place, trust_env=False)
    assert ask.server.counters()["keys_seen_elsewhere"] == []
    httpx.get(place, headers={"Authorization": f"Bearer {ask.server.key}"}, trust_env=False)
    httpx.get(f"{place}?key={ask.server.key}", trust_env=False)
    assert len(ask.server.counters()["keys_seen_elsewhere"]) == 2
    with pytest.raises(AssertionError, match="keys_seen_elsewhere"):
        ask.server.assert_clean()


def test_replies_wait_until_they_are_let_go(ask: Asker) -> None:
    ask.server.hold(UPLOAD)
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(ask.upload, 1)
        (held,) = ask.server.wait_held()
        assert held["accepted"] is True
        assert held["subjects"][0] == "1.jpg"
        assert ask.server.counters()["descriptions_billed"] == 1
        assert not answer.done()
        assert ask.server.release() == 1
        assert answer.result().status_code == 200


def test_requests_wait_before_anything_is_done_and_are_refused_then(ask: Asker) -> None:
    ask.server.hold(UPLOAD, accepted=False)
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(ask.upload, 1)
        ask.server.wait_held()
        assert ask.server.counters()["remote_objects"] == {}
        ask.server.release()
        assert answer.result().status_code == 503


def test_held_replies_can_be_broken_off(ask: Asker) -> None:
    ask.server.hold(UPLOAD, times=2)

    def broken(number: int) -> bool:
        try:
            ask.upload(number)
        except httpx.ReadError:
            return True
        return False

    with ThreadPoolExecutor(2) as threads:
        answers = [threads.submit(broken, n) for n in (1, 2)]
        assert len(ask.server.wait_held(2)) == 2
        ask.server.release("reset")
        assert all(a.result() for a in answers)
    assert ask.server.counters()["replies_undelivered"] == 2


def test_waiting_for_a_request_that_never_comes_ends(ask: Asker) -> None:
    ask.server.hold(UPLOAD)
    with pytest.raises(TimeoutError):
        ask.server.wait_held(timeout=0.05)


_CHILD = """
import sys, httpx
url, key, wait = sys.argv[1:]
c = httpx.Client(base_url=url, headers={"Authorization": "Bearer " + key}, trust_env=False)
if wait == "read":
    print(c.get("/uploads/quota-check?file_count=1").status_code, flush=True)
    sys.stdin.read()
elif wait == "unread":
    with c.stream("GET", "/user-files?limit=100") as response:
        print(response.status_code, flush=True)
        sys.stdin.read()
else:
    c.post("/user-files/upload/stream", files={"file": ("a.jpg", b"\\xff\\xd8\\xff" + b"x" * 100, "image/jpeg")})
"""


def _child(server: Server, how: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", _CHILD, server.url, server.key, how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def _killed(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()


def _until_undelivered(server: Server, count: int) -> int:
    """The server notices within moments; asked until it has, or for two seconds."""
    for _ in range(200):
        found = int(server.counters()["replies_undelivered"])
        if found >= count:
            break
        threading.Event().wait(0.01)
    return found


def test_a_client_that_is_killed_while_its_reply_waits_never_gets_it(ask: Asker) -> None:
    ask.server.hold(UPLOAD)
    child = _child(ask.server, "post")
    ask.server.wait_held()
    _killed(child)
    assert _until_undelivered(ask.server, 1) == 1
    assert ask.server.counters()["undelivered_billed"] == {"descriptions": 1}
    assert ask.server.release() == 0


def test_a_reply_that_lay_unread_when_its_client_was_killed_counts_as_undelivered(
    ask: Asker,
) -> None:
    for number in range(0, 100, 50):
        ask.upload_many(*range(number, number + 50))
    # More than a client takes from its socket at once.
    assert len(ask.http.get("/user-files?limit=100").content) > 80_000
    child = _child(ask.server, "unread")
    assert child.stdout is not None
    child.stdout.readline()
    _killed(child)
    assert _until_undelivered(ask.server, 1) == 1


def test_a_reply_that_was_read_counts_as_delivered(ask: Asker) -> None:
    child = _child(ask.server, "read")
    assert child.stdout is not None
    assert child.stdout.readline() == b"200\n"
    _killed(child)
    # Whatever ended with the child has been noticed once a later connection's end has.
    ask.server.fault("reset_after", UPLOAD)
    with pytest.raises(httpx.ReadError):
        ask.upload(1)
    assert _until_undelivered(ask.server, 1) == 1


def test_a_connection_that_has_gone_by_itself_needs_no_breaking() -> None:
    async def broken_late() -> bool:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            _, writer = await asyncio.open_connection(*listening.getsockname())
            connection = Connection(writer.transport)
            writer.transport.abort()
            while writer.transport.get_extra_info("socket").fileno() >= 0:
                await asyncio.sleep(0)
            connection.reset()
            return bool(writer.transport.is_closing())

    assert asyncio.run(broken_late())


def test_a_request_that_breaks_off_is_not_accepted(ask: Asker) -> None:
    def body() -> object:
        yield b"--x\r\nContent-Disposition: form-data; name=file; filename=a.jpg\r\n\r\n\xff\xd8\xff"
        raise InterruptedError

    with pytest.raises(InterruptedError):
        ask.http.post(
            "/user-files/upload/stream",
            content=body(),  # type: ignore[arg-type]
            headers={"Content-Type": "multipart/form-data; boundary=x"},
        )
    with asking(ask.server) as another:
        another.upload(2)
    counted = ask.server.counters()
    assert counted["remote_objects"] == {"image": 1}
    assert counted["violations"] == []


def test_the_log_tells_arrival_acceptance_and_answer_of_each_request(ask: Asker) -> None:
    before = time.time()
    ask.upload(1)
    (entry,) = ask.server.log("upload/stream")
    assert before <= entry["arrived"] <= entry["accepted"] <= entry["answered"] <= time.time()
    assert len(entry["hashes"]) == 1
    assert entry["billed"] == {"descriptions": 1}
    assert (entry["status"], entry["delivered"]) == (200, True)
    assert ask.server.log(since=entry["number"]) == []


def test_a_fault_that_there_is_not_is_refused(aionvision: Server) -> None:
    with pytest.raises(ValueError, match="no fault 'earthquake'; there are"):
        aionvision.fault("earthquake")
