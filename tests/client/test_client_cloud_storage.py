"""Cloud storages through the API: accounts, imports and exports, the jobs behind them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from loopback_api import LoopbackApi, Reply, awaited_client, blocking_client, loopback_api

from aion_dagster.client.errors import (
    AionvisionTimeoutError,
    CloudStorageError,
    ServerError,
    ValidationError,
)
from aion_dagster.client.models.cloud_storage import CloudFile
from aion_dagster.client.models.statuses import WorkStatus
from aion_dagster.client.resources.cloud_storage import (
    CloudStorageResource,
    SyncCloudStorageResource,
)

IMPORT = "POST /cloud-storage/import"
EXPORT = "POST /cloud-storage/export"
JOB = "GET /cloud-storage/jobs/{id}"
FILES = [CloudFile(id="f1", name="a.jpg", mime_type="image/jpeg"), {"id": "f2", "name": "b.jpg"}]


@pytest.fixture
def api() -> Iterator[LoopbackApi]:
    with loopback_api() as server:
        yield server


@pytest.fixture
def cloud(api: LoopbackApi) -> Iterator[SyncCloudStorageResource]:
    with blocking_client(api) as client:
        yield SyncCloudStorageResource(CloudStorageResource(client.transport))


def job(status: str, **more: Any) -> dict[str, Any]:
    return {
        "job": {
            "job_id": "j",
            "type": "import",
            "status": status,
            "connection_id": "c",
            "provider": "google_drive",
            "total_files": 4,
            "completed_files": 1,
            "failed_files": 1,
            "created_at": "2025-01-15T10:30:00",
            "updated_at": "2025-01-15T10:30:00Z",
        }
        | more
    }


def test_access_is_granted_in_two_steps(api: LoopbackApi, cloud: Any) -> None:
    api.on(
        "POST /cloud-storage/auth/google_drive",
        {"authorization_url": "https://g.example", "state": "s3cret", "provider": "google_drive"},
    )
    api.on(
        "POST /cloud-storage/auth/google_drive/callback",
        {"connection": {"id": "c", "provider": "google_drive", "is_active": True}, "is_new": True},
    )
    begun = cloud.initiate_auth("google_drive", redirect_uri="http://localhost/back")
    assert api.requests[0].json == {
        "provider": "google_drive",
        "redirect_uri": "http://localhost/back",
    }
    assert "s3cret" not in repr(begun)
    done = cloud.complete_auth("google_drive", code="x", state=begun.state)
    assert api.requests[1].json == {"code": "x", "state": "s3cret"}
    assert (done.connection.id, done.is_new) == ("c", True)


@pytest.mark.parametrize("provider", ["onedrive", "dropbox", "", "../x"])
def test_only_google_drive_can_be_connected(api: LoopbackApi, cloud: Any, provider: str) -> None:
    with pytest.raises(ValidationError, match="google_drive"):
        cloud.initiate_auth(provider)
    with pytest.raises(ValidationError, match="google_drive"):
        cloud.complete_auth(provider, code="x", state="y")
    assert api.requests == []


def test_the_page_behind_a_browser_is_text(api: LoopbackApi, cloud: Any) -> None:
    api.on("GET /cloud-storage/auth/google_drive/callback", Reply("<p>Füße".encode()))
    assert cloud.callback_page("google_drive", code="x", state="y") == "<p>Füße"
    assert api.requests[0].query == {"code": ["x"], "state": ["y"]}


def test_accounts_are_listed_and_forgotten(api: LoopbackApi, cloud: Any) -> None:
    api.on(
        "GET /cloud-storage/connections",
        {"connections": [{"id": "c", "provider_email": "a@example.org"}], "total_count": 1},
    )
    api.on("DELETE /cloud-storage/connections/{id}", {"success": True, "message": "gone"})
    listed = cloud.list_connections(provider="google_drive", active_only=False)
    assert api.requests[0].query == {"provider": ["google_drive"], "active_only": ["false"]}
    assert (listed.connections[0].provider_email, listed.total_count) == ("a@example.org", 1)
    assert cloud.disconnect("c").message == "gone"


def test_a_picker_session_shows_no_token(api: LoopbackApi, cloud: Any) -> None:
    api.on(
        "GET /cloud-storage/connections/{id}/picker-token",
        {"session": {"session_id": "s", "access_token": "t0ken", "developer_key": "d3v"}},
    )
    api.on("POST /cloud-storage/picker-proxy", {"data": {"name": "a.jpg"}})
    session = cloud.get_picker_token("c")
    assert session.access_token == "t0ken"
    assert "t0ken" not in repr(session)
    assert "d3v" not in repr(session)
    assert cloud.picker_proxy("s", "files/abc", params={"fields": "name"}) == {"name": "a.jpg"}
    assert api.requests[1].json == {
        "session_id": "s",
        "endpoint": "files/abc",
        "params": {"fields": "name"},
    }


def test_an_import_sends_its_files(api: LoopbackApi, cloud: Any) -> None:
    api.on(IMPORT, {"image_ids": ["p1", "p2"], "job_id": "j", "is_async": True, "message": "ok"})
    begun = cloud.start_import("c", FILES, auto_describe=False, tags=["t"], collection_id="k")
    assert api.requests[0].json == {
        "connection_id": "c",
        "files": [
            {"id": "f1", "name": "a.jpg", "mime_type": "image/jpeg"},
            {"id": "f2", "name": "b.jpg"},
        ],
        "auto_describe": False,
        "tags": ["t"],
        "collection_id": "k",
    }
    assert (begun.image_ids, begun.job_id, begun.is_async) == (["p1", "p2"], "j", True)


@pytest.mark.parametrize("files", [[], [{"id": "f1"}], [{"id": "", "name": "x"}], "f1"])
def test_an_import_of_nothing_is_refused(api: LoopbackApi, cloud: Any, files: Any) -> None:
    with pytest.raises(ValidationError, match="files"):
        cloud.start_import("c", files)
    assert api.requests == []


@pytest.mark.parametrize("failure", [Reply(b"{}", 503), Reply(b"{", 200, promised=100)])
def test_imports_and_exports_are_never_made_twice(
    api: LoopbackApi, cloud: Any, failure: Reply
) -> None:
    api.on(IMPORT, failure)
    api.on(EXPORT, failure)
    with pytest.raises(Exception, match="cloud-storage"):
        cloud.start_import("c", FILES)
    with pytest.raises(Exception, match="cloud-storage"):
        cloud.start_export("c", ["i"])
    assert [asked.path.rsplit("/", 1)[1] for asked in api.requests] == ["import", "export"]


def test_an_export_names_its_folder(api: LoopbackApi, cloud: Any) -> None:
    api.on(EXPORT, {"job_id": "j", "job_status": "pending", "is_async": True, "message": ""})
    begun = cloud.start_export("c", ["i1", "i2"], folder_name="Site")
    assert api.requests[0].json == {
        "connection_id": "c",
        "image_ids": ["i1", "i2"],
        "folder_name": "Site",
    }
    assert begun.job_status is WorkStatus.PENDING
    with pytest.raises(ValidationError, match="image_ids"):
        cloud.start_export("c", [])


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_job_is_read_in_its_envelope_or_without(
    api: LoopbackApi, cloud: Any, wrapped: bool
) -> None:
    answer = job("processing")
    api.on(JOB, answer if wrapped else answer["job"])
    state = cloud.get_job("j")
    assert (state.job_id, state.status, state.progress_percent) == (
        "j",
        WorkStatus.PROCESSING,
        50.0,
    )


@pytest.mark.parametrize("end", ["completed", "partial", "failed", "cancelled"])
def test_a_job_is_watched_to_its_end_whatever_that_is(
    api: LoopbackApi, cloud: Any, end: str
) -> None:
    api.on(JOB, [job("pending"), job("processing"), job("scanning"), job(end)])
    seen: list[str] = []
    assert cloud.wait_for_job("j", on_progress=lambda j: seen.append(j.status.value)).status == end
    assert seen == ["pending", "processing", "scanning", end]


def test_a_job_that_does_not_end_says_what_was_seen_last(api: LoopbackApi, cloud: Any) -> None:
    api.on(JOB, job("processing"))
    with pytest.raises(AionvisionTimeoutError) as late:
        cloud.wait_for_job("j", timeout=0)
    assert late.value.last_result.completed_files == 1


def test_an_import_ends_with_its_job(api: LoopbackApi, cloud: Any) -> None:
    api.on(IMPORT, {"image_ids": ["p"], "job_id": "j", "is_async": True, "message": ""})
    api.on(JOB, [job("processing"), job("partial", completed_files=3)])
    done = cloud.import_and_wait("c", FILES)
    assert (done.status, done.completed_files, done.failed_files) == (WorkStatus.PARTIAL, 3, 1)


@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_a_job_that_failed_is_an_error_with_the_job(api: LoopbackApi, cloud: Any, end: str) -> None:
    api.on(IMPORT, {"job_id": "j", "is_async": True, "message": ""})
    api.on(EXPORT, {"job_id": "j", "is_async": True, "message": ""})
    api.on(JOB, job(end, error="token revoked"))
    for run in (
        lambda: cloud.import_and_wait("c", FILES),
        lambda: cloud.export_and_wait("c", ["i"]),
    ):
        with pytest.raises(CloudStorageError, match="token revoked") as failed:
            run()
        assert failed.value.details["job"]["status"] == end


def test_what_was_done_at_once_needs_no_job(api: LoopbackApi, cloud: Any) -> None:
    api.on(IMPORT, {"image_ids": ["a", "b"], "is_async": False, "message": "", "total_files": 2})
    api.on(EXPORT, {"cloud_file_ids": ["x"], "is_async": False, "message": ""})
    imported = cloud.import_and_wait("c", FILES)
    assert (imported.status, imported.completed_files) == (WorkStatus.COMPLETED, 2)
    assert cloud.export_and_wait("c", ["i"]).completed_files == 1
    api.on(IMPORT, {"status": "failed", "is_async": False, "message": "no access"})
    with pytest.raises(CloudStorageError, match="no access"):
        cloud.import_and_wait("c", FILES)


def test_a_failed_look_at_a_job_is_tried_again_and_then_an_error(
    api: LoopbackApi, cloud: Any
) -> None:
    down = Reply({"error": "E", "message": "down"}, 500)
    api.on(JOB, [down, down, job("completed")])
    assert cloud.wait_for_job("j").is_over
    api.on(JOB, down)
    with pytest.raises(ServerError):
        cloud.wait_for_job("j")


def test_the_awaited_client_does_the_same(api: LoopbackApi) -> None:
    api.on(IMPORT, {"job_id": "j", "is_async": True, "message": ""})
    api.on(JOB, [job("processing"), job("completed")])

    async def use() -> str:
        async with awaited_client(api) as client:
            cloud = CloudStorageResource(client.transport)
            return (await cloud.import_and_wait("c", FILES)).status.value

    assert asyncio.run(use()) == "completed"
