"""Cloud storage: connections, imports, exports, their jobs."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..clock import stamp
from ..contents import stored
from ..exchange import Answer, Asked, Refusal, not_found
from ..registry import answers
from ..work import Work
from ..world import World
from .agents import known
from .library import new_picture

_FEW = 5
"""Files that are imported at once, on the side that does so."""


@dataclass(slots=True)
class Job:
    """An import or export under way."""

    id: str
    kind: str
    connection_id: str
    created: float
    total: int
    work: Work
    finish: Callable[[], None]
    finished: float | None = None
    failing: list[str] = field(default_factory=list)
    """Names of files that fail."""


class Cloud:
    """Connections, states of the OAuth flow, jobs."""

    def __init__(self) -> None:
        self.connections: dict[str, dict[str, Any]] = {}
        self.states: set[str] = set()
        self.jobs: dict[str, Job] = {}

    def connection(self, connection_id: str) -> dict[str, Any]:
        """Raises Refusal where there is none that is active."""
        found = self.connections.get(connection_id)
        if found is None or not found["is_active"]:
            raise not_found("Connection")
        return found


def _check_provider(asked: Asked) -> None:
    if asked.ids["provider"] != "google_drive":
        raise Refusal(400, "UNSUPPORTED_PROVIDER", "Only google_drive is supported")


@answers("POST /cloud-storage/auth/{provider}", needs="provider")
def begin(world: World, asked: Asked) -> Answer:
    _check_provider(asked)
    state = world.new_id("oauth state")
    world.room(Cloud).states.add(state)
    return Answer(
        {
            "authorization_url": f"https://accounts.google.com/o/oauth2/v2/auth?state={state}",
            "state": state,
            "provider": asked.ids["provider"],
        }
    )


@answers("POST /cloud-storage/auth/{provider}/callback", needs="code state")
def complete(world: World, asked: Asked) -> Answer:
    _check_provider(asked)
    cloud = world.room(Cloud)
    if asked.given("state") not in cloud.states:
        raise Refusal(400, "INVALID_STATE", "Unknown state")
    cloud.states.discard(asked.given("state"))
    email = f"{asked.given('code')}@example.com"
    same = next((c for c in cloud.connections.values() if c["provider_email"] == email), None)
    if same is not None:
        same["is_active"] = True
        return Answer({"connection": same, "is_new": False})
    connection = {
        "id": world.new_id("connection"),
        "provider": asked.ids["provider"],
        "provider_email": email,
        "provider_display_name": "Drive of the tests",
        "is_active": True,
        "created_at": stamp(world.now()),
        "last_used_at": None,
    }
    cloud.connections[connection["id"]] = connection
    return Answer({"connection": connection, "is_new": True})


@answers("GET /cloud-storage/auth/{provider}/callback", asks="code state")
def came_back(_world: World, asked: Asked) -> Answer:
    _check_provider(asked)
    return Answer(raw=b"<html><script>window.close()</script></html>", media_type="text/html")


@answers("GET /cloud-storage/connections")
def connections(world: World, asked: Asked) -> Answer:
    wanted, active = asked.text("provider"), asked.flag("active_only", True)
    found = [
        c
        for c in world.room(Cloud).connections.values()
        if wanted in (None, c["provider"]) and (c["is_active"] or not active)
    ]
    return Answer({"connections": found, "total_count": len(found)})


@answers("DELETE /cloud-storage/connections/{connection_id}")
def disconnect(world: World, asked: Asked) -> Answer:
    world.room(Cloud).connection(asked.ids["connection_id"])["is_active"] = False
    return Answer({"success": True, "message": "Disconnected"})


@answers("GET /cloud-storage/connections/{connection_id}/picker-token")
def picker_token(world: World, asked: Asked) -> Answer:
    world.room(Cloud).connection(asked.ids["connection_id"])
    return Answer(
        {
            "session": {
                "session_id": world.new_id("picker"),
                "access_token": "proxied",
                "app_id": "app",
                "developer_key": "key",
                "expires_at": stamp(world.now() + 3600),
            }
        }
    )


@answers("POST /cloud-storage/picker-proxy", needs="session_id endpoint")
def picker_proxy(world: World, asked: Asked) -> Answer:
    """Google's `files.list`, as far as pages and the folder of a query go."""
    params = asked.given("params") or {}
    folder = re.search(r"'([^']+)' in parents", str(params.get("q", "")))
    held = [f for f in world.settings.drive if folder is None or folder[1] in f.get("parents", ())]
    token = str(params.get("pageToken", "0"))
    if not token.isdecimal():
        raise Refusal(400, "INVALID_REQUEST", "Invalid page token")
    begin, size = int(token), int(params.get("pageSize", 100))
    shown = [{k: v for k, v in f.items() if k != "content"} for f in held[begin : begin + size]]
    more = {"nextPageToken": str(begin + size)} if begin + size < len(held) else {}
    return Answer({"data": {"endpoint": asked.given("endpoint"), "files": shown, **more}})


def _content(world: World, file_id: str) -> bytes:
    """What a file of the storage holds."""
    held = next((f for f in world.settings.drive if f["id"] == file_id), None)
    return f"drive {file_id}".encode() if held is None else base64.b64decode(held["content"])


@answers("POST /cloud-storage/import", needs="connection_id files")
def begin_import(world: World, asked: Asked) -> Answer:
    cloud, files = world.room(Cloud), asked.given("files")
    cloud.connection(asked.given("connection_id"))
    ids = [world.new_id("file") for _ in files]
    fails = [f["name"] for f in files if any(x.concerns(f["name"]) for x in asked.failing)]

    def finish() -> None:
        for file_id, told in zip(ids, files, strict=True):
            if told["name"] not in fails:
                new_picture(
                    world,
                    asked,
                    stored(_content(world, told["id"])),
                    told["name"],
                    told.get("mime_type") or "image/jpeg",
                    file_id=file_id,
                    tags=list(asked.given("tags", [])),
                    describe=asked.given("auto_describe", True),
                    upload_method="CLOUD_IMPORT",
                )

    if world.sides["cloud_import"] == "sync" and len(files) <= _FEW:
        finish()
        return Answer(
            {
                "image_ids": ids,
                "job_id": None,
                "status": "completed",
                "total_files": len(files),
                "is_async": False,
                "message": f"Imported {len(files)} files",
            }
        )
    job = _begin(world, asked, "import", len(files), finish, fails)
    return Answer(
        {
            "image_ids": ids,
            "job_id": job.id,
            "status": "pending",
            "total_files": len(files),
            "is_async": True,
            "message": "Import queued",
        }
    )


@answers("POST /cloud-storage/export", needs="connection_id image_ids")
def begin_export(world: World, asked: Asked) -> Answer:
    world.room(Cloud).connection(asked.given("connection_id"))
    files = known(world, asked.given("image_ids"))
    fails = [f.filename for f in files if any(x.concerns(f.filename) for x in asked.failing)]
    job = _begin(world, asked, "export", len(files), lambda: None, fails)
    return Answer(
        {
            "cloud_file_ids": None,
            "job_id": job.id,
            "job_status": "pending",
            "is_async": True,
            "message": "Export queued",
        }
    )


def _begin(
    world: World, asked: Asked, kind: str, total: int, finish: Callable[[], None], fails: list[str]
) -> Job:
    work = world.work("job", asked)
    work.failure = None  # files fail, not the job
    job = Job(
        world.new_id("job"),
        kind,
        asked.given("connection_id"),
        world.now(),
        total,
        work,
        finish,
        failing=fails,
    )
    world.room(Cloud).jobs[job.id] = job
    return job


@answers("GET /cloud-storage/jobs/{job_id}")
def job_status(world: World, asked: Asked) -> Answer:
    cloud, now = world.room(Cloud), world.now()
    job = cloud.jobs.get(asked.ids["job_id"])
    if job is None:
        raise not_found("Job")
    over = job.work.is_over(now)
    if over and job.finished is None:
        job.finished = now
        job.finish()
    job.work.look()
    failed = len(job.failing) if over else 0
    return Answer(
        {
            "job": {
                "job_id": job.id,
                "type": job.kind,
                "status": _state(job, over),
                "connection_id": job.connection_id,
                "provider": cloud.connections[job.connection_id]["provider"],
                "total_files": job.total,
                "completed_files": job.total - failed if over else 0,
                "failed_files": failed,
                "error": f"{failed} files failed" if failed else None,
                "created_at": stamp(job.created),
                "updated_at": stamp(now),
                "completed_at": stamp(job.finished) if job.finished else None,
            }
        }
    )


def _state(job: Job, over: bool) -> str:
    if not over:
        return "processing"
    if not job.failing:
        return "completed"
    return "failed" if len(job.failing) == job.total else "partial"
