"""What the operations do: state that one request leaves is what the next one finds."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from .asking import Asker
from .pictures import jpeg

NOBODY = "00000000-0000-4000-8000-000000000000"


def test_files_are_found_by_every_filter(ask: Asker) -> None:
    first, second = ask.uploaded(1, title="Alpha"), ask.uploaded(2, tags="site,wet")
    third = ask.upload(3, auto_describe="false").json()["image_id"]
    link = ask.post("/user-files/links", url="https://example.com/x")["id"]
    folder = ask.post("/folders", name="Box")["id"]
    ask.post("/folders/move-files", file_ids=[first], folder_id=folder)

    def found(**query: Any) -> set[str]:
        listed = ask.get("/user-files", **query)
        assert listed["total_count"] == len(listed["files"])
        return {f["id"] for f in listed["files"]}

    assert found() == {first, second, third, link}
    assert found(search="alpha") == {first}
    assert found(tags=["wet", "dry"]) == {second}
    assert found(ids=[first, third, NOBODY]) == {first, third}
    assert found(media_types="link") == {link}
    assert found(media_types=["link", "image"]) == {first, second, third, link}
    assert found(folder_id=folder) == {first}
    assert found(has_description="true") == {first, second}
    assert found(has_description="false") == {third, link}
    assert found(date_from="2099-01-01T00:00:00Z") == set()
    described = ask.get(f"/user-files/{second}")
    assert found(search=described["upload_description"][-14:-1]) == {second}
    mode = {"search": "mark", "search_mode": "visible_text"}
    assert found(**mode) == set()


def test_files_are_sorted_and_paged(ask: Asker) -> None:
    for number in range(5):
        ask.server.clock(advance=1)
        ask.upload(number, title=f"Title {9 - number}")

    def names(**query: Any) -> list[str]:
        return [f["filename"][0] for f in ask.get("/user-files", **query)["files"]]

    assert names() == ["4", "3", "2", "1", "0"]
    assert names(sort_by="title", sort_order="asc") == ["4", "3", "2", "1", "0"]
    assert names(sort_by="created_at", sort_order="asc", limit=2, offset=1) == ["1", "2"]
    assert ask.get("/user-files", limit=2)["has_more"] is True
    ask.refused(422, "GET", "/user-files?sort_by=color")


def test_a_file_is_changed_and_deleted(ask: Asker) -> None:
    file_id = ask.uploaded(1)
    changed = ask.ok("PATCH", f"/user-files/{file_id}", json={"title": "New", "tags": ["t"]})
    assert (changed["title"], changed["tags"]) == ("New", ["t"])
    assert ask.get(f"/user-files/{file_id}")["title"] == "New"
    assert ask.ok("DELETE", f"/user-files/{file_id}")["id"] == file_id
    assert ask.refused(404, "GET", f"/user-files/{file_id}")["error"] == "NOT_FOUND"
    told = ask.post("/user-files/batch-delete", file_ids=[file_id, NOBODY])
    assert told["summary"] == {"total": 2, "deleted": 0, "skipped": 1, "failed": 1}


def test_variants_and_downloads_lead_to_storage_for_an_hour(ask: Asker) -> None:
    file_id = ask.http.post(
        "/user-files/upload/stream", files={"file": ("a.jpg", jpeg(1, (400, 200)), "image/jpeg")}
    ).json()["image_id"]
    response = ask.http.get(f"/user-files/{file_id}/variant/small_256")
    assert response.status_code == 302
    place = response.headers["location"]
    assert place.startswith(ask.server.storage_url)
    assert httpx.get(place, trust_env=False).content[:3] == b"\xff\xd8\xff"
    ask.server.clock(advance=3601)
    assert httpx.get(place, trust_env=False).status_code == 403
    ask.refused(400, "GET", f"/user-files/{file_id}/variant/huge")
    assert ask.post(f"/user-files/{file_id}/trigger-variants")["current_status"] == "queued"


def put(url: str, content: bytes) -> httpx.Response:
    return httpx.put(url, content=content, trust_env=False)


def test_a_document_goes_to_storage_and_becomes_text_and_chunks(ask: Asker) -> None:
    content = ("safety valve " * 100).encode()
    announced = {"filename": "a.txt", "content_type": "text/plain", "size_bytes": len(content)}
    path = "/document-uploads/request-presigned-url"
    promised = ask.post(path, **announced, idempotency_key="once")
    assert (
        ask.post(path, **announced, idempotency_key="once")["object_key"] == promised["object_key"]
    )
    confirmation = {
        "object_key": promised["object_key"],
        "size_bytes": len(content),
        "content_type": "text/plain",
    }
    ask.refused(400, "POST", "/document-uploads/confirm", json=confirmation)
    assert put(promised["upload_url"], content).status_code == 200
    first = ask.ok("POST", "/document-uploads/confirm", json=confirmation)
    again = ask.ok("POST", "/document-uploads/confirm", json=confirmation)
    assert (first["is_idempotent_retry"], again["is_idempotent_retry"]) == (False, True)
    document = f"/documents/{first['document_id']}"
    ask.refused(409, "GET", f"{document}/text")
    status = f"/document-uploads/{first['document_id']}/status"
    assert [ask.get(status)["text_extraction_status"] for _ in range(2)] == [
        "processing",
        "completed",
    ]
    assert ask.get(f"{document}/text")["text"].startswith("safety valve")
    chunks = ask.get(f"{document}/chunks", include_embeddings="true")
    assert chunks["total_chunks"] == len(chunks["chunks"]) == 4
    hits = ask.post("/documents/search", query="valve", document_ids=[first["document_id"]])
    assert hits["results"][0]["similarity_score"] == 1.0
    assert ask.http.get(f"{document}/download").status_code == 302
    assert ask.get("/documents", status_filter="completed")["total_count"] == 1
    second = ask.post(path, **announced)
    put(second["upload_url"], content)
    same = ask.post(
        "/document-uploads/confirm", **confirmation | {"object_key": second["object_key"]}
    )
    assert (same["deduplicated"], same["document_id"]) == (True, first["document_id"])
    ask.ok("DELETE", document)
    ask.refused(404, "GET", document)
    assert ask.server.counters()["billed"]["documents"] == 1


def test_documents_come_in_batches(ask: Asker) -> None:
    files = [
        {"filename": f"{n}.md", "content_type": "text/markdown", "size_bytes": 5} for n in range(2)
    ]
    plan = ask.post("/document-uploads/batch-prepare", files=files)
    urls = plan["presigned_urls"]
    put(urls[0]["upload_url"], b"12345")
    told = [{"object_key": u["object_key"], "success": True, "file_size": 5} for u in urls]
    done = ask.post(
        "/document-uploads/batch-confirm", batch_id=plan["batch_id"], confirmations=told
    )
    assert (done["successful_uploads"], done["failed_files"]) == (1, ["1.md"])
    path = f"/document-uploads/batch/{plan['batch_id']}/status"
    assert [ask.get(path)["status"] for _ in range(2)] == ["processing", "completed"]
    ids = [d["document_id"] for d in done["documents"]]
    assert ask.post("/documents/batch-delete", document_ids=ids)["summary"]["deleted"] == 1


def test_a_link_is_crawled_and_not_again_within_the_hour(ask: Asker) -> None:
    link = ask.post("/user-files/links", url="https://example.com/a", tags=["t"])
    assert (link["crawl_status"], link["is_duplicate"]) == ("queued", False)
    path = f"/user-files/{link['id']}"
    ask.refused(400, "POST", f"{path}/recrawl")
    assert [ask.get(path)["crawl_status"] for _ in range(2)] == ["processing", "completed"]
    assert ask.get(path)["og_metadata"]["site_name"] == "example.com"
    ask.refused(429, "POST", f"{path}/recrawl")
    ask.server.clock(advance=3601)
    assert ask.post(f"{path}/recrawl")["status"] == "queued"
    assert ask.post("/user-files/links", url="https://example.com/a")["is_duplicate"] is True
    ask.refused(400, "POST", "/user-files/links", json={"url": "ftp://example.com"})
    ask.refused(400, "POST", f"/user-files/{ask.uploaded(1)}/recrawl")


def test_a_crawl_that_fails_says_why(ask: Asker) -> None:
    ask.server.fault("failing", "POST /user-files/links", message="no such host")
    link = ask.post("/user-files/links", url="https://gone.example")["id"]
    ask.get(f"/user-files/{link}")
    told = ask.get(f"/user-files/{link}")
    assert (told["crawl_status"], told["crawl_error"]) == ("failed", "no such host")


def test_folders_make_a_tree(ask: Asker) -> None:
    top = ask.post("/folders", name="Top")["id"]
    inner = ask.post("/folders", name="Inner", parent_id=top)["id"]
    file_id = ask.uploaded(1)
    assert (
        ask.post("/folders/move-files", file_ids=[file_id, NOBODY], folder_id=inner)["moved"] == 1
    )
    crumbs = ask.get(f"/folders/{inner}/breadcrumbs")["breadcrumbs"]
    assert [(c["name"], c["depth"]) for c in crumbs] == [("Top", 0), ("Inner", 1)]
    assert ask.get(f"/folders/{inner}")["total_files"] == 1
    assert ask.get(f"/folders/{top}")["subfolders"][0]["id"] == inner
    ask.refused(400, "POST", f"/folders/{top}/move", json={"new_parent_id": inner})
    ask.refused(409, "POST", "/folders", json={"name": "Top"})
    assert ask.ok("PATCH", f"/folders/{top}", json={"name": "Head"})["name"] == "Head"
    assert ask.ok("DELETE", f"/folders/{inner}")["files_affected"] == 1
    assert ask.get(f"/folders/{top}")["total_files"] == 1
    ask.ok("DELETE", f"/folders/{top}?mode=delete_all")
    assert ask.get("/folders") == {"folders": []}
    ask.refused(404, "GET", f"/user-files/{file_id}")


def test_colors_are_found_by_code_name_and_family(ask: Asker) -> None:
    file_id = ask.uploaded(1)
    path = f"/colors/images/{file_id}"
    assert [ask.get(path)["status"] for _ in range(2)] == ["processing", "completed"]
    first = ask.get(path)["color_analysis"]["dominant_colors"][0]
    exact = ask.post("/colors/search", hex_code=first["hex"])["results"]
    assert exact[0]["match_score"] == 1.0
    assert exact[0]["matched_hex"] == first["hex"]
    assert ask.post("/colors/search", color_family=first["family"])["total_count"] == 1
    ask.refused(400, "POST", "/colors/search", json={})
    assert ask.post(f"{path}/extract?force=true&n_colors=3")["status"] == "processing"
    assert len(ask.get(path)["color_analysis"]["dominant_colors"]) == 3
    assert ask.post("/colors/batch/extract", image_ids=[file_id, NOBODY])["queued_count"] == 0
    assert len(ask.get("/colors/families")) == 7
    assert ask.server.counters()["billed"]["color_extractions"] == 1


def test_materials_are_classified_on_request(ask: Asker) -> None:
    file_id = ask.uploaded(1)
    path = f"/materials/images/{file_id}"
    assert ask.get(path)["status"] == "pending"
    assert [ask.post(f"{path}/classify")["status"] for _ in range(2)] == ["processing", "completed"]
    kind = ask.get(path)["material_classification"]["material_type"]
    assert ask.post("/materials/search", material_type=kind)["results"][0]["image_id"] == file_id
    ask.refused(400, "POST", "/materials/search", json={})
    assert ask.post("/materials/batch/classify", image_ids=[file_id])["queued_count"] == 1
    assert {t["type"] for t in ask.get("/materials/types")} > {"wood", "metal"}


def test_a_batch_describes_again_with_a_prompt_and_costs_each_time(ask: Asker) -> None:
    file_id = ask.uploaded(1)
    before = ask.get(f"/user-files/{file_id}")
    images = [{"object_key": before["object_key"]}]
    job = ask.post("/batch/describe", images=images, prompt="Count the poles")["batch_id"]
    assert [ask.get(f"/batch/{job}")["status"] for _ in range(2)] == ["processing", "completed"]
    (result,) = ask.get(f"/batch/{job}/results")["results"]
    after = ask.get(f"/user-files/{file_id}")
    assert result["output_data"]["description"] == after["upload_description"]
    assert after["upload_description"] != before["upload_description"]
    assert ask.server.counters()["descriptions_billed"] == 2
    ask.refused(404, "POST", "/batch/describe", json={"images": [{"object_key": "nothing"}]})
    ask.refused(400, "DELETE", f"/batch/{job}")


def test_a_batch_ends_in_parts(ask: Asker) -> None:
    keys = []
    for number in (1, 2):
        file_id = ask.uploaded(number)
        keys.append(ask.get(f"/user-files/{file_id}")["object_key"])
    ask.server.fault("failing", "POST /batch/describe", about=keys[1])
    job = ask.post("/batch/describe", images=[{"object_key": k} for k in keys])["batch_id"]
    ask.get(f"/batch/{job}")
    assert ask.get(f"/batch/{job}")["status"] == "partially_completed"
    results = ask.get(f"/batch/{job}/results")["results"]
    assert [r["status"] for r in results] == ["completed", "failed"]
    assert len(ask.get(f"/batch/{job}/results", include_failed="false")["results"]) == 1


def test_agents_find_write_and_put_in_order_and_every_call_costs(ask: Asker) -> None:
    file_id = ask.uploaded(1)
    word = ask.get(f"/user-files/{file_id}")["tags"][0]
    found = ask.post("/agents/search/images", query=word)
    assert found["result_ids"] == [file_id]
    assert "[[ref:image_results]]" in found["summary_raw"]
    assert ask.post("/agents/search/images", query="unheard")["count"] == 0
    report = ask.post("/agents/synthesize", intent="Report", image_ids=[file_id], auto_save=True)
    saved = report["saved_document_id"]
    ask.get(f"/documents/{saved}")
    assert ask.post("/agents/analyze/documents", intent="x", document_ids=[saved])["document_count"]
    assert ask.post("/agents/search/documents", query="report")["document_ids"] == [saved]
    assert ask.post("/agents/search/videos", query="any")["count"] == 0
    for _ in range(2):
        ask.post("/agents/organize", intent="Sort", image_ids=[file_id])
    assert len(ask.get("/folders")["folders"]) == 2
    assert ask.server.counters()["agent_calls_billed"] == 8


def test_a_pipeline_runs_in_waves_and_skips_what_hangs_on_a_failure(ask: Asker) -> None:
    ask.uploaded(1)
    steps: list[dict[str, Any]] = [
        {"agent": "image_search", "intent": "picture"},
        {"agent": "document_search", "intent": "report"},
        {"agent": "cross_reference", "intent": "both", "depends_on": [0, 1]},
    ]
    told = ask.post("/agents/pipeline", steps=steps)
    assert (told["success"], told["total_waves"]) == (True, 2)
    assert [n["agent"] for n in told["nodes"]] == [s["agent"] for s in steps]
    ask.server.fault("failing", "POST /agents/pipeline", message="no words")
    broken = ask.post("/agents/pipeline", steps=steps)
    assert [n["status"] for n in broken["nodes"]] == ["failed", "failed", "skipped"]
    assert broken["success"] is False
    unknown = {"steps": [{"agent": "wizard", "intent": "x"}]}
    ask.refused(422, "POST", "/agents/pipeline", json=unknown)
    ahead = {"steps": [{"agent": "chat", "intent": "x", "depends_on": [0]}]}
    ask.refused(422, "POST", "/agents/pipeline", json=ahead)


def test_a_chat_has_sessions_messages_and_an_end(ask: Asker) -> None:
    file_id = ask.uploaded(1)
    word = ask.get(f"/user-files/{file_id}")["tags"][0]
    session = ask.post("/chat/sessions", title="Talk")["session_id"]
    path = f"/chat/sessions/{session}"
    answer = ask.post(f"{path}/messages", message=word)
    assert [i["image_id"] for i in answer["images"]] == [file_id]
    assert f"[[img:{file_id[:8]}|1.jpg]]" in answer["content"]
    detail = ask.get(path)
    assert [m["role"] for m in detail["messages"]] == ["user", "assistant"]
    assert detail["session"]["total_messages"] == 2
    assert ask.ok("PUT", f"{path}/images", json={"image_ids": [file_id]})["selected_image_ids"]
    assert ask.ok("PUT", f"{path}/documents", json={"document_ids": []})["document_count"] == 0
    assert ask.ok("PUT", f"{path}/videos", json={"video_ids": []})["video_count"] == 0
    assert (
        ask.ok("PATCH", f"{path}/mode", json={"use_all_images": False})["use_all_images"] is False
    )
    assert ask.ok("PATCH", f"{path}/title", json={"title": "Walk"})["title"] == "Walk"
    assert ask.get("/chat/sessions", search="walk")["total_count"] == 1
    assert ask.http.get(f"{path}/export").text.startswith("# Walk")
    assert ask.http.get(f"{path}/export?format=json").json()["session"]["title"] == "Walk"
    assert ask.post("/chat/images/search", query=word)["results"][0]["image_id"] == file_id
    assert ask.get("/chat/images/all")["image_ids"] == [file_id]
    assert ask.ok("DELETE", path)["total_messages"] == 2
    ask.refused(400, "POST", f"{path}/messages", json={"message": "more"})
    assert ask.server.counters()["billed"]["chat_messages"] == 1


def events(ask: Asker, session: str, message: str) -> list[str]:
    path = f"/chat/sessions/{session}/messages/stream"
    response = ask.http.post(path, json={"message": message})
    assert response.headers["content-type"] == "text/event-stream"
    return [line[7:] for line in response.text.splitlines() if line.startswith("event: ")]


def test_a_chat_comes_event_by_event(ask: Asker) -> None:
    session = ask.post("/chat/sessions")["session_id"]
    names = events(ask, session, "Hello")
    assert names[0] == "connection"
    assert names[-2:] == ["complete", "close"]
    assert {"token", "status", "thinking_step", "ping"} <= set(names)
    ask.server.fault("failing", message="no")
    assert events(ask, session, "Hello")[-2:] == ["error", "close"]
    ask.server.fault("stuck")
    assert events(ask, session, "Hello")[-1] == "token"


def test_a_plan_waits_for_approval(ask: Asker) -> None:
    session = ask.post("/chat/sessions")["session_id"]
    assert "plan_pending_approval" in events(ask, session, "Plan a tour")
    path = f"/chat/sessions/{session}/messages/stream"
    text = ask.http.post(path, json={"message": "plan"}).text
    plan = text.partition('"plan_id":"')[2].partition('"')[0]
    action = f"/chat/sessions/{session}/plans/{plan}/action"
    assert ask.post(action, action="approve")["action_taken"] == "approved"
    ask.refused(404, "POST", action, json={"action": "approve"})


def test_cloud_files_are_imported_by_a_job(ask: Asker) -> None:
    begun = ask.post("/cloud-storage/auth/google_drive", provider="google_drive")
    back = "/cloud-storage/auth/google_drive/callback"
    done = ask.post(back, code="me", state=begun["state"])
    assert done["is_new"] is True
    ask.refused(400, "POST", back, json={"code": "me", "state": begun["state"]})
    connection = done["connection"]["id"]
    files = [{"id": f"drive-{n}", "name": f"{n}.jpg"} for n in range(3)]
    job = ask.post("/cloud-storage/import", connection_id=connection, files=files, tags=["t"])
    path = f"/cloud-storage/jobs/{job['job_id']}"
    assert ask.server.counters()["remote_objects"] == {}
    assert [ask.get(path)["job"]["status"] for _ in range(2)] == ["processing", "completed"]
    assert ask.get(f"/user-files/{job['image_ids'][0]}")["tags"] == ["t"]
    export = ask.post("/cloud-storage/export", connection_id=connection, image_ids=job["image_ids"])
    assert ask.get(f"/cloud-storage/jobs/{export['job_id']}")["job"]["type"] == "export"
    assert ask.get("/cloud-storage/connections")["total_count"] == 1
    ask.get(f"/cloud-storage/connections/{connection}/picker-token")
    ask.ok("DELETE", f"/cloud-storage/connections/{connection}")
    assert ask.get("/cloud-storage/connections")["total_count"] == 0
    ask.refused(
        404, "POST", "/cloud-storage/import", json={"connection_id": connection, "files": files}
    )


def test_a_video_goes_in_chunks_and_is_analysed(ask: Asker) -> None:
    size = 6 * 1024 * 1024
    begun = ask.post(
        "/video-uploads/initiate", filename="a.mp4", content_type="video/mp4", size_bytes=size
    )
    same = {"media_id": begun["media_id"], "upload_id": begun["upload_id"]}
    assert [c["size_bytes"] for c in begun["chunks"]] == [5 * 1024 * 1024, 1024 * 1024]
    last = {"duration_seconds": 12.0}
    ask.refused(400, "POST", "/video-uploads/complete", json=same | last)
    for chunk in begun["chunks"]:
        etag = put(chunk["upload_url"], bytes(chunk["size_bytes"])).headers["etag"]
        told = {
            "chunk_number": chunk["chunk_number"],
            "etag": etag,
            "size_bytes": chunk["size_bytes"],
        }
        confirmed = ask.post("/video-uploads/chunks/confirm", **same, **told)
    assert confirmed["progress_percent"] == 100
    assert ask.get(f"/video-uploads/progress/{begun['media_id']}")["bytes_uploaded"] == size
    done = ask.post("/video-uploads/complete", **same, **last)
    again = ask.post("/video-uploads/complete", **same, **last)
    assert again["analysis_job_id"] == done["analysis_job_id"]
    path = f"/video-analysis/jobs/{done['analysis_job_id']}"
    assert [ask.get(path)["status"] for _ in range(2)] == ["processing", "completed"]
    scenes = ask.get(f"/videos/{begun['media_id']}/scenes")["scenes"]
    assert len(scenes) == 3
    assert ask.http.get(f"/video-scenes/{scenes[0]['id']}/thumbnail").status_code == 200
    ask.refused(409, "POST", f"{path}/retry", json={"media_id": begun["media_id"]})
    ask.post("/video-uploads/chunks/retry", **same, chunk_number=1)
    ask.post("/video-uploads/abort", **same)
    ask.post("/video-analysis/queue", media_id=begun["media_id"])
    assert ask.get(f"/video-analysis/status/{begun['media_id']}")["status"] == "processing"


def test_settings_members_and_keys_are_kept(ask: Asker) -> None:
    assert ask.ok("PATCH", "/user/profile", json={"name": "Ann"})["name"] == "Ann"
    assert ask.ok("PATCH", "/tenant/settings", json={"name": "Team"})["name"] == "Team"
    assert ask.get("/tenant/limits")["subscription_tier"] == "unlimited"
    member = ask.post("/tenant/members/invite", email="b@example.com")
    path = f"/tenant/members/{member['id']}"
    assert ask.ok("PATCH", f"{path}/role", json={"role": "editor"})["role"] == "editor"
    ask.refused(409, "POST", "/tenant/members/invite", json={"email": "b@example.com"})
    ask.ok("DELETE", path)
    assert [m["role"] for m in ask.get("/tenant/members")] == ["owner"]
    assert ask.get("/tenant/s3-config") == {"configured": False}
    ask.post(
        "/tenant/s3-config",
        access_key_id="A" * 16,
        secret_access_key="s" * 20,
        bucket_name="bucket",
        region="eu-west-1",
    )
    assert ask.post("/tenant/s3-config/validate")["valid"] is True
    ask.ok("DELETE", "/tenant/s3-config")
    key = ask.post("/api-keys", name="ci", scopes=["read"])
    with_key = {"Authorization": f"Bearer {key['api_key']}"}
    assert ask.http.get("/folders", headers=with_key).status_code == 200
    assert ask.ok("PUT", f"/api-keys/{key['id']}", json={"name": "cd"})["name"] == "cd"
    assert ask.get(f"/api-keys/{key['id']}")["key_prefix"] == key["api_key"][:12]
    ask.ok("DELETE", f"/api-keys/{key['id']}")
    assert ask.http.get("/folders", headers=with_key).status_code == 401
    assert ask.get("/api-keys")["total"] == 0
    logs = ask.get("/tenant/audit-logs", event_type="api_key.created")
    assert logs["total_count"] == 1
    assert ask.get(f"/tenant/audit-logs/{logs['entries'][0]['id']}")["action"] == "create"


def test_usage_is_what_was_billed(ask: Asker) -> None:
    ask.uploaded(1)
    ask.post("/agents/search/images", query="x")
    assert ask.get("/usage/breakdown")["total_credits_used"] == 3
    assert ask.post("/usage/check", item_count=5)["can_proceed"] is True
    assert ask.get("/usage/summary")["usage"]["describe_count"] == 1
    details = ask.get("/usage/details", operation_type="describe")
    assert details["pagination"]["total_count"] == 1
    assert ask.get("/usage/by-period", period_type="hour")["data"]
    assert ask.get("/usage/plan")["plan_details"]["name"] == "UNLIMITED"
    assert ask.get("/usage/top-endpoints", limit=1)["endpoints"][0]["count"] >= 1
    assert ask.get("/usage/tokens/monthly")["total_tokens"] > 0
    assert ask.get("/usage/tokens/files")["total_count"] == 1
    assert ask.get("/usage/tokens/conversations")["total_count"] == 0
    assert ask.get("/usage/dashboard-analytics")["total_files_uploaded"] == 1


def test_history_is_listed_exported_and_shown(ask: Asker) -> None:
    file_id = ask.uploaded(1)
    listed = ask.get("/data/descriptions", min_confidence=0.1)
    assert listed["results"][0]["image_id"] == file_id
    assert ask.get("/data/descriptions", search="unheard,of")["total_count"] == 0
    export = ask.post("/data/export", data_type="descriptions", format="csv", fields=["id"])
    path = f"/data/export/{export['export_id']}"
    assert [ask.get(path)["status"] for _ in range(2)] == ["processing", "completed"]
    content = httpx.get(ask.get(path)["download_url"], trust_env=False).text
    assert content.split() == ["id", file_id]
    for path in ("", "/thumbnail", "/variant/tiny_64", "?thumbnail=false"):
        response = ask.http.get(f"/data/images/{file_id}{path}")
        assert response.headers["content-type"] == "image/jpeg"
    assert len(ask.get(f"/data/images/{file_id}/variants")["variants"]) == 5


@pytest.mark.parametrize(
    "path",
    [
        f"/folders/{NOBODY}",
        f"/documents/{NOBODY}",
        f"/batch/{NOBODY}",
        f"/chat/sessions/{NOBODY}",
        f"/uploads/sessions/{NOBODY}/status",
        f"/uploads/status/{NOBODY}",
        f"/colors/images/{NOBODY}",
        f"/cloud-storage/jobs/{NOBODY}",
        f"/video-uploads/progress/{NOBODY}",
        f"/data/export/{NOBODY}",
        f"/api-keys/{NOBODY}",
        f"/tenant/audit-logs/{NOBODY}",
    ],
)
def test_what_is_not_there_is_not_found(ask: Asker, path: str) -> None:
    ask.refused(404, "GET", path)


def test_operations_without_a_handler_answer_something_that_fits(ask: Asker) -> None:
    if not ask.server.by_specification:
        pytest.skip("needs the vendor's specification, which is not part of the repository")
    assert ask.get("/auth/session/me")["is_active"] is True
    assert ask.get("/payment/credit-balance", tenant_id=NOBODY)["total_available"] == 0
    assert ask.get("/user/sessions") == []
