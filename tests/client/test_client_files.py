"""Files through the API: listing with every filter, changing, deleting, downloading."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from loopback_api import (
    KEY,
    Asked,
    LoopbackApi,
    Reply,
    awaited_client,
    blocking_client,
    loopback_api,
)

from aion_dagster.client.errors import (
    AionvisionConnectionError,
    InvalidResponseError,
    ResourceNotFoundError,
    ValidationError,
)
from aion_dagster.client.models.files import UserFile, UserFileDetails
from aion_dagster.client.resources.files import FilesResource, SyncFilesResource

ID = "550e8400-e29b-41d4-a716-446655440000"


@pytest.fixture
def api() -> Iterator[LoopbackApi]:
    with loopback_api() as server:
        yield server


@pytest.fixture
def files(api: LoopbackApi) -> Iterator[SyncFilesResource]:
    with blocking_client(api) as client:
        yield SyncFilesResource(FilesResource(client.transport))


def test_every_condition_of_a_list_reaches_the_server(api: LoopbackApi, files: Any) -> None:
    api.on("GET /user-files", {"files": [], "total_count": 0, "has_more": False})
    files.list(
        search="cracked pole & wire",
        search_mode="visible_text",
        tags=["a,b", "ü"],
        date_from=datetime(2025, 1, 1),
        date_to=datetime(2025, 1, 31, 12, tzinfo=timezone(timedelta(hours=2))),
        has_description=False,
        ids=[ID, "x"],
        limit=100,
        offset=40,
        sort_by="title",
        sort_order="asc",
        media_types=["image", "link"],
        folder_id=ID,
    )
    assert api.requests[0].query == {
        "search": ["cracked pole & wire"],
        "search_mode": ["visible_text"],
        "tags": ["a,b", "ü"],
        "date_from": ["2025-01-01T00:00:00Z"],
        "date_to": ["2025-01-31T12:00:00+02:00"],
        "has_description": ["false"],
        "ids": [ID, "x"],
        "limit": ["100"],
        "offset": ["40"],
        "sort_by": ["title"],
        "sort_order": ["asc"],
        "media_types": ["image", "link"],
        "folder_id": [ID],
    }


def test_conditions_that_are_not_given_are_left_to_the_server(api: LoopbackApi, files: Any) -> None:
    api.on("GET /user-files", {"files": []})
    files.list(date_from=date(2025, 2, 3))
    assert api.requests[0].query == {
        "limit": ["20"],
        "offset": ["0"],
        "date_from": ["2025-02-03T00:00:00Z"],
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("limit", 0),
        ("limit", 101),
        ("offset", -1),
        ("ids", [f"x{n}" for n in range(501)]),
        ("ids", []),
        ("ids", "one string"),
        ("tags", "one string"),
        ("media_types", "image"),
        ("date_from", "yesterday"),
    ],
)
def test_a_condition_beyond_a_limit_is_refused_before_sending(
    api: LoopbackApi, files: Any, field: str, value: Any
) -> None:
    with pytest.raises(ValidationError) as refused:
        files.list(**{field: value})
    assert refused.value.details["field"] == field
    assert api.requests == []


@pytest.mark.parametrize("field", ["files", "items"])
@pytest.mark.parametrize("total", ["total_count", "total"])
def test_either_envelope_of_a_list_is_read(
    api: LoopbackApi, files: Any, field: str, total: str
) -> None:
    api.on("GET /user-files", {field: [{"id": ID}], total: 3})
    page = files.list(limit=1, offset=1)
    assert ([f.id for f in page.files], page.total_count, page.has_more) == ([ID], 3, True)
    assert files.list(limit=1, offset=2).has_more is False


def test_a_list_that_says_nothing_of_its_length_has_more_while_pages_are_full(
    api: LoopbackApi, files: Any
) -> None:
    api.on("GET /user-files", {"items": [{"id": "a"}, {"id": "b"}]})
    assert files.list(limit=2).has_more is True
    assert files.list(limit=3).has_more is False


def test_a_file_of_a_list_has_its_types_and_keeps_what_is_unknown(
    api: LoopbackApi, files: Any
) -> None:
    api.on(
        "GET /user-files",
        {
            "files": [
                {
                    "id": ID,
                    "size_bytes": 7,
                    "has_full_description": True,
                    "created_at": "2025-01-15T10:30:00",
                    "content_created_at": "2025-01-14T08:00:00Z",
                    "dimensions": {},
                    "tags": None,
                    "media_type": "hologram",
                    "color_note": "new",
                }
            ],
            "total_count": 1,
            "has_more": False,
        },
    )
    file: UserFile = files.list().files[0]
    assert file.created_at == datetime(2025, 1, 15, 10, 30, tzinfo=UTC)
    assert file.content_created_at == datetime(2025, 1, 14, 8, tzinfo=UTC)
    assert (file.dimensions, file.tags, file.media_type) == ({}, [], "hologram")
    assert file.model_extra == {"color_note": "new"}


def test_iterating_counts_what_came_and_trusts_no_has_more(api: LoopbackApi, files: Any) -> None:
    ids = [f"id{i}" for i in range(7)]

    def page(asked: Asked) -> dict[str, Any]:
        start = int(asked.query["offset"][0])
        # The server gives three at most, whatever is asked for, and lies about what follows.
        return {"files": [{"id": i} for i in ids[start : start + 3]], "has_more": False}

    api.on("GET /user-files", page)
    assert [f.id for f in files.list_all(page_size=50, tags=["t"])] == ids
    assert [r.query["offset"] for r in api.requests] == [["0"], ["3"], ["6"], ["7"]]
    assert {r.query["tags"][0] for r in api.requests} == {"t"}


def test_iterating_stops_asking_when_the_reader_stops(api: LoopbackApi, files: Any) -> None:
    api.on("GET /user-files", {"files": [{"id": "a"}, {"id": "b"}]})
    assert next(iter(files.list_all(page_size=2))).id == "a"
    assert len(api.requests) == 1


def test_details_hold_descriptions_history_and_the_digest(api: LoopbackApi, files: Any) -> None:
    digest = "AB" * 32
    api.on(
        "GET /user-files/{id}",
        {
            "id": ID,
            "object_key": "k",
            "size_bytes": 1,
            "content_type": "image/jpeg",
            "hash": f"sha256:{digest}",
            "filename": "p.jpg",
            "full_descriptions": [{"id": "d", "description": "a pole", "confidence_score": 0.95}],
            "processing_history": [
                {"id": "h", "status": "completed", "operation_type": "describe"}
            ],
            "url": "https://example.org",
        },
    )
    details: UserFileDetails = files.get("550e8400")
    assert details.sha256 == digest.lower()
    assert details.original_filename == "p.jpg"
    assert details.full_descriptions[0].confidence_score == 0.95
    assert details.processing_history[0].operation_type == "describe"
    assert details.source_url == "https://example.org"
    assert api.requests[0].path == "/api/v2/user-files/550e8400"


def test_a_hash_of_another_kind_is_no_sha256() -> None:
    assert UserFileDetails(id=ID, hash="d41d8cd98f00b204e9800998ecf8427e").sha256 is None


def test_a_link_without_content_is_read_though_fields_are_null(
    api: LoopbackApi, files: Any
) -> None:
    api.on(
        "GET /user-files/{id}",
        {"id": ID, "hash": None, "object_key": None, "content_type": None, "size_bytes": None},
    )
    details = files.get(ID)
    assert (details.hash, details.object_key, details.size_bytes) == ("", "", 0)


def test_changing_a_file_sends_only_what_is_given(api: LoopbackApi, files: Any) -> None:
    api.on("PATCH /user-files/{id}", {"id": ID, "title": "T", "tags": ["a"]})
    assert files.update(ID, title="T").title == "T"
    files.update(ID, tags=[])
    assert [r.json for r in api.requests] == [{"title": "T"}, {"tags": []}]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"title": "x" * 256}, "title"),
        ({"tags": ["x"] * 41}, "tags"),
        ({"tags": ["x" * 51]}, "tags"),
        ({"tags": "abc"}, "tags"),
    ],
)
def test_titles_and_tags_beyond_the_limits_are_refused(
    api: LoopbackApi, files: Any, change: dict[str, Any], field: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        files.update(ID, **change)
    assert refused.value.details["field"] == field
    assert api.requests == []


def test_deleting_says_when(api: LoopbackApi, files: Any) -> None:
    api.on("DELETE /user-files/{id}", {"id": ID, "deleted_at": "2025-01-15T11:00:00Z"})
    assert files.delete(ID).deleted_at == datetime(2025, 1, 15, 11, tzinfo=UTC)


def test_a_deletion_of_several_says_what_became_of_each(api: LoopbackApi, files: Any) -> None:
    api.on(
        "POST /user-files/batch-delete",
        {
            "deleted": [{"id": "a", "status": "deleted"}],
            "skipped": None,
            "failed": [{"id": "b", "status": "failed", "message": "File not found"}],
            "summary": {"total": 2, "deleted": 1, "skipped": 0, "failed": 1},
        },
    )
    done = files.batch_delete(["a", "b", "a"])
    assert api.requests[0].json == {"file_ids": ["a", "b"]}
    assert (done.deleted[0].id, done.skipped, done.failed[0].message) == (
        "a",
        [],
        "File not found",
    )
    assert done.summary["failed"] == 1


@pytest.mark.parametrize("ids", [[], [f"x{n}" for n in range(101)], [""], "abc"])
def test_a_deletion_of_none_or_too_many_is_refused(api: LoopbackApi, files: Any, ids: Any) -> None:
    with pytest.raises(ValidationError, match="file_ids"):
        files.batch_delete(ids)
    assert api.requests == []


def test_a_variant_is_the_place_of_the_redirect_and_nobody_goes_there(
    api: LoopbackApi, files: Any
) -> None:
    api.on(
        "GET /user-files/{id}/variant/{type}",
        Reply(b"", 302, {"Location": "https://storage.example/tiny?sig=1"}),
    )
    assert files.get_variant(ID, "tiny_64") == "https://storage.example/tiny?sig=1"
    files.get_variant(ID)
    assert [r.path.rsplit("/", 1)[1] for r in api.requests] == ["tiny_64", "medium_750"]


def test_a_variant_without_a_redirect_is_an_error(api: LoopbackApi, files: Any) -> None:
    api.on("GET /user-files/{id}/variant/{type}", {"url": "elsewhere"})
    with pytest.raises(InvalidResponseError, match="redirect"):
        files.get_variant(ID)


class Storage:
    """A storage on another port: another origin, which must never see the key."""

    def __init__(self, content: bytes, promised: int | None = None) -> None:
        self.headers: list[dict[str, str]] = []
        storage = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                storage.headers.append({k.lower(): v for k, v in self.headers.items()})
                self.send_response(200)
                self.send_header("Content-Length", str(promised or len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args: Any) -> None:
                """Nothing is printed."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/file"

    def __enter__(self) -> Storage:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def test_a_download_follows_to_the_storage_without_the_key(
    api: LoopbackApi, files: Any, tmp_path: Path
) -> None:
    content = bytes(range(256)) * 16_000
    with Storage(content) as storage:
        api.on("GET /user-files/{id}/download", Reply(b"", 302, {"Location": storage.url}))
        assert files.download(ID) == content
        (tmp_path / "p.jpg").write_bytes(b"the old one")
        assert files.download_to(ID, tmp_path / "p.jpg") == tmp_path / "p.jpg"
        assert len(storage.headers) == 2
        assert KEY not in str(storage.headers)
    assert (tmp_path / "p.jpg").read_bytes() == content
    assert [p.name for p in tmp_path.iterdir()] == ["p.jpg"]


def test_a_download_that_breaks_off_leaves_what_was_there(
    api: LoopbackApi, files: Any, tmp_path: Path
) -> None:
    target = tmp_path / "p.jpg"
    target.write_bytes(b"the old one")
    with Storage(b"half", promised=1000) as storage:
        api.on("GET /user-files/{id}/download", Reply(b"", 302, {"Location": storage.url}))
        with pytest.raises(AionvisionConnectionError):
            files.download_to(ID, target)
    assert target.read_bytes() == b"the old one"
    assert [p.name for p in tmp_path.iterdir()] == ["p.jpg"]


def test_a_download_to_a_place_that_is_not_there_asks_nothing(
    api: LoopbackApi, files: Any, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError):
        files.download_to(ID, tmp_path / "missing" / "p.jpg")
    assert api.requests == []


def test_variants_are_made_anew_on_request(api: LoopbackApi, files: Any) -> None:
    api.on("POST /user-files/{id}/trigger-variants", {"success": True, "task_id": "t"})
    assert files.trigger_variant_generation(ID) == {"success": True, "task_id": "t"}


@pytest.mark.parametrize("file_id", ["", ".", ".."])
def test_an_identifier_that_leads_elsewhere_is_refused(
    api: LoopbackApi, files: Any, file_id: str
) -> None:
    with pytest.raises(ValidationError):
        files.get(file_id)
    assert api.requests == []


def test_a_file_that_is_not_there_is_named_so(api: LoopbackApi, files: Any) -> None:
    api.on(
        "GET /user-files/{id}",
        Reply({"error": "NOT_FOUND", "message": "File not found", "details": None}, 404),
    )
    with pytest.raises(ResourceNotFoundError, match="File not found"):
        files.get(ID)


def test_the_awaited_client_does_the_same(api: LoopbackApi, tmp_path: Path) -> None:
    api.on("GET /user-files", [{"files": [{"id": "a"}]}, {"files": []}])
    api.on("GET /user-files/{id}/download", Reply(b"content"))

    async def use() -> tuple[list[str], bytes]:
        async with awaited_client(api) as client:
            files = FilesResource(client.transport)
            ids = [file.id async for file in files.list_all()]
            path = await files.download_to(ID, tmp_path / "p.jpg")
            return ids, path.read_bytes()

    assert asyncio.run(use()) == (["a"], b"content")
