"""What a picture in a dataset is, as a hash: made anew only for pictures that changed since an earlier version."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from aion_dagster import schemas
from aion_dagster.curation.columns import (
    flat,
    is_ascending,
    places_in,
    run_starts,
    text,
    text_bytes,
)
from aion_dagster.curation.linking import Places

_AT_ONCE: Final = 65_536
"""Pictures at a time."""

_BASE: Final = np.uint64(0x9E3779B97F4A7C15)
_MIXER: Final = np.uint64(0xD6E8FEB86659FD93)
_SHIFT: Final = np.uint64(32)

Words = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class _Pieces:
    """Values of rows, one row's after the other: `edges` says where each begins, one more than there are rows.

    `even`: all rows have equally many bytes, as a rule.
    """

    data: npt.NDArray[Any]
    edges: Places
    even: bool = False

    def words(self) -> Words:
        """A number for what each row has."""
        sizes = np.diff(self.edges)
        if not len(sizes):
            return np.zeros(0, np.uint64)
        width = int(sizes[0])
        if self.even and width % 4 == 0 and (sizes == width).all():
            return _fixed(self.data.view("<u4").reshape(len(sizes), width // 4))
        values = (
            self.data.astype(np.uint64) if self.data.itemsize < 8 else self.data.view(np.uint64)
        )
        if not len(values):
            return np.zeros(len(sizes), np.uint64)
        powers = _powers(len(values))
        sums = np.concatenate((np.zeros(1, np.uint64), np.cumsum(values * powers)))
        # Less what came before, as if the row stood at the beginning; the order of its values counts.
        own = (sums[self.edges[1:]] - sums[self.edges[:-1]]) * _powers_back(len(values) + 1)[
            self.edges[:-1]
        ]
        return _mixed(own + sizes.astype(np.uint64))


def _fixed(columns: npt.NDArray[np.uint32]) -> Words:
    total = np.full(len(columns), columns.shape[1], np.uint64)
    for column in columns.T:
        total = total * _BASE + column
    return _mixed(total)


_power_cache: dict[int, Words] = {}


def _table(base: int, size: int) -> Words:
    found = _power_cache.get(base)
    if found is None or len(found) < size:
        found = np.full(max(size, 1 << 20), base, np.uint64)
        found[0] = 1
        found = np.cumprod(found, dtype=np.uint64)
        _power_cache[base] = found
    return found[:size]


def _powers(size: int) -> Words:
    return _table(int(_BASE), size)


def _powers_back(size: int) -> Words:
    return _table(pow(int(_BASE), -1, 1 << 64), size)


def _mixed(values: Words) -> Words:
    values = (values ^ (values >> _SHIFT)) * _MIXER
    return (values ^ (values >> _SHIFT)) * _MIXER


def row_hashes(
    images: pa.Table,
    annotations: pa.Table,
    known: pa.Table | None = None,
    *,
    starts: Places | None = None,
) -> pa.Table:
    """Hashes of a dataset's pictures, in the order of `images`.

    `content` is a SHA-256 over everything about a picture but its split: ids, name, standing, group and annotations.
    `check` tells in 64 bits, made for all pictures at once, whether any of that changed since an earlier version, whose
    `content` is taken over then.

    Args:
        images: schema `DATASET_IMAGES`.
        annotations: schema `ANNOTATIONS`, in any order.
        known: schema `ROW_HASHES` of an earlier version.
        starts: where the annotations of each picture begin, one more than there are pictures, where they are in the order
            of pictures and of their ids already.

    Returns:
        Schema `ROW_HASHES`.
    """
    ids = text(images["image_id"])
    if starts is None:
        annotations, starts = _by_image(ids, annotations)
    old = np.full(len(ids), -1, np.int64) if known is None else places_in(ids, known["image_id"])
    parts = [
        _block(images.slice(at, _AT_ONCE), annotations, starts[at : at + _AT_ONCE + 1], old[at : at + _AT_ONCE], known)
        for at in range(0, len(ids), _AT_ONCE)
    ]  # fmt: skip
    contents = b"".join(content for content, _ in parts)
    checks = np.concatenate([check for _, check in parts]) if parts else np.zeros(0, np.uint64)
    return pa.table(
        {
            "image_id": images["image_id"],
            "content": pa.FixedSizeBinaryArray.from_buffers(
                pa.binary(32), len(ids), [None, pa.py_buffer(contents)]
            ),
            "check": checks,
        },
        schema=schemas.ROW_HASHES,
    )


def _by_image(ids: pa.Array, annotations: pa.Table) -> tuple[pa.Table, Places]:
    """Annotations in the order of pictures, then of their ids, and where those of each picture begin."""
    owners = text(annotations["image_id"])
    heads = run_starts(owners)
    places = places_in(owners.take(pa.array(heads)), ids)
    lengths = np.diff(np.append(heads, len(owners)))
    rows = np.repeat(places, lengths)
    names = text(annotations["annotation_id"])
    if not _is_sorted(rows, names):
        order = pc.sort_indices(
            pa.table({"place": rows, "name": names}),
            sort_keys=[("place", "ascending"), ("name", "ascending")],
        )
        annotations, rows = annotations.take(order), rows[order.to_numpy()]
    return annotations, np.searchsorted(rows, np.arange(len(ids) + 1)).astype(np.int64)


def _is_sorted(rows: Places, names: pa.Array) -> bool:
    if (rows[1:] < rows[:-1]).any():
        return False
    if len(names) < 2:
        return True
    above = pc.less_equal(names[:-1], names[1:]).to_numpy(zero_copy_only=False)
    return bool((above | (rows[1:] != rows[:-1])).all())


def _block(
    images: pa.Table,
    annotations: pa.Table,
    starts: Places,
    old: Places,
    known: pa.Table | None,
) -> tuple[bytes, Words]:
    """Contents, one after the other, and checks of some pictures."""
    own = annotations.slice(int(starts[0]), int(starts[-1] - starts[0]))
    edges = starts - starts[0]
    check = _checks(images, own, edges)
    fresh, contents = _kept(old, check, known)
    if len(fresh):
        if len(fresh) < len(images):
            counts = np.diff(edges)[fresh]
            rows = _ranges(edges[fresh], counts)
            images, own = images.take(pa.array(fresh)), own.take(pa.array(rows))
            edges = _edges(counts)
        _hash(fresh, images, own, edges, contents)
    return bytes(contents), check


def _checks(images: pa.Table, own: pa.Table, edges: Places) -> Words:
    """64 bits for everything about each picture; absent values weigh the same whether a whole column is absent or not."""
    check = pc.fill_null(images["labelled"], False).to_numpy().astype(np.uint64)
    for name in ("image_id", "sha256", "file_name", "group_id"):
        check = check * _BASE + _string_words(images[name], even=name != "file_name")
    if own.num_rows:
        row = _string_words(own["annotation_id"], even=True)
        for numbers in _number_columns(own):
            row = row * _BASE + numbers
        for name in ("text", "attributes"):
            row = row * _BASE + _string_words(own[name])
        joints, counts = _number_lists(own["keypoints"])
        row = (row * _BASE + joints.words()) * _BASE + counts.astype(np.uint64)
        records, outlines = _outline_pieces(own["segmentation"])
        for piece in outlines:
            row = row * _BASE + piece.words()
        for numbers in records:
            row = row * _BASE + numbers.astype(np.uint64)
        sums = np.concatenate((np.zeros(1, np.uint64), np.cumsum(_mixed(row))))
        check = check * _BASE + (sums[edges[1:]] - sums[edges[:-1]])
    else:
        check = check * _BASE
    return _mixed(check)


def _number_columns(own: pa.Table) -> Iterator[Words]:
    boxes = flat(own["bbox"], schemas.BBOX).flatten()
    for side in boxes:
        numbers = pc.fill_null(side, np.nan).to_numpy(zero_copy_only=False) + 0.0
        yield numbers.view(np.uint64)
    scores = pc.fill_null(own["score"], np.nan).to_numpy().astype(np.float32)
    crowd = pc.fill_null(own["iscrowd"], False).to_numpy().astype(np.uint64)
    yield scores.view(np.uint32).astype(np.uint64) | (crowd << _SHIFT)
    yield _names(own["category"])
    yield _names(own["origin"])


def _string_words(column: pa.ChunkedArray, *, even: bool = False) -> Words:
    """A number for each string; that of null is no string's."""
    if column.null_count == len(column):
        return np.zeros(len(column), np.uint64)
    words = _strings(column, even=even).words() | np.uint64(1)
    if column.null_count:
        words[pc.is_null(column).to_numpy()] = 0
    return words


def _kept(old: Places, check: Words, known: pa.Table | None) -> tuple[Places, bytearray]:
    """Which pictures have to be hashed, and the contents of those that need not."""
    contents = np.zeros((len(old), 32), np.uint8)
    if known is None or not known.num_rows:
        return np.arange(len(old)), bytearray(contents.tobytes())
    same = old >= 0
    same[same] = known["check"].to_numpy()[old[same]] == check[same]
    stored = flat(known["content"], pa.binary(32))
    data = np.frombuffer(stored.buffers()[1], np.uint8)[32 * stored.offset :].reshape(-1, 32)
    contents[same] = data[old[same]]
    return np.flatnonzero(~same), bytearray(contents.tobytes())


def _hash(
    fresh: Places, images: pa.Table, own: pa.Table, edges: Places, contents: bytearray
) -> None:
    """SHA-256 over all there is of each picture; the lengths of its values come first."""
    pictures, boxes = _picture_pieces(images), _annotation_pieces(own)
    bounds = [p.edges * p.data.itemsize for p in pictures]
    bounds += [p.edges[edges] * p.data.itemsize for p in boxes]
    used = [
        (np.ascontiguousarray(piece.data).tobytes(), bound[:-1].tolist(), bound[1:].tolist())
        for piece, bound in zip((*pictures, *boxes), bounds, strict=True)
        if len(piece.data)
    ]
    hashed = hashlib.sha256
    for number, place in enumerate(fresh.tolist()):
        parts = [data[low[number] : high[number]] for data, low, high in used]
        contents[32 * place : 32 * place + 32] = hashed(b"".join(parts)).digest()


def _strings(column: pa.ChunkedArray, *, even: bool = False) -> _Pieces:
    return _Pieces(*text_bytes(text(column)), even)


def _lengths(column: pa.ChunkedArray) -> npt.NDArray[np.int32]:
    """Bytes of each string; -1 for null."""
    lengths = pc.fill_null(pc.binary_length(text(column)), -1)
    return np.asarray(lengths.to_numpy(zero_copy_only=False), dtype=np.int32)


def _records(columns: Sequence[npt.NDArray[Any]], rows: int) -> _Pieces:
    """Numbers of each row side by side."""
    dtype = np.dtype([(f"f{i}", c.dtype.newbyteorder("<")) for i, c in enumerate(columns)])
    padding = -dtype.itemsize % 4
    dtype = np.dtype([*((n, dtype[n]) for n in dtype.names or ()), ("pad", f"V{padding}")]) if padding else dtype  # fmt: skip
    table = np.zeros(rows, dtype)
    for number, column in enumerate(columns):
        table[f"f{number}"] = column
    edges = np.arange(rows + 1, dtype=np.int64) * dtype.itemsize
    return _Pieces(table.view(np.uint8), edges, even=True)


def _picture_pieces(images: pa.Table) -> list[_Pieces]:
    names = ("image_id", "sha256", "file_name", "group_id")
    labelled = pc.fill_null(images["labelled"], False).to_numpy().astype(np.uint8)
    sizes = [_lengths(images[name]) for name in names]
    columns = [pc.fill_null(text(images[n]), "") for n in names]
    joined = pc.binary_join_element_wise(*columns, pa.scalar("", pa.large_string()))
    # One piece is hashed faster than four.
    return [_records([*sizes, labelled], len(images)), _Pieces(*text_bytes(joined))]


def _annotation_pieces(rows: pa.Table) -> list[_Pieces]:
    boxes = flat(rows["bbox"], schemas.BBOX).flatten()
    # Adding zero turns -0.0 into 0.0, which is the same number.
    sides = [pc.fill_null(s, np.nan).to_numpy(zero_copy_only=False) + 0.0 for s in boxes]
    scores = pc.fill_null(rows["score"], np.nan).to_numpy().astype(np.float32)
    crowd = pc.fill_null(rows["iscrowd"], False).to_numpy().astype(np.uint8)
    names = [_names(rows["category"]), _names(rows["origin"])]
    texts = ("annotation_id", "text", "attributes")
    outline_records, outlines = _outline_pieces(rows["segmentation"])
    joints, joint_counts = _number_lists(rows["keypoints"])
    lengths = (_lengths(rows[t]) for t in texts)
    columns = [*sides, scores, crowd, *names, *lengths, joint_counts, *outline_records]
    strings = (_strings(rows[t], even=t == "annotation_id") for t in texts)
    return [_records(columns, len(rows)), *strings, joints, *outlines]


def _number_lists(column: pa.ChunkedArray) -> tuple[_Pieces, npt.NDArray[np.int32]]:
    """Lists of numbers, and how many each row has; -1 for null."""
    if column.null_count == len(column):
        edges = np.zeros(len(column) + 1, np.int64)
        return _Pieces(np.zeros(0, "<f8"), edges), np.full(len(column), -1, np.int32)
    lists = flat(column, column.type)
    counts = pc.fill_null(pc.list_value_length(lists), -1).to_numpy(zero_copy_only=False)
    values = pc.fill_null(pc.list_flatten(lists), np.nan).to_numpy(zero_copy_only=False) + 0.0
    edges = _edges(np.maximum(counts, 0))
    return _Pieces(np.ascontiguousarray(values, dtype="<f8"), edges), counts.astype(np.int32)


def _names(column: pa.ChunkedArray) -> Words:
    """A number for each of few different names."""
    if len(column) and pc.all(pc.equal(column, column[0]), skip_nulls=False).as_py():
        number = int.from_bytes(hashlib.sha256(column[0].as_py().encode()).digest()[:8], "little")
        return np.full(len(column), number, np.uint64)
    encoded = flat(column, pa.string()).dictionary_encode()
    numbers = [
        int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
        for name in encoded.dictionary.to_pylist()
    ]
    codes = pc.fill_null(encoded.indices, len(numbers)).to_numpy()
    words: Words = np.array([*numbers, 0], np.uint64)[codes]
    return words


def _outline_pieces(
    column: pa.ChunkedArray,
) -> tuple[list[npt.NDArray[Any]], list[_Pieces]]:
    """Of outlines: numbers of each row, then points, polygons' lengths and masks.

    The numbers stand there without any outline too: that of one picture must not change the hash of another.
    """
    if column.null_count == len(column):
        none = np.full(len(column), -1, np.int32)
        edges = np.zeros(len(column) + 1, np.int64)
        return [none] * 4, [_Pieces(np.zeros(0, np.uint8), edges)] * 3
    outlines = flat(column, schemas.SEGMENTATION)
    polygons = pc.struct_field(outlines, "polygons")
    mask = pc.struct_field(outlines, "rle")
    counts = pc.fill_null(pc.list_value_length(polygons), -1).to_numpy(zero_copy_only=False)
    per_row = _edges(np.maximum(counts, 0))
    points = pc.list_flatten(polygons)
    lengths = pc.fill_null(pc.list_value_length(points), 0).to_numpy(zero_copy_only=False)
    per_polygon = _edges(lengths)
    values = pc.list_flatten(points).to_numpy(zero_copy_only=False) + 0.0
    sizes = [
        pc.fill_null(pc.struct_field(mask, side), -1).to_numpy(zero_copy_only=False)
        for side in ("height", "width")
    ]
    runs = pc.struct_field(mask, "counts")
    records = [counts.astype(np.int32), *(s.astype(np.int32) for s in sizes), _lengths(runs)]
    return records, [
        _Pieces(np.ascontiguousarray(values, dtype="<f8"), per_polygon[per_row]),
        _Pieces(lengths.astype("<i4"), per_row),
        _strings(runs),
    ]


def _ranges(starts: Places, counts: Places) -> Places:
    """start, start + 1, … for each start, one after the other."""
    return np.repeat(starts - _edges(counts)[:-1], counts) + np.arange(int(counts.sum()))


def _edges(counts: npt.NDArray[Any]) -> Places:
    return np.concatenate(([0], np.cumsum(counts))).astype(np.int64)


def in_order(images: pa.Table) -> pa.Table:
    """Pictures in the order of their names in exports, in which versions are fingerprinted."""
    return images if is_ascending(text(images["file_name"])) else images.sort_by("file_name")
