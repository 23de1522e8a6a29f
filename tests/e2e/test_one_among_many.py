"""What goes wrong with one file, one picture or one look is that one's affair: the others are stored, described and paid once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aionvision_server.fixtures import Server
from remote_runs import configured, ready, rows
from small_library import Run

from aion_dagster.client import SyncAionVision

UPLOAD = "POST /user-files/upload/stream-batch"
DESCRIBE = "POST /batch/describe"
FILES = "GET /user-files"
COLORS = "GET /colors/images/{image_id}"


@pytest.fixture(autouse=True)
def key(aionvision: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    return ready(aionvision, monkeypatch)


def config(tmp_path: Path, server: Server, **more: Any) -> Path:
    return configured(tmp_path / "aion.yaml", server, **more)


def states(store: Path, table: str, column: str) -> list[str]:
    return sorted(r[column] for r in rows(store, table))


def test_a_session_that_is_gone_before_it_was_read_costs_nothing_more(
    run: Run, pictures: Path, tmp_path: Path, aionvision: Server
) -> None:
    aionvision.fault("expire", UPLOAD, nth=2)
    first = run(pictures, "--config", config(tmp_path, aionvision, upload_batch=6, parallel=1))
    assert (first["errors"], first["paid_calls"]) == ([], 12)
    assert states(tmp_path / "store", "uploads", "status") == ["completed"] * 6 + ["failed"] * 6
    assert run(pictures, "--config", config(tmp_path, aionvision))["paid_calls"] == 0
    assert states(tmp_path / "store", "descriptions", "description_status") == ["completed"] * 12
    counted = aionvision.counters()
    assert (counted["descriptions_billed"], counted["remote_objects"]) == (12, {"image": 12})


def test_a_look_that_fails_after_an_upload_leaves_rows_and_the_next_run_looks_again(
    run: Run, pictures: Path, tmp_path: Path, aionvision: Server
) -> None:
    aionvision.fault("failing", UPLOAD, about="-picture 03.jpg$", message="IMAGE_PROCESSING_ERROR")
    aionvision.fault("status", FILES, status=500)
    options = {"upload_batch": 6, "max_retries": 0, "parallel": 1}
    first = run(pictures, "--config", config(tmp_path, aionvision, **options))
    assert first["errors"] == []
    assert states(tmp_path / "store", "uploads", "status") == ["completed"] * 6 + ["failed"] * 6
    run(pictures, "--config", config(tmp_path, aionvision))
    run(pictures, "--config", config(tmp_path, aionvision))
    assert states(tmp_path / "store", "descriptions", "description_status") == ["completed"] * 12
    assert len(aionvision.log(UPLOAD)) == 2
    assert aionvision.counters()["descriptions_billed"] == 12


def test_a_request_that_is_too_large_for_the_servers_door_is_made_in_halves(
    run: Run, pictures: Path, tmp_path: Path, aionvision: Server
) -> None:
    aionvision.fault("html", UPLOAD, status=413)
    result = run(pictures, "--config", config(tmp_path, aionvision))
    assert (result["errors"], result["paid_calls"]) == ([], 12)
    assert len(aionvision.log(UPLOAD)) == 3
    assert states(tmp_path / "store", "uploads", "status") == ["completed"] * 12


def test_a_picture_that_was_deleted_there_does_not_keep_the_others_from_being_described_anew(
    run: Run, pictures: Path, tmp_path: Path, aionvision: Server
) -> None:
    run(pictures, "--config", config(tmp_path, aionvision))
    gone = rows(tmp_path / "store", "uploads")[4]
    with SyncAionVision(aionvision.key, base_url=aionvision.url) as client:
        client.files.delete(gone["remote_id"])
    asked = run(pictures, "--config", config(tmp_path, aionvision, prompt="Name the shapes."))
    assert (asked["errors"], asked["paid_calls"]) == ([], 11)
    told = {r["image_id"]: r for r in rows(tmp_path / "store", "descriptions")}
    row = told.pop(gone["image_id"])
    assert (row["description_status"], row["description_error_type"]) == ("failed", "not_found")
    assert {r["description_status"] for r in told.values()} == {"completed"}
    assert aionvision.counters()["descriptions_billed"] == 23
    assert len([o for o in aionvision.objects() if not o["deleted"]]) == 11


def test_a_deleted_picture_among_failed_ones_takes_no_other_out_of_the_remote_library(
    run: Run, pictures: Path, tmp_path: Path, aionvision: Server
) -> None:
    for number in (3, 5):
        about = f"-picture 0{number}.jpg$"
        aionvision.fault("failing", UPLOAD, about=about, message="IMAGE_PROCESSING_ERROR")
    run(pictures, "--config", config(tmp_path, aionvision))
    names = {o["id"]: o["filename"] for o in aionvision.objects()}
    (gone,) = [i for i, name in names.items() if name.endswith("-picture 03.jpg")]
    with SyncAionVision(aionvision.key, base_url=aionvision.url) as client:
        client.files.delete(gone)
    second = run(pictures, "--config", config(tmp_path, aionvision))
    assert (second["errors"], second["paid_calls"]) == ([], 1)
    assert {o["id"] for o in aionvision.objects() if o["deleted"]} == {gone}
    assert aionvision.counters()["descriptions_billed"] == 11


def test_a_job_of_descriptions_that_one_picture_has_refused_is_asked_for_in_halves(
    run: Run, pictures: Path, tmp_path: Path, aionvision: Server
) -> None:
    run(pictures, "--config", config(tmp_path, aionvision))
    bad = rows(tmp_path / "store", "uploads")[7]
    aionvision.fault("status", DESCRIBE, every=1, status=422, about=bad["sha256"])
    asked = run(pictures, "--config", config(tmp_path, aionvision, prompt="Name the shapes."))
    assert asked["errors"] == []
    told = {
        r["image_id"]: r["description_status"] for r in rows(tmp_path / "store", "descriptions")
    }
    assert told.pop(bad["image_id"]) == "failed"
    assert set(told.values()) == {"completed"}
    assert aionvision.counters()["descriptions_billed"] == 23


def test_a_look_at_one_pictures_colors_that_fails_leaves_the_others_and_is_made_later(
    run: Run, pictures: Path, tmp_path: Path, aionvision: Server
) -> None:
    run(pictures, "--config", config(tmp_path, aionvision))
    one = rows(tmp_path / "store", "uploads")[3]["remote_id"]
    aionvision.fault("status", COLORS, status=500, about=one, times=2)
    first = run(pictures, "--config", config(tmp_path, aionvision, colors=True, max_retries=0))
    assert first["errors"] == []
    assert len(rows(tmp_path / "store", "color_analyses")) == 11
    assert run(pictures, "--config", config(tmp_path, aionvision, colors=True))["paid_calls"] == 0
    assert len(rows(tmp_path / "store", "color_analyses")) == 12


def test_a_server_whose_colors_cannot_be_looked_at_at_all_fails_the_step(
    run: Run, pictures: Path, tmp_path: Path, aionvision: Server
) -> None:
    aionvision.fault("status", COLORS, every=1, status=500)
    settings = config(tmp_path, aionvision, colors=True, max_retries=0)
    assert run(pictures, "--config", settings, status=1)["errors"]


def test_two_addresses_that_the_platform_takes_for_one_page_have_a_row_each(
    run: Run, tmp_path: Path, aionvision: Server
) -> None:
    aionvision.settings(one_link_per_page=True)
    urls = ["https://example.com/a", "https://example.com/a/", "https://example.com/b"]
    result = run("--config", config(tmp_path, aionvision, links=urls))
    assert result["errors"] == []
    found = rows(tmp_path / "store", "links")
    assert [r["source_url"] for r in found] == urls
    assert [r["crawl_status"] for r in found] == ["completed"] * 3
    assert found[0]["link_id"] == found[1]["link_id"] != found[2]["link_id"]


def test_a_document_whose_title_is_refused_is_read_all_the_same(
    run: Run, tmp_path: Path, aionvision: Server
) -> None:
    papers = tmp_path / "papers"
    papers.mkdir()
    (papers / "oak.txt").write_text("A sentence about an oak.\n")
    aionvision.fault("status", "PATCH /documents/*", every=1, status=422)
    settings = config(tmp_path, aionvision, library={"documents": ["txt"]}, tags=["site"])
    assert run(papers, "--config", settings)["errors"] == []
    (row,) = rows(tmp_path / "store", "documents")
    assert (row["text_extraction_status"], row["chunk_count"]) == ("completed", 1)
    assert aionvision.counters()["faults"]
