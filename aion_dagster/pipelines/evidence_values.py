"""What is known of a picture, a piece of a document, a link: as values, out of rows of tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Picture:
    """A picture and what is known of it; `colors` are (name, family, percentage), largest share first."""

    id: str
    name: str
    uri: str
    batch: str
    title: str
    description: str
    tags: tuple[str, ...]
    visible_text: str
    captured_at: datetime | None
    place: tuple[float, float] | None
    colors: tuple[tuple[str, str, float], ...]
    brightness: str | None
    labels: tuple[str, ...]
    group: str | None
    is_measured: bool = False
    """Whether what is written about it are measured facts: sizes, colors, light."""

    @property
    def subject(self) -> str:
        """What it is about, in few words: title, tags, labels and the text in it."""
        return "\n".join((self.title, *self.tags, *self.labels, self.visible_text))

    @property
    def text(self) -> str:
        """Everything that is written about it and in it."""
        parts = (self.title, self.description, *self.tags, self.visible_text, *self.labels)
        return "\n".join([self.name.replace("_", " "), *(p for p in parts if p)])


@dataclass(frozen=True)
class Piece:
    """A piece of a document."""

    id: str
    document_id: str
    document: str
    index: int
    content: str
    pages: tuple[int, ...]
    heading: tuple[str, ...]


@dataclass(frozen=True)
class Link:
    """A link and what its page says of itself."""

    id: str
    url: str
    title: str
    domain: str
    text: str


def picture_of(
    image: Mapping[str, Any],
    described: Mapping[str, Any],
    colors: Mapping[str, Any],
    labels: tuple[str, ...],
    group: str | None,
    batch: str,
) -> Picture:
    """A picture out of its rows in several tables; empty ones where a table has none."""
    place = image["gps"]
    known = place is not None and place["latitude"] is not None
    return Picture(
        id=image["image_id"],
        name=image["name"],
        uri=image["uri"],
        batch=batch,
        title=described.get("title") or "",
        description=described.get("description") or "",
        tags=tuple(described.get("tags") or ()),
        visible_text=described.get("visible_text") or "",
        captured_at=image["captured_at"],
        place=(place["latitude"], place["longitude"]) if known else None,
        colors=tuple(_shares(colors.get("dominant_colors") or ())),
        brightness=colors.get("brightness_category"),
        labels=labels,
        group=group,
        is_measured=str(described.get("model") or "").startswith("measured-facts"),
    )


def _shares(colors: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str, float]]:
    for color in colors:
        yield color["name"] or "", color["family"] or "", float(color["percentage"] or 0)


def piece_of(row: Mapping[str, Any], names: Mapping[str, str]) -> Piece:
    """A piece out of its row."""
    return Piece(
        id=row["chunk_id"],
        document_id=row["document_id"],
        document=names[row["document_id"]],
        index=row["chunk_index"] or 0,
        content=row["content"] or "",
        pages=tuple(row["page_numbers"] or ()),
        heading=tuple(row["heading_hierarchy"] or ()),
    )


def link_of(row: Mapping[str, Any]) -> Link:
    """A link out of its row, whatever columns there are."""
    texts = [row.get(c) for c in ("page_description", "page_text")]
    if not any(texts):
        texts = [row.get("og_metadata")]  # all that is known of a link of the platform
    return Link(
        id=row.get("link_id") or row["source_url"],
        url=row.get("source_url") or "",
        title=row.get("page_title") or "",
        domain=row.get("domain") or "",
        text="\n".join(t for t in texts if isinstance(t, str) and t),
    )
