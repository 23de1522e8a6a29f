"""Videos through the API: sent in chunks, resumed, analysed, looked at scene by scene."""

from __future__ import annotations

import asyncio
import io
import threading
import tracemalloc
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from loopback_api import (
    KEY,
    Asked,
    LoopbackApi,
    Reply,
    awaited_client,
    blocking_client,
    loopback_api,
)

from aion_dagster.client.errors import (
    AionvisionError,
    AionvisionTimeoutError,
    AuthenticationError,
    UploadError,
    ValidationError,
)
from aion_dagster.client.models.statuses import WorkStatus
from aion_dagster.client.models.videos import VideoInfo, VideoUploadSession
from aion_dagster.client.resources.videos import SyncVideosResource, VideosResource

MEDIA = "550e8400-e29b-41d4-a716-446655440000"
UPLOADS = "/video-uploads"
PUT = "PUT //storage/{chunk}"
CONFIRM = f"POST {UPLOADS}/chunks/confirm"
COMPLETE = f"POST {UPLOADS}/complete"
CHUNK = 100_000


class VideoStore:
    """One upload as a small server keeps it."""

    def __init__(self, api: LoopbackApi) -> None:
        self.api = api
        self.size = 0
        self.stored: dict[int, bytes] = {}
        self.confirmed: list[int] = []
        self.failed: list[int] = []
        self.status = "uploading"
        api.on(f"POST {UPLOADS}/initiate", self.begin)
        api.on(PUT, self.store)
        api.on(CONFIRM, self.confirm)
        api.on(f"POST {UPLOADS}/chunks/retry", self.retry)
        api.on(COMPLETE, self.complete)
        api.on(f"GET {UPLOADS}/progress/{{id}}", self.progress)
        api.on("GET /video-analysis/status/{id}", {"analysis_job_id": "job", "status": "queued"})

    @property
    def content(self) -> bytes:
        return b"".join(self.stored[number] for number in sorted(self.stored))

    def sizes(self) -> list[int]:
        return [min(CHUNK, self.size - start) for start in range(0, self.size, CHUNK)]

    def begin(self, asked: Asked) -> Reply:
        self.size = asked.json["size_bytes"]
        return Reply(self.session(), 201)

    def session(self) -> dict[str, Any]:
        return {
            "media_id": MEDIA,
            "upload_id": "u",
            "chunks": [
                {
                    "chunk_number": number,
                    "size_bytes": size,
                    "upload_url": f"{self.api.url}/storage/{number}?s=s1gned",
                    "expires_at": "2035-01-15T10:30:00",
                }
                for number, size in enumerate(self.sizes(), start=1)
            ],
            "total_chunks": len(self.sizes()),
            "chunk_size_bytes": CHUNK,
            "expires_at": "2035-01-15T10:30:00Z",
            "storage_path": "p",
            "concurrent_upload_limit": 3,
        }

    def store(self, asked: Asked) -> Reply:
        number = int(asked.path.rsplit("/", 1)[1])
        self.stored[number] = asked.body
        return Reply(b"", 200, {"ETag": f'"e{number}"'})

    def confirm(self, asked: Asked) -> Any:
        number = asked.json["chunk_number"]
        if asked.json["etag"] != f'"e{number}"' or asked.json["size_bytes"] != len(
            self.stored[number]
        ):
            return Reply({"error": "BAD", "message": "another chunk"}, 400)
        if number not in self.confirmed:
            self.confirmed.append(number)
        return {
            "chunk_number": number,
            "status": "completed",
            "chunks_completed": len(self.confirmed),
            "total_chunks": len(self.sizes()),
            "progress_percent": 100 * len(self.confirmed) / len(self.sizes()),
        }

    def retry(self, asked: Asked) -> dict[str, Any]:
        number = asked.json["chunk_number"]
        return {
            "chunk_number": number,
            "upload_url": f"{self.api.url}/storage/{number}?anew",
            "expires_at": "2035-01-15T10:30:00Z",
            "retry_attempt": 1,
            "max_retries": 3,
        }

    def complete(self, asked: Asked) -> Any:
        if sorted(self.confirmed) != list(range(1, len(self.sizes()) + 1)):
            return Reply({"error": "BAD", "message": "chunks are missing"}, 400)
        self.status = "completed"
        return {
            "media_id": MEDIA,
            "status": "completed",
            "metadata": {"duration_seconds": 12.5, "width": 1920, "height": 1080},
            "video_url": "https://v.example/s1gned",
            "analysis_job_id": "job",
            "processing_status": "queued",
            "created_at": "2025-01-15T10:30:00",
        }

    def progress(self, asked: Asked) -> dict[str, Any]:
        return {
            "media_id": MEDIA,
            "upload_id": "u",
            "status": self.status,
            "chunks_completed": len(self.confirmed),
            "total_chunks": len(self.sizes()),
            "bytes_uploaded": 0,
            "total_bytes": self.size,
            "progress_percent": 0.0,
            "failed_chunks": self.failed,
            "last_updated": "2025-01-15T10:30:00",
        }


@pytest.fixture
def api() -> Iterator[LoopbackApi]:
    with loopback_api() as server:
        yield server


@pytest.fixture
def store(api: LoopbackApi) -> VideoStore:
    return VideoStore(api)


@pytest.fixture
def videos(api: LoopbackApi) -> Iterator[SyncVideosResource]:
    with blocking_client(api) as client:
        yield SyncVideosResource(VideosResource(client.transport))


def content_of(size: int) -> bytes:
    return bytes(i % 251 for i in range(size))


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "site.mp4"
    path.write_bytes(content_of(730_001))
    return path


def test_a_video_is_sent_in_chunks_and_completed(
    api: LoopbackApi, store: VideoStore, videos: Any, video: Path
) -> None:
    seen: list[Any] = []
    result = videos.upload(
        video,
        title="Site",
        tags=["a"],
        metadata={"k": "v"},
        duration_seconds=12.5,
        analysis_type="scene_detection",
        on_progress=seen.append,
    )
    assert store.content == video.read_bytes()
    assert store.confirmed == list(range(1, 9))
    assert api.asked(f"POST {UPLOADS}/initiate")[0].json == {
        "filename": "site.mp4",
        "content_type": "video/mp4",
        "size_bytes": 730_001,
        "title": "Site",
        "tags": ["a"],
        "metadata": {"k": "v"},
    }
    assert api.asked(COMPLETE)[0].json == {
        "media_id": MEDIA,
        "upload_id": "u",
        "auto_analyze": True,
        "analysis_type": "scene_detection",
        "duration_seconds": 12.5,
        "duration_extraction_failed": False,
    }
    assert (result.analysis_job_id, result.processing_status) == ("job", WorkStatus.QUEUED)
    assert result.metadata.duration_seconds == 12.5
    assert (seen[-1].uploaded_bytes, seen[-1].chunks_completed) == (730_001, 8)
    assert [e.uploaded_bytes for e in seen] == sorted(e.uploaded_bytes for e in seen)


def test_the_storage_gets_lengths_and_never_the_key(
    api: LoopbackApi, store: VideoStore, videos: Any, video: Path
) -> None:
    videos.upload(video)
    sent = api.asked(PUT)
    assert sorted(int(a.headers["content-length"]) for a in sent) == [30_001] + [CHUNK] * 7
    assert KEY not in str([a.headers for a in sent])


def test_the_server_finds_out_how_long_a_video_is(
    api: LoopbackApi, store: VideoStore, videos: Any
) -> None:
    videos.upload(io.BytesIO(content_of(250_000)), filename="a.webm", auto_analyze=False)
    told = api.asked(COMPLETE)[0].json
    assert (told["duration_seconds"], told["duration_extraction_failed"]) == (1.0, True)
    assert told["auto_analyze"] is False
    assert store.content == content_of(250_000)


def test_a_chunk_that_fails_is_sent_to_a_new_place(
    api: LoopbackApi, store: VideoStore, videos: Any, video: Path
) -> None:
    def once_expired(asked: Asked) -> Any:
        if asked.path.endswith("/4") and "anew" not in asked.query:
            return Reply(b"<Error>Request has expired</Error>", 403)
        return store.store(asked)

    api.on(PUT, once_expired)
    videos.upload(video)
    assert store.content == video.read_bytes()
    assert [a.json["chunk_number"] for a in api.asked(f"POST {UPLOADS}/chunks/retry")] == [4]


def broken_at(store: VideoStore, number: int) -> Any:
    def refuse(asked: Asked) -> Any:
        if asked.path.endswith(f"/{number}"):
            return Reply(b"<Error>AccessDenied</Error>", 403)
        return store.store(asked)

    return refuse


def test_an_upload_that_broke_off_goes_on_behind_what_is_there(
    api: LoopbackApi, store: VideoStore, videos: Any, video: Path
) -> None:
    kept: list[VideoUploadSession] = []
    api.on(PUT, broken_at(store, 6))
    with pytest.raises(UploadError, match="AccessDenied") as broken:
        videos.upload(video, on_session=kept.append)
    assert broken.value.session_id == MEDIA
    assert broken.value.details["session"] == kept[0]
    assert store.confirmed == [1, 2, 3, 4, 5]
    assert len(api.asked(f"POST {UPLOADS}/chunks/retry")) == 3
    assert api.asked(COMPLETE) == []

    api.on(PUT, store.store)
    before = len(api.asked(PUT))
    again = VideoUploadSession.model_validate_json(kept[0].model_dump_json())
    seen: list[Any] = []
    assert videos.upload(video, session=again, on_progress=seen.append).analysis_job_id == "job"
    assert store.content == video.read_bytes()
    assert sorted(a.path[-1] for a in api.asked(PUT)[before:]) == ["6", "7", "8"]
    assert len(api.asked(f"POST {UPLOADS}/initiate")) == 1
    assert seen[0].uploaded_bytes > 500_000


def test_chunks_that_the_server_lost_are_sent_again(
    api: LoopbackApi, store: VideoStore, videos: Any, video: Path
) -> None:
    store.size = 730_001
    for number in (1, 2, 3):
        store.stored[number] = b"old"
        store.confirmed.append(number)
    # It has three, but not the first three: the second is lost, and the fifth was confirmed out of order.
    store.confirmed, store.failed = [1, 3, 5], [2]
    store.stored[1] = store.stored[3] = content_of(CHUNK)
    session = VideoUploadSession.model_validate(store.session())
    videos.upload(video, session=session)
    assert sorted(store.confirmed) == list(range(1, 9))
    assert store.stored[2] == video.read_bytes()[CHUNK : 2 * CHUNK]


def test_an_upload_whose_completion_was_answered_to_nobody_is_not_completed_twice(
    api: LoopbackApi, store: VideoStore, videos: Any, video: Path
) -> None:
    def lost(asked: Asked) -> Reply:
        store.complete(asked)
        return Reply(b"{", 200, promised=1000)

    api.on(COMPLETE, lost)
    result = videos.upload(video)
    assert (result.status, result.analysis_job_id) == (WorkStatus.COMPLETED, "job")
    session = VideoUploadSession.model_validate(store.session())
    assert videos.upload(video, session=session).analysis_job_id == "job"
    assert len(api.asked(COMPLETE)) == 1


def test_a_completed_video_without_analysis_is_found_too(
    api: LoopbackApi, store: VideoStore, videos: Any, video: Path
) -> None:
    store.size, store.status = 730_001, "completed"
    api.on("GET /video-analysis/status/{id}", Reply({"detail": "none"}, 404))
    session = VideoUploadSession.model_validate(store.session())
    assert videos.upload(video, session=session).analysis_job_id is None


@pytest.mark.parametrize("status", ["aborted", "failed", None])
def test_an_upload_that_is_over_cannot_go_on(
    api: LoopbackApi, store: VideoStore, videos: Any, video: Path, status: str | None
) -> None:
    store.size = 730_001
    if status is None:
        api.on(f"GET {UPLOADS}/progress/{{id}}", Reply({"detail": "gone"}, 404))
    else:
        store.status = status
    session = VideoUploadSession.model_validate(store.session())
    with pytest.raises(UploadError, match="anew") as over:
        videos.upload(video, session=session)
    assert over.value.code == "SESSION_OVER"
    assert api.asked(PUT) == []


def test_another_file_does_not_go_on_with_an_upload(
    api: LoopbackApi, store: VideoStore, videos: Any, video: Path
) -> None:
    store.size = 730_002
    session = VideoUploadSession.model_validate(store.session())
    with pytest.raises(ValidationError, match="file"):
        videos.upload(video, session=session)
    assert api.requests == []


def test_an_error_of_the_api_keeps_its_kind_and_says_how_to_go_on(
    api: LoopbackApi, store: VideoStore, videos: Any, video: Path
) -> None:
    api.on(CONFIRM, Reply({"error": {"code": "EXPIRED_API_KEY", "message": "late"}}, 401))
    with pytest.raises(AuthenticationError) as ended:
        videos.upload(video)
    assert ended.value.details["session"].media_id == MEDIA
    assert "s1gned" not in repr(ended.value.details)


def test_a_storage_without_tags_is_an_error(
    api: LoopbackApi, store: VideoStore, videos: Any, video: Path
) -> None:
    api.on(PUT, Reply(b"", 200))
    with pytest.raises(UploadError, match="ETag"):
        videos.upload(video)


class Drain(BaseHTTPRequestHandler):
    """A storage that keeps nothing of what it is sent."""

    def do_PUT(self) -> None:
        left = int(self.headers["Content-Length"])
        while left:
            left -= len(self.rfile.read(min(left, 1 << 16)))
        self.send_response(200)
        self.send_header("ETag", '"e"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        """Nothing is printed."""


def test_a_large_video_costs_no_memory(
    api: LoopbackApi, store: VideoStore, videos: Any, tmp_path: Path
) -> None:
    size = 64 * 1024 * 1024
    with (tmp_path / "big.mov").open("wb") as file:
        file.truncate(size)
    storage = ThreadingHTTPServer(("127.0.0.1", 0), Drain)
    threading.Thread(target=storage.serve_forever, args=(0.01,), daemon=True).start()
    url = f"http://127.0.0.1:{storage.server_port}/chunk"
    chunk = {"chunk_number": 1, "size_bytes": size, "upload_url": url}
    api.on(f"POST {UPLOADS}/initiate", {"media_id": MEDIA, "upload_id": "u", "chunks": [chunk]})
    api.on(CONFIRM, {"chunk_number": 1, "chunks_completed": 1, "total_chunks": 1})
    api.on(COMPLETE, {"media_id": MEDIA})
    tracemalloc.start()
    try:
        videos.upload(tmp_path / "big.mov")
        assert tracemalloc.get_traced_memory()[1] < size // 8
    finally:
        tracemalloc.stop()
        storage.shutdown()
        storage.server_close()


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"filename": "a.jpg"}, "file"),
        ({"filename": "a.mp4", "content_type": "image/png"}, "content_type"),
        ({"filename": "a.mp4", "tags": ["x"] * 21}, "tags"),
        ({"filename": "a.mp4", "tags": "x"}, "tags"),
        ({"filename": "a.mp4", "title": "x" * 256}, "title"),
        ({}, "filename"),
    ],
)
def test_what_the_server_would_refuse_is_not_sent(
    api: LoopbackApi, videos: Any, given: dict[str, Any], field: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        videos.upload(b"video", **given)
    assert refused.value.details["field"] == field
    assert api.requests == []


@pytest.mark.parametrize("size", [0, 4 * 1024**3 + 1])
def test_sizes_beyond_the_limits_are_refused(api: LoopbackApi, videos: Any, size: int) -> None:
    with pytest.raises(ValidationError, match="size_bytes"):
        videos.initiate("a.mp4", "video/mp4", size)
    assert api.requests == []


def test_several_videos_are_begun_together(
    api: LoopbackApi, store: VideoStore, videos: Any
) -> None:
    store.size = 5
    info = VideoInfo(filename="a.mp4", content_type="video/mp4", size_bytes=5)
    api.on(
        f"POST {UPLOADS}/batch/initiate",
        Reply({"batch_id": "b", "videos": [store.session()], "total_videos": 1}, 201),
    )
    batch = videos.initiate_batch([info], processing_priority="high", auto_process=False)
    assert api.requests[0].json == {
        "videos": [{"filename": "a.mp4", "content_type": "video/mp4", "size_bytes": 5}],
        "auto_process": False,
        "processing_priority": "high",
    }
    assert batch.videos[0].size_bytes == 5
    assert videos.upload(b"video", filename="a.mp4", session=batch.videos[0]).status == "completed"
    for none in ([], [info] * 11):
        with pytest.raises(ValidationError, match="videos"):
            videos.initiate_batch(none)


def test_an_upload_can_be_given_up(api: LoopbackApi, videos: Any) -> None:
    api.on(
        f"POST {UPLOADS}/abort",
        {"media_id": MEDIA, "status": "aborted", "cleaned_up": True, "chunks_removed": 3},
    )
    given_up = videos.abort(MEDIA, "u", reason="wrong file")
    assert api.requests[0].json == {"media_id": MEDIA, "upload_id": "u", "reason": "wrong file"}
    assert (given_up.status, given_up.chunks_removed) == (WorkStatus.ABORTED, 3)
    with pytest.raises(ValidationError, match="reason"):
        videos.abort(MEDIA, "u", reason="x" * 501)


def analysis(status: str, **more: Any) -> dict[str, Any]:
    return {"analysis_job_id": "job", "media_id": MEDIA, "status": status} | more


def test_an_analysis_is_queued_watched_and_begun_anew(api: LoopbackApi, videos: Any) -> None:
    api.on("POST /video-analysis/queue", Reply(analysis("pending", queue_position=2), 202))
    api.on(
        "GET /video-analysis/jobs/{id}",
        [
            analysis("processing", progress_percent=40),
            analysis("transcribing"),
            analysis("failed", error_message="no sound"),
        ],
    )
    api.on("POST /video-analysis/jobs/{id}/retry", Reply(analysis("pending", retry_count=1), 202))
    assert videos.queue_analysis(MEDIA, priority="low").queue_position == 2
    assert api.requests[0].json == {
        "media_id": MEDIA,
        "analysis_type": "full_vlm",
        "priority": "low",
    }
    seen: list[float] = []
    over = videos.wait_for_analysis("job", on_progress=lambda s: seen.append(s.progress_percent))
    assert (over.status, over.error_message, seen[0]) == (WorkStatus.FAILED, "no sound", 40)
    assert videos.retry_analysis("job", MEDIA, reason="again").retry_count == 1
    assert api.requests[-1].json == {"media_id": MEDIA, "reason": "again"}


def test_paid_analyses_are_not_asked_for_again_after_a_lost_answer(
    api: LoopbackApi, videos: Any
) -> None:
    api.on("POST /video-analysis/queue", Reply(b"{", 202, promised=100))
    with pytest.raises(AionvisionError):
        videos.queue_analysis(MEDIA)
    assert len(api.requests) == 1


def test_an_analysis_that_does_not_end_says_what_was_seen_last(
    api: LoopbackApi, videos: Any
) -> None:
    api.on("GET /video-analysis/jobs/{id}", analysis("processing", current_step="frames"))
    with pytest.raises(AionvisionTimeoutError) as late:
        videos.wait_for_analysis("job", timeout=0)
    assert late.value.last_result.current_step == "frames"


@pytest.mark.parametrize("wrapped", [True, False])
def test_scenes_are_read_in_an_envelope_or_without(
    api: LoopbackApi, videos: Any, wrapped: bool
) -> None:
    scenes = [
        {"id": "s1", "scene_index": 0, "start_time": 0.0, "end_time": 4.5, "tags": ["pole"]},
        {"scene_id": "s2", "scene_index": 1, "start_time_seconds": 4.5, "description": "wire"},
    ]
    api.on(
        "GET /videos/{id}/scenes",
        Reply({"video_id": MEDIA, "scenes": scenes, "total": 2} if wrapped else scenes),
    )
    listed = videos.list_scenes(MEDIA)
    assert [s.scene_id for s in listed.scenes] == ["s1", "s2"]
    assert (listed.scenes[0].end_time, listed.scenes[1].start_time) == (4.5, 4.5)
    assert listed.scenes[0].tags == ["pole"]


def test_a_scene_has_a_picture(api: LoopbackApi, videos: Any) -> None:
    api.on("GET /video-scenes/{id}/thumbnail", Reply(b"\xff\xd8\xff"))
    assert videos.get_scene_thumbnail("s1") == b"\xff\xd8\xff"


def test_the_awaited_client_does_the_same(api: LoopbackApi, store: VideoStore, video: Path) -> None:
    async def use() -> str | None:
        async with awaited_client(api) as client:
            return (await VideosResource(client.transport).upload(video)).analysis_job_id

    assert asyncio.run(use()) == "job"
    assert store.content == video.read_bytes()
