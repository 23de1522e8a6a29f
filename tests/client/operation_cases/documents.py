"""Documents."""

from __future__ import annotations

from typing import Final

from aion_dagster.client.models.document_uploads import (
    DocumentFileInfo,
    DocumentUploadConfirmation,
)

from .case import Case, Given, after, given
from .made import TEXT, Made, sha256

_STATUS: Final = "GET /document-uploads/{document_id}/status"
_CONFIRM: Final = "POST /document-uploads/confirm"


def _confirmed(made: Made) -> Given:
    place = made.sent_document()
    return given(place.object_key, len(TEXT), "text/markdown", checksum=sha256(TEXT))


def _batch_confirmed(made: Made) -> Given:
    batch = made.document_batch()
    first, second = (place.object_key for place in batch.presigned_urls)
    told = [
        DocumentUploadConfirmation(
            object_key=first, success=True, file_size=6, checksum=sha256(b"text 0")
        ),
        DocumentUploadConfirmation(
            object_key=second, success=False, file_size=6, error_message="lost"
        ),
    ]
    return given(batch.batch_id, told)


def _uploaded_batch(made: Made) -> Given:
    sent = made.client.documents.upload([b"one", b"two"], filenames=["1.txt", "2.txt"])
    return given(sent.batch_ids[0])


CASES: Final = (
    Case(
        "POST /document-uploads/request-presigned-url",
        "documents.request_upload",
        lambda m: given(
            "a.pdf", "application/pdf", 9, idempotency_key="k", storage_target="default"
        ),
    ),
    Case(_CONFIRM, "documents.confirm_upload", _confirmed),
    Case(_CONFIRM, "documents.upload_one", lambda m: given(TEXT, filename="safety.md")),
    Case(_STATUS, "documents.get_status", lambda m: given(m.document())),
    Case(_STATUS, "documents.wait_for_processing", lambda m: given(m.document())),
    Case("GET /document-uploads/quota-check", "documents.quota_check", lambda m: given(2)),
    Case(
        "POST /document-uploads/batch-prepare",
        "documents.batch_prepare",
        lambda m: given(
            [
                DocumentFileInfo(
                    filename="a.txt",
                    size_bytes=6,
                    content_type="text/plain",
                    idempotency_key="k",
                    storage_target="default",
                )
            ],
            additional_params={"title": "T"},
        ),
    ),
    Case("POST /document-uploads/batch-confirm", "documents.batch_confirm", _batch_confirmed),
    Case(
        "POST /document-uploads/batch-confirm",
        "documents.upload",
        lambda m: given([b"one", b"two"], filenames=["1.txt", "2.txt"]),
    ),
    Case(
        "GET /document-uploads/batch/{batch_id}/status", "documents.batch_status", _uploaded_batch
    ),
    Case(
        "POST /documents/search",
        "documents.search",
        lambda m: given("helmet", limit=5, similarity_threshold=0.1, document_ids=[m.document()]),
    ),
    Case(
        "GET /documents",
        "documents.list",
        lambda m: after(m.document(), page=1, page_size=5, status_filter="completed"),
    ),
    Case(
        "GET /documents",
        "documents.list_all",
        lambda m: after([m.document(), m.document(b"other", "b.txt")], page_size=1),
    ),
    Case("GET /documents/{document_id}", "documents.get", lambda m: given(m.document())),
    Case("DELETE /documents/{document_id}", "documents.delete", lambda m: given(m.document())),
    Case(
        "PATCH /documents/{document_id}",
        "documents.update",
        lambda m: given(m.document(), title="T", tags=["a"]),
    ),
    Case("GET /documents/{document_id}/text", "documents.get_text", lambda m: given(m.document())),
    Case(
        "GET /documents/{document_id}/chunks",
        "documents.get_chunks",
        lambda m: given(m.document(), include_embeddings=True),
    ),
    Case(
        "POST /documents/batch-delete",
        "documents.batch_delete",
        lambda m: given([m.document()]),
    ),
    Case(
        "GET /documents/{document_id}/download",
        "documents.download",
        lambda m: given(m.document()),
    ),
    Case(
        "GET /documents/{document_id}/download",
        "documents.download_to",
        lambda m: given(m.document(), m.folder_for_files / "document"),
    ),
)
