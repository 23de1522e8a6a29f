"""The remote backend through the command line: what is paid, what is not, and what nobody may read."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from aionvision_server.fixtures import Server
from small_library import Run, draw_picture

from aion_dagster.cli import main
from aion_dagster.resources.aionvision import AionvisionResource
from aion_dagster.storage.store import Store

UPLOAD = "POST /user-files/upload/stream-batch"


@pytest.fixture(autouse=True)
def key(aionvision: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("AIONVISION_API_KEY", aionvision.key)
    aionvision.plan("UNLIMITED")
    aionvision.described_at_once()
    return aionvision.key


def configured(path: Path, server: Server, **more: Any) -> Path:
    """A configuration file; `more` goes into `aionvision`, but for `library`, which goes beside it."""
    beside = more.pop("library", {})
    remote = {
        "base_url": server.url,
        "plan": "unlimited",
        "polling_interval": 0.02,
        "retry_delay": 0.01,
        **more,
    }
    data = {"backend": "aionvision", "aionvision": remote, "text_model": "none", **beside}
    path.write_text(yaml.safe_dump({"datasets": [{"exports": ["csv"]}], **data}))
    return path


def rows(store: Path, table: str) -> list[dict[str, Any]]:
    tables = Store.open(store, create=False).tables
    return [r for b in tables.batches(table) for r in tables.read(table, batch=b).to_pylist()]


def paid_requests(server: Server) -> int:
    return len(server.log("upload")) + len(server.log("batch/describe"))


def test_pictures_are_stored_and_described_once_with_few_requests(
    run: Run, pictures: Path, tmp_path: Path, aionvision: Server
) -> None:
    config = configured(tmp_path / "aion.yaml", aionvision)
    first = run(pictures, "--config", config)
    counted = aionvision.counters()
    assert (first["paid_calls"], counted["descriptions_billed"]) == (12, 12)
    assert counted["remote_objects"] == {"image": 12}
    assert sum(counted["requests"].values()) <= 7
    described = rows(tmp_path / "store", "descriptions")
    assert {r["provider"] for r in described} == {"aionvision"}
    assert all(r["description"] and r["title"] and r["tags"] and r["remote_id"] for r in described)
    uploads = {r["image_id"]: r for r in rows(tmp_path / "store", "uploads")}
    assert all(uploads[r["image_id"]]["remote_id"] == r["remote_id"] for r in described)
    names = [o["filename"] for o in aionvision.objects()]
    assert all(n[:64] in {u["sha256"] for u in uploads.values()} for n in names)
    aionvision.assert_clean()


def test_renamed_copied_touched_and_moved_files_make_no_call(
    run: Run, pictures: Path, tmp_path: Path, aionvision: Server
) -> None:
    config = configured(tmp_path / "aion.yaml", aionvision)
    run(pictures, "--config", config)
    before = paid_requests(aionvision)
    files = sorted(pictures.rglob("*.jpg"))
    files[0].rename(files[0].with_name("another name.jpg"))
    shutil.copy(files[1], pictures / "copy.jpg")
    os.utime(files[2], (1, 1))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.move(files[3], elsewhere / "moved.jpg")
    result = run(pictures, elsewhere, "--config", config)
    assert result["files"] == 4
    assert result["paid_calls"] == 0
    assert paid_requests(aionvision) == before
    assert aionvision.counters()["descriptions_billed"] == 12
    assert {r["description_status"] for r in rows(tmp_path / "store", "descriptions")} == {
        "completed"
    }


def test_a_changed_prompt_pays_the_descriptions_and_a_changed_upload_option_nothing(
    run: Run, pictures: Path, tmp_path: Path, aionvision: Server
) -> None:
    run(pictures, "--config", configured(tmp_path / "aion.yaml", aionvision))
    options = configured(
        tmp_path / "aion.yaml",
        aionvision,
        tags=["site"],
        storage_target="default",
        intent="describe",
    )
    assert run(pictures, "--config", options)["paid_calls"] == 0
    prompted = configured(tmp_path / "aion.yaml", aionvision, prompt="Name the shapes.")
    assert run(pictures, "--config", prompted)["paid_calls"] == 12
    counted = aionvision.counters()
    assert counted["remote_objects"] == {"image": 12}
    assert counted["descriptions_billed"] == 24
    assert run(pictures, "--config", prompted)["paid_calls"] == 0
    providers = configured(tmp_path / "aion.yaml", aionvision, providers=["one"])
    assert run(pictures, "--config", providers)["paid_calls"] == 12
    assert run(pictures, "--config", prompted)["paid_calls"] == 0
    assert aionvision.counters()["descriptions_billed"] == 36


def test_one_corrupt_one_refused_and_one_that_failed_for_a_time_among_many(
    run: Run, tmp_path: Path, aionvision: Server
) -> None:
    pictures = tmp_path / "pictures"
    for number in range(100):
        draw_picture(pictures / f"{number:03}.jpg", number, size=(160, 120))
    (pictures / "007.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    aionvision.fault("reject", about="-011.jpg$", message="422: BAD_IMAGE", retryable=False)
    aionvision.fault("reject", about="-013.jpg$", message="503: try later", retryable=True)
    config = configured(tmp_path / "aion.yaml", aionvision)
    first = run(pictures, "--config", config)
    assert (first["ok"], first["failed"], first["errors"]) == (99, 1, [])
    failed = [r for r in rows(tmp_path / "store", "descriptions") if r["description_error"]]
    told = {r["description_error"]: r["description_is_retryable"] for r in failed}
    assert sorted(told) == [
        "422: BAD_IMAGE",
        "503: try later",
        "unreadable: damaged JPEG: the segment at byte 2 is longer than the file",
    ]
    assert [error for error, retryable in told.items() if retryable] == ["503: try later"]
    assert aionvision.counters()["descriptions_billed"] == 97
    second = run(pictures, "--config", config)
    assert second["paid_calls"] == 1
    assert aionvision.counters()["descriptions_billed"] == 98
    assert run(pictures, "--config", config)["paid_calls"] == 0
    assert aionvision.counters()["remote_objects"] == {"image": 98}


def test_a_description_that_failed_is_made_again_from_the_stored_picture(
    run: Run, pictures: Path, tmp_path: Path, aionvision: Server
) -> None:
    aionvision.fault("failing", UPLOAD, about="-picture 03.jpg$", message="IMAGE_PROCESSING_ERROR")
    config = configured(tmp_path / "aion.yaml", aionvision)
    run(pictures, "--config", config)
    assert aionvision.counters()["descriptions_billed"] == 11
    again = run(pictures, "--config", config)
    assert again["paid_calls"] == 1
    counted = aionvision.counters()
    assert (counted["descriptions_billed"], counted["remote_objects"]) == (12, {"image": 12})
    described = rows(tmp_path / "store", "descriptions")
    assert {r["description_status"] for r in described} == {"completed"}
    assert run(pictures, "--config", config)["paid_calls"] == 0


def test_where_stored_pictures_cannot_be_described_anew_a_failed_one_is_sent_once_more(
    run: Run, pictures: Path, tmp_path: Path, aionvision: Server
) -> None:
    aionvision.fault(
        "failing", UPLOAD, about="-picture 03.jpg$", times=1, message="IMAGE_PROCESSING_ERROR"
    )
    aionvision.fault("status", "POST /batch/describe", times=99, status=404, body="{}")
    config = configured(tmp_path / "aion.yaml", aionvision)
    for _ in range(3):
        run(pictures, "--config", config)
    described = rows(tmp_path / "store", "descriptions")
    assert {r["description_status"] for r in described} == {"completed"}
    counted = aionvision.counters()
    assert (counted["descriptions_billed"], counted["remote_objects"]) == (12, {"image": 12})
    before = paid_requests(aionvision)
    run(pictures, "--config", config)
    assert paid_requests(aionvision) == before


def test_pictures_that_the_remote_library_has_are_fetched_and_not_paid(
    run: Run, pictures: Path, tmp_path: Path, aionvision: Server
) -> None:
    config = configured(tmp_path / "aion.yaml", aionvision)
    run(pictures, "--config", config)
    result = run(pictures, "--config", config, store=tmp_path / "another store")
    assert result["paid_calls"] == 0
    counted = aionvision.counters()
    assert (counted["descriptions_billed"], counted["remote_objects"]) == (12, {"image": 12})
    uploads = rows(tmp_path / "another store", "uploads")
    assert all(r["was_there"] for r in uploads)
    assert {r["description_status"] for r in rows(tmp_path / "another store", "descriptions")} == {
        "completed"
    }


def test_a_spent_quota_ends_cleanly_and_a_renewed_one_continues(
    run: Run, pictures: Path, tmp_path: Path, aionvision: Server
) -> None:
    aionvision.fault(
        "status", UPLOAD, nth=2, times=1, status=429, code="USAGE_LIMIT_EXCEEDED", retry_after=1
    )
    config = configured(tmp_path / "aion.yaml", aionvision, upload_batch=4, parallel=1)
    first = run(pictures, "--config", config)
    assert first["errors"] == []
    states = [r["status"] for r in rows(tmp_path / "store", "uploads")]
    assert (states.count("completed"), states.count("failed")) == (4, 8)
    assert len(aionvision.log(UPLOAD)) == 2
    second = run(pictures, "--config", config)
    assert second["paid_calls"] == 8
    assert aionvision.counters()["descriptions_billed"] == 12


def test_a_refused_key_ends_the_run_and_says_so_without_showing_it(
    run: Run, pictures: Path, tmp_path: Path, aionvision: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = "aion_" + "w" * 40
    monkeypatch.setenv("AIONVISION_API_KEY", wrong)
    result = run(pictures, "--config", configured(tmp_path / "aion.yaml", aionvision), status=1)
    assert any("AuthenticationError" in error for error in result["errors"])
    assert any(aionvision.url in error for error in result["errors"])
    assert any("variable AIONVISION_API_KEY" in error for error in result["errors"])
    assert wrong not in json.dumps(result)


def test_where_the_platform_is_stands_in_the_environment_or_in_the_configuration(
    run: Run,
    pictures: Path,
    tmp_path: Path,
    aionvision: Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIONVISION_BASE_URL", aionvision.url)
    config = configured(tmp_path / "aion.yaml", aionvision, base_url=None)
    assert run(pictures, "--config", config)["paid_calls"] == 12
    assert "base_url" not in (tmp_path / "store" / "aion.yaml").read_text()
    resource = AionvisionResource(settings={})
    assert resource.open().engine.endswith(f":{urlsplit(aionvision.url).port}")
    monkeypatch.setenv("AIONVISION_BASE_URL", "http://127.0.0.1:9/api/v2")
    config = configured(tmp_path / "aion.yaml", aionvision)
    assert run(pictures, "--config", config, "--store", tmp_path / "other")["errors"] == []


def test_an_address_that_is_wrong_is_named_with_the_setting(
    run: Run, pictures: Path, tmp_path: Path, aionvision: Server
) -> None:
    short = aionvision.url.removesuffix("/api/v2")
    config = configured(tmp_path / "aion.yaml", aionvision, base_url=short)
    told = run(pictures, "--config", config, status=1)["problems"]
    assert f"Aionvision at {short} has no such address" in told
    assert "aionvision.base_url" in told
    assert "/api/v2" in told
    gone = "http://127.0.0.1:9/api/v2"
    config = configured(tmp_path / "aion.yaml", aionvision, base_url=gone, max_retries=0)
    told = run(pictures, "--config", config, status=1)["problems"]
    assert f"Aionvision at {gone} cannot be reached" in told
    assert "AIONVISION_BASE_URL" in told


def test_without_a_key_the_run_does_not_begin(
    pictures: Path,
    tmp_path: Path,
    aionvision: Server,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("AIONVISION_API_KEY")
    config = configured(tmp_path / "aion.yaml", aionvision)
    arguments = ["run", str(pictures), "--config", str(config), "--store", str(tmp_path / "store")]
    assert main(arguments) == 2
    assert "AIONVISION_API_KEY" in capsys.readouterr().err


def test_after_a_run_full_of_faults_the_key_stands_nowhere(
    pictures: Path,
    tmp_path: Path,
    aionvision: Server,
    key: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    leaking = json.dumps({"error": {"code": "X", "message": f"you sent {key}"}, "request_id": key})
    aionvision.fault("status", "*", every=3, times=6, status=503, body=leaking)
    aionvision.fault("html", "*", every=5, times=3, status=502)
    aionvision.fault("truncate", "GET /user-files", times=1)
    aionvision.fault("redirect", "GET /uploads/*", times=1)
    aionvision.fault("reset_after", UPLOAD, times=1)
    config = configured(tmp_path / "aion.yaml", aionvision, max_retries=2, upload_batch=3)
    for _ in range(4):
        main(["run", str(pictures), "--config", str(config), "--store", str(tmp_path / "store")])
    written = [p for p in tmp_path.rglob("*") if p.is_file() and "pictures" not in p.parts]
    assert any(p.suffix == ".sqlite" for p in written)
    assert any(p.suffix == ".db" for p in written)
    assert [p for p in written if key.encode() in p.read_bytes()] == []
    for path in (p for p in written if p.suffix in (".sqlite", ".db")):
        with sqlite3.connect(path) as database:
            assert not [line for line in database.iterdump() if key in line]
    out, err = capfd.readouterr()
    assert key not in out + err
    assert aionvision.counters()["keys_seen_elsewhere"] in (0, [], {})
