"""The remote library: every file that a tenant has, whatever its kind."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from ..clock import stamp
from ..contents import Stored, media_type_of
from ..describing import Seen, seen
from ..exchange import Asked, not_found
from ..work import Work, finished
from ..world import TENANT, World


@dataclass(slots=True)
class RemoteFile:
    """A picture, document, video or link."""

    id: str
    media_type: str
    filename: str
    content_type: str
    stored: Stored
    created: float
    object_key: str
    upload_method: str = "STREAMING"
    title: str | None = None
    tags: list[str] = field(default_factory=list)
    folder_id: str | None = None
    storage_target: str = "default"
    updated: float | None = None
    deleted: float | None = None
    description: Work | None = None
    """None where nobody asked for one."""
    question: str = ""
    """What else the description depends on: prompt and providers."""
    described: float | None = None
    variants: Work = field(default_factory=finished)
    work: Work | None = None
    """What goes on with it beside its description: extraction, crawl, analysis."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Fields of documents, links and videos as `UserFile` names them."""
    dimensions: dict[str, int] | None = None

    def status(self, now: float) -> str:
        """Of the description, as the API words it."""
        return "skipped" if self.description is None else self.description.state(now)

    def seen(self, now: float) -> Seen | None:
        """What the description says; None as long as there is none."""
        if self.description is None or self.description.state(now) != "completed":
            return None
        if self.described is None:
            self.described = now
        return seen(self.stored.sha256, self.question)

    def look(self) -> None:
        """Somebody asks how far it is."""
        for work in (self.description, self.work):
            if work is not None:
                work.look()


Refresh = Callable[[World, RemoteFile], None]
_REFRESHING: Final[dict[str, Refresh]] = {}


def refreshes(media_type: str) -> Callable[[Refresh], Refresh]:
    """Register what brings the extra fields of a kind of file up to date."""

    def register(refresh: Refresh) -> Refresh:
        _REFRESHING[media_type] = refresh
        return refresh

    return register


def refreshed(world: World, file: RemoteFile) -> RemoteFile:
    """A file that tells how far it is now."""
    if file.media_type in _REFRESHING:
        _REFRESHING[file.media_type](world, file)
    return file


class Library:
    """All files of the tenant, deleted ones too."""

    def __init__(self) -> None:
        self.files: dict[str, RemoteFile] = {}
        self._by_hash: dict[str, list[RemoteFile]] = {}
        self._by_key: dict[str, RemoteFile] = {}
        self.uploaded_this_month = 0
        self.bytes_stored = 0

    def add(self, file: RemoteFile) -> None:
        self.files[file.id] = file
        self._by_hash.setdefault(file.stored.sha256, []).append(file)
        self._by_key[file.object_key] = file
        self.bytes_stored += file.stored.size

    def live(self) -> Iterator[RemoteFile]:
        return (file for file in self.files.values() if file.deleted is None)

    def with_hash(self, sha256: str, media_type: str | None = None) -> RemoteFile | None:
        """A file that is not deleted and has these bytes."""
        same = self._by_hash.get(sha256, ())
        kinds = (f for f in same if media_type is None or f.media_type == media_type)
        return next((f for f in kinds if f.deleted is None), None)

    def with_object_key(self, key: str) -> RemoteFile | None:
        return self._by_key.get(key)

    def get(self, file_id: str, *kinds: str) -> RemoteFile:
        """A file by its id or the first eight characters of it.

        Raises:
            Refusal: there is none of these kinds.
        """
        file = self.files.get(file_id)
        if file is None and len(file_id) == 8:
            file = next((f for f in self.live() if f.id.startswith(file_id)), None)
        if file is None or file.deleted is not None or (kinds and file.media_type not in kinds):
            raise not_found("File")
        return file

    def delete(self, file: RemoteFile, now: float) -> None:
        file.deleted = now
        self.bytes_stored -= file.stored.size

    def counts(self) -> dict[str, int]:
        """Live files by kind."""
        return dict(Counter(f.media_type for f in self.live()))

    def listed(self, now: float) -> list[dict[str, Any]]:
        """Every file for the eyes of a test."""
        return [
            {
                "id": f.id,
                "media_type": f.media_type,
                "filename": f.filename,
                "sha256": f.stored.sha256,
                "size": f.stored.size,
                "title": f.title,
                "tags": f.tags,
                "storage_target": f.storage_target,
                "status": f.status(now),
                "deleted": f.deleted is not None,
            }
            for f in self.files.values()
        ]


def new_picture(
    world: World, asked: Asked, stored: Stored, filename: str, content_type: str, **more: Any
) -> RemoteFile:
    """A picture that was taken in; its description, where one is wanted, begins and is billed now."""
    describe = more.pop("describe", True)
    question = more.pop("question", "")
    file_id = more.pop("file_id", None) or world.new_id("file")
    key = more.pop("object_key", None) or f"uploads/{TENANT}/{file_id}/{filename}"
    kind = media_type_of(stored.head) or content_type
    file = RemoteFile(file_id, "image", filename, kind, stored, world.now(), key, **more)
    if describe:
        describe_again(world, asked, file, question)
    library = world.room(Library)
    library.add(file)
    library.uploaded_this_month += 1
    return file


def describe_again(world: World, asked: Asked, file: RemoteFile, question: str = "") -> None:
    """Have a picture described; what fails costs nothing."""
    file.description = world.work("description", asked, file.filename, file.stored.sha256)
    file.question, file.described = question, None
    if file.description.failure is None:
        world.books.describe(asked.entry, file.stored.sha256)


def dimensions_of(file: RemoteFile) -> dict[str, int]:
    """Width and height, read when first asked for; empty for what is no picture."""
    if file.dimensions is None:
        from PIL import Image, UnidentifiedImageError

        file.dimensions = {}
        content = file.stored.read()
        if file.media_type == "image" and content is not None:
            try:
                width, height = Image.open(io.BytesIO(content)).size
                file.dimensions = {"width": width, "height": height}
            except (UnidentifiedImageError, OSError, ValueError):
                pass
    return file.dimensions


def as_user_file(world: World, file: RemoteFile) -> dict[str, Any]:
    """A file in a list."""
    refreshed(world, file)
    now = world.now()
    picture = file.seen(now)
    work = file.description
    failed = work.failure if work is not None and work.is_over(now) else None
    is_image = file.media_type == "image"
    return {
        "id": file.id,
        "title": file.title or (picture.title if picture else None),
        "filename": file.filename,
        "thumbnail_url": thumbnail(world, file),
        "upload_description": picture.description if picture else None,
        "visible_text": picture.visible_text if picture else None,
        "tags": file.tags or (list(picture.tags) if picture else []),
        "size_bytes": file.stored.size,
        "created_at": stamp(file.created),
        "content_created_at": stamp(file.created),
        "has_full_description": picture is not None,
        "dimensions": dimensions_of(file) if is_image else None,
        "format": file.content_type.partition("/")[2] if is_image else None,
        "variant_status": file.variants.state(now) if is_image else None,
        "variant_count": 5 if is_image else None,
        "medium_url": thumbnail(world, file, "medium_750"),
        "full_url": thumbnail(world, file, "large_1024"),
        "blur_hash": "L6PZfSi_.AyE_3t7t7R**0o#DgR4" if is_image else None,
        "description_status": file.status(now) if is_image else None,
        "description_error": failed.message if failed else None,
        "confidence_score": picture.confidence if picture else None,
        "content_type": file.content_type,
        "media_type": file.media_type,
        **file.extra,
    }


def thumbnail(world: World, file: RemoteFile, size: str = "small_256") -> str | None:
    """Where a small picture is shown; one has no hour to live there."""
    return f"{world.storage_url}/thumbs/{file.id}/{size}" if file.media_type == "image" else None
