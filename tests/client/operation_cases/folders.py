"""Folders."""

from __future__ import annotations

from typing import Final

from .case import Case, Given, after, given
from .made import Made


def _with_content(made: Made) -> Given:
    folder = made.folder()
    made.folder("Below", parent_id=folder)
    made.client.folders.move_files([made.image()], folder_id=folder)
    return given(folder, limit=5, offset=0)


CASES: Final = (
    Case("GET /folders", "folders.tree", lambda m: after(m.folder())),
    Case("POST /folders", "folders.create", lambda m: given("Poles", parent_id=m.folder("Site"))),
    Case("GET /folders/{folder_id}", "folders.get", _with_content),
    Case("PATCH /folders/{folder_id}", "folders.rename", lambda m: given(m.folder(), "Other")),
    Case(
        "DELETE /folders/{folder_id}",
        "folders.delete",
        lambda m: given(m.folder(), mode="delete_all"),
    ),
    Case(
        "GET /folders/{folder_id}/breadcrumbs",
        "folders.get_breadcrumbs",
        lambda m: given(m.folder("Below", parent_id=m.folder())),
    ),
    Case(
        "POST /folders/{folder_id}/move",
        "folders.move",
        lambda m: given(m.folder("Other"), new_parent_id=m.folder()),
    ),
    Case(
        "POST /folders/move-files",
        "folders.move_files",
        lambda m: given(m.images(2), folder_id=m.folder()),
    ),
)
