"""Pieces of a document's text: a budget of tokens each, cut where the text pauses, with places, pages and headings."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aion_dagster.compute.documents.document import ExtractedDocument, Heading
from aion_dagster.compute.documents.tokens import (
    TokenOffsets,
    code_points,
    covering_tokens,
    is_space,
)
from aion_dagster.errors import ConfigError

_NEVER, _INSIDE, _SIGN, _SPACE, _LINE, _SENTENCE, _PARAGRAPH, _HEADING, _TOP = range(9)
"""What stands between two tokens, by how well the text may be cut there."""

_LOOKED_FOR: Final = (
    (_HEADING, 0.25),
    (_PARAGRAPH, 0.5),
    (_SENTENCE, 0.6),
    (_LINE, 0.85),
    (_SPACE, 0.0),
    (_SIGN, 0.0),
    (_INSIDE, 0.0),
)
"""A kind of cut and the share of the budget that must be used for it; the first kind that is there is taken, as late
as possible. A paragraph's end is worth a chunk half as long, a line's end is no more than a space in most layouts."""

_STOPS: Final = np.array([ord(c) for c in ".!?…"], np.uint32)
_FULL_STOPS: Final = np.array([ord(c) for c in "。！？"], np.uint32)
_CLOSING: Final = np.array([ord(c) for c in "\"')]}»”’"], np.uint32)


@dataclass(frozen=True, slots=True)
class ChunkSettings:
    """How long pieces are, in tokens of content: at most `max_tokens`, of which `overlap` repeat the piece before.

    Raises:
        ConfigError: a value outside its range.
    """

    max_tokens: int = 200
    overlap: int = 32

    def __post_init__(self) -> None:
        """Check both."""
        if not 16 <= self.max_tokens <= 8192:
            raise ConfigError(f"max_tokens = {self.max_tokens}: give 16 to 8192")
        if not 0 <= self.overlap <= self.max_tokens // 2:
            raise ConfigError(f"overlap = {self.overlap}: give 0 to half of max_tokens")


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece: `content` is `text[start:end]` of the document."""

    index: int
    start: int
    end: int
    content: str
    page_numbers: tuple[int, ...]
    heading_hierarchy: tuple[str, ...]
    token_count: int


def chunk(
    document: ExtractedDocument, offsets: TokenOffsets, settings: ChunkSettings
) -> Iterator[Chunk]:
    """The pieces of a document in order. The text is tokenized once.

    Together they hold every character but white space between them. A piece never runs on into the section of another
    heading of the document's highest level. It repeats the last `overlap` tokens of the piece before, less what comes
    before the first word that is whole in them; nothing where a heading begins it. Its headings are those that its
    first character stands under.
    """
    text = document.text
    points = code_points(text)
    space = is_space(points)
    starts, ends = covering_tokens(text, offsets, space)
    if not len(starts):
        return
    cuts = _cuts(points, space, starts, ends, document)
    outline = _Outline(document.headings)
    for index, (first, last) in enumerate(_packed(cuts, settings)):
        start, end = int(starts[first]), int(ends[first:last].max())
        yield Chunk(
            index,
            start,
            end,
            text[start:end],
            tuple(document.pages_of(start, end)),
            outline.at(start),
            last - first,
        )


def _packed(cuts: NDArray[np.int8], settings: ChunkSettings) -> Iterator[tuple[int, int]]:
    """Token ranges (first, last + 1) of the pieces."""
    count = len(cuts)
    walls = np.append(np.flatnonzero(cuts == _TOP), count)
    headings = np.flatnonzero(cuts >= _HEADING)
    first = cut = 0
    while cut < count:
        wall = int(walls[np.searchsorted(walls, cut, "right")])
        before = cut
        if wall - first <= settings.max_tokens:
            cut = wall
        else:
            cut = _best_cut(cuts, first, before, settings.max_tokens)
        yield first, cut
        first = _overlapping(cuts, headings, first, cut, settings.overlap)


def _best_cut(cuts: NDArray[np.int8], first: int, before: int, budget: int) -> int:
    """Where the piece from `first` ends, later than `before`, where the piece before it ended."""
    latest = min(first + budget, len(cuts) - 1)
    for kind, share in _LOOKED_FOR:
        earliest = max(before + 1, first + int(share * budget))
        found = np.flatnonzero(cuts[earliest : latest + 1] >= kind)
        if found.size:
            return earliest + int(found[-1])
    # Only tokens that share their characters stand here: the piece ends as soon as one does not.
    later = np.flatnonzero(cuts[latest + 1 :] != _NEVER)
    return latest + 1 + int(later[0]) if later.size else len(cuts)


def _overlapping(
    cuts: NDArray[np.int8], headings: NDArray[np.int64], first: int, cut: int, overlap: int
) -> int:
    """Where the piece after `cut` begins."""
    if cut >= len(cuts) or cuts[cut] >= _HEADING:
        return cut
    earliest = max(cut - overlap, first + 1)
    heading = int(np.searchsorted(headings, cut)) - 1
    if heading >= 0:
        earliest = max(earliest, int(headings[heading]))
    for kind in (_SPACE, _SIGN):
        found = np.flatnonzero(cuts[earliest:cut] >= kind)
        if found.size:
            return earliest + int(found[0])
    return cut


def _cuts(
    points: NDArray[np.uint32],
    space: NDArray[np.bool_],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    document: ExtractedDocument,
) -> NDArray[np.int8]:
    """What stands before each token, int8 (n,)."""
    before = np.maximum.accumulate(ends)[:-1]
    here = starts[1:]
    apart = here > before
    lines = np.concatenate([[0], np.cumsum(points == ord("\n"))])
    breaks = np.where(apart, lines[here] - lines[np.minimum(before, here)], 0)
    last, after = points[before - 1], points[here]
    joined = _in_words(points, space, before - 1) & _in_words(points, space, here)
    kinds = np.full(len(starts), _INSIDE, np.int8)
    inner = kinds[1:]
    inner[~joined] = _SIGN
    inner[apart] = _SPACE
    inner[breaks == 1] = _LINE
    previous = points[np.maximum(before - 2, 0)]
    stop = np.isin(last, _STOPS) | (np.isin(last, _CLOSING) & np.isin(previous, _STOPS))
    lower = (after >= ord("a")) & (after <= ord("z"))
    inner[(apart & stop & ~lower) | np.isin(last, _FULL_STOPS)] = _SENTENCE
    inner[breaks > 1] = _PARAGRAPH
    inner[here < before] = _NEVER
    kinds[0] = _PARAGRAPH
    # Sentences run on from page to page: the empty line between them was put there to divide the pages.
    turns = np.searchsorted(starts, [p.start for p in document.pages if p.end > p.start])
    turns = turns[(turns > 0) & (kinds[turns] == _PARAGRAPH)]
    kinds[turns] = np.where(stop[turns - 1], _PARAGRAPH, _LINE)
    headings = document.headings
    if headings:
        top = min(h.level for h in headings)
        for level, kind in ((False, _HEADING), (True, _TOP)):
            places = [h.start for h in headings if (h.level == top) is level]
            tokens = np.searchsorted(starts, np.array(places, np.int64))
            tokens = tokens[tokens < len(kinds)]
            kinds[tokens[kinds[tokens] != _NEVER]] = kind
    return kinds


def _in_words(
    points: NDArray[np.uint32], space: NDArray[np.bool_], places: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Which of these characters are part of a word that should stay whole: letters and digits, but no ideographs."""
    at = points[places]
    ascii_word = ((at >= 48) & (at <= 57)) | ((at >= 65) & (at <= 90)) | ((at >= 97) & (at <= 122))
    ideograph = ((at >= 0x3040) & (at <= 0x9FFF)) | ((at >= 0xF900) & (at <= 0xFAFF))
    punctuation = (at >= 0x2010) & (at <= 0x206F)
    other = (at >= 0xAA) & ~ideograph & ~punctuation
    return (ascii_word | other) & ~space[places]


class _Outline:
    """Which headings a place in the text stands under."""

    def __init__(self, headings: tuple[Heading, ...]) -> None:
        self._starts: list[int] = []
        self._paths: list[tuple[str, ...]] = []
        open_: list[Heading] = []
        for heading in headings:
            while open_ and open_[-1].level >= heading.level:
                open_.pop()
            open_.append(heading)
            self._starts.append(heading.start)
            self._paths.append(tuple(h.title for h in open_))

    def at(self, place: int) -> tuple[str, ...]:
        """Titles from the highest to the nearest."""
        found = bisect_right(self._starts, place) - 1
        return self._paths[found] if found >= 0 else ()
