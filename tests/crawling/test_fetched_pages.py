"""Pages as they come over HTTP: what is read of them, what bounds them, and what sites may ask of a crawler."""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aion_dagster import schemas
from aion_dagster.backends.crawled_links import crawled_links
from aion_dagster.crawling.crawler import Crawled, crawl
from aion_dagster.crawling.fetching import Fetched
from aion_dagster.crawling.pages import read_page
from aion_dagster.crawling.settings import LinksConfig

from .site import Answer, Site

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PAGE = """<!doctype html><html><head><meta charset="utf-8"><title> A  page
of ours </title><base href="/below/"><meta name="description" content="What it is about">
<meta property="og:title" content="Ours &amp; yours"><meta property="og:image" content="https://example.com/a.jpg">
<meta property="og:image" content="https://example.com/second.jpg"><meta name="twitter:card" content="summary">
<link rel="apple-touch-icon" href="/touch.png"><link rel="shortcut icon" href="icon.png">
<style>p { color: red }</style><script>alert("no")</script></head>
<body><nav>Home | About</nav><main><h1>Chairs</h1><p>Oak, <b>green</b> seat.</p><p hidden>unseen</p>
<ul><li>one<li>two</ul></main><footer>(c)</footer></body></html>"""


def settings(site: Site, **more: object) -> LinksConfig:
    base: dict[str, object] = {"allowed_networks": ("127.0.0.1",), "ports": (site.port,)}
    return LinksConfig(**base | {"seconds": 10} | more)  # type: ignore[arg-type]


def one(site: Site, url: str, **more: object) -> Crawled:
    return crawl([url], settings(site, **more))[url]


def fetched(body: bytes, kind: str = "text/html") -> Fetched:
    return Fetched("https://example.com/a/b", 200, {"content-type": kind}, body, cut=False)


def test_a_page_is_read(site: Site) -> None:
    found = one(site, site.page("/", PAGE))
    page = found.page
    assert page is not None
    assert (page.title, page.description) == ("A page of ours", "What it is about")
    assert page.og["og:title"] == "Ours & yours"
    assert page.og["og:image"] == "https://example.com/a.jpg"
    assert page.favicon_url == f"{site.url}/below/icon.png"
    assert page.text.splitlines() == ["Chairs", "Oak, green seat.", "one", "two"]
    assert site.paths() == ["/robots.txt", "/"]
    assert site.headers[0]["user-agent"] == "aion-dagster"


def test_a_page_without_a_part_of_its_own_is_read_whole() -> None:
    page = read_page(fetched(b"<body><nav>Home</nav><p>a</p>tail<script>x</script> more"))
    assert page.text.splitlines() == ["Home", "a", "tail more"]
    assert page.favicon_url == "https://example.com/favicon.ico"
    assert page.title is None


@pytest.mark.parametrize(
    ("body", "kind", "title"),
    [
        ("<title>Grüße</title>".encode("latin-1"), "text/html; charset=ISO-8859-1", "Grüße"),
        ("<title>“so”</title>".encode("cp1252"), "text/html; charset=latin1", "“so”"),
        ('<meta charset="shift_jis"><title>椅子</title>'.encode("shift_jis"), "text/html", "椅子"),
        ("<title>椅子</title>".encode(), "text/html", "椅子"),
        ("<title>Grüße</title>".encode("cp1252"), "text/html", "Grüße"),
        ("<title>x</title>".encode("utf-16"), "text/html", "x"),
        (b"<title>x</title>", "text/html; charset=no-such-thing", "x"),
        (b"<title>x</title>", "text/html; charset=base64", "x"),
    ],
)
def test_encodings_are_read_as_browsers_read_them(body: bytes, kind: str, title: str) -> None:
    assert read_page(fetched(body, kind)).title == title


@given(st.binary(max_size=400))
def test_any_bytes_are_a_page_or_none(body: bytes) -> None:
    page = read_page(fetched(b"<html><p>" + body))
    assert isinstance(page.text, str)


def test_pages_that_nest_deeper_than_anybody_reads_are_read() -> None:
    page = read_page(fetched(b"<div>" * 100_000 + b"x" + b"</div>" * 100_000))
    assert page.text in ("", "x")


def test_icons_and_bases_lead_to_the_web_only() -> None:
    body = b'<base href="javascript:x"><link rel=icon href="data:image/png;base64,x">'
    assert read_page(fetched(body)).favicon_url == "https://example.com/favicon.ico"


def test_redirects_are_followed_to_the_end_and_no_further(site: Site) -> None:
    for number in range(7):
        site.redirect(f"/{number}", f"/{number + 1}")
    site.page("/7", "<title>there</title>")
    found = one(site, f"{site.url}/2")
    assert found.page is not None
    assert found.url == f"{site.url}/7"
    assert one(site, f"{site.url}/0").fault == "more than 5 redirects"
    site.redirect("/loop", "/loop")
    assert one(site, f"{site.url}/loop").fault == "more than 5 redirects"


def test_a_long_page_is_cut_and_says_so(site: Site) -> None:
    endless = partial(itertools.repeat, b"<p>" + b"x" * 10_000)
    site.pages["/"] = Answer(pieces=endless)
    found = one(site, f"{site.url}/", max_bytes=50_000, robots="ignore")
    assert found.cut
    assert found.page is not None
    assert 40_000 < len(found.page.text) <= 50_000


def test_what_unpacks_to_gigabytes_is_cut(site: Site) -> None:
    bomb = gzip.compress(b"<p>" + b"x" * 200_000_000, 9)
    headers = {"Content-Type": "text/html", "Content-Encoding": "gzip"}
    url = site.page("/", bomb, headers=headers)
    found = one(site, url, max_bytes=100_000)
    assert found.cut
    small = site.page("/small", gzip.compress(PAGE.encode()), headers=headers)
    page = one(site, small).page
    assert page is not None
    assert page.title == "A page of ours"


def test_codings_that_were_not_asked_for_and_damaged_bodies_are_faults(site: Site) -> None:
    brotli = site.page("/b", b"x", headers={"Content-Type": "text/html", "Content-Encoding": "br"})
    assert "not asked for" in str(one(site, brotli).fault)
    broken = {"Content-Type": "text/html", "Content-Encoding": "gzip"}
    found = one(site, site.page("/g", b"nothing", headers=broken))
    assert "damaged" in str(found.fault)


def test_a_server_that_drips_is_left_after_the_time_that_is_given(site: Site) -> None:
    def drip() -> Iterator[bytes]:
        import time

        while True:
            time.sleep(0.05)
            yield b" "

    site.pages["/"] = Answer(pieces=drip)
    found = one(site, f"{site.url}/", seconds=0.5, robots="ignore")
    assert found.fault == "not done within 0.5 seconds"
    assert found.retryable


@pytest.mark.parametrize(
    ("status", "again"), [(404, False), (410, False), (429, True), (503, True)]
)
def test_a_status_that_is_no_page_is_told(site: Site, status: int, again: bool) -> None:
    found = one(site, site.page("/", "<title>no</title>", status=status), robots="ignore")
    assert (found.page, found.status, found.retryable) == (None, status, again)


@pytest.mark.parametrize("kind", ["application/pdf", "image/png", "application/octet-stream"])
def test_what_is_no_page_is_told(site: Site, kind: str) -> None:
    found = one(site, site.page("/", b"%PDF", headers={"Content-Type": kind}))
    assert found.fault == f"is {kind}, not a page"


def test_robots_are_heeded(site: Site) -> None:
    site.page("/robots.txt", "User-agent: aion-dagster\nDisallow: /private\nAllow: /private/open\n")
    for path in ("/private/a", "/private/open", "/public"):
        site.page(path, "<title>x</title>")
    urls = [f"{site.url}{path}" for path in ("/private/a", "/private/open", "/public")]
    found = crawl(urls, settings(site))
    assert [found[url].page is not None for url in urls] == [False, True, True]
    assert found[urls[0]].fault == "the site's robots.txt disallows it"
    assert site.paths().count("/robots.txt") == 1
    assert "/private/a" not in site.paths()


def test_robots_of_where_a_redirect_leads_are_heeded(site: Site, other_site: Site) -> None:
    other_site.page("/robots.txt", "User-agent: *\nDisallow: /")
    url = site.redirect("/", f"{other_site.url}/there")
    found = crawl([url], settings(site, ports=(site.port, other_site.port)))[url]
    assert found.fault == "the site's robots.txt disallows it"
    assert other_site.paths() == ["/robots.txt"]


def test_nothing_is_taken_of_a_site_whose_robots_cannot_be_read(site: Site) -> None:
    site.page("/robots.txt", "", status=503)
    found = one(site, site.page("/", "<title>x</title>"))
    assert found.page is None
    assert found.retryable
    assert "robots.txt cannot be read (HTTP 503)" in str(found.fault)
    assert site.paths() == ["/robots.txt"]


def test_a_name_that_is_not_known_is_said(site: Site) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        raise OSError("Name or service not known")

    url = "http://no.such.example/"
    found = crawl([url], LinksConfig(), resolve=resolve)[url]
    assert "the name no.such.example cannot be looked up" in str(found.fault)
    assert (found.retryable, site.asked) == (True, [])


def test_a_host_is_asked_one_page_at_a_time_and_equal_pages_once(site: Site) -> None:
    urls = [site.page(f"/{n}", f"<title>{n}</title>") for n in range(5)]
    found = crawl(
        [*urls, f"{site.url}/0#part", urls[1].upper().replace("HTTP", "http")], settings(site)
    )
    assert sorted(site.paths()) == ["/0", "/0", "/1", "/2", "/3", "/4", "/robots.txt"]
    assert len(found) == 6 + (urls[1].upper().replace("HTTP", "http") != urls[1])


def test_rows_say_what_became_of_every_link_and_stay_for_an_hour(site: Site) -> None:
    good, gone = site.page("/good", PAGE), f"{site.url}/gone"
    config = settings(site, urls=(good, gone, "http://10.0.0.1/", "http://a:b@example.com/"))
    table = crawled_links(config, now=NOW)
    assert table.schema == schemas.LINKS
    rows = table.to_pylist()
    assert [r["crawl_status"] for r in rows] == ["completed", "failed", None, None]
    assert [r["source_url"] for r in rows] == [*config.urls[:3], "http://…@example.com/"]
    assert rows[0]["page_text"].startswith("Chairs")
    assert rows[2]["error"] == "leads into an inner network"
    asked = len(site.asked)
    again = crawled_links(config, table, now=NOW + timedelta(minutes=59))
    assert again.equals(table)
    assert len(site.asked) == asked
    crawled_links(config, table, now=NOW + timedelta(minutes=61))
    assert len(site.asked) > asked


def test_nothing_of_the_environment_leads_the_crawler(
    site: Site, other_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, other_site.url)
    assert one(site, site.page("/", PAGE)).page is not None
    assert other_site.asked == []
