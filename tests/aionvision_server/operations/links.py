"""Links: bookmarks whose pages are crawled."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from ..clock import stamp
from ..contents import stored
from ..exchange import Answer, Asked, Refusal
from ..registry import answers
from ..world import World
from .folders import Folders
from .library import Library, RemoteFile, refreshed, refreshes


class Crawls:
    """When each link was asked to be crawled."""

    def __init__(self) -> None:
        self.asked: dict[str, float] = {}


@answers("POST /user-files/links", needs="url")
def create(world: World, asked: Asked) -> Answer:
    url = asked.given("url")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Refusal(400, "INVALID_URL", "URL must start with http:// or https://")
    folder = asked.given("folder_id")
    if folder is not None:
        world.room(Folders).get(folder)
    library = world.room(Library)
    known = any(f.extra.get("source_url") == url for f in library.live())
    if world.settings.one_link_per_page:
        same = [f for f in library.live() if _page(f.extra.get("source_url", "")) == _page(url)]
        if same:
            return Answer(_created(same[0], url, is_duplicate=True), 201)
    file = RemoteFile(
        world.new_id("file"),
        "link",
        parts.hostname,
        "text/html",
        stored(url.encode()),
        world.now(),
        f"links/{url}",
        upload_method="LINK",
        title=asked.given("title"),
        tags=list(asked.given("tags", [])),
        folder_id=folder,
        extra={"source_url": url, "domain": parts.hostname, "crawl_status": "pending"},
    )
    library.add(file)
    if asked.given("auto_crawl", True):
        _crawl(world, asked, file)
    return Answer(_created(file, url, is_duplicate=known), 201)


def _page(url: str) -> str:
    return url.rstrip("/")


def _created(file: RemoteFile, url: str, *, is_duplicate: bool) -> dict[str, Any]:
    return {
        "id": file.id,
        "source_url": url,
        "title": file.title,
        "domain": file.extra["domain"],
        "crawl_status": file.extra["crawl_status"],
        "is_duplicate": is_duplicate,
        "created_at": stamp(file.created),
    }


def _crawl(world: World, asked: Asked, file: RemoteFile) -> None:
    file.work = world.work("crawl", asked, file.extra["source_url"])
    file.extra |= {"crawl_status": "queued", "crawl_error": None}
    world.room(Crawls).asked[file.id] = world.now()
    world.books.bill(asked.entry, "crawls")


@refreshes("link")
def refresh(world: World, file: RemoteFile) -> None:
    """How far the crawl is, and what it found."""
    if file.work is None:
        return
    state = file.work.state(world.now())
    file.extra["crawl_status"] = state
    if state == "failed" and file.work.failure:
        file.extra["crawl_error"] = file.work.failure.message
    if state == "completed" and file.extra.get("crawled_at") is None:
        file.extra |= _found(world, file)


def _found(world: World, file: RemoteFile) -> dict[str, Any]:
    domain, url = file.extra["domain"], file.extra["source_url"]
    title = f"{domain}: {urlsplit(url).path.strip('/') or 'home'}"
    return {
        "page_title": title,
        "og_metadata": {
            "title": title,
            "description": f"What {domain} says of itself",
            "image": f"https://{domain}/cover.png",
            "site_name": domain,
        },
        "favicon_url": f"https://{domain}/favicon.ico",
        "crawled_at": stamp(world.now()),
        "extracted_images": {"images": [{"url": f"https://{domain}/cover.png"}]},
        "extracted_images_count": 1,
    }


@answers("POST /user-files/{link_id}/recrawl")
def recrawl(world: World, asked: Asked) -> Answer:
    file = refreshed(world, world.room(Library).get(asked.ids["link_id"]))
    if file.media_type != "link":
        raise Refusal(400, "NOT_A_LINK", "This file is not a link")
    if file.work is not None and not file.work.is_over(world.now()):
        raise Refusal(400, "ALREADY_PROCESSING", "The link is being crawled already")
    if world.now() - world.room(Crawls).asked.get(file.id, 0) < 3600:
        raise Refusal(429, "RATE_LIMIT_ERROR", "Recrawl is limited to once per hour")
    file.extra["crawled_at"] = None
    _crawl(world, asked, file)
    return Answer({"status": "queued", "link_id": file.id})
