"""An index over imported labels, so that each batch of pictures finds its own among millions."""

from __future__ import annotations

import bisect
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from aion_dagster.curation.paths import folder_keys, readings, stem_keys
from aion_dagster.values import LabelSet

Rows = npt.NDArray[np.int64]

CROWD: Final = 1000
"""Labels of one stem above which the folder must agree too."""

_NO_NAMES: Final = pa.array([], pa.large_string())


@dataclass(frozen=True)
class _Keys:
    """Keys in ascending order of their UTF-8 bytes, and the row of each."""

    sorted_keys: pa.Array
    rows: Rows

    def __len__(self) -> int:
        return len(self.sorted_keys)

    def __getitem__(self, place: int) -> str:
        key: str = self.sorted_keys[place].as_py()
        return key

    def find(self, key: str) -> Rows:
        return self.rows[bisect.bisect_left(self, key) : bisect.bisect_right(self, key)]


@dataclass(frozen=True)
class LabelIndex:
    """Labels, found by the stem of their file name; built by `index_labels`, used for any number of batches.

    `images` has schema `LABEL_IMAGES`, `annotations` `LABEL_ANNOTATIONS`, sorted by label_image.
    """

    images: pa.Table
    annotations: pa.Table
    _stems: _Keys
    _owners: Rows

    def named(self, names: pa.Array) -> Rows:
        """Rows of `images` whose file name may fit one of the given paths of pictures, ascending.

        Where a stem stands for very many labels (`0001/rgb.png`, `0002/rgb.png`, …), only those count that lie in
        a folder of the picture's name too.
        """
        found = [np.empty(0, dtype=np.int64)]
        stems, folders = stem_keys(names).to_pylist(), folder_keys(names).to_pylist()
        crowded: set[str] = set()
        for stem, folder in sorted(set(zip(stems, folders, strict=True))):
            rows = self._stems.find(stem)
            if len(rows) > CROWD:
                crowded |= {folder, stem}
            else:
                found.append(rows)
        found += [self._folders.find(key) for key in sorted(crowded)]
        return np.unique(np.concatenate(found))

    def hashed(self, digests: pa.Array) -> Rows:
        """Rows of `images` that give one of these SHA-256 digests (64 hexadecimal digits), ascending."""
        if not len(self._digests):
            return np.empty(0, dtype=np.int64)
        return np.unique(
            np.concatenate(
                [np.empty(0, dtype=np.int64)]
                + [self._digests.find(d) for d in set(digests.drop_null().to_pylist())]
            )
        )

    def digest(self, row: int) -> str:
        """The SHA-256 that a row of `images` gives, in its column or as its file's name."""
        return self._hashes[row].as_py() or ""

    @functools.cached_property
    def _hashes(self) -> pa.Array:
        """The digest of every row: what its label says, else its stem where that is one and the row may go by it."""
        column = self.images["sha256"].combine_chunks()
        given = pc.utf8_lower(pc.if_else(_is_digest(column), column, None))
        stems = stem_keys(self.images["file_name"].combine_chunks().cast(pa.large_string())).cast(
            pa.string()
        )
        return pc.coalesce(given, pc.if_else(_is_digest(stems), stems, None))

    @functools.cached_property
    def _digests(self) -> _Keys:
        by_path = pc.is_in(
            self.images["match"].combine_chunks(), value_set=pa.array(["path", "name"])
        )
        rows = np.flatnonzero(
            pc.and_(self._hashes.is_valid(), pc.invert(by_path)).to_numpy(zero_copy_only=False)
        )
        keys = self._hashes.take(pa.array(rows))
        order = pc.sort_indices(keys)
        return _Keys(keys.take(order), rows[order.to_numpy()])

    @functools.cached_property
    def _folders(self) -> _Keys:
        return _keyed(self.images, folder_keys)

    def annotation_rows(self, label_images: Rows) -> tuple[Rows, Rows]:
        """Rows of `annotations` that belong to the given label images, and for each the place in `label_images`."""
        starts = np.searchsorted(self._owners, label_images, side="left")
        ends = np.searchsorted(self._owners, label_images, side="right")
        counts = ends - starts
        places = np.repeat(np.arange(len(label_images)), counts)
        first = np.repeat(starts - np.concatenate(([0], np.cumsum(counts)[:-1])), counts)
        return first + np.arange(len(places)), places


def _is_digest(texts: pa.Array) -> pa.Array:
    return pc.match_substring_regex(texts, "^[0-9A-Fa-f]{64}$").fill_null(False)


def index_labels(labels: LabelSet) -> LabelIndex:
    """Sort labels by stem and by label image."""
    images = labels.images.combine_chunks()
    owners = labels.annotations["label_image"].to_numpy()
    by_owner = np.argsort(owners, kind="stable")
    annotations = labels.annotations.take(pa.array(by_owner))
    return LabelIndex(images, annotations, _keyed(images, stem_keys), owners[by_owner])


def _keyed(images: pa.Table, keys_of: Callable[[pa.Array], pa.Array]) -> _Keys:
    """Every file name under the keys of all its readings."""
    names = pa.concat_arrays(images["file_name"].cast(pa.large_string()).chunks or [_NO_NAMES])
    keys, rows = keys_of(names), np.arange(len(names), dtype=np.int64)
    escaped = pc.fill_null(pc.match_substring_regex(names, "%[0-9A-Fa-f]{2}"), fill_value=False)
    where = np.flatnonzero(escaped.to_numpy(zero_copy_only=False))
    if len(where):
        resolved = [readings(names[row].as_py())[-1] for row in where.tolist()]
        keys = pa.concat_arrays([keys, keys_of(pa.array(resolved, pa.large_string()))])
        rows = np.concatenate([rows, where])
    valid = pc.is_valid(keys)
    keys, rows = keys.filter(valid), rows[valid.to_numpy(zero_copy_only=False)]
    order = pc.sort_indices(keys)
    return _Keys(keys.take(order), rows[order.to_numpy()])
