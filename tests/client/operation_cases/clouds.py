"""Cloud storages."""

from __future__ import annotations

from typing import Any, Final

from aion_dagster.client.models.cloud_storage import CloudFile

from .case import Case, Given, after, given
from .made import Made

_FILES: Final = (
    CloudFile(id="f", name="a.jpg", mime_type="image/jpeg", size_bytes=9),
    CloudFile(id="g", name="b.jpg"),
)
_BACK: Final = "https://example.org/back"


def _state(made: Made) -> str:
    return made.client.cloud_storage.initiate_auth("google_drive").state


def _job(made: Made) -> str:
    images = made.images(2)
    return made.client.cloud_storage.start_export(made.connection(), images).job_id


def _proxied(made: Made) -> Given:
    session = made.client.cloud_storage.get_picker_token(made.connection())
    return given(session.session_id, "files/1", params={"fields": "id"})


def _exported(made: Made, **more: Any) -> Given:
    images = made.images(2)
    return given(made.connection(), images, folder_name="Site", **more)


CASES: Final = (
    Case(
        "POST /cloud-storage/auth/{provider}",
        "cloud_storage.initiate_auth",
        lambda m: given("google_drive", redirect_uri=_BACK),
    ),
    Case(
        "POST /cloud-storage/auth/{provider}/callback",
        "cloud_storage.complete_auth",
        lambda m: given("google_drive", code="me", state=_state(m), redirect_uri=_BACK),
    ),
    Case(
        "GET /cloud-storage/auth/{provider}/callback",
        "cloud_storage.callback_page",
        lambda m: given(
            "google_drive",
            code="me",
            state=_state(m),
            error="access_denied",
            error_description="no",
        ),
    ),
    Case(
        "GET /cloud-storage/connections",
        "cloud_storage.list_connections",
        lambda m: after(m.connection(), provider="google_drive", active_only=False),
    ),
    Case(
        "DELETE /cloud-storage/connections/{connection_id}",
        "cloud_storage.disconnect",
        lambda m: given(m.connection()),
    ),
    Case(
        "GET /cloud-storage/connections/{connection_id}/picker-token",
        "cloud_storage.get_picker_token",
        lambda m: given(m.connection()),
    ),
    Case("POST /cloud-storage/picker-proxy", "cloud_storage.picker_proxy", _proxied),
    Case(
        "POST /cloud-storage/import",
        "cloud_storage.start_import",
        lambda m: given(
            m.connection(), _FILES, auto_describe=True, tags=["cloud"], collection_id=m.folder()
        ),
    ),
    Case(
        "POST /cloud-storage/import",
        "cloud_storage.import_and_wait",
        lambda m: given(m.connection(), _FILES, tags=["cloud"]),
    ),
    Case(
        "POST /cloud-storage/export",
        "cloud_storage.start_export",
        lambda m: _exported(m, folder_id="f"),
    ),
    Case("POST /cloud-storage/export", "cloud_storage.export_and_wait", _exported),
    Case("GET /cloud-storage/jobs/{job_id}", "cloud_storage.get_job", lambda m: given(_job(m))),
    Case(
        "GET /cloud-storage/jobs/{job_id}",
        "cloud_storage.wait_for_job",
        lambda m: given(_job(m)),
    ),
)
