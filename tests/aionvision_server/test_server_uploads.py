"""Uploads: one file, batches with sessions, duplicates, quotas, descriptions that are billed once."""

from __future__ import annotations

import hashlib

import httpx
import pytest

from .asking import Asker
from .fixtures import Server
from .pictures import jpeg


def sha256(number: int) -> str:
    return hashlib.sha256(jpeg(number)).hexdigest()


def test_a_picture_that_is_sent_is_described_after_a_while(ask: Asker) -> None:
    sent = ask.upload(1, title="Mine", tags="a, b").json()
    assert (sent["status"], sent["skipped"], sent["description_queued"]) == (
        "completed",
        False,
        True,
    )
    path = f"/user-files/{sent['image_id']}"
    first, second = ask.get(path), ask.get(path)
    assert first["description_status"] == "processing"
    assert first["upload_description"] is None
    assert second["description_status"] == "completed"
    assert (second["title"], second["tags"], second["hash"]) == ("Mine", ["a", "b"], sha256(1))
    assert second["dimensions"] == {"width": 40, "height": 30}
    assert second["full_descriptions"][0]["description"] == second["upload_description"]


def test_descriptions_can_need_more_looks_or_seconds(ask: Asker) -> None:
    ask.server.settings(looks={"description": 2}, seconds={"description": 60})
    ask.server.clock(speed=0)
    path = f"/uploads/status/{ask.upload(1).json()['image_id']}"
    assert [ask.get(path)["is_terminal"] for _ in range(4)] == [False] * 4
    ask.server.clock(advance=60)
    assert ask.get(path)["unified_status"] == "completed"


def test_the_same_bytes_are_described_alike_and_billed_each_time_unless_skipped(ask: Asker) -> None:
    first, second = ask.upload(1).json(), ask.upload(1, name="copy.jpg").json()
    third = ask.upload(1, skip_duplicates="true").json()
    assert first["image_id"] != second["image_id"]
    assert (third["skipped"], third["status"]) == (True, "skipped")
    assert third["skipped_existing_image_id"] == first["image_id"]
    counted = ask.server.counters()
    assert counted["descriptions_billed"] == 2
    assert counted["described_more_than_once"] == {sha256(1): 2}
    assert counted["remote_objects"] == {"image": 2}
    assert counted["skipped_uploads"] == 1


def test_a_picture_without_description_costs_nothing(ask: Asker) -> None:
    sent = ask.upload(1, auto_describe="false").json()
    assert sent["description_queued"] is False
    assert ask.get(f"/user-files/{sent['image_id']}")["description_status"] == "skipped"
    assert ask.server.counters()["descriptions_billed"] == 0


def test_small_batches_answer_at_once_and_larger_ones_by_their_session(ask: Asker) -> None:
    small = ask.upload_many(1, 2, 3).json()
    assert [r["filename"] for r in small["immediate_results"]] == ["1.jpg", "2.jpg", "3.jpg"]
    large = ask.upload_many(*range(10, 16)).json()
    assert (large["immediate_results"], large["status"]) == (None, "processing")
    session = f"/uploads/sessions/{large['session_id']}"
    assert ask.get(f"{session}/results")["total_count"] == 0
    assert [ask.get(f"{session}/status")["status"] for _ in range(2)] == ["processing", "completed"]
    page = ask.get(f"{session}/results", limit=4, offset=4)
    assert [r["filename"] for r in page["results"]] == ["14.jpg", "15.jpg"]
    assert page["has_more"] is False
    assert ask.get("/uploads/sessions")["total_count"] == 2


def test_skipped_files_of_a_batch_are_told_as_such(ask: Asker) -> None:
    known = ask.uploaded(1)
    results = ask.upload_many(1, 2, skip_duplicates="true").json()["immediate_results"]
    assert [r["status"] for r in results] == ["skipped", "completed"]
    assert results[0]["skipped_existing_image_id"] == known


def test_files_of_other_kinds_are_rejected_one_by_one(ask: Asker) -> None:
    files = [
        ("files", ("a.jpg", jpeg(1), "image/jpeg")),
        ("files", ("b.exe", b"MZ", "application/octet-stream")),
    ]
    answer = ask.http.post("/user-files/upload/stream-batch", files=files).json()
    assert (answer["accepted_files"], answer["rejected_files"]) == (1, 1)
    assert answer["status"] == "partial"
    assert answer["rejections"][0] | {"reason": ""} == {
        "filename": "b.exe",
        "index": 1,
        "reason": "",
        "retryable": False,
    }


def test_a_failed_description_says_why_and_is_not_billed(ask: Asker) -> None:
    ask.server.fault("failing", "POST /user-files/upload/*", about="11.jpg")
    session = ask.upload_many(*range(10, 16)).json()["session_id"]
    for _ in range(2):
        status = ask.get(f"/uploads/sessions/{session}/status")
    assert (status["status"], status["completed_files"], status["failed_files"]) == (
        "completed",
        5,
        1,
    )
    assert status["recent_errors"][0]["filename"] == "11.jpg"
    assert status["recent_errors"][0]["retryable"] is True
    results = ask.get(f"/uploads/sessions/{session}/results")["results"]
    failed = next(r for r in results if r["status"] == "failed")
    assert "IMAGE_PROCESSING_ERROR" in failed["error_message"]
    listed = ask.get("/user-files", ids=failed["image_id"])["files"][0]
    assert listed["description_status"] == "failed"
    assert ask.server.counters()["descriptions_billed"] == 5


def test_a_session_can_be_cancelled_once(ask: Asker) -> None:
    session = ask.upload_many(*range(6)).json()["session_id"]
    assert ask.post(f"/uploads/sessions/{session}/cancel")["status"] == "cancelled"
    ask.refused(400, "POST", f"/uploads/sessions/{session}/cancel")


def test_a_session_expires(ask: Asker) -> None:
    session = ask.upload_many(*range(6)).json()["session_id"]
    ask.server.clock(advance=25 * 3600)
    assert ask.get(f"/uploads/sessions/{session}/status")["status"] == "expired"
    ask.refused(404, "GET", f"/uploads/sessions/{session}/results")


def test_duplicates_are_known_by_their_hashes(ask: Asker) -> None:
    ask.upload(1)
    known, new = sha256(1), "0" * 64
    assert ask.post("/uploads/check-duplicates", hashes=[new, known]) == {
        "duplicates": [known],
        "unique": [new],
    }
    ask.refused(422, "POST", "/uploads/check-duplicates", json={"hashes": []})
    ask.refused(422, "POST", "/uploads/check-duplicates", json={"hashes": ["f" * 63]})
    ask.refused(422, "POST", "/uploads/check-duplicates", json={"hashes": [new] * 251})


def test_a_deleted_picture_is_no_duplicate(ask: Asker) -> None:
    file_id = ask.uploaded(1)
    ask.ok("DELETE", f"/user-files/{file_id}")
    assert ask.post("/uploads/check-duplicates", hashes=[sha256(1)])["duplicates"] == []
    assert ask.upload(1, skip_duplicates="true").json()["skipped"] is False


def test_the_monthly_limit_ends_uploads_for_good(ask: Asker) -> None:
    ask.server.plan("STARTER")
    ask.server.uploads_used(9_998)
    assert ask.get("/uploads/quota-check", file_count=3)["can_proceed"] is False
    assert ask.get("/uploads/quota-check", file_count=2)["available"] == 2
    response = ask.upload_many(1, 2, 3)
    assert response.status_code == 429
    assert response.json()["error"]["code"] == "USAGE_LIMIT_EXCEEDED"
    assert ask.server.counters()["remote_objects"] == {}
    assert ask.upload_many(1, 2).status_code == 200


@pytest.mark.parametrize(("plan", "smaller", "larger"), [("FREE", 10, 10), ("ENTERPRISE", 50, 200)])
def test_batches_have_the_size_that_the_quota_names(
    ask: Asker, plan: str, smaller: int, larger: int
) -> None:
    ask.server.plan(plan)
    assert ask.get("/uploads/quota-check", file_count=1)["max_batch_size"] == smaller
    assert ask.upload_many(*range(smaller + 1)).status_code == 413
    ask.server.side(batch_size="larger")
    assert ask.get("/uploads/quota-check", file_count=1)["max_batch_size"] == larger


def test_a_full_storage_takes_nothing(ask: Asker) -> None:
    ask.server.settings(storage_limit=1000)
    assert ask.upload(1).status_code == 200
    response = ask.upload(2)
    assert response.status_code == 413
    assert response.json()["error"]["code"] == "STORAGE_QUOTA_EXCEEDED"


def test_stuck_uploads_are_listed(ask: Asker) -> None:
    ask.server.fault("stuck", "POST /user-files/upload/stream")
    stuck = ask.upload(1).json()["image_id"]
    ask.uploaded(2)
    ask.server.clock(advance=3600)
    found = ask.get("/uploads/stuck-uploads", stuck_minutes=30)
    assert [i["image_id"] for i in found["images"]] == [stuck]
    assert found["images"][0]["is_stuck"] is True


def test_a_large_file_is_taken_in_pieces_and_given_back(ask: Asker) -> None:
    content = jpeg(1) + bytes(3_000_000)
    file = {"file": ("large.jpg", content, "image/jpeg")}
    file_id = ask.http.post("/user-files/upload/stream", files=file).json()["image_id"]
    response = ask.http.get(f"/user-files/{file_id}/download")
    assert response.status_code == 302
    assert httpx.get(response.headers["location"], trust_env=False).content == content


def test_a_file_name_of_any_characters_comes_back_as_it_was(ask: Asker) -> None:
    name = 'Früh\u2028"am" 1%22; x=\\y 朝.jpg'
    results = ask.http.post(
        "/user-files/upload/stream-batch", files=[("files", (name, jpeg(1), "image/jpeg"))]
    ).json()["immediate_results"]
    # The form's own way of writing quotes cannot tell them from what it writes for them.
    assert results[0]["filename"] == name.replace("%22", '"')


def test_documents_go_the_same_way(ask: Asker) -> None:
    file = {"file": ("notes.md", b"# Title\n\nwords", "text/markdown")}
    sent = ask.http.post("/user-files/upload/stream", files=file).json()
    assert (sent["media_type"], sent["document_type"]) == ("document", "md")
    assert [d["id"] for d in ask.get("/documents")["documents"]] == [sent["image_id"]]


def test_ids_are_the_same_whenever_the_same_is_asked(aionvision: Server, ask: Asker) -> None:
    first = ask.upload(1).json()["image_id"]
    aionvision.reset()
    assert ask.upload(1).json()["image_id"] == first
