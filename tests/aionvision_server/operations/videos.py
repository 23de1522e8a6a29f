"""Videos: sent in chunks, then analysed scene by scene."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from ..clock import stamp
from ..contents import stored
from ..exchange import Answer, Asked, Refusal, invalid, not_found
from ..registry import answers
from ..work import Work
from ..world import TENANT, Storage, World
from .library import Library, RemoteFile, refreshes

CHUNK: Final = 5 * 1024 * 1024
_SCENES: Final = 3


@dataclass(slots=True)
class Sending:
    """A video on its way."""

    media_id: str
    upload_id: str
    told: dict[str, Any]
    created: float
    tries: dict[int, int] = field(default_factory=dict)
    confirmed: dict[int, int] = field(default_factory=dict)
    """Sizes by chunk."""
    state: str = "uploading"

    @property
    def total(self) -> int:
        return max(-(-int(self.told["size_bytes"]) // CHUNK), 1)

    def size_of(self, number: int) -> int:
        return min(CHUNK, int(self.told["size_bytes"]) - (number - 1) * CHUNK)

    def key_of(self, number: int) -> str:
        return f"videos/{self.media_id}/{number}"


@dataclass(slots=True)
class Analysis:
    """A job that looks at a video."""

    id: str
    media_id: str
    work: Work
    created: float
    retries: int = 0


class Videos:
    """All uploads and analyses."""

    def __init__(self) -> None:
        self.sendings: dict[str, Sending] = {}
        self.analyses: dict[str, Analysis] = {}

    def sending(self, media_id: str, upload_id: str | None = None) -> Sending:
        """Raises Refusal where there is none."""
        found = self.sendings.get(media_id)
        if found is None or upload_id not in (None, found.upload_id):
            raise not_found("Upload")
        return found


def _begin(world: World, told: dict[str, Any]) -> dict[str, Any]:
    if not told["content_type"].startswith("video/"):
        raise invalid("content_type", "content_type: a video expected")
    sending = Sending(world.new_id("file"), world.new_id("video upload"), told, world.now())
    world.room(Videos).sendings[sending.media_id] = sending
    return {
        "media_id": sending.media_id,
        "upload_id": sending.upload_id,
        "chunks": [_chunk(world, sending, n) for n in range(1, sending.total + 1)],
        "total_chunks": sending.total,
        "chunk_size_bytes": CHUNK,
        "expires_at": stamp(world.now() + 3600),
        "storage_path": f"videos/{TENANT}/{sending.media_id}",
    }


def _chunk(world: World, sending: Sending, number: int) -> dict[str, Any]:
    return {
        "chunk_number": number,
        "size_bytes": sending.size_of(number),
        "upload_url": world.room(Storage).expect(world, sending.key_of(number)),
        "expires_at": stamp(world.now() + 3600),
        "upload_method": "PUT",
    }


@answers("POST /video-uploads/initiate", needs="filename content_type size_bytes")
def initiate(world: World, asked: Asked) -> Answer:
    return Answer(_begin(world, asked.body), 201)


@answers("POST /video-uploads/batch/initiate", needs="videos")
def initiate_many(world: World, asked: Asked) -> Answer:
    begun = [_begin(world, told) for told in asked.given("videos")]
    return Answer(
        {
            "batch_id": world.new_id("batch"),
            "videos": begun,
            "total_videos": len(begun),
            "total_size_bytes": sum(told["size_bytes"] for told in asked.given("videos")),
            "estimated_time_seconds": 10.0 * len(begun),
            "processing_priority": asked.given("processing_priority", "normal"),
        },
        201,
    )


@answers(
    "POST /video-uploads/chunks/confirm", needs="media_id upload_id chunk_number etag size_bytes"
)
def confirm(world: World, asked: Asked) -> Answer:
    sending = world.room(Videos).sending(asked.given("media_id"), asked.given("upload_id"))
    number = asked.given("chunk_number")
    if number > sending.total:
        raise invalid("chunk_number", f"chunk_number: there are {sending.total} chunks")
    item = world.room(Storage).objects.get(sending.key_of(number))
    if item is None or item.sha256[:32] != asked.given("etag").strip('"'):
        raise Refusal(400, "CHUNK_NOT_FOUND", f"chunk {number} did not arrive as announced")
    if item.size != asked.given("size_bytes"):
        raise Refusal(400, "SIZE_MISMATCH", f"chunk {number}: {item.size} bytes arrived")
    sending.confirmed[number] = item.size
    return Answer(
        {
            "chunk_number": number,
            "status": "confirmed",
            "chunks_completed": len(sending.confirmed),
            "total_chunks": sending.total,
            "progress_percent": 100.0 * len(sending.confirmed) / sending.total,
            "estimated_time_remaining": None,
        }
    )


@answers("POST /video-uploads/chunks/retry", needs="media_id upload_id chunk_number")
def retry_chunk(world: World, asked: Asked) -> Answer:
    sending = world.room(Videos).sending(asked.given("media_id"), asked.given("upload_id"))
    number = asked.given("chunk_number")
    sending.tries[number] = sending.tries.get(number, 0) + 1
    chunk = _chunk(world, sending, number)
    return Answer(
        {
            "chunk_number": number,
            "upload_url": chunk["upload_url"],
            "expires_at": chunk["expires_at"],
            "retry_attempt": sending.tries[number],
            "max_retries": 3,
        }
    )


@answers("POST /video-uploads/complete", needs="media_id upload_id duration_seconds")
def complete(world: World, asked: Asked) -> Answer:
    videos = world.room(Videos)
    sending = videos.sending(asked.given("media_id"), asked.given("upload_id"))
    missing = [n for n in range(1, sending.total + 1) if n not in sending.confirmed]
    if missing:
        raise Refusal(400, "CHUNKS_MISSING", f"chunks {missing[:10]} have not been confirmed")
    library = world.room(Library)
    if sending.state == "uploading":
        library.add(_video(world, sending, asked.given("duration_seconds")))
        sending.state = "completed"
    file = library.files[sending.media_id]
    job = _analysis_of(videos, file.id)
    if asked.given("auto_analyze", True) and job is None:
        job = _analyse(world, asked, file.id)
    return Answer(
        {
            "media_id": file.id,
            "status": "completed",
            "metadata": file.extra["video_metadata"],
            "thumbnail_url": None,
            "video_url": file.extra["video_url"],
            "analysis_job_id": job.id if job else None,
            "processing_status": "queued" if job else "completed",
            "created_at": stamp(file.created),
        }
    )


def _video(world: World, sending: Sending, seconds: float) -> RemoteFile:
    objects = world.room(Storage).objects
    parts = [objects[sending.key_of(n)] for n in range(1, sending.total + 1)]
    content = stored("".join(p.sha256 for p in parts).encode())
    size = sum(p.size for p in parts)
    return RemoteFile(
        sending.media_id,
        "video",
        sending.told["filename"],
        sending.told["content_type"],
        content,
        world.now(),
        f"videos/{TENANT}/{sending.media_id}",
        upload_method="MULTIPART",
        title=sending.told.get("title"),
        tags=list(sending.told.get("tags") or []),
        extra={
            "video_metadata": {
                "duration_seconds": seconds,
                "resolution": "1920x1080",
                "width": 1920,
                "height": 1080,
                "frame_rate": 25.0,
                "video_codec": "h264",
                "audio_codec": "aac",
                "bitrate_kbps": 4000,
                "file_size_bytes": size,
                "format_name": "mp4",
            },
            "video_url": f"{world.storage_url}/videos/{sending.media_id}",
            "scene_count": None,
            "has_audio_transcript": None,
        },
    )


@answers("POST /video-uploads/abort", needs="media_id upload_id")
def abort(world: World, asked: Asked) -> Answer:
    sending = world.room(Videos).sending(asked.given("media_id"), asked.given("upload_id"))
    removed, sending.state = len(sending.confirmed), "aborted"
    sending.confirmed = {}
    return Answer(
        {
            "media_id": sending.media_id,
            "status": "aborted",
            "cleaned_up": True,
            "chunks_removed": removed,
            "s3_cleanup": True,
        }
    )


@answers("GET /video-uploads/progress/{media_id}")
def progress(world: World, asked: Asked) -> Answer:
    sending = world.room(Videos).sending(asked.ids["media_id"])
    return Answer(
        {
            "media_id": sending.media_id,
            "upload_id": sending.upload_id,
            "status": sending.state,
            "chunks_completed": len(sending.confirmed),
            "total_chunks": sending.total,
            "bytes_uploaded": sum(sending.confirmed.values()),
            "total_bytes": sending.told["size_bytes"],
            "progress_percent": 100.0 * len(sending.confirmed) / sending.total,
            "estimated_time_remaining": None,
            "current_chunk": None,
            "failed_chunks": [],
            "last_updated": stamp(world.now()),
        }
    )


def _analyse(world: World, asked: Asked, media_id: str) -> Analysis:
    job = Analysis(world.new_id("analysis"), media_id, world.work("video", asked), world.now())
    world.room(Videos).analyses[job.id] = job
    world.books.bill(asked.entry, "video_analyses")
    return job


def _analysis_of(videos: Videos, media_id: str) -> Analysis | None:
    return next((a for a in reversed(videos.analyses.values()) if a.media_id == media_id), None)


@refreshes("video")
def refresh(world: World, file: RemoteFile) -> None:
    """How far the analysis is."""
    job = _analysis_of(world.room(Videos), file.id)
    if job is None:
        return
    state = job.work.state(world.now())
    file.extra |= {"video_analysis_status": state, "video_analysis_job_id": job.id}
    if state == "completed":
        file.extra |= {"scene_count": _SCENES, "has_audio_transcript": True}


@answers("POST /video-analysis/queue", needs="media_id")
def queue(world: World, asked: Asked) -> Answer:
    file = world.room(Library).get(asked.given("media_id"), "video")
    job = _analyse(world, asked, file.id)
    return Answer(
        {
            "analysis_job_id": job.id,
            "media_id": file.id,
            "queue_position": 0,
            "estimated_start_time": None,
            "message": "Analysis queued",
        },
        202,
    )


@answers("GET /video-analysis/jobs/{analysis_job_id}")
def analysis(world: World, asked: Asked) -> Answer:
    return Answer(_as_analysis(world, _job(world, asked)))


@answers("GET /video-analysis/status/{media_id}")
def analysis_of_video(world: World, asked: Asked) -> Answer:
    job = _analysis_of(world.room(Videos), asked.ids["media_id"])
    if job is None:
        raise not_found("Analysis")
    return Answer(_as_analysis(world, job))


@answers("POST /video-analysis/jobs/{analysis_job_id}/retry", needs="media_id")
def retry_analysis(world: World, asked: Asked) -> Answer:
    job = _job(world, asked)
    if job.work.state(world.now()) != "failed":
        raise Refusal(409, "NOT_FAILED", "Only failed analyses can be retried")
    job.work, job.retries = world.work("video", asked), job.retries + 1
    world.books.bill(asked.entry, "video_analyses")
    return Answer(
        {
            "analysis_job_id": job.id,
            "media_id": job.media_id,
            "status": "queued",
            "retry_count": job.retries,
            "max_retries": 3,
            "message": "Retry queued",
        },
        202,
    )


def _job(world: World, asked: Asked) -> Analysis:
    job = world.room(Videos).analyses.get(asked.ids["analysis_job_id"])
    if job is None:
        raise not_found("Analysis")
    return job


def _as_analysis(world: World, job: Analysis) -> dict[str, Any]:
    state = job.work.state(world.now())
    failure = job.work.failure if state == "failed" else None
    job.work.look()
    over = state != "processing"
    return {
        "analysis_job_id": job.id,
        "media_id": job.media_id,
        "status": state,
        "progress_percent": 100 if over else 50,
        "current_step": None if over else "scenes",
        "started_at": stamp(job.created),
        "completed_at": stamp(world.now()) if over else None,
        "error_message": failure.message if failure else None,
        "error_code": failure.kind if failure else None,
        "retry_count": job.retries,
        "max_retries": 3,
        "estimated_completion_time": None,
    }


@answers("GET /videos/{video_id}/scenes")
def scenes(world: World, asked: Asked) -> Answer:
    file = world.room(Library).get(asked.ids["video_id"], "video")
    refresh(world, file)
    count = file.extra.get("scene_count") or 0
    return Answer(
        {
            "video_id": file.id,
            "scenes": [_scene(file, n) for n in range(count)],
            "total_count": count,
        }
    )


def _scene(file: RemoteFile, number: int) -> dict[str, Any]:
    scene_id = f"{file.id[:-1]}{number}"
    return {
        "id": scene_id,
        "scene_index": number,
        "start_time": 4.0 * number,
        "end_time": 4.0 * (number + 1),
        "description": f"Scene {number + 1} of {file.filename}",
        "tags": ["scene"],
        "thumbnail_url": f"/api/v2/video-scenes/{scene_id}/thumbnail",
    }


@answers("GET /video-scenes/{scene_id}/thumbnail")
def scene_thumbnail(world: World, asked: Asked) -> Answer:
    wanted = asked.ids["scene_id"]
    videos = (f for f in world.room(Library).live() if f.media_type == "video")
    if not any(f.id[:-1] == wanted[:-1] for f in videos):
        raise not_found("Scene")
    return Answer(raw=b"\xff\xd8\xff\xe0 scene " + wanted.encode(), media_type="image/jpeg")
