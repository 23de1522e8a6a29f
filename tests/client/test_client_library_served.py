"""Files, links, documents, videos, history and cloud storages against the server that remembers, on either side of what
the sources contradict each other in; requests and answers are held against the specification where it is there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from aionvision_server.fixtures import Server
from aionvision_server.pictures import jpeg

from aion_dagster.client import SyncAionVision
from aion_dagster.client.errors import (
    ConflictError,
    RateLimitError,
    ResourceNotFoundError,
    UploadError,
)
from aion_dagster.client.models.document_uploads import NO_LIMIT
from aion_dagster.client.models.videos import VideoInfo, VideoUploadSession
from aion_dagster.client.resources.videos import SyncVideosResource, VideosResource

ONE = {
    "chunk_fields": "content",
    "list_envelope": "named",
    "cloud_import": "job",
}
OTHER = {
    "chunk_fields": "text",
    "chunk_embeddings": "given",
    "document_score": "score",
    "document_quota": "counts",
    "document_status": "extraction_status",
    "list_envelope": "items",
    "batch_prepare": "files",
    "timestamps": "naive",
    "cloud_import": "sync",
    "error_body": "envelope",
    "upload_status": "201",
    "presigned": "both",
}
THIRD = OTHER | {
    "document_score": "null",
    "document_status": "text_extraction_status",
    "list_envelope": "total",
    "error_body": "text",
}


@pytest.fixture(params=[ONE, OTHER, THIRD], ids=["spec", "other", "third"])
def sides(request: pytest.FixtureRequest, aionvision: Server) -> dict[str, str]:
    aionvision.side(**request.param)
    taken: dict[str, str] = request.param
    return taken


@pytest.fixture
def client(aionvision: Server) -> Iterator[SyncAionVision]:
    with SyncAionVision(
        api_key=aionvision.key,
        base_url=aionvision.url,
        retry_delay=0.0,
        polling_interval=0.001,
        polling_timeout=60,
    ) as asking:
        yield asking
    aionvision.assert_clean()


def pictures(client: SyncAionVision, many: int) -> list[str]:
    sent = [
        client.uploads.upload_one(jpeg(n), filename=f"{n}.jpg", wait_for_descriptions=False)
        for n in range(many)
    ]
    return [each.image_id for each in sent]


def test_files(client: SyncAionVision, sides: dict[str, str], tmp_path: Path) -> None:
    ids = pictures(client, 5)
    page = client.files.list(limit=2, offset=1, sort_by="created_at", sort_order="asc")
    assert [file.id for file in page.files] == ids[1:3]
    assert (page.total_count, page.has_more) == (5, True)
    assert page.files[0].created_at is not None
    assert page.files[0].created_at.tzinfo is not None
    assert {file.id for file in client.files.list_all(page_size=2)} == set(ids)
    chosen = client.files.list(
        ids=ids[:3],
        media_types=["image"],
        date_from="2000-01-01",
        search_mode="metadata",
        search=".jpg",
    )
    assert {file.id for file in chosen.files} == set(ids[:3])
    assert client.files.list(media_types=["link"]).files == []

    details = client.files.get(ids[0])
    assert details.sha256 is not None
    assert details.dimensions == {"width": 40, "height": 30}
    assert client.files.get(ids[0][:8]).id == ids[0]
    assert client.files.update(ids[0], title="T", tags=["a", "b"]).tags == ["a", "b"]
    assert client.files.list(tags=["b"]).total_count == 1
    assert client.files.download(ids[0]) == jpeg(0)
    assert client.files.download_to(ids[0], tmp_path / "0.jpg").read_bytes() == jpeg(0)
    assert client.files.get_variant(ids[0], "tiny_64").startswith("http")
    assert client.files.trigger_variant_generation(ids[0])["success"] is True

    assert client.files.delete(ids[0]).id == ids[0]
    deleted = client.files.batch_delete(ids)
    assert deleted.summary["deleted"] == 4
    assert [each.id for each in deleted.skipped] == [ids[0]]
    with pytest.raises(ResourceNotFoundError):
        client.files.get(ids[0])


def test_links(client: SyncAionVision, sides: dict[str, str], aionvision: Server) -> None:
    link = client.links.create_and_wait("https://example.org/a", title="A", tags=["t"])
    assert (link.url, link.domain, link.crawl_status) == (
        "https://example.org/a",
        "example.org",
        "completed",
    )
    assert link.og_metadata is not None
    assert link.crawled_at is not None
    assert client.links.create("https://example.org/a", auto_crawl=False).is_duplicate
    assert client.links.list(search="example").total_count == 2
    assert [each.id for each in client.links.list(crawl_status="completed").links] == [link.id]
    assert len(list(client.links.list_all(page_size=1))) == 2
    assert client.links.update(link.id, title="B").title == "B"
    assert client.links.get(link.id).title == "B"
    with pytest.raises(RateLimitError):
        client.links.recrawl(link.id)
    aionvision.clock(advance=3601)
    assert client.links.recrawl(link.id).status == "queued"
    assert client.links.wait_for_crawl(link.id).crawl_status == "completed"
    assert client.links.delete(link.id).id == link.id
    assert client.links.batch_delete([link.id]).skipped[0].id == link.id


def test_documents(client: SyncAionVision, sides: dict[str, str], tmp_path: Path) -> None:
    text = "# Safety\n\nWear a helmet near the pole.\n\n## Ladders\n\nLadders are checked daily.\n"
    one = client.documents.upload_one(text.encode(), filename="safety.md")
    assert one.is_completed
    assert client.documents.upload_one(text.encode(), filename="safety.md").document_id == (
        one.document_id
    )
    assert client.documents.get_status(one.document_id).is_over
    assert client.documents.get(one.document_id).text_extraction_status == "completed"
    assert "helmet" in client.documents.get_text(one.document_id)
    chunks = client.documents.get_chunks(one.document_id, include_embeddings=True)
    assert chunks.total_chunks == len(chunks.chunks) > 0
    assert all(c.chunk_id and c.content and c.token_count for c in chunks.chunks)
    found = client.documents.search("helmet", document_ids=[one.document_id])
    assert "helmet" in found.results[0].content
    assert (found.results[0].score is None) == (sides.get("document_score") == "null")
    assert client.documents.update(one.document_id, title="T", tags=["x"]).title == "T"
    assert client.documents.download(one.document_id).startswith("http")
    quota = client.documents.quota_check(3)
    assert quota.can_proceed
    assert (quota.storage_limit_bytes == NO_LIMIT) == (sides.get("document_quota") != "counts")

    for number in range(7):
        (tmp_path / f"{number}.txt").write_text(f"document number {number}")
    results = client.documents.upload(tmp_path)
    assert results.summary() == "7 succeeded, 0 failed"
    assert all(r.page_count is not None and r.chunk_count for r in results)
    status = client.documents.batch_status(results.batch_ids[0])
    assert status.total_documents == 7
    again = client.documents.upload(tmp_path)
    assert [r.document_id for r in again] == [r.document_id for r in results]
    page = client.documents.list(page=2, page_size=3, status_filter="completed")
    assert (len(page.documents), page.total_count, page.has_more) == (3, 8, True)
    assert len({d.id for d in client.documents.list_all(page_size=3)}) == 8

    assert client.documents.delete(one.document_id) is None
    deleted = client.documents.batch_delete([r.document_id for r in results])
    assert deleted.summary["deleted"] == 7
    with pytest.raises(ResourceNotFoundError):
        client.documents.get(one.document_id)


def test_documents_that_were_deleted_are_sent_again(
    client: SyncAionVision, aionvision: Server
) -> None:
    texts, names = [b"one", b"two"], ["1.txt", "2.txt"]
    for _ in range(3):
        one = client.documents.upload_one(b"text", filename="a.txt")
        assert client.documents.get(one.document_id).filename == "a.txt"
        both = client.documents.upload(texts, filenames=names)
        assert both.succeeded_count == 2
        assert client.documents.list().total_count == 3
        client.documents.batch_delete([one.document_id, *(r.document_id for r in both)])
    assert aionvision.counters()["failures"] == []


def test_a_batch_of_documents_whose_answer_is_lost_is_there_once(
    client: SyncAionVision, aionvision: Server, tmp_path: Path
) -> None:
    for number in range(5):
        (tmp_path / f"{number}.txt").write_text(f"document number {number}")
    aionvision.fault("reset_after", "POST /document-uploads/batch-confirm", times=1)
    assert client.documents.upload(tmp_path).succeeded_count == 5
    assert aionvision.counters()["remote_objects"] == {"document": 5}


def test_videos(client: SyncAionVision, sides: dict[str, str], tmp_path: Path) -> None:
    videos = SyncVideosResource(VideosResource(client.transport))
    path = tmp_path / "a.mp4"
    path.write_bytes(bytes(range(256)) * 50_000)
    kept: list[VideoUploadSession] = []
    video = videos.upload(path, title="A", duration_seconds=9, on_session=kept.append)
    assert len(kept[0].chunks) == 3
    assert video.analysis_job_id is not None
    assert videos.wait_for_analysis(video.analysis_job_id).status == "completed"
    assert videos.get_analysis_status(video.media_id).analysis_job_id is not None
    scenes = videos.list_scenes(video.media_id).scenes
    assert [scene.scene_index for scene in scenes] == list(range(len(scenes)))
    assert scenes[0].end_time is not None
    assert videos.get_scene_thumbnail(scenes[0].scene_id)
    assert videos.get_progress(video.media_id).status == "completed"
    assert videos.upload(path, session=kept[0]).analysis_job_id == video.analysis_job_id

    queued = videos.queue_analysis(video.media_id, analysis_type="scene_detection")
    assert videos.get_analysis_job(queued.analysis_job_id).media_id == video.media_id
    info = VideoInfo(filename="b.mp4", content_type="video/mp4", size_bytes=5)
    begun = videos.initiate_batch([info]).videos[0]
    assert videos.retry_chunk(begun.media_id, begun.upload_id, 1).upload_url
    assert videos.abort(begun.media_id, begun.upload_id, reason="no").status == "aborted"
    with pytest.raises(UploadError, match="anew"):
        videos.upload(b"video", filename="b.mp4", session=begun)


def test_history(client: SyncAionVision, sides: dict[str, str]) -> None:
    ids = pictures(client, 3)
    for image_id in ids:
        client.uploads.wait_for_description(image_id)
    history = client.data.get_descriptions(limit=2, min_confidence=0.0, source_types=["single"])
    assert (len(history.results), history.total_count, history.has_more) == (2, 3, True)
    assert {r.image_id for r in client.data.iter_descriptions(page_size=2)} == set(ids)
    export = client.data.export("jsonl", fields=["id"])
    client.data.wait_for_export(export.export_id)
    assert client.data.download_export(export.export_id).count(b"\n") == 3
    unfinished = client.data.export("csv")
    with pytest.raises(ConflictError):
        client.data.download_export(unfinished.export_id)

    assert client.data.get_image(ids[0], thumbnail=False) == jpeg(0)
    assert client.data.get_image_thumbnail(ids[0], size="tiny").startswith(b"\xff\xd8")
    assert client.data.get_image_variant(ids[0], "medium_750").startswith(b"\xff\xd8")
    assert client.data.list_image_variants(ids[0])
    batch = client.batch.submit_describe(object_keys=[client.files.get(ids[0]).object_key])
    client.batch.wait_for_completion(batch.batch_id)
    item = client.batch.get_results(batch.batch_id).results[0]
    assert client.data.get_batch_image(item.item_id, thumbnail=False) == jpeg(0)
    assert client.data.get_batch_thumbnail(item.item_id).startswith(b"\xff\xd8")


def test_cloud_storages(client: SyncAionVision, sides: dict[str, str]) -> None:
    begun = client.cloud_storage.initiate_auth("google_drive")
    assert "window" in client.cloud_storage.callback_page(
        "google_drive", code="me", state=begun.state
    )
    done = client.cloud_storage.complete_auth("google_drive", code="me", state=begun.state)
    connection = done.connection.id
    assert client.cloud_storage.list_connections().connections[0].id == connection
    session = client.cloud_storage.get_picker_token(connection)
    assert client.cloud_storage.picker_proxy(session.session_id, "files/1")["endpoint"] == "files/1"
    job = client.cloud_storage.import_and_wait(
        connection, [{"id": "f", "name": "a.jpg", "mime_type": "image/jpeg"}], tags=["cloud"]
    )
    assert (job.status, job.completed_files) == ("completed", 1)
    assert (job.job_id == "") == (sides["cloud_import"] == "sync")
    image = client.files.list(tags=["cloud"]).files[0].id
    exported = client.cloud_storage.export_and_wait(connection, [image], folder_name="Site")
    assert exported.status == "completed"
    assert client.cloud_storage.disconnect(connection).success
