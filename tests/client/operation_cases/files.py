"""Stored files and links."""

from __future__ import annotations

from typing import Final

from .case import Case, Given, after, given
from .made import Made

_LIST: Final = "GET /user-files"
_FILE: Final = "GET /user-files/{image_id}"


def _filtered(made: Made) -> Given:
    ids = made.images(3)
    folder = made.folder()
    made.client.folders.move_files(ids, folder_id=folder)
    made.client.files.update(ids[0], tags=["pole"])
    return given(
        search=".png",
        search_mode="metadata",
        tags=["pole"],
        media_types=["image"],
        folder_id=folder,
        has_description=True,
        ids=ids,
        date_from="2000-01-01",
        date_to="2100-01-01T00:00:00",
        sort_by="title",
        sort_order="asc",
        limit=2,
        offset=0,
    )


def _links(made: Made) -> Given:
    folder = made.folder()
    made.client.links.create("https://example.org/a", tags=["t"], folder_id=folder)
    return given(
        search="example", tags=["t"], folder_id=folder, date_from="2000-01-01", date_to="2100-01-01"
    )


def _recrawled(made: Made) -> Given:
    link = made.link()
    made.server.clock(advance=3601)
    return given(link)


CASES: Final = (
    Case(_LIST, "files.list", _filtered),
    Case(_LIST, "files.list_all", lambda m: after(m.images(3), page_size=2)),
    Case(_FILE, "files.get", lambda m: given(m.image())),
    Case(
        "PATCH /user-files/{image_id}",
        "files.update",
        lambda m: given(m.image(), title="T", tags=["a", "b"]),
    ),
    Case("DELETE /user-files/{image_id}", "files.delete", lambda m: given(m.image())),
    Case("POST /user-files/batch-delete", "files.batch_delete", lambda m: given(m.images(2))),
    Case(
        "GET /user-files/{image_id}/variant/{variant_type}",
        "files.get_variant",
        lambda m: given(m.image(), "tiny_64"),
    ),
    Case("GET /user-files/{image_id}/download", "files.download", lambda m: given(m.image())),
    Case(
        "GET /user-files/{image_id}/download",
        "files.download_to",
        lambda m: given(m.image(), m.folder_for_files / "picture"),
    ),
    Case(
        "POST /user-files/{image_id}/trigger-variants",
        "files.trigger_variant_generation",
        lambda m: given(m.image()),
    ),
    Case(
        "POST /user-files/links",
        "links.create",
        lambda m: given(
            "https://example.org/a", title="A", tags=["t"], folder_id=m.folder(), auto_crawl=True
        ),
    ),
    Case(
        "POST /user-files/links",
        "links.create_and_wait",
        lambda m: given("https://example.org/a", title="A", tags=["t"]),
    ),
    Case(_LIST, "links.list", _links),
    Case(_LIST, "links.list_all", lambda m: after(m.link(), page_size=1)),
    Case(_FILE, "links.get", lambda m: given(m.link())),
    Case(_FILE, "links.wait_for_crawl", lambda m: given(m.link())),
    Case(
        "PATCH /user-files/{image_id}",
        "links.update",
        lambda m: given(m.link(), title="B", tags=["u"]),
    ),
    Case("DELETE /user-files/{image_id}", "links.delete", lambda m: given(m.link())),
    Case("POST /user-files/batch-delete", "links.batch_delete", lambda m: given([m.link()])),
    Case("POST /user-files/{link_id}/recrawl", "links.recrawl", _recrawled),
)
