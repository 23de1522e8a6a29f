"""Uploads of pictures."""

from __future__ import annotations

from typing import Final

from aion_dagster.client.models.upload_presigned import FileInfo, UploadConfirmation

from .case import Case, Given, after, given
from .made import Made, picture, sha256

_OLDER: Final = {"presigned": "uploads"}
_NEWER: Final = {"presigned": "user-files"}
_ASKED_FIRST: Final = ("POST /uploads/request-presigned-url",)
_ONE: Final = "POST /user-files/upload/stream"
_BATCH: Final = "POST /user-files/upload/stream-batch"
_STATUS: Final = "GET /uploads/sessions/{session_id}/status"
_RESULTS: Final = "GET /uploads/sessions/{session_id}/results"


def _stuck(made: Made) -> Given:
    made.server.fault("stuck", _ONE)
    made.raw_image()
    made.server.clock(advance=3600)
    return given(stuck_minutes=5, limit=10)


def _several(made: Made) -> Given:
    files, names = made.pictures(7)
    return given(
        files,
        filenames=names,
        tags=["a", "b"],
        skip_duplicates=True,
        auto_describe=True,
        storage_target="default",
    )


def _confirmed(made: Made) -> Given:
    presigned, size = made.presigned()
    return given(presigned.object_key, size, checksum=sha256(picture(200)))


def _confirmed_newer(made: Made) -> Given:
    presigned, size = made.presigned(title="T", tags=["a"])
    return given(presigned.object_key, size, image_id=presigned.image_id)


def _batch_confirmed(made: Made) -> Given:
    batch, sizes = made.upload_batch()
    told = [
        UploadConfirmation(object_key=place.object_key, success=True, file_size=size)
        for place, size in zip(batch.presigned_urls, sizes, strict=True)
    ]
    return given(batch.batch_id, told, auto_process=True)


CASES: Final = (
    Case("GET /uploads/quota-check", "uploads.check_quota", lambda m: given(3)),
    Case(
        "POST /uploads/check-duplicates",
        "uploads.check_duplicates",
        lambda m: given([sha256(picture(1)), sha256(b"other")] if m.image() else []),
    ),
    Case("GET /uploads/status/{image_id}", "uploads.get_status", lambda m: given(m.image())),
    Case("GET /uploads/stuck-uploads", "uploads.list_stuck", _stuck),
    Case(
        _ONE,
        "uploads.stream",
        lambda m: given(
            picture(9),
            filename="9.png",
            title="Nine",
            tags=["a", "b"],
            auto_describe=True,
            skip_duplicates=True,
            storage_target="default",
            intent="describe",
            verification_level="standard",
        ),
    ),
    Case(
        _ONE,
        "uploads.upload_one",
        lambda m: given(picture(9), filename="9.png", title="Nine", tags=["a"]),
    ),
    Case(_ONE, "upload_one", lambda m: given(picture(9), filename="9.png")),
    Case(_BATCH, "uploads.stream_batch", _several),
    Case(_BATCH, "uploads.upload", _several),
    Case(_BATCH, "uploads.upload_batch", _several),
    Case(_BATCH, "upload", _several),
    Case(_BATCH, "upload_batch", _several),
    Case(_STATUS, "uploads.get_session_status", lambda m: given(m.session())),
    Case(_STATUS, "uploads.wait_for_session", lambda m: given(m.session())),
    Case(
        _RESULTS,
        "uploads.get_session_results",
        lambda m: given(m.session(), include_failed=True, offset=1, limit=5),
    ),
    Case(_RESULTS, "uploads.iter_session_results", lambda m: given(m.session(), page_size=3)),
    Case(
        "POST /uploads/sessions/{session_id}/cancel",
        "uploads.cancel_session",
        lambda m: given(m.session()),
    ),
    Case(
        "GET /uploads/sessions",
        "uploads.list_sessions",
        lambda m: after(
            m.session(), status="processing", upload_method="STREAMING", limit=3, offset=0
        ),
    ),
    Case(
        "GET /uploads/sessions",
        "uploads.iter_sessions",
        lambda m: after([m.session(), m.session(6)], page_size=1),
    ),
    Case("GET /user-files", "uploads.wait_for_description", lambda m: given(m.raw_image())),
    Case(
        "GET /user-files",
        "uploads.wait_for_descriptions",
        lambda m: given([m.raw_image(), m.raw_image()]),
    ),
    Case("GET /user-files", "uploads.get_descriptions", lambda m: given(m.images(2))),
    Case(
        "POST /uploads/request-presigned-url",
        "uploads.request_presigned_url",
        lambda m: given("a.png", "image/png", 1000, idempotency_key="k"),
        _OLDER,
    ),
    Case(
        "POST /user-files/upload/initiate",
        "uploads.request_presigned_url",
        lambda m: given("a.png", "image/png", 1000, title="T", tags=["a"], auto_describe=False),
        _NEWER,
        _ASKED_FIRST,
    ),
    Case(
        "POST /uploads/request-presigned-url",
        "uploads.request_presigned_url",
        lambda m: given("large.png", "image/png", 101 * 1024**2),
        {"presigned": "both", "presigned_limit": "above_100mb"},
    ),
    Case("POST /uploads/confirm", "uploads.confirm_upload", _confirmed, _OLDER),
    Case(
        "POST /user-files/upload/confirm",
        "uploads.confirm_upload",
        _confirmed_newer,
        _NEWER,
        ("POST /uploads/confirm",),
    ),
    Case(
        "POST /uploads/confirm",
        "uploads.upload_presigned",
        lambda m: given(picture(9), filename="9.png"),
        _OLDER,
    ),
    Case(
        "POST /user-files/upload/confirm",
        "uploads.upload_presigned",
        lambda m: given(picture(9), filename="9.png", title="T", tags=["a"]),
        _NEWER,
        _ASKED_FIRST,
    ),
    Case(
        "POST /uploads/batch-prepare",
        "uploads.batch_prepare",
        lambda m: given(
            [FileInfo(filename="a.png", size_bytes=9, content_type="image/png")],
            additional_params={"title": "T"},
        ),
        _OLDER,
    ),
    Case("POST /uploads/batch-confirm", "uploads.batch_confirm", _batch_confirmed, _OLDER),
    Case(
        "GET /uploads/batch/{batch_id}/status",
        "uploads.get_batch_status",
        lambda m: given(m.upload_batch()[0].batch_id),
        _OLDER,
    ),
)
