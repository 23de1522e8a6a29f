"""Links of a library are crawled in its runs, searched by its pipelines, and asked for once an hour."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from crawling.site import Site, running_site
from small_library import Run

from aion_dagster.config import LibraryConfig
from aion_dagster.errors import ConfigError
from aion_dagster.storage.store import Store


@pytest.fixture
def site() -> Iterator[Site]:
    with running_site() as started:
        yield started


def test_links_are_crawled_once_and_stand_in_a_table(
    run: Run, site: Site, pictures: Path, tmp_path: Path
) -> None:
    urls = [
        site.page("/chairs", "<title>Chairs</title><main><p>Oak and walnut.</p></main>"),
        f"{site.url}/gone",
        "http://169.254.169.254/latest/meta-data/",
    ]
    links = {"urls": urls, "allowed_networks": ["127.0.0.1"], "ports": [site.port]}
    config = tmp_path / "aion.yaml"
    config.write_text(yaml.safe_dump({"links": links}))
    run(pictures, "--config", config, "--export", "none")
    store = Store.open(tmp_path / "store", create=False)
    rows = store.tables.read("links").to_pylist()
    assert [r["crawl_status"] for r in rows] == ["completed", "failed", None]
    assert (rows[0]["page_title"], rows[0]["page_text"]) == ("Chairs", "Oak and walnut.")
    assert rows[2]["error"] == "leads into an inner network"
    assert sorted(site.paths()) == ["/chairs", "/gone", "/robots.txt"]
    again = run("--config", config, "--export", "none")
    assert "no work was done" in again["output"]
    links["urls"] = urls[:1]
    config.write_text(yaml.safe_dump({"links": links}))
    run("--config", config, "--export", "none")
    assert len(store.tables.read("links")) == 1
    assert len(site.asked) == 3, "crawled within the hour"


def test_links_are_crawled_here_or_saved_there() -> None:
    both = {"links": {"urls": ["https://example.com"]}, "aionvision": {"links": ["https://a.com"]}}
    with pytest.raises(ConfigError, match="either crawled here"):
        LibraryConfig.parse(both)
