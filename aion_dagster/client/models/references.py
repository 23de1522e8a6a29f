"""References in texts of chats and agents: `[[…]]` markup that names pictures, documents, links and counts.

The forms are `[[ref:KEY]]`, `[[img:ID|file name]]`, `[[doc:ID|file name]]`, `[[doc:ID|file name|p:5]]`,
`[[doc:ID|file name|pp:3-7]]` and `[[link:ID|title]]`, where ID is the beginning of an id. What is none of these stays in
the text as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pydantic

from aion_dagster.client.models.base import Model, OpenEnum, Rows, rows
from aion_dagster.client.models.nulls import Count, Text


class ReferredKind(OpenEnum):
    """What the ids of a reference are."""

    IMAGE = "image"
    DOCUMENT = "document"
    CHUNK = "chunk"
    VIDEO = "video"
    LINK = "link"


class ResultRefData(Model):
    """What `[[ref:KEY]]` stands for: so many results, and which."""

    count: Count = 0
    ids: Rows[str] = rows("ids")
    image_ids: Rows[str] = rows("image_ids")
    id_type: ReferredKind | None = None
    label: Text = ""


@dataclass(frozen=True, slots=True)
class ImageRef:
    """A picture; `full_id` is None where the answer does not name it, or more than one that begins so."""

    id_prefix: str
    filename: str
    full_id: str | None = None


@dataclass(frozen=True, slots=True)
class DocumentRef:
    """A document, with the page or the first and last page that are meant."""

    id_prefix: str
    filename: str
    full_id: str | None = None
    page: int | None = None
    page_range: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class LinkRef:
    """A bookmarked link."""

    id_prefix: str
    title: str
    full_id: str | None = None
    source_url: str | None = None
    domain: str | None = None


@dataclass(frozen=True, slots=True)
class ParsedReferences:
    """All references of a text, in its order; `counts` by the KEY of `[[ref:KEY]]`."""

    images: list[ImageRef] = field(default_factory=list)
    documents: list[DocumentRef] = field(default_factory=list)
    links: list[LinkRef] = field(default_factory=list)
    counts: dict[str, ResultRefData] = field(default_factory=dict)

    @property
    def has_references(self) -> bool:
        """Whether there are any."""
        return bool(self.images or self.documents or self.links or self.counts)


def parse_references(
    content: str,
    metadata: Mapping[str, Any] | None = None,
    image_ids: Iterable[str] = (),
) -> ParsedReferences:
    """The references of a text.

    Args:
        content: the text.
        metadata: of the message: `image_context`, `tool_document_data`, `tool_link_data` and `result_refs` tell full ids.
        image_ids: of pictures that came with the message.
    """
    known = metadata or {}
    refs = result_refs(known)
    images = _named(known.get("image_context"), "image_id", "id")
    images |= _ids(refs, ReferredKind.IMAGE) | {each: {} for each in image_ids}
    documents = _named(known.get("tool_document_data"), "document_id", "id")
    documents |= _ids(refs, ReferredKind.DOCUMENT)
    links = _ids(refs, ReferredKind.LINK) | _named(
        known.get("tool_link_data"), "link_id", "id", "image_id"
    )
    parsed = ParsedReferences()
    for kind, parts in _markup(content):
        if kind == "img":
            full_id = _full(parts[0], images)
            parsed.images.append(ImageRef(parts[0], _name(parts[1:]), full_id))
        elif kind == "doc":
            parsed.documents.append(_document(parts, _full(parts[0], documents)))
        elif kind == "link":
            parsed.links.append(_link(parts, links))
        elif found := _count(parts[0], refs):
            parsed.counts[parts[0]] = found
    return parsed


def resolve_content(content: str, metadata: Mapping[str, Any] | None = None) -> str:
    """The text with every reference replaced by what a reader sees: a count, a file name, a title."""
    refs = result_refs(metadata or {})

    def shown(match: re.Match[str]) -> str:
        parts = _parts(match)
        if parts is None:
            return match[0]
        if match["kind"] == "ref":
            found = _count(parts[0], refs)
            return match[0] if found is None else str(found.count)
        if match["kind"] == "doc":
            return _titled(_document(parts, None))
        return _name(parts[1:]) or parts[0]

    return _MARKUP.sub(shown, content)


def result_refs(metadata: Mapping[str, Any]) -> dict[str, ResultRefData]:
    """What `result_refs` in a message's metadata says; entries that are none are left out."""
    given = metadata.get("result_refs")
    refs: dict[str, ResultRefData] = {}
    for key, value in given.items() if isinstance(given, Mapping) else ():
        try:
            refs[str(key)] = ResultRefData.model_validate(value)
        except pydantic.ValidationError:
            continue
    return refs


_Entries = dict[str, Mapping[str, Any]]

# A name may end in brackets: the last two of a row of them close.
_MARKUP: Final = re.compile(r"\[\[(?P<kind>ref|img|doc|link):(?P<body>(?:(?!\[\[).)*?)\]\](?!\])")
_PAGES: Final = re.compile(r"pp?:\s*(\d{1,7})(?:\s*[-–]\s*(\d{1,7}))?")
_DEEPEST: Final = 4
"""Levels of a message's metadata in which ids are looked for."""


def _markup(content: str) -> Iterator[tuple[str, list[str]]]:
    for match in _MARKUP.finditer(content):
        parts = _parts(match)
        if parts is not None:
            yield match["kind"], parts


def _parts(match: re.Match[str]) -> list[str] | None:
    """Id and what follows it; None where there is no id."""
    parts = [part.strip() for part in match["body"].split("|")]
    return parts if parts[0] and not re.search(r"\s", parts[0]) else None


def _name(parts: list[str]) -> str:
    """A name, which may hold the sign that separates."""
    return "|".join(parts)


def _document(parts: list[str], full_id: str | None) -> DocumentRef:
    pages = _PAGES.fullmatch(parts[-1]) if len(parts) > 2 else None
    name = _name(parts[1:-1] if pages else parts[1:])
    if pages is None:
        return DocumentRef(parts[0], name, full_id)
    first, last = int(pages[1]), pages[2]
    if last is None:
        return DocumentRef(parts[0], name, full_id, page=first)
    return DocumentRef(parts[0], name, full_id, page_range=(first, int(last)))


def _titled(ref: DocumentRef) -> str:
    name = ref.filename or ref.id_prefix
    if ref.page is not None:
        return f"{name} (p.{ref.page})"
    if ref.page_range is not None:
        return f"{name} (pp.{ref.page_range[0]}-{ref.page_range[1]})"
    return name


def _link(parts: list[str], links: _Entries) -> LinkRef:
    full_id = _full(parts[0], links)
    entry = links.get(full_id or "", {})
    return LinkRef(
        parts[0],
        _name(parts[1:]),
        full_id,
        source_url=_text(entry.get("source_url") or entry.get("url")),
        domain=_text(entry.get("domain")),
    )


def _count(key: str, refs: Mapping[str, ResultRefData]) -> ResultRefData | None:
    """Some servers write the key with `ref:` before it."""
    return refs.get(key) or refs.get(f"ref:{key}")


def _ids(refs: Mapping[str, ResultRefData], kind: str) -> _Entries:
    return {each: {} for ref in refs.values() if ref.id_type == kind for each in ref.ids}


def _full(prefix: str, known: Iterable[str]) -> str | None:
    """The only known id that begins so."""
    beginning = prefix.lower()
    found = {each for each in known if each.lower().startswith(beginning)}
    exact = {each for each in found if len(each) == len(prefix)} or found
    return exact.pop() if len(exact) == 1 else None


def _named(data: Any, *id_names: str, depth: int = _DEEPEST) -> _Entries:
    """What stands in metadata by its id, whether it is a list of objects, of ids, or an object by id."""
    if isinstance(data, str):
        return {data: {}}
    found: _Entries = {}
    if isinstance(data, list) and depth:
        for each in data:
            found |= _named(each, *id_names, depth=depth - 1)
    elif isinstance(data, Mapping):
        own_id = next((_text(data[name]) for name in id_names if data.get(name)), None)
        if own_id is not None:
            return {own_id: data}
        for key, each in data.items() if depth else ():
            if isinstance(each, Mapping):
                found[str(key)] = each
            if isinstance(each, Mapping | list):
                found |= _named(each, *id_names, depth=depth - 1)
    return found


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
