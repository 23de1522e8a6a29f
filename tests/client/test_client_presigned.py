"""Uploads straight into storage, on servers that have one way of it, the other, or none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aionvision_server.fixtures import Server
from loopback_api import KEY, LoopbackApi, Reply, blocking_client, loopback_api
from uploading import blocking_uploads, picture

from aion_dagster.client import errors
from aion_dagster.client.models.upload_presigned import FileInfo, UploadConfirmation
from aion_dagster.client.resources.uploads import SyncUploadResource, UploadResource

OLD, OLD_CONFIRM = "POST /uploads/request-presigned-url", "POST /uploads/confirm"
NEW, NEW_CONFIRM = "POST /user-files/upload/initiate", "POST /user-files/upload/confirm"
JPEG = b"\xff\xd8\xff\xe0" + b"x" * 200_000


@pytest.fixture
def server() -> Iterator[LoopbackApi]:
    with loopback_api() as running:
        running.on("PUT //storage/a", Reply(b"", 200, {"ETag": '"e"'}))
        running.on("POST //storage/a", Reply(b"", 204))
        yield running


@pytest.fixture
def uploads(server: LoopbackApi) -> Iterator[SyncUploadResource]:
    with blocking_client(server) as client:
        yield SyncUploadResource(UploadResource(client.transport))


def place(server: LoopbackApi, **more: Any) -> dict[str, Any]:
    return {
        "upload_url": f"{server.url}/storage/a",
        "upload_method": "PUT",
        "upload_headers": {"Content-Type": "image/jpeg"},
        "object_key": "uploads/t/a.jpg",
        "expires_at": "2025-01-15T10:40:00",
        "max_size_bytes": 104857600,
    } | more


def test_the_older_way(server: LoopbackApi, uploads: SyncUploadResource, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(JPEG)
    server.on(OLD, place(server))
    answer = {"upload_id": "u", "object_key": "uploads/t/a.jpg", "confirmed": True}
    server.on(OLD_CONFIRM, answer)
    told: list[tuple[int, int]] = []
    result = uploads.upload_presigned(
        path, idempotency_key="once", on_progress=lambda *sent: told.append(sent)
    )
    assert (result.upload_id, result.image_id, result.confirmed) == ("u", "u", True)
    assert server.asked(OLD)[0].json == {
        "filename": "a.jpg", "content_type": "image/jpeg", "size_bytes": len(JPEG),
        "purpose": "image_analysis", "storage_target": "default", "idempotency_key": "once",
    }  # fmt: skip
    (stored,) = server.asked("PUT //storage/a")
    assert stored.body == JPEG
    assert stored.headers["content-length"] == str(len(JPEG))
    assert "authorization" not in stored.headers
    assert KEY not in str(stored.headers)
    assert told[-1] == (len(JPEG), len(JPEG))
    assert server.asked(OLD_CONFIRM)[0].json == {
        "object_key": "uploads/t/a.jpg", "size_bytes": len(JPEG),
    }  # fmt: skip


def test_the_newer_way_is_taken_where_the_older_is_missing(
    server: LoopbackApi, uploads: SyncUploadResource
) -> None:
    server.on(NEW, place(server, image_id="i", upload_fields=None, upload_headers=None))
    confirmed = {"image_id": "i", "description_status": "pending", "title": "T", "tags": ["a"]}
    server.on(NEW_CONFIRM, confirmed)
    presigned = uploads.request_presigned_url(
        "a.jpg", "image/jpeg", len(JPEG), title="T", tags=["a", "b"], auto_describe=False
    )
    assert presigned.image_id == "i"
    form = server.asked(NEW)[0].body
    for part in (b'name="filename"\r\n\r\na.jpg', b'name="tags"\r\n\r\na,b', b'"auto_describe"\r\n\r\nfalse'):  # fmt: skip
        assert part in form
    uploads.send_presigned(presigned, JPEG)
    result = uploads.confirm_upload(presigned.object_key, len(JPEG))
    assert (result.image_id, result.title, result.tags) == ("i", "T", ["a"])
    assert server.asked(NEW_CONFIRM)[0].json["image_id"] == "i"
    assert server.asked(OLD_CONFIRM) == []


def test_a_confirmation_in_another_process_needs_the_pictures_id(
    server: LoopbackApi, uploads: SyncUploadResource
) -> None:
    server.on(NEW_CONFIRM, {"image_id": "i"})
    with pytest.raises(errors.ResourceNotFoundError):
        uploads.confirm_upload("k", 10)
    assert uploads.confirm_upload("k", 10, image_id="i").image_id == "i"


def test_a_server_without_either_way_says_so(
    server: LoopbackApi, uploads: SyncUploadResource
) -> None:
    with pytest.raises(errors.ResourceNotFoundError, match="request-presigned-url"):
        uploads.upload_presigned(JPEG, filename="a.jpg")


def test_storage_that_wants_a_form_gets_one(
    server: LoopbackApi, uploads: SyncUploadResource
) -> None:
    fields = {"key": "uploads/t/a.jpg", "policy": "p"}
    server.on(OLD, place(server, upload_method="POST", upload_fields=fields, upload_headers=None))
    server.on(OLD_CONFIRM, {"upload_id": "u"})
    uploads.upload_presigned(JPEG, filename="a.jpg")
    (stored,) = server.asked("POST //storage/a")
    assert stored.body.index(b'name="policy"') < stored.body.index(b'name="file"')
    assert JPEG in stored.body


def test_storage_that_is_busy_gets_the_whole_file_again(
    server: LoopbackApi, uploads: SyncUploadResource
) -> None:
    server.on(OLD, place(server))
    server.on(OLD_CONFIRM, {"upload_id": "u"})
    server.on("PUT //storage/a", [Reply(b"", 503), Reply(b"", 200)])
    uploads.upload_presigned(JPEG, filename="a.jpg")
    assert [asked.body for asked in server.asked("PUT //storage/a")] == [JPEG, JPEG]


def test_what_is_larger_than_permitted_is_not_sent(
    server: LoopbackApi, uploads: SyncUploadResource
) -> None:
    server.on(OLD, place(server, max_size_bytes=10))
    with pytest.raises(errors.ValidationError, match="10 are allowed"):
        uploads.upload_presigned(JPEG, filename="a.jpg")
    assert server.asked("PUT //storage/a") == []
    server.on(OLD, Reply({"detail": "Not Found"}, 404))
    with pytest.raises(errors.ValidationError) as caught:
        uploads.request_presigned_url("a.jpg", "image/jpeg", 50 * 1024 * 1024 + 1)
    assert caught.value.details == {"field": "size_bytes"}


@pytest.mark.parametrize("name", ["presigned_urls", "files"])
def test_a_batch_is_prepared_and_confirmed(
    server: LoopbackApi, uploads: SyncUploadResource, name: str
) -> None:
    prepared = {"batch_id": "b", name: [place(server, file_index=0, filename="a.jpg")]}
    server.on("POST /uploads/batch-prepare", prepared)
    server.on(
        "POST /uploads/batch-confirm",
        {"batch_id": "b", "successful_uploads": 1, "stored_images": [{"image_id": "i"}]},
    )
    server.on(
        "GET /uploads/batch/{batch_id}/status",
        {"batch_id": "b", "overall_status": "completed", "counts": {"total": 1, "completed": 1}},
    )
    info = FileInfo(filename="a.jpg", size_bytes=len(JPEG), content_type="image/jpeg")
    batch = uploads.batch_prepare([info], intent="verify")
    asked = server.asked("POST /uploads/batch-prepare")[0].json
    assert asked == {
        "files": [{"filename": "a.jpg", "size_bytes": len(JPEG), "content_type": "image/jpeg"}],
        "intent": "verify",
    }
    uploads.send_presigned(batch.presigned_urls[0], JPEG)
    done = UploadConfirmation(object_key="k", success=True, file_size=len(JPEG))
    result = uploads.batch_confirm(batch.batch_id, [done], auto_process=False)
    assert result.stored_images[0].image_id == "i"
    assert server.asked("POST /uploads/batch-confirm")[0].json == {
        "batch_id": "b",
        "confirmations": [{"object_key": "k", "success": True, "file_size": len(JPEG)}],
        "auto_process": False,
    }
    status = uploads.get_batch_status("b")
    assert (status.is_terminal, status.total, status.completed, status.failed) == (True, 1, 1, 0)


def test_a_batch_holds_five_files_at_most(server: LoopbackApi, uploads: SyncUploadResource) -> None:
    info = FileInfo(filename="a.jpg", size_bytes=1, content_type="image/jpeg")
    for count in (0, 6):
        with pytest.raises(errors.ValidationError, match="files"):
            uploads.batch_prepare([info] * count)
    assert server.requests == []


@pytest.mark.parametrize("side", ["user-files", "uploads", "both"])
def test_whichever_way_a_server_has_the_picture_arrives_and_is_described(
    aionvision: Server, side: str
) -> None:
    aionvision.side(presigned=side)
    with blocking_uploads(aionvision) as uploads:
        result = uploads.upload_presigned(picture(1), filename="a.png")
        assert result.image_id is not None
        assert uploads.wait_for_description(result.image_id).is_successful
    (stored,) = aionvision.objects()
    assert stored["id"] == result.image_id
    aionvision.assert_clean()
