"""JSON files whose long arrays are read piece by piece, so that memory does not grow with the file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray

from aion_dagster.errors import LabelError

BLOCK: Final = 1 << 22
"""Bytes that are looked at together; a piece of an array is about as long."""
_MOST: Final = 1 << 28
"""Bytes that a file may have outside its long arrays, and one element of these."""
_BOM: Final = b"\xef\xbb\xbf"
_QUOTE, _ESCAPE, _COMMA = ord('"'), ord("\\"), b","
_OPEN, _CLOSE = ord("{"), ord("}")  # with bit 5 set, `[` and `]` too
_SQUARE: Final = ord("[")

Bytes: TypeAlias = NDArray[np.uint8]
Places: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True)
class Elements:
    """A JSON array in a file, read again with every iteration.

    `cuts` are offsets in the file: its content begins at the first, ends at the last, and at those between them an
    element has just ended.
    """

    path: Path
    cuts: tuple[int, ...]

    def pieces(self) -> Iterator[list[Any]]:
        """The elements in lists, each of about `BLOCK` bytes.

        Raises:
            LabelError: the file cannot be read, or this part of it is not JSON.
        """
        with _opened(self.path) as file:
            for number, (start, end) in enumerate(zip(self.cuts, self.cuts[1:], strict=False)):
                if end - start > _MOST:
                    raise LabelError(
                        f"{self.path}: no label file (more than {_MOST >> 20} MB in one value)"
                    )
                file.seek(start)
                text = _inside(file.read(end - start), self.path, first=number == 0)
                piece = loads(b"[" + text + b"]", self.path) if text else []
                if piece:
                    yield piece


def read_json(path: Path, *, block: int = BLOCK) -> Any:
    """A JSON file; arrays that are its content, or values of the object that is its content, come as `Elements`.

    NaN and Infinity, which Python's json writes, are read. `block` is how many bytes are looked at together.

    Raises:
        LabelError: the file cannot be read or is not JSON.
    """
    with _opened(path) as file:
        scan = _Scan()
        begin = len(_BOM) if file.read(len(_BOM)) == _BOM else 0
        file.seek(begin)
        offset = begin
        while data := file.read(block):
            scan.see(data, offset)
            offset += len(data)
        arrays = scan.finished(path)
        if (
            sum(b[0] - a[-1] for a, b in zip([[begin], *arrays], [*arrays, [offset]], strict=True))
            > _MOST
        ):
            raise LabelError(
                f"{path}: no label file (more than {_MOST >> 20} MB outside of arrays)"
            )
        skeleton = _skeleton(file, arrays, begin, offset)
    content = loads(skeleton, path)
    found = [Elements(path, tuple(cuts)) for cuts in arrays]
    if isinstance(content, list):
        return found[content[0]] if scan.array_depth == 1 else content
    if isinstance(content, dict):
        return {k: found[v[0]] if isinstance(v, list) else v for k, v in content.items()}
    return content


def loads(data: bytes, path: Path) -> Any:
    """Parsed JSON of a part of a file.

    Raises:
        LabelError: it is not JSON.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        pass  # NaN, very large numbers, lone surrogates: slower, and more forgiving
    try:
        return _printable(json.loads(data.decode("utf-8-sig")))
    except (ValueError, RecursionError) as error:
        raise LabelError(
            f"{path}: not a whole JSON file ({error}); export it again, it may be cut off"
        ) from error


def pieces(value: Any, size: int = 1 << 15) -> Iterator[list[Any]]:
    """The elements of an array that is in a file, or of a list that is in memory, in lists; none of anything else."""
    if isinstance(value, Elements):
        yield from value.pieces()
    elif isinstance(value, list):
        yield from (value[i : i + size] for i in range(0, len(value), size))


def _printable(value: Any) -> Any:
    """The value with lone surrogates, which UTF-8 has no bytes for, replaced."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [_printable(v) for v in value]
    if isinstance(value, dict):
        return {_printable(k): _printable(v) for k, v in value.items()}
    return value


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise LabelError(f"{path}: cannot be read ({error.strerror})") from error


def _inside(data: bytes, path: Path, *, first: bool) -> bytes:
    """The elements of a piece without the comma that parts it from the one before."""
    text = data.strip()
    if first or not text:
        return text
    rest = text[1:].lstrip()
    if not text.startswith(_COMMA) or not rest:
        raise LabelError(f"{path}: not a whole JSON file (a comma is missing or too many)")
    return rest


def _skeleton(file: BinaryIO, arrays: list[list[int]], begin: int, end: int) -> bytes:
    """The file with the number of each array in the place of its elements."""
    parts, at = [], begin
    for number, cuts in enumerate(arrays):
        file.seek(at)
        parts += [file.read(cuts[0] - at), b"%d" % number]
        at = cuts[-1]
    file.seek(at)
    return b"".join([*parts, file.read(end - at)])


class _Scan:
    """Follows brackets through a file, block by block, and notes where the arrays right below its root lie."""

    def __init__(self) -> None:
        self.array_depth = 0
        """Depth of an element's outside: 1 where the root is an array, 2 where it is an object."""
        self._arrays: list[list[int]] = []
        self._depth = 0
        self._inside_array = False
        self._quoted = False
        self._escaped = False

    def see(self, block: bytes, offset: int) -> None:
        """The next block, which begins at `offset`."""
        data = np.frombuffer(block, np.uint8)
        data, escaped = self._without_escapes(data, b"\\" in block)
        folded = data | np.uint8(0x20)
        special = np.flatnonzero((data == _QUOTE) | (folded == _OPEN) | (folded == _CLOSE))
        codes = data[special]
        quotes = codes == _QUOTE
        inside = np.logical_xor.accumulate(np.concatenate(([self._quoted], quotes)))
        bracket = ~quotes & ~inside[1:]
        self._quoted, self._escaped = bool(inside[-1]), escaped
        self._brackets(special[bracket] + offset, codes[bracket])

    def finished(self, path: Path) -> list[list[int]]:
        """The cuts of every array.

        Raises:
            LabelError: brackets are still open.
        """
        if self._depth or self._quoted:
            raise LabelError(
                f"{path}: not a whole JSON file (it ends within brackets or a text); export it again, "
                "it may be cut off"
            )
        return self._arrays

    def _without_escapes(self, data: Bytes, any_here: bool) -> tuple[Bytes, bool]:
        """The bytes with those that a backslash stands before blanked, and whether that is true of the next block's first."""
        if not any_here:
            if self._escaped and len(data):
                data = data.copy()
                data[0] = 0
            return data, False
        data = data.copy()
        if self._escaped:
            data[0] = 0
        slashes = np.flatnonzero(data == _ESCAPE)
        begins = np.flatnonzero(np.diff(slashes, prepend=-2) != 1)
        lengths = np.diff(begins, append=len(slashes))
        blank = (slashes[begins] + lengths)[lengths % 2 == 1] if len(slashes) else slashes
        data[blank[blank < len(data)]] = 0
        return data, bool(len(blank) and blank[-1] == len(data))

    def _brackets(self, places: Places, codes: Bytes) -> None:
        if not len(places):
            return
        if not self.array_depth:
            self.array_depth = 1 if codes[0] == _SQUARE else 2
        steps = np.where((codes | 0x20) == _OPEN, 1, -1)
        depths = np.cumsum(steps) + self._depth
        outer = np.maximum(depths, depths - steps)  # depth within the bracket
        events = np.flatnonzero(outer == self.array_depth)
        last_cut = self._ends(places, depths, steps)
        for event in events.tolist():
            place = int(places[event])
            if steps[event] > 0:
                if codes[event] == _SQUARE:
                    self._arrays.append([place + 1])
                    self._inside_array = True
            elif self._inside_array:
                self._arrays[-1].append(place)
                self._inside_array = False
        self._depth = int(depths[-1])
        if self._inside_array and last_cut > self._arrays[-1][-1]:
            self._arrays[-1].append(last_cut)

    def _ends(self, places: Places, depths: Places, steps: Places) -> int:
        """Behind the last element that ends in this block."""
        ends = np.flatnonzero((depths == self.array_depth) & (steps < 0))
        return int(places[ends[-1]]) + 1 if len(ends) else -1
