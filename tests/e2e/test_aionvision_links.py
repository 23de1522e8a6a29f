"""Links: configured URLs become links of the remote library, each once; hostile ones never leave this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aionvision_server.fixtures import Server
from remote_runs import asked, configured, ready, rows
from small_library import Run

CREATE = "POST /user-files/links"
PAGES = ["https://example.com/a", "https://example.com/b?x=1", "https://other.example.org"]


@pytest.fixture(autouse=True)
def key(aionvision: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    return ready(aionvision, monkeypatch)


@pytest.fixture
def config(tmp_path: Path, aionvision: Server) -> Path:
    return with_links(tmp_path, aionvision, PAGES)


def with_links(tmp_path: Path, server: Server, links: list[str], **more: Any) -> Path:
    return configured(tmp_path / "aion.yaml", server, links=links, **more)


def told(tmp_path: Path) -> dict[str, dict[str, Any]]:
    return {r["source_url"]: r for r in rows(tmp_path / "store", "links")}


def test_links_are_saved_crawled_and_told_in_their_order(
    run: Run, config: Path, tmp_path: Path, aionvision: Server
) -> None:
    first = run("--config", config)
    assert (first["errors"], first["paid_calls"]) == ([], 3)
    found = rows(tmp_path / "store", "links")
    assert [r["source_url"] for r in found] == PAGES
    assert {r["crawl_status"] for r in found} == {"completed"}
    assert [r["domain"] for r in found] == ["example.com", "example.com", "other.example.org"]
    assert all(r["link_id"] and r["page_title"] and r["favicon_url"] for r in found)
    assert all(r["crawled_at"] and not r["was_there"] and not r["error"] for r in found)
    assert json.loads(found[0]["og_metadata"])["site_name"] == "example.com"
    assert len(aionvision.log(CREATE)) == 3
    aionvision.assert_clean()


def test_a_second_run_asks_nothing_and_a_further_link_is_the_only_one_saved(
    run: Run, config: Path, tmp_path: Path, aionvision: Server
) -> None:
    run("--config", config)
    before = asked(aionvision)
    again = run("--config", config)
    assert (again["paid_calls"], asked(aionvision)) == (0, before)
    ids = {url: r["link_id"] for url, r in told(tmp_path).items()}
    more = with_links(tmp_path, aionvision, ["https://example.com/new", *PAGES])
    assert run("--config", more)["paid_calls"] == 1
    now = {url: r["link_id"] for url, r in told(tmp_path).items()}
    assert now.items() >= ids.items()
    assert len(aionvision.log(CREATE)) == 4


def test_a_lost_reply_makes_no_second_link(
    run: Run, config: Path, tmp_path: Path, aionvision: Server
) -> None:
    aionvision.fault("lost", CREATE, about="/a$")
    aionvision.fault("reset_after", CREATE, about="x=1$")
    run("--config", config)
    assert [r["is_retryable"] for r in told(tmp_path).values()] == [True, True, None]
    again = run("--config", config)
    assert again["paid_calls"] == 0
    assert {r["crawl_status"] for r in told(tmp_path).values()} == {"completed"}
    assert not any(r["was_there"] for r in told(tmp_path).values())
    assert len(aionvision.log(CREATE)) == len(aionvision.objects()) == 3
    aionvision.assert_clean()


def test_links_that_the_remote_library_has_are_taken_and_not_saved_again(
    run: Run, config: Path, tmp_path: Path, aionvision: Server
) -> None:
    run("--config", config)
    result = run("--config", config, store=tmp_path / "another store")
    assert result["paid_calls"] == 0
    found = rows(tmp_path / "another store", "links")
    assert all(r["was_there"] and r["crawl_status"] == "completed" for r in found)
    assert len(aionvision.objects()) == 3


def test_urls_that_mean_the_same_page_share_a_link(
    run: Run, tmp_path: Path, aionvision: Server
) -> None:
    same = ["https://example.com", "https://EXAMPLE.com/", "https://example.com:443/"]
    run("--config", with_links(tmp_path, aionvision, same))
    assert list(told(tmp_path)) == same
    assert len({r["link_id"] for r in told(tmp_path).values()}) == 1
    assert len(aionvision.objects()) == 1


HOSTILE = [
    "javascript:alert(1)",
    "file:///etc/passwd",
    "ftp://example.com/a",
    "data:text/html,<script>alert(1)</script>",
    "//example.com/a",
    "https://",
    "https://user:secret@example.com/",
    "https://example.com\\@evil.example.org/",
    "https://example.com/a\nHost: evil",
    "https://example.com/\u202egpj.exe",
    "https://exam\tple.com/",
    "http://localhost:8080/admin",
    "http://printer/",
    "http://wiki.internal/",
    "http://router.local./",
    "http://127.0.0.1/",
    "http://127.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0177.0.0.1/",
    "http://１２７.0.0.1/",
    "http://10.1.2.3/",
    "http://192.168.0.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://[::1]/",
    "http://[::ffff:10.0.0.1]/",
    "http://[64:ff9b::a00:1]/",
    "http://[fe80::1]/",
    "http://0.0.0.0/",
    "http://224.0.0.1/",
    "http://%6c%6f%63alhost/",
    "https://a..example.com/",
    "https://example.com:99999/",
    "https://example.com/" + "a" * 2048,
]


def test_hostile_urls_are_rows_that_say_why_and_never_leave(
    run: Run, tmp_path: Path, aionvision: Server
) -> None:
    result = run("--config", with_links(tmp_path, aionvision, [*HOSTILE, PAGES[0]]))
    assert (result["errors"], result["paid_calls"]) == ([], 1)
    found = rows(tmp_path / "store", "links")
    refused = found[: len(HOSTILE)]
    allowed = [r["source_url"] for r in refused if r["error_type"] != "validation"]
    assert allowed == []
    assert all(r["error"] and r["is_retryable"] is False and not r["link_id"] for r in refused)
    assert found[-1]["crawl_status"] == "completed"
    assert len(aionvision.log(CREATE)) == 1
    assert not [r for r in found if "secret" in json.dumps(r, default=str)]


def test_a_page_that_could_not_be_fetched_for_a_time_is_crawled_again_and_others_are_not(
    run: Run, config: Path, tmp_path: Path, aionvision: Server
) -> None:
    aionvision.fault("failing", CREATE, about="/a$", message="timed out after 30 s")
    aionvision.fault("failing", CREATE, about="x=1$", message="404: no such page")
    run("--config", config)
    states = [(r["crawl_status"], r["is_retryable"]) for r in told(tmp_path).values()]
    assert states == [("failed", True), ("failed", False), ("completed", None)]
    assert told(tmp_path)[PAGES[1]]["crawl_error"] == "404: no such page"
    # The platform crawls a page once an hour.
    run("--config", config)
    assert told(tmp_path)[PAGES[0]]["error_type"] == "rate_limit"
    aionvision.clock(advance=3700)
    assert run("--config", config)["paid_calls"] == 1
    states = [(r["crawl_status"], r["is_retryable"]) for r in told(tmp_path).values()]
    assert states == [("completed", None), ("failed", False), ("completed", None)]
    assert told(tmp_path)[PAGES[1]]["link_id"]
    before = asked(aionvision)
    run("--config", config)
    assert asked(aionvision) == before
    assert len(aionvision.log(CREATE)) == 3


def test_a_crawl_that_takes_too_long_is_looked_at_again_and_not_begun_again(
    run: Run, tmp_path: Path, aionvision: Server
) -> None:
    aionvision.settings(looks={"crawl": 40})
    run("--config", with_links(tmp_path, aionvision, PAGES, polling_timeout=0.2))
    states = {(r["crawl_status"], r["error_type"]) for r in told(tmp_path).values()}
    assert states == {("processing", "timeout")}
    assert run("--config", with_links(tmp_path, aionvision, PAGES))["paid_calls"] == 0
    assert {r["crawl_status"] for r in told(tmp_path).values()} == {"completed"}
    assert len(aionvision.log(CREATE)) == 3


def test_a_budget_ends_cleanly_and_a_raised_one_continues(
    run: Run, tmp_path: Path, aionvision: Server
) -> None:
    capped = {"budgets": {"library": {"calls": 2}}}
    first = run("--config", with_links(tmp_path, aionvision, PAGES, library=capped))
    assert (first["errors"], first["paid_calls"]) == ([], 2)
    assert [r["error_type"] for r in told(tmp_path).values()].count("budget") == 1
    assert run("--config", with_links(tmp_path, aionvision, PAGES))["paid_calls"] == 1
    assert {r["crawl_status"] for r in told(tmp_path).values()} == {"completed"}


def test_links_stand_beside_pictures_in_one_run(
    run: Run, pictures: Path, config: Path, tmp_path: Path, aionvision: Server
) -> None:
    result = run(pictures, "--config", config)
    assert (result["files"], result["errors"]) == (12, [])
    assert len(told(tmp_path)) == 3
    assert aionvision.counters()["remote_objects"] == {"image": 12, "link": 3}
    aionvision.assert_clean()
