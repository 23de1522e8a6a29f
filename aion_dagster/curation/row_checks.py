"""64 bits for everything about each picture of a dataset, made for all at once: did anything change?

Columns are gone through in blocks that stay in the processor's cache; what a row has is never looked at by itself.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aion_dagster.curation.columns import Bytes, Words, fixed_width, one_text, text_bytes, word_at
from aion_dagster.curation.linking import Places
from aion_dagster.curation.row_pieces import (
    ANNOTATION_TEXTS,
    NAMES,
    PICTURE_TEXTS,
    Pieces,
    flags,
    name_numbers,
    number_lists,
    outlines,
    scores,
    sides,
)

ROWS_AT_ONCE: Final = 1 << 16
"""Few enough for the processor's caches, and so many that threads side by side do not wait for the interpreter."""
_BASE: Final = np.uint64(0x9E3779B97F4A7C15)
_MIXER: Final = np.uint64(0xD6E8FEB86659FD93)
_SHIFT: Final = np.uint64(32)
_LESS: Final = np.uint64(29)
_WORD: Final = 8
_LONG: Final = 512
"""Strings of more bytes are hashed one by one."""

_Tell = Callable[[Words, int, int], None]
"""Add a number for what each of the rows from one place up to another has in a column."""


def picture_checks(images: pa.Table, annotations: pa.Table, starts: Places) -> Words:
    """64 bits for everything about each picture that its hash is made from, but its id.

    Args:
        images: schema `DATASET_IMAGES`.
        annotations: schema `ANNOTATIONS`; `category` may be dictionary-encoded.
        starts: where the annotations of each picture begin, one more than there are pictures.
    """
    rows = _told(_annotation_columns(annotations), len(annotations))
    sums = np.empty(len(rows) + 1, np.uint64)
    sums[0] = 0
    np.cumsum(rows, out=sums[1:])
    checks = _told(_picture_columns(images), len(images))
    checks += _stirred(sums[starts[1:]] - sums[starts[:-1]])
    return _stirred(checks)


def _told(columns: Iterator[_Tell | None], rows: int) -> Words:
    """The sum of what columns say of each row, stirred, so that rows may be summed up in turn.

    An absent column (None) says nothing: an absent value weighs the same whether there are others in its column or not.
    """
    present = [tell for tell in columns if tell is not None]
    total = np.zeros(rows, np.uint64)
    for start in range(0, rows, ROWS_AT_ONCE):
        stop = min(start + ROWS_AT_ONCE, rows)
        own = total[start:stop]
        for tell in present:
            tell(own, start, stop)
        own += _BASE
        _stirred(own)
    return total


def _stirred(values: Words) -> Words:
    """Numbers in which every bit hangs on many bits of the former ones, in their place.

    A whole number as a float has few bits, all of them high, and a product has no lower ones than its factors: without
    this, one change could undo another.
    """
    values ^= values >> _SHIFT
    values *= _MIXER
    values ^= values >> _LESS
    return values


def _weights() -> Iterator[np.uint64]:
    """An odd number for each column."""
    return (np.uint64((int(_BASE) * odd) % 2**64) for odd in itertools.count(3, 2))


def _picture_columns(images: pa.Table) -> Iterator[_Tell | None]:
    weights = _weights()
    yield _flagged(images["labelled"], next(weights))
    # Which picture it is, is known.
    yield from (_texts(images[n], next(weights)) for n in PICTURE_TEXTS if n != "image_id")


def _annotation_columns(rows: pa.Table) -> Iterator[_Tell | None]:
    weights = _weights()
    for side in sides(rows["bbox"]):
        yield _numbers(side.view(np.uint64), next(weights))
    for name in NAMES:
        yield _names(rows[name], next(weights))
    for name in ANNOTATION_TEXTS:
        yield _texts(rows[name], next(weights))
    yield _flagged(rows["iscrowd"], next(weights))
    for name, words in (
        ("score", _score_words),
        ("keypoints", _number_words),
        ("segmentation", _outline_words),
    ):
        yield _present(rows[name], words, next(weights))


def _flagged(column: pa.ChunkedArray, weight: np.uint64) -> _Tell | None:
    if not pc.any(column).as_py():
        return None
    up = flags(column)

    def tell(own: Words, start: int, stop: int) -> None:
        own += up[start:stop] * weight

    return tell


def _present(
    column: pa.ChunkedArray, words: Callable[[pa.ChunkedArray], Words], weight: np.uint64
) -> _Tell | None:
    """What `words` says of the rows that have something."""
    if column.null_count == len(column):
        return None

    def tell(own: Words, start: int, stop: int) -> None:
        some = column.slice(start, stop - start)
        if some.null_count < len(some):
            own[some.is_valid().to_numpy()] += words(some.drop_null()) * weight

    return tell


def _numbers(bits: Words, weight: np.uint64) -> _Tell:
    def tell(own: Words, start: int, stop: int) -> None:
        values = bits[start:stop]
        values = values ^ (values >> _SHIFT)
        values *= weight
        values ^= values >> _LESS
        own += values

    return tell


def _names(column: pa.ChunkedArray, weight: np.uint64) -> _Tell:
    codes, numbers = name_numbers(column)
    weighed = numbers * weight

    def tell(own: Words, start: int, stop: int) -> None:
        own += weighed[0] if len(weighed) == 1 else weighed.take(codes[start:stop])

    return tell


def _texts(column: pa.ChunkedArray, weight: np.uint64) -> _Tell | None:
    if column.null_count == len(column):
        return None
    texts = one_text(column)
    wide = fixed_width(texts)
    if wide is not None and _WORD <= wide.shape[1] <= _LONG:
        words_of = partial(_even_words, wide)
    else:
        words_of = partial(text_words, Pieces(*text_bytes(texts)))
    there = texts.is_valid().to_numpy(zero_copy_only=False) if texts.null_count else None

    def tell(own: Words, start: int, stop: int) -> None:
        words = words_of(start, stop)
        words *= weight
        if there is not None:
            words[~there[start:stop]] = 0
        own += words

    return tell


def _even_words(wide: Bytes, start: int, stop: int) -> Words:
    """`text_words` of strings of one length, (n, width)."""
    width = wide.shape[1]
    total = np.full(stop - start, width, np.uint64)
    total *= _BASE
    for at in (*range(0, width - _WORD + 1, _WORD), *([width - _WORD] if width % _WORD else [])):
        _chain(total, word_at(wide[start:stop], at))
    total |= np.uint64(1)
    return total


def text_words(pieces: Pieces, start: int, stop: int) -> Words:
    """A number for each string from one place up to another, never 0: its length and its bytes, eight at a time."""
    first, edges = int(pieces.edges[start]), pieces.edges[start : stop + 1]
    data = pieces.data[first : int(edges[-1])]
    begins, sizes = edges[:-1] - first, np.diff(edges)
    total = sizes.astype(np.uint64) * _BASE
    short, long = sizes < _WORD, sizes > _LONG
    for row in np.flatnonzero(long).tolist():
        own = data[begins[row] : begins[row] + sizes[row]]
        total[row] = int.from_bytes(
            hashlib.blake2b(own.tobytes(), digest_size=_WORD).digest(), "little"
        )
    few = np.flatnonzero(short)
    padded = np.zeros((len(few), _WORD), np.uint8)
    for at in range(_WORD - 1):
        longer = sizes[few] > at
        padded[longer, at] = data[begins[few[longer]] + at]
    words = total[few]
    _chain(words, padded.view("<u8").ravel())
    total[few] = words
    rest = np.flatnonzero(~(short | long))
    if len(rest):
        # Words at every place of a byte.
        everywhere = np.ndarray((len(data) - _WORD + 1,), "V8", data, 0, (1,))
        whole = sizes // _WORD
        for at in range(int(whole[rest].max())):
            rest = rest[whole[rest] > at]
            _chain_some(total, rest, everywhere[begins[rest] + at * _WORD])
        tails = np.flatnonzero(~(short | long) & (sizes % _WORD > 0))
        _chain_some(total, tails, everywhere[begins[tails] + sizes[tails] - _WORD])
    return total | np.uint64(1)


def _chain_some(
    total: Words, rows: Places, words: np.ndarray[tuple[int], np.dtype[np.void]]
) -> None:
    own = total[rows]
    _chain(own, words.view("<u8").astype(np.uint64))
    total[rows] = own


def _chain(total: Words, words: Words) -> None:
    """Take one more word of each row in."""
    total ^= words
    total *= _MIXER
    total ^= total >> _SHIFT


def _score_words(column: pa.ChunkedArray) -> Words:
    return _stirred(scores(column).view(np.uint32).astype(np.uint64) + np.uint64(1))


def _number_words(column: pa.ChunkedArray) -> Words:
    lists, counts = number_lists(column)
    return _stirred(_list_words(lists) + counts.astype(np.uint64) + np.uint64(1))


def _outline_words(column: pa.ChunkedArray) -> Words:
    """A number for each outline; -1 stands for what it lacks, so that no part is another."""
    facts, (points, lengths, runs) = outlines(column)
    total = np.full(len(column), _BASE)
    for fact in facts:
        _chain(total, fact.astype(np.uint64))
    for words in (_list_words(points), _list_words(lengths), text_words(runs, 0, len(column))):
        _chain(total, words)
    return total


def _list_words(pieces: Pieces) -> Words:
    """A number for the values of each row, in their order."""
    sizes = np.diff(pieces.edges)
    values = pieces.data.view(np.uint64) if pieces.data.itemsize == _WORD else pieces.data.astype(np.uint64)  # fmt: skip
    rank = np.arange(len(values)) - np.repeat(pieces.edges[:-1], sizes)
    # Each by itself first: what stands at one place cannot make up for what stands at another.
    told = _stirred(values.copy())
    told += (rank.astype(np.uint64) + np.uint64(1)) * _BASE
    sums = np.concatenate((np.zeros(1, np.uint64), np.cumsum(_stirred(told))))
    return sums[pieces.edges[1:]] - sums[pieces.edges[:-1]]
