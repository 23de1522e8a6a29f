"""Documents are sent: permission, storage, confirmation, processing; single and in batches; never twice."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from document_store import DocumentStore
from loopback_api import KEY, LoopbackApi, Reply, awaited_client, blocking_client, loopback_api

from aion_dagster.client.errors import (
    AionvisionTimeoutError,
    AuthenticationError,
    DocumentProcessingError,
    QuotaExceededError,
    UploadError,
    ValidationError,
)
from aion_dagster.client.models.document_uploads import (
    DocumentFileInfo,
    DocumentUploadConfirmation,
)
from aion_dagster.client.models.statuses import WorkStatus
from aion_dagster.client.resources.documents import DocumentsResource, SyncDocumentsResource

PREPARE = "POST /document-uploads/batch-prepare"
CONFIRM = "POST /document-uploads/confirm"
BATCH_CONFIRM = "POST /document-uploads/batch-confirm"
PERMIT = "POST /document-uploads/request-presigned-url"
PUT = "PUT //storage/{key}"


@pytest.fixture
def api() -> Iterator[LoopbackApi]:
    with loopback_api() as server:
        yield server


@pytest.fixture
def store(api: LoopbackApi) -> DocumentStore:
    return DocumentStore(api)


@pytest.fixture
def documents(api: LoopbackApi) -> Iterator[SyncDocumentsResource]:
    with blocking_client(api) as client:
        yield SyncDocumentsResource(DocumentsResource(client.transport))


def test_a_document_goes_from_its_file_to_its_text(
    api: LoopbackApi, store: DocumentStore, documents: Any, tmp_path: Path
) -> None:
    store.looks = 3
    content = b"%PDF-1.7 " + bytes(range(256)) * 1000
    (tmp_path / "report.pdf").write_bytes(content)
    seen: list[Any] = []
    result = documents.upload_one(tmp_path / "report.pdf", on_progress=seen.append)
    assert list(store.stored.values()) == [content]
    assert (result.filename, result.status) == ("report.pdf", WorkStatus.COMPLETED)
    assert (result.page_count, result.chunk_count, result.is_completed) == (2, 5, True)
    assert (result.deduplicated, result.is_idempotent_retry) == (False, False)
    assert len(api.asked("GET /document-uploads/{id}/status")) == 3
    assert seen[-1].uploaded_bytes == seen[-1].total_bytes == len(content)
    assert seen[-1].progress_percent == 100


def test_the_storage_gets_the_length_and_the_type_and_never_the_key(
    api: LoopbackApi, store: DocumentStore, documents: Any
) -> None:
    documents.upload_one(b"# text", filename="notes.md")
    sent = api.asked(PUT)[0]
    assert sent.headers["content-length"] == "6"
    assert sent.headers["content-type"] == "text/markdown"
    assert "transfer-encoding" not in sent.headers
    assert KEY not in str(sent.headers)


def test_a_storage_that_wants_a_form_gets_one(
    api: LoopbackApi, store: DocumentStore, documents: Any
) -> None:
    store.method = "POST"
    documents.upload_one(io.BytesIO(b"the text"), filename="a.txt")
    sent = api.asked("POST //storage/{key}")[0]
    policy, content = sent.body.index(b'name="policy"'), sent.body.index(b"the text")
    assert policy < content
    assert KEY not in str(sent.headers)


def test_the_same_document_has_the_same_key_and_another_one_another(
    api: LoopbackApi, store: DocumentStore, documents: Any
) -> None:
    first = documents.upload_one(b"same", filename="a.txt")
    again = documents.upload_one(b"same", filename="a.txt")
    documents.upload_one(b"same", filename="b.txt")
    documents.upload_one(b"same", filename="a.txt", storage_target="custom")
    documents.upload_one(b"other", filename="a.txt")
    keys = [asked.json["idempotency_key"] for asked in api.asked(PERMIT)]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 4
    assert again.is_idempotent_retry
    assert again.document_id == first.document_id
    assert api.asked(PERMIT)[3].json["storage_target"] == "custom"
    assert "storage_target" not in api.asked(PERMIT)[0].json


def test_a_lost_answer_to_a_confirmation_makes_no_second_document(
    api: LoopbackApi, store: DocumentStore, documents: Any
) -> None:
    lost = [True]

    def confirm(asked: Any) -> Any:
        answer = store.confirm(asked)
        return Reply(b"{", 201, promised=1000) if lost and lost.pop() else answer

    api.on(CONFIRM, confirm)
    result = documents.upload_one(b"text", filename="a.txt")
    assert result.is_idempotent_retry
    assert len(store.documents) == 1
    assert len(api.asked(CONFIRM)) == 2


def test_a_document_that_was_deleted_is_sent_under_the_next_key(
    api: LoopbackApi, store: DocumentStore, documents: Any
) -> None:
    first = documents.upload_one(b"text", filename="a.txt")
    deleted = first.document_id

    def status(asked: Any) -> Any:
        if deleted in asked.path:
            return Reply({"error": "NOT_FOUND", "message": "deleted"}, 404)
        return store.status(asked)

    api.on("GET /document-uploads/{id}/status", status)
    second = documents.upload_one(b"text", filename="a.txt")
    third = documents.upload_one(b"text", filename="a.txt")
    assert second.document_id == third.document_id != deleted
    assert not second.is_idempotent_retry
    assert third.is_idempotent_retry


def test_a_document_of_a_batch_that_is_gone_is_a_retryable_result(
    api: LoopbackApi, store: DocumentStore, documents: Any
) -> None:
    api.on("GET /document-uploads/batch/{id}/status", {"batch_id": "b", "status": "completed"})
    api.on("GET /document-uploads/{id}/status", Reply({"detail": "deleted"}, 404))
    store.looks = 5
    results = documents.upload([b"1"], filenames=["a.txt"])
    assert [r.filename for r in results.retryable()] == ["a.txt"]
    assert "deleted" in str(results[0].error)


def test_content_that_was_there_before_is_told_of(
    api: LoopbackApi, store: DocumentStore, documents: Any
) -> None:
    api.on(CONFIRM, {"document_id": "old", "status": "completed", "deduplicated": True})
    result = documents.upload_one(b"text", filename="a.txt", wait_for_processing=False)
    assert (result.document_id, result.deduplicated, result.is_completed) == ("old", True, True)


def test_an_unfinished_document_is_given_back_where_nobody_waits(
    api: LoopbackApi, store: DocumentStore, documents: Any
) -> None:
    result = documents.upload_one(b"text", filename="a.txt", wait_for_processing=False)
    assert (result.is_pending, result.page_count) == (True, None)
    assert api.asked("GET /document-uploads/{id}/status") == []


def test_a_document_that_cannot_be_processed_is_an_error_unless_asked_for(
    store: DocumentStore, documents: Any
) -> None:
    store.failing.add("a.txt")
    with pytest.raises(DocumentProcessingError, match=r"a\.txt.*encrypted") as failed:
        documents.upload_one(b"text", filename="a.txt")
    assert failed.value.details["document_id"] in store.documents
    result = documents.upload_one(b"text", filename="a.txt", raise_on_failure=False)
    assert (result.is_failed, result.error) == (True, "encrypted")


def test_a_document_that_is_never_over_says_what_was_seen_last(
    store: DocumentStore, documents: Any
) -> None:
    store.looks = 1_000_000
    with pytest.raises(AionvisionTimeoutError) as late:
        documents.upload_one(b"text", filename="a.txt", processing_timeout=0)
    assert late.value.last_result.document_id in store.documents
    assert late.value.last_result.text_extraction_status is WorkStatus.PROCESSING


def test_an_error_while_waiting_says_what_was_sent(
    api: LoopbackApi, store: DocumentStore, documents: Any
) -> None:
    api.on("GET /document-uploads/{id}/status", Reply({"error": "E", "message": "down"}, 500))
    with pytest.raises(UploadError, match="down") as failed:
        documents.upload_one(b"text", filename="a.txt")
    assert failed.value.partial_results[0].document_id in store.documents


def test_a_permission_that_ran_out_is_asked_for_anew_once(
    api: LoopbackApi, store: DocumentStore, documents: Any
) -> None:
    api.on(PUT, [Reply(b"<Error>Request has expired</Error>", 403), store.store])
    assert documents.upload_one(b"text", filename="a.txt").is_completed
    assert len(api.asked(PERMIT)) == 2
    api.on(PUT, Reply(b"<Error>AccessDenied</Error>", 403))
    with pytest.raises(UploadError, match="AccessDenied"):
        documents.upload_one(b"text", filename="b.txt")
    assert len(api.asked(PERMIT)) == 4


def test_a_storage_that_fails_for_a_moment_gets_the_whole_file_again(
    api: LoopbackApi, store: DocumentStore, documents: Any, tmp_path: Path
) -> None:
    content = bytes(1_000_000)
    (tmp_path / "a.txt").write_bytes(content)
    api.on(PUT, [Reply(b"busy", 503), store.store])
    assert documents.upload_one(str(tmp_path / "a.txt")).is_completed
    assert [len(asked.body) for asked in api.asked(PUT)] == [len(content)] * 2


@pytest.mark.parametrize(
    ("content", "filename", "field"),
    [
        (b"", "a.pdf", "file"),
        (b"x", "a.exe", "file"),
        (b"x", "a", "file"),
        (b"x", None, "filename"),
    ],
)
def test_what_is_no_document_is_not_sent(
    api: LoopbackApi,
    store: DocumentStore,
    documents: Any,
    content: bytes,
    filename: Any,
    field: str,
) -> None:
    with pytest.raises(ValidationError) as refused:
        documents.upload_one(content, filename=filename)
    assert refused.value.details["field"] == field
    assert api.requests == []


def test_a_document_above_the_limit_is_not_sent(
    api: LoopbackApi, documents: Any, tmp_path: Path
) -> None:
    with (tmp_path / "big.pdf").open("wb") as file:
        file.truncate(50 * 1024 * 1024 + 1)
    with pytest.raises(ValidationError, match="52,428,800"):
        documents.upload_one(tmp_path / "big.pdf")
    assert api.requests == []


def test_the_steps_can_be_taken_one_by_one(
    api: LoopbackApi, store: DocumentStore, documents: Any
) -> None:
    place = documents.request_upload("a.txt", "text/plain", 4, idempotency_key="k-1.a_B")
    documents.send_presigned(place, b"text", filename="a.txt")
    confirmed = documents.confirm_upload(place.object_key, 4, "text/plain", checksum="c")
    assert confirmed.confirmed
    assert documents.wait_for_processing(confirmed.document_id).is_over
    assert documents.get_status(confirmed.document_id).page_count == 2
    assert api.asked(CONFIRM)[0].json["checksum"] == "c"


@pytest.mark.parametrize(
    ("given", "field"),
    [
        (("a.txt", "image/png", 4), "content_type"),
        (("a.txt", "text/plain", 0), "size_bytes"),
        (("a.txt", "text/plain", 52428801), "size_bytes"),
        (("", "text/plain", 4), "filename"),
    ],
)
def test_a_permission_that_would_be_refused_is_not_asked_for(
    api: LoopbackApi, documents: Any, given: Any, field: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        documents.request_upload(*given)
    assert refused.value.details["field"] == field
    with pytest.raises(ValidationError, match="idempotency_key"):
        documents.request_upload("a.txt", "text/plain", 4, idempotency_key="no spaces")
    assert api.requests == []


def folder_of(tmp_path: Path, many: int) -> Path:
    for number in range(many):
        (tmp_path / f"d{number:03}.txt").write_bytes(b"document %d" % number)
    return tmp_path


def test_a_folder_is_sent_in_batches_and_looked_at_in_batches(
    api: LoopbackApi, store: DocumentStore, documents: Any, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path, 230)
    (folder / "photo.jpg").write_bytes(b"no document")
    (folder / ".hidden.txt").write_bytes(b"hidden")
    (folder / "deep").mkdir()
    (folder / "deep" / "z.MD").write_bytes(b"deep")
    results = documents.upload(folder)
    assert len(results) == 231
    assert [r.filename for r in results[:2]] == ["d000.txt", "d001.txt"]
    assert results.summary() == "231 succeeded, 0 failed"
    assert {(r.page_count, r.chunk_count) for r in results} == {(2, 5)}
    assert [len(a.json["files"]) for a in api.asked(PREPARE)] == [100, 100, 31]
    assert results.batch_ids == ["batch0", "batch1", "batch2"]
    assert sorted(store.stored.values()) == sorted(
        [b"document %d" % n for n in range(230)] + [b"deep"]
    )
    # 231 documents to store; all else is a few requests a batch.
    assert len(api.requests) - len(api.asked(PUT)) < 20
    assert KEY not in str([a.headers for a in api.asked(PUT)])


def test_folders_within_are_left_out_and_hidden_files_taken_on_request(
    store: DocumentStore, documents: Any, tmp_path: Path
) -> None:
    folder_of(tmp_path, 1)
    (tmp_path / ".hidden.txt").write_bytes(b"hidden")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "z.md").write_bytes(b"deep")
    results = documents.upload(tmp_path, recursive=False, include_hidden=True)
    assert [r.filename for r in results] == [".hidden.txt", "d000.txt"]


def test_a_file_that_fails_is_a_result_and_the_others_go_on(
    api: LoopbackApi, store: DocumentStore, documents: Any, tmp_path: Path
) -> None:
    store.looks = 2
    store.failing.add("d001.txt")
    store.refused.add("d002.txt")
    heard: dict[str, list[Any]] = {"complete": [], "over": [], "failed": []}
    results = documents.upload(
        folder_of(tmp_path, 4),
        on_file_complete=heard["complete"].append,
        on_processing_progress=heard["over"].append,
        on_processing_failed=heard["failed"].append,
    )
    assert [r.status.value for r in results] == ["completed", "failed", "failed", "completed"]
    assert results[1].error == "encrypted"
    assert "storage refused" in str(results[2].error)
    assert (results[2].document_id, results[2].is_retryable) == ("", True)
    assert results.summary() == "2 succeeded, 2 failed (1 retryable)"
    assert [r.filename for r in results.retryable()] == ["d002.txt"]
    assert sorted(e.file_index for e in heard["complete"]) == [0, 1, 2, 3]
    assert sorted(e.completed_count for e in heard["over"]) == [1, 2, 3, 4]
    assert heard["over"][-1].progress_percent == 100
    assert sorted((e.file_index, e.is_retryable) for e in heard["failed"]) == [
        (1, False),
        (2, True),
    ]
    sent = api.asked(BATCH_CONFIRM)[0].json["confirmations"]
    assert [c["success"] for c in sent] == [True, True, False, True]
    with pytest.raises(DocumentProcessingError, match="2 of 4") as failed:
        results.raise_on_failures()
    assert [f["filename"] for f in failed.value.details["failed"]] == ["d001.txt", "d002.txt"]


def test_failures_are_an_error_on_request(
    store: DocumentStore, documents: Any, tmp_path: Path
) -> None:
    store.failing.add("d000.txt")
    with pytest.raises(DocumentProcessingError):
        documents.upload(folder_of(tmp_path, 2), raise_on_failure=True)


def test_what_is_there_twice_is_sent_once_and_has_two_results(
    api: LoopbackApi, store: DocumentStore, documents: Any
) -> None:
    complete: list[Any] = []
    results = documents.upload(
        [b"same", b"same", b"other"],
        filenames=["a.txt", "a.txt", "a.txt"],
        on_file_complete=complete.append,
    )
    assert len(api.asked(PUT)) == 2
    assert results[0].document_id == results[1].document_id != results[2].document_id
    assert sorted(e.file_index for e in complete) == [0, 1, 2]


@pytest.mark.parametrize("field", ["presigned_urls", "files"])
def test_either_name_of_the_places_is_read(
    store: DocumentStore, documents: Any, field: str
) -> None:
    store.list_field = field
    assert documents.upload([b"1", b"2"], filenames=["a.txt", "b.txt"]).succeeded_count == 2


def test_a_lost_answer_to_a_batch_confirms_nothing_twice(
    api: LoopbackApi, store: DocumentStore, documents: Any
) -> None:
    def confirm(asked: Any) -> Any:
        store.confirm_batch(asked)
        return Reply(b"{", 200, promised=1000)

    api.on(BATCH_CONFIRM, confirm)
    results = documents.upload([b"1", b"2"], filenames=["a.txt", "b.txt"])
    assert results.succeeded_count == 2
    assert len(api.asked(BATCH_CONFIRM)) == 1


def test_a_server_that_names_no_documents_on_confirmation_is_asked(
    api: LoopbackApi, store: DocumentStore, documents: Any
) -> None:
    def confirm(asked: Any) -> dict[str, Any]:
        return store.confirm_batch(asked) | {"documents": []}

    api.on(BATCH_CONFIRM, confirm)
    assert documents.upload([b"1"], filenames=["a.txt"]).succeeded_count == 1


def test_documents_that_are_not_over_in_time_are_pending(
    store: DocumentStore, documents: Any
) -> None:
    store.looks = 1_000_000
    results = documents.upload([b"1", b"2"], filenames=["a.txt", "b.txt"], processing_timeout=0)
    assert results.pending_count == 2
    assert results.summary() == "0 succeeded, 0 failed, 2 pending"


def test_a_quota_that_ends_says_what_was_sent_before(
    api: LoopbackApi, store: DocumentStore, documents: Any, tmp_path: Path
) -> None:
    over = Reply({"error": {"code": "STORAGE_QUOTA_EXCEEDED", "message": "full"}}, 507)
    api.on(PREPARE, [store.prepare, over])
    with pytest.raises(QuotaExceededError, match="full") as ended:
        documents.upload(folder_of(tmp_path, 150))
    assert len(ended.value.partial_results) == 100
    assert {r.document_id for r in ended.value.partial_results} == set(store.documents)


def test_a_batch_that_the_server_fails_on_is_a_hundred_retryable_results(
    api: LoopbackApi, store: DocumentStore, documents: Any, tmp_path: Path
) -> None:
    api.on(PREPARE, [*[Reply({"error": "E", "message": "down"}, 500)] * 4, store.prepare])
    results = documents.upload(folder_of(tmp_path, 130))
    assert (results.succeeded_count, len(results.retryable())) == (30, 100)
    assert "down" in str(results[0].error)


def test_a_wrong_key_ends_the_upload(
    api: LoopbackApi, store: DocumentStore, documents: Any
) -> None:
    api.on(PREPARE, Reply({"error": {"code": "INVALID_API_KEY", "message": "no"}}, 401))
    with pytest.raises(AuthenticationError):
        documents.upload([b"1"], filenames=["a.txt"])
    assert len(api.requests) == 1


@pytest.mark.parametrize(
    ("files", "filenames", "field"),
    [
        ([b"x", b""], ["a.txt", "b.txt"], "files"),
        ([b"x", b"y"], ["a.txt", "b.png"], "files"),
        ([b"x", b"y"], ["a.txt"], "filenames"),
        ([], None, "files"),
    ],
)
def test_one_bad_file_has_nothing_sent(
    api: LoopbackApi, documents: Any, files: Any, filenames: Any, field: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        documents.upload(files, filenames=filenames)
    assert refused.value.details["field"] == field
    assert api.requests == []


def test_an_empty_folder_is_named(documents: Any, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="no PDF, DOCX, TXT or MD"):
        documents.upload(tmp_path)


def test_batches_can_be_made_by_hand(
    api: LoopbackApi, store: DocumentStore, documents: Any
) -> None:
    info = DocumentFileInfo(filename="a.txt", size_bytes=4, content_type="text/plain")
    prepared = documents.batch_prepare([info], additional_params={"language": "de"})
    assert api.asked(PREPARE)[0].json == {
        "files": [{"filename": "a.txt", "size_bytes": 4, "content_type": "text/plain"}],
        "additional_params": {"language": "de"},
    }
    place = prepared.presigned_urls[0]
    documents.send_presigned(place, b"text", filename="a.txt")
    confirmation = DocumentUploadConfirmation(
        object_key=place.object_key, success=True, file_size=4
    )
    done = documents.batch_confirm(prepared.batch_id, [confirmation])
    assert (done.successful_uploads, done.documents[0].filename) == (1, "a.txt")
    assert documents.batch_status(prepared.batch_id).documents[0].document_id in store.documents
    for none in ([], [info] * 101):
        with pytest.raises(ValidationError, match="files"):
            documents.batch_prepare(none)


def test_the_awaited_client_does_the_same(
    api: LoopbackApi, store: DocumentStore, tmp_path: Path
) -> None:
    async def use() -> tuple[str, str]:
        async with awaited_client(api) as client:
            documents = DocumentsResource(client.transport)
            one = await documents.upload_one(b"one", filename="one.txt")
            return one.status.value, (await documents.upload(folder_of(tmp_path, 20))).summary()

    assert asyncio.run(use()) == ("completed", "20 succeeded, 0 failed")
