"""What a page says: title, description, Open Graph data, favicon and the text that people read."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from aion_dagster.crawling.fetching import Fetched
from aion_dagster.errors import UnavailableError

HTML: Final = frozenset({"text/html", "application/xhtml+xml"})
TEXT: Final = frozenset({"text/plain", "text/markdown"})

_UNREAD: Final = frozenset({
    "script", "style", "noscript", "template", "svg", "math", "iframe", "object", "head", "select", "button", "form",
})  # fmt: skip
_AROUND: Final = frozenset({"nav", "header", "footer", "aside"})
"""What stands around the text of a page: left out where the page says which part is its own."""

_BLOCKS: Final = frozenset({
    "address", "article", "blockquote", "br", "dd", "div", "dl", "dt", "fieldset", "figcaption", "figure", "h1", "h2",
    "h3", "h4", "h5", "h6", "hr", "li", "main", "ol", "p", "pre", "section", "table", "td", "th", "tr", "ul",
})  # fmt: skip
_PREFIXES: Final = (
    "og:",
    "article:",
    "product:",
    "book:",
    "profile:",
    "video:",
    "music:",
    "twitter:",
)
_MOST_PROPERTIES: Final = 100
_LONGEST_VALUE: Final = 2_000
_LONGEST_TEXT: Final = 1_000_000
_SPACES: Final = re.compile(r"[^\S\n]+")


@dataclass(frozen=True)
class Page:
    """A page as it describes itself; URLs are absolute, http or https."""

    title: str | None = None
    description: str | None = None
    og: dict[str, str] = field(default_factory=dict)
    favicon_url: str | None = None
    text: str = ""


def read_page(answer: Fetched) -> Page:
    """What a fetched page says; of plain text the text alone. Damaged HTML is read as browsers do."""
    if answer.media_type in TEXT:
        return Page(text=_tidy(answer.body.decode(_codec(answer.charset), "replace")))
    root = _parsed(answer)
    if root is None:
        return Page(favicon_url=_absolute(answer.url, "/favicon.ico"))
    base = _base(root, answer.url)
    properties = dict(_properties(root))
    description = properties.pop("description", None)
    return Page(
        title=_title(root) or properties.get("og:title"),
        description=description or properties.get("og:description"),
        og=properties,
        favicon_url=_favicon(root, base) or _absolute(answer.url, "/favicon.ico"),
        text=_text(root),
    )


def _parsed(answer: Fetched) -> Any:
    try:
        from lxml import etree, html
    except ImportError as error:
        raise UnavailableError(
            "Crawling links needs the extra 'links': pip install 'aion_dagster[links]'"
        ) from error
    if not answer.body.strip():
        return None
    charset = answer.charset
    encoding = _codec(charset) if charset else _declared(answer.body)
    parser = html.HTMLParser(
        encoding=encoding, no_network=True, remove_comments=True, remove_pis=True
    )
    try:
        return html.document_fromstring(answer.body, parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError, ValueError):
        return None


def _codec(name: str | None) -> str:
    """An encoding of text that Python knows; what calls itself Latin-1 is windows-1252, as browsers read it."""
    try:
        found = codecs.lookup(name or "utf-8").name
        "".encode(found)
    except (LookupError, ValueError):
        return "utf-8"
    return "cp1252" if found in ("iso8859-1", "ascii") else found


def _declared(body: bytes) -> str:
    """The encoding that the first kilobyte declares; UTF-8 where it is silent and the bytes allow it."""
    for mark, name in (
        (b"\xef\xbb\xbf", "utf-8"),
        (b"\xff\xfe", "utf-16"),
        (b"\xfe\xff", "utf-16"),
    ):
        if body.startswith(mark):
            return name
    found = re.search(rb"<meta[^>]+charset\s*=\s*[\"']?([\w.:-]{2,40})", body[:1024], re.IGNORECASE)
    if found:
        return _codec(found[1].decode("ascii"))
    try:
        body.decode()
    except UnicodeDecodeError as error:
        # The end may have been cut off within a character.
        return "utf-8" if error.start >= len(body) - 3 else "cp1252"
    return "utf-8"


def _title(root: Any) -> str | None:
    for element in root.iter("title"):
        text = _line("".join(element.itertext()))
        if text:
            return text
    return None


def _properties(root: Any) -> Iterator[tuple[str, str]]:
    """Open Graph and related properties, and the description; the first of each name counts."""
    seen: set[str] = set()
    for element in root.iter("meta"):
        name = (element.get("property") or element.get("name") or "").strip().lower()
        value = _line(element.get("content") or "")
        wanted = name == "description" or name.startswith(_PREFIXES)
        if wanted and value and name not in seen and len(name) <= 100:
            seen.add(name)
            yield name, value
        if len(seen) >= _MOST_PROPERTIES:
            return


def _favicon(root: Any, base: str) -> str | None:
    """The icon that is declared for a tab, else the one for a home screen."""
    spare: str | None = None
    for element in root.iter("link"):
        kinds = (element.get("rel") or "").lower().split()
        place = _absolute(base, element.get("href") or "")
        if place is None:
            continue
        if "icon" in kinds:
            return place
        if "apple-touch-icon" in kinds:
            spare = spare or place
    return spare


def _base(root: Any, url: str) -> str:
    for element in root.iter("base"):
        return _absolute(url, element.get("href") or "") or url
    return url


def _absolute(base: str, reference: str) -> str | None:
    if not reference.strip():
        return None
    try:
        place = urljoin(base, reference.strip())
        parts = urlsplit(place)
    except ValueError:
        return None
    good = parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc
    return place if good and len(place) <= _LONGEST_VALUE else None


def _line(text: str) -> str:
    return " ".join(text.split())[:_LONGEST_VALUE]


def _text(root: Any) -> str:
    """The text of a page's own part, a line per block; of the whole body where it does not say which part that is."""
    own = next(iter(root.xpath("//main | //article | //*[@role='main']")), None)
    if own is not None:
        found = _tidy("".join(_pieces(own, _UNREAD | _AROUND)))
        if found:
            return found
    return _tidy("".join(_pieces(root, _UNREAD)))


def _pieces(root: Any, unread: frozenset[str]) -> Iterator[str]:
    """Texts in the order of the page; a loop, since pages may nest deeper than Python calls."""
    from lxml import etree

    skipping: Any = None
    for event, element in etree.iterwalk(root, events=("start", "end")):
        block = element.tag in _BLOCKS
        if event == "start":
            if skipping is None and (element.tag in unread or _is_hidden(element)):
                skipping = element
            if skipping is None:
                yield ("\n" if block else "") + (element.text or "")
            continue
        if skipping is element:
            skipping = None
        if skipping is None and element is not root:
            yield ("\n" if block else "") + (element.tail or "")


def _is_hidden(element: Any) -> bool:
    style = (element.get("style") or "").replace(" ", "").lower()
    hidden = "hidden" in element.attrib or element.get("aria-hidden") == "true"
    return hidden or "display:none" in style


def _tidy(text: str) -> str:
    lines = (_SPACES.sub(" ", line).strip() for line in text[: 4 * _LONGEST_TEXT].splitlines())
    return "\n".join(line for line in lines if line)[:_LONGEST_TEXT]
