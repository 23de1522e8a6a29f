"""The low-level upload methods over real HTTP: what they send, how often, and what it costs."""

from __future__ import annotations

import asyncio
import hashlib
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aionvision_server.fixtures import Server
from loopback_api import LoopbackApi, Reply, awaited_client, blocking_client, loopback_api

from aion_dagster.client import SyncAionVision, errors
from aion_dagster.client.models.uploads import ItemStatus
from aion_dagster.client.resources.uploads import SyncUploadResource, UploadResource

ONE = "POST /user-files/upload/stream"
BATCH = "POST /user-files/upload/stream-batch"
JPEG = b"\xff\xd8\xff\xe0" + b"x" * 1000
LOST = Reply(b"", promised=100)
BUSY = Reply({"error": {"code": "UNAVAILABLE", "message": "busy"}}, 503)
TAKEN = {"image_id": "i", "object_key": "k", "status": "completed"}


@pytest.fixture
def server() -> Iterator[LoopbackApi]:
    with loopback_api() as running:
        yield running


@pytest.fixture
def uploads(server: LoopbackApi) -> Iterator[SyncUploadResource]:
    with blocking_client(server) as client:
        yield SyncUploadResource(UploadResource(client.transport))


def fields(body: bytes) -> dict[str, str]:
    """The plain fields of a multipart form."""
    parts = body.split(body.split(b"\r\n", 1)[0])[1:-1]
    split = [part.strip(b"\r\n").split(b"\r\n\r\n", 1) for part in parts]
    return {
        head.split(b'name="')[1].split(b'"')[0].decode(): content.decode()
        for head, content in split
        if b"filename=" not in head
    }


def test_a_form_holds_what_was_given_and_nothing_else(
    server: LoopbackApi, uploads: SyncUploadResource
) -> None:
    server.on(ONE, TAKEN)
    uploads.stream(JPEG, filename='a "b".jpg')
    uploads.stream(
        JPEG,
        filename="é.jpg",
        title="T",
        tags=["a", "b c"],
        auto_describe=False,
        skip_duplicates=True,
        storage_target="custom",
        intent="verify",
        verification_level="high",
    )
    plain, full = (asked.body for asked in server.asked(ONE))
    assert fields(plain) == {
        "auto_describe": "true", "skip_duplicates": "false", "storage_target": "default",
    }  # fmt: skip
    assert fields(full) == {
        "title": "T", "tags": "a,b c", "auto_describe": "false", "skip_duplicates": "true",
        "storage_target": "custom", "intent": "verify", "verification_level": "high",
    }  # fmt: skip
    assert b'filename="a %22b%22.jpg"\r\nContent-Type: image/jpeg\r\n\r\n' + JPEG in plain
    assert 'filename="é.jpg"'.encode() in full


def test_an_answer_with_201_and_a_skipped_file(
    server: LoopbackApi, uploads: SyncUploadResource
) -> None:
    answer = TAKEN | {"status": "skipped", "skipped": True, "skipped_existing_image_id": "old"}
    server.on(ONE, Reply(answer, 201))
    result = uploads.stream(JPEG, filename="a.jpg", skip_duplicates=True)
    assert (result.status, result.skipped, result.stored_id) == (ItemStatus.SKIPPED, True, "old")


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("title", {"title": "t" * 256}),
        ("tags", {"tags": ["t"] * 41}),
        ("tags", {"tags": ["t" * 51]}),
        ("tags", {"tags": ["a,b"]}),
        ("tags", {"tags": "safety"}),
        ("file", {"file": b""}),
        ("filename", {"filename": None}),
    ],
)
def test_limits_are_checked_before_sending(
    server: LoopbackApi, uploads: SyncUploadResource, field: str, given: dict[str, Any]
) -> None:
    with pytest.raises(errors.ValidationError) as caught:
        uploads.stream(**({"file": JPEG, "filename": "a.jpg"} | given))
    assert caught.value.details["field"] == field
    assert server.requests == []


@pytest.mark.parametrize("failure", [BUSY, LOST])
def test_every_try_sends_the_whole_file_again(
    server: LoopbackApi, uploads: SyncUploadResource, tmp_path: Path, failure: Reply
) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(JPEG)
    server.on(ONE, [failure, failure, TAKEN])
    told: list[tuple[int, int]] = []
    with path.open("rb") as opened:
        for file in (path, opened):
            server.on(ONE, [failure, failure, TAKEN])
            uploads.stream(file, skip_duplicates=True, on_progress=lambda *sent: told.append(sent))
    tries = server.asked(ONE)
    assert len(tries) == 6
    assert all(JPEG in asked.body for asked in tries)
    assert told == [(len(JPEG), len(JPEG))] * 6


def test_a_lost_answer_is_tried_again_only_where_nothing_is_stored_twice(
    server: LoopbackApi, uploads: SyncUploadResource
) -> None:
    server.on(ONE, [LOST, TAKEN])
    with pytest.raises(errors.AionvisionConnectionError):
        uploads.stream(JPEG, filename="a.jpg")
    assert len(server.asked(ONE)) == 1
    server.on(BATCH, [LOST, {"session_id": "s"}])
    with pytest.raises(errors.AionvisionConnectionError):
        uploads.stream_batch([JPEG], filenames=["a.jpg"])
    server.on(BATCH, [LOST, {"session_id": "s"}])
    found = uploads.stream_batch([JPEG], filenames=["a.jpg"], skip_duplicates=True)
    assert found.session_id == "s"
    assert found.immediate_results is None


def test_progress_counts_over_all_files_of_a_batch(
    server: LoopbackApi, uploads: SyncUploadResource
) -> None:
    server.on(BATCH, {"session_id": "s"})
    told: list[tuple[int, int]] = []
    large = b"\x89PNG\r\n" + bytes(200_000)
    uploads.stream_batch(
        [JPEG, large], filenames=["a.jpg", "b.png"], on_progress=lambda *sent: told.append(sent)
    )
    total = len(JPEG) + len(large)
    assert [sent for sent, _ in told] == sorted({sent for sent, _ in told})
    assert told[0] == (len(JPEG), total)
    assert told[-1] == (total, total)
    body = server.asked(BATCH)[0].body
    assert body.count(b'name="files"; filename=') == 2


def test_a_file_that_goes_away_between_two_tries_is_named(
    server: LoopbackApi, uploads: SyncUploadResource, tmp_path: Path
) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(JPEG)

    def answer(_: object) -> Reply:
        path.unlink(missing_ok=True)
        return BUSY

    server.on(ONE, answer)
    with pytest.raises(errors.ValidationError, match=r"a\.jpg: No such file"):
        uploads.stream(path)


def test_hashes_are_asked_for_250_at_a_time(
    server: LoopbackApi, uploads: SyncUploadResource
) -> None:
    hashes = [hashlib.sha256(bytes([n % 256, n // 256])).hexdigest() for n in range(600)]
    known = set(hashes[::7])

    def answer(asked: Any) -> dict[str, list[str]]:
        given = asked.json["hashes"]
        return {
            "duplicates": [h for h in given if h in known],
            "unique": [h for h in given if h not in known],
        }

    server.on("POST /uploads/check-duplicates", answer)
    result = uploads.check_duplicates([h.upper() for h in hashes] + hashes)
    assert set(result.duplicates) == known
    assert len(result.unique) == 600 - len(known)
    sizes = [len(asked.json["hashes"]) for asked in server.asked("POST /uploads/check-duplicates")]
    assert sizes == [250, 250, 100]
    assert uploads.check_duplicates([]).duplicates == []


@pytest.mark.parametrize("hashes", [["abc"], ["g" * 64], "a" * 64])
def test_what_is_no_hash_is_refused(
    server: LoopbackApi, uploads: SyncUploadResource, hashes: Any
) -> None:
    with pytest.raises(errors.ValidationError) as caught:
        uploads.check_duplicates(hashes)
    assert caught.value.details == {"field": "hashes"}
    assert server.requests == []


@pytest.mark.parametrize(
    "end", ["completed", "failed", "expired", "cancelled", "partial", "rejected", "partially_completed"]
)  # fmt: skip
def test_a_session_is_awaited_until_any_end_that_a_source_names(
    server: LoopbackApi, uploads: SyncUploadResource, end: str
) -> None:
    states = ["pending", "uploading", "processing", "thinking", end]
    server.on(
        "GET /uploads/sessions/{session_id}/status",
        [{"session_id": "s", "status": state} for state in states],
    )
    seen: list[str] = []
    status = uploads.wait_for_session("s", on_progress=lambda s: seen.append(str(s.status)))
    assert status.status == end
    assert seen == states


def test_a_session_in_an_unknown_state_is_given_up_at_the_time_limit(
    server: LoopbackApi, uploads: SyncUploadResource
) -> None:
    server.on(
        "GET /uploads/sessions/{session_id}/status", {"session_id": "s", "status": "thinking"}
    )
    with pytest.raises(errors.AionvisionTimeoutError) as caught:
        uploads.wait_for_session("s", timeout=0.01)
    assert caught.value.last_result.status == "thinking"


def test_results_are_read_until_an_empty_page_whatever_has_more_says(
    server: LoopbackApi, uploads: SyncUploadResource
) -> None:
    items = [{"image_id": str(n), "filename": f"{n}.jpg", "status": "success"} for n in range(25)]

    def answer(asked: Any) -> dict[str, Any]:
        offset, limit = (int(asked.query[k][0]) for k in ("offset", "limit"))
        # Fewer than asked for, and has_more is wrong.
        return {"session_id": "s", "results": items[offset:][: min(limit, 7)], "has_more": False}

    server.on("GET /uploads/sessions/{session_id}/results", answer)
    found = list(uploads.iter_session_results("s", page_size=10))
    assert [item.image_id for item in found] == [str(n) for n in range(25)]
    assert {item.status for item in found} == {ItemStatus.COMPLETED}
    with pytest.raises(errors.ValidationError, match="limit"):
        uploads.get_session_results("s", limit=501)


def test_descriptions_are_asked_for_by_pages_of_ids_and_only_as_long_as_they_are_awaited(
    server: LoopbackApi, uploads: SyncUploadResource
) -> None:
    looks: dict[str, int] = {}

    def answer(asked: Any) -> dict[str, Any]:
        assert len(asked.query["ids"]) <= 100
        files = []
        for image_id in asked.query["ids"]:
            looks[image_id] = looks.get(image_id, 0) + 1
            over = looks[image_id] > int(image_id) % 3
            files.append(
                {"id": image_id, "size_bytes": 1, "upload_description": "d" if over else None}
            )
        return {"files": files, "total_count": len(files), "has_more": False}

    server.on("GET /user-files", answer)
    ids = [str(n) for n in range(250)]
    complete: list[str] = []
    states = uploads.wait_for_descriptions(ids, on_complete=lambda s: complete.append(s.image_id))
    assert [state.image_id for state in states] == ids
    assert all(state.is_successful for state in states)
    assert sorted(complete, key=int) == ids
    assert looks == {i: int(i) % 3 + 1 for i in ids}


def test_a_picture_that_the_list_leaves_out_is_looked_at_by_itself(
    server: LoopbackApi, uploads: SyncUploadResource
) -> None:
    server.on("GET /user-files", {"files": [], "total_count": 0})
    server.on(
        "GET /uploads/status/{image_id}",
        [
            Reply({"detail": "not yet"}, 404),
            {"image_id": "a", "unified_status": "processing"},
            {"image_id": "a", "unified_status": "completed", "is_terminal": True},
        ],
    )
    details = {"id": "a", "upload_description": "A pole.", "description_status": "completed"}
    server.on("GET /user-files/{file_id}", details)
    assert uploads.wait_for_description("a").description == "A pole."
    failed = {"image_id": "b", "unified_status": "failed", "error_message": "too dark"}
    server.on("GET /uploads/status/{image_id}", failed)
    with pytest.raises(errors.DescriptionError, match="too dark"):
        uploads.wait_for_description("b")


def test_a_description_that_does_not_come_gives_its_last_state(
    server: LoopbackApi, uploads: SyncUploadResource
) -> None:
    server.on("GET /user-files", {"files": [{"id": "a", "description_status": "queued"}]})
    with pytest.raises(errors.AionvisionTimeoutError) as caught:
        uploads.wait_for_description("a", timeout=0.01, poll_interval=0.001)
    assert caught.value.last_result.status == "queued"


def test_states_of_uploads_sessions_and_what_is_stuck(
    aionvision: Server,
) -> None:
    with SyncAionVision(
        api_key=aionvision.key, base_url=aionvision.url, polling_interval=0.002
    ) as client:
        uploads = SyncUploadResource(UploadResource(client.transport))
        aionvision.fault("stuck", BATCH)
        answer = uploads.stream_batch([JPEG], filenames=["a.jpg"])
        assert answer.immediate_results is not None
        image_id = answer.immediate_results[0].image_id
        assert uploads.get_status(image_id).is_over is False
        aionvision.clock(advance=3600)
        stuck = uploads.list_stuck(stuck_minutes=30)
        assert [state.image_id for state in stuck.images] == [image_id]
        assert [s.session_id for s in uploads.list_sessions(status="processing").sessions] == [
            answer.session_id
        ]
        assert uploads.cancel_session(answer.session_id).status == "cancelled"
        with pytest.raises(errors.ValidationError):
            uploads.cancel_session(answer.session_id)
        assert [s.session_id for s in uploads.iter_sessions(page_size=1)] == [answer.session_id]
    aionvision.assert_clean()


@pytest.mark.parametrize("how", ["awaited", "blocking"])
def test_a_large_file_costs_no_memory(aionvision: Server, tmp_path: Path, how: str) -> None:
    path = tmp_path / "large.jpg"
    with path.open("wb") as file:
        file.write(JPEG)
        file.truncate(100 * 1024 * 1024)
    settings = {"api_key": aionvision.key, "base_url": aionvision.url}

    async def awaited() -> None:
        from aion_dagster.client import AionVision

        async with AionVision(**settings) as client:
            await UploadResource(client.transport).stream(path, auto_describe=False)

    tracemalloc.start()
    if how == "awaited":
        asyncio.run(awaited())
    else:
        with SyncAionVision(**settings) as client:
            SyncUploadResource(UploadResource(client.transport)).stream(path, auto_describe=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000
    (stored,) = aionvision.objects()
    assert stored["size"] == 100 * 1024 * 1024


def test_the_awaited_client_asks_the_same(server: LoopbackApi) -> None:
    server.on(BATCH, Reply({"session_id": "s", "rejections": None}, 201))
    server.on("GET /uploads/quota-check", {"can_proceed": True, "monthly_limit": None})

    async def asked() -> tuple[int, int]:
        async with awaited_client(server) as client:
            uploads = UploadResource(client.transport)
            await uploads.stream_batch([JPEG], filenames=["a.jpg"], skip_duplicates=True)
            quota = await uploads.check_quota(7)
            return quota.batch_size, quota.at_once

    assert asyncio.run(asked()) == (50, 2)
    assert server.asked("GET /uploads/quota-check")[0].query == {"file_count": ["7"]}
