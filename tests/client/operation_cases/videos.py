"""Videos."""

from __future__ import annotations

from typing import Any, Final

from aion_dagster.client.models.videos import VideoInfo
from aion_dagster.client.runtime import run_to_end

from .case import Case, Given, given
from .made import Made

_JOB: Final = "GET /video-analysis/jobs/{analysis_job_id}"
_COMPLETE: Final = "POST /video-uploads/complete"


def _sent(made: Made) -> tuple[Any, str]:
    """An upload whose only chunk is in storage, and what storage said of it."""
    session = made.video_session()
    sending = made.client.transport.put(session.chunks[0].upload_url, lambda: bytes(3000), {})
    return session, run_to_end(sending)["etag"]


def _confirmed(made: Made) -> Given:
    session, etag = _sent(made)
    return given(session.media_id, session.upload_id, 1, etag, 3000)


def _completed(made: Made) -> Given:
    told = _confirmed(made)
    made.client.videos.confirm_chunk(*told.args)
    return given(
        *told.args[:2],
        duration_seconds=9.0,
        auto_analyze=True,
        analysis_provider="google",
        analysis_model="model",
        analysis_type="full_vlm",
    )


def _failed_analysis(made: Made) -> Given:
    made.server.fault("failing", "POST /video-analysis/queue")
    video = made.video()
    job = made.client.videos.queue_analysis(video.media_id).analysis_job_id
    made.client.videos.wait_for_analysis(job)
    return given(job, video.media_id, reason="again")


CASES: Final = (
    Case(
        "POST /video-uploads/initiate",
        "videos.initiate",
        lambda m: given(
            "a.mp4", "video/mp4", 3000, title="A", tags=["a"], metadata={"site": "north"}
        ),
    ),
    Case(
        "POST /video-uploads/batch/initiate",
        "videos.initiate_batch",
        lambda m: given(
            [
                VideoInfo(
                    filename="a.mp4",
                    content_type="video/mp4",
                    size_bytes=3000,
                    title="A",
                    tags=["a"],
                    metadata={"site": "north"},
                )
            ],
            auto_process=True,
            processing_priority="high",
        ),
    ),
    Case("POST /video-uploads/chunks/confirm", "videos.confirm_chunk", _confirmed),
    Case(
        "POST /video-uploads/chunks/retry",
        "videos.retry_chunk",
        lambda m: given(*ids(m.video_session()), 1),
    ),
    Case(_COMPLETE, "videos.complete", _completed),
    Case(
        _COMPLETE,
        "videos.upload",
        lambda m: given(
            b"video " * 1000,
            filename="a.mp4",
            title="A",
            tags=["a"],
            metadata={"site": "north"},
            duration_seconds=9.0,
        ),
    ),
    Case(
        "POST /video-uploads/abort",
        "videos.abort",
        lambda m: given(*ids(m.video_session()), reason="no"),
    ),
    Case(
        "GET /video-uploads/progress/{media_id}",
        "videos.get_progress",
        lambda m: given(m.video_session().media_id),
    ),
    Case(
        "GET /videos/{video_id}/scenes", "videos.list_scenes", lambda m: given(m.video().media_id)
    ),
    Case(
        "GET /video-scenes/{scene_id}/thumbnail",
        "videos.get_scene_thumbnail",
        lambda m: given(m.client.videos.list_scenes(m.video().media_id).scenes[0].scene_id),
    ),
    Case(_JOB, "videos.get_analysis_job", lambda m: given(m.video().analysis_job_id)),
    Case(_JOB, "videos.wait_for_analysis", lambda m: given(m.video().analysis_job_id)),
    Case(
        "GET /video-analysis/status/{media_id}",
        "videos.get_analysis_status",
        lambda m: given(m.video().media_id),
    ),
    Case(
        "POST /video-analysis/jobs/{analysis_job_id}/retry",
        "videos.retry_analysis",
        _failed_analysis,
    ),
    Case(
        "POST /video-analysis/queue",
        "videos.queue_analysis",
        lambda m: given(m.video().media_id, analysis_type="scene_detection", priority="high"),
    ),
)


def ids(session: Any) -> tuple[str, str]:
    return session.media_id, session.upload_id
