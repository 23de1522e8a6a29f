"""Where the tokens of a text stand: each character that is no white space belongs to one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Final

import numpy as np
from numpy.typing import NDArray

TokenOffsets = Callable[[str], Sequence[tuple[int, int]]]
"""Gives (start, end) of each token of a text in characters, in order, without special tokens and never cut short.

White space must end a token and keep what stands on either side of it apart, as with WordPiece and with words: every
distinct word of a text is then tokenized once."""

WORDS: Final = "words/1"
"""The name of the built-in tokenizer."""

_IDEOGRAPHS: Final = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD: Final = re.compile(rf"[{_IDEOGRAPHS}]|[^\W_{_IDEOGRAPHS}]{{1,12}}|[^\w\s]|_")

_SPACES: Final = np.array(sorted(c for c in range(0x3001) if chr(c).isspace()), np.uint32)
_BLOCK: Final = 2**18
"""Characters whose words are tokenized in one call: the tokens of a whole book would be a gigabyte of tuples."""

LONGEST: Final = 300
"""Characters of a token at most; longer ones (models take any string of more than 100 letters for one unknown word)
are divided into pieces of `_PIECE` to twice as many, each of which counts."""
_PIECE: Final = 150


def word_offsets(text: str) -> list[tuple[int, int]]:
    """The built-in tokenizer: words in pieces of at most twelve letters, single ideographs, kana and signs."""
    return [match.span() for match in _WORD.finditer(text)]


def code_points(text: str) -> NDArray[np.uint32]:
    """The characters of a text as numbers, uint32 (len(text),)."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def is_space(points: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Which characters are white space, as `str.isspace` has it."""
    small = points <= _SPACES[-1]
    table = np.zeros(int(_SPACES[-1]) + 1, bool)
    table[_SPACES] = True
    found: NDArray[np.bool_] = small & table[np.where(small, points, 0)]
    return found


def covering_tokens(
    text: str, offsets: TokenOffsets, space: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Starts and ends of tokens that together hold every character that is no white space, none longer than `LONGEST`.

    Tokens that mean the same characters (bytes of one letter) stay separate and count each.

    Args:
        text: the text.
        offsets: its tokenizer.
        space: `is_space` of its characters.
    """
    spans = _spans(text, offsets, space)
    spans = _with_gaps(spans, space, len(text))
    return _divided(spans)


def _spans(text: str, offsets: TokenOffsets, space: NDArray[np.bool_]) -> NDArray[np.int64]:
    found = [np.empty((0, 2), np.int64)]
    for start, end in blocks(text):
        found.append(_block_spans(text[start:end], offsets, space[start:end]) + start)
    return np.concatenate(found)


def _block_spans(text: str, offsets: TokenOffsets, space: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Spans of a text's tokens, int64 (n, 2): those of each distinct word, put wherever the word stands."""
    edges = np.flatnonzero(np.diff(np.concatenate([[True], space, [True]]).astype(np.int8)))
    word_starts = edges[0::2]
    words = text.split()
    distinct = {word: i for i, word in enumerate(dict.fromkeys(words))}
    spans, counts = _tokens_of_words(list(distinct), offsets)
    which = np.fromiter(map(distinct.__getitem__, words), np.int64, len(words))
    firsts = np.cumsum(counts) - counts
    many = counts[which]
    order = np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many)
    tokens: NDArray[np.int64] = spans[np.repeat(firsts[which], many) + order]
    tokens += np.repeat(word_starts, many)[:, None]
    return tokens


def _tokens_of_words(
    words: list[str], offsets: TokenOffsets
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Spans (n, 2) within their words of the tokens of all words in order, and how many each word has."""
    lengths = np.fromiter(map(len, words), np.int64, len(words)) + 1
    starts = np.cumsum(lengths) - lengths
    found = offsets(" ".join(words))
    spans = np.fromiter(chain.from_iterable(found), np.int64, 2 * len(found)).reshape(-1, 2)
    spans = spans[spans[:, 1] > spans[:, 0]]
    which = np.searchsorted(starts, spans[:, 0], "right") - 1
    return spans - starts[which][:, None], np.bincount(which, minlength=len(words))


def blocks(text: str) -> Iterator[tuple[int, int]]:
    """Where to divide a long text: at empty lines, else at line ends, else at spaces, else anywhere."""
    start = 0
    while len(text) - start > _BLOCK:
        limit = start + _BLOCK
        for mark in ("\n\n", "\n", " "):
            cut = text.rfind(mark, start + _BLOCK // 2, limit)
            if cut > 0:
                break
        end = cut if cut > 0 else limit
        yield start, end
        start = end
    yield start, len(text)


def _with_gaps(
    spans: NDArray[np.int64], space: NDArray[np.bool_], length: int
) -> NDArray[np.int64]:
    """`spans` and one more for each run of characters between them that is not all white space."""
    ends = np.maximum.accumulate(np.concatenate([[0], spans[:, 1]]))
    starts = np.concatenate([spans[:, 0], [length]])
    solid = np.concatenate([[0], np.cumsum(~space)])
    places = np.flatnonzero((starts > ends) & (solid[np.maximum(starts, ends)] > solid[ends]))
    if not places.size:
        return spans
    gaps = []
    for place in places:
        inside = np.flatnonzero(~space[ends[place] : starts[place]]) + ends[place]
        runs = np.split(inside, np.flatnonzero(np.diff(inside) > 1) + 1)
        gaps += [(run[0], run[-1] + 1) for run in runs]
    merged = np.concatenate([spans, np.array(gaps, np.int64)])
    return merged[np.lexsort((merged[:, 1], merged[:, 0]))]


def _divided(spans: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Starts and ends, with long spans in pieces."""
    lengths = spans[:, 1] - spans[:, 0]
    pieces = np.where(lengths > LONGEST, lengths // _PIECE, 1)
    if (pieces == 1).all():
        return spans[:, 0].copy(), spans[:, 1].copy()
    which = np.repeat(np.arange(len(spans)), pieces)
    order = np.arange(len(which)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    starts = spans[which, 0] + lengths[which] * order // pieces[which]
    ends = spans[which, 0] + lengths[which] * (order + 1) // pieces[which]
    return starts, ends
