"""Union-find over integer places, in numpy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Places = npt.NDArray[np.int64]


def roots_of(parent: Places, places: Places) -> Places:
    """The root of each place; the paths walked are shortened in `parent`."""
    roots = parent[places]
    while True:
        above = parent[roots]
        if np.array_equal(above, roots):
            break
        roots = above
    parent[places] = roots
    return roots


def all_roots(parent: Places) -> Places:
    """The root of every place; fastest where most places are roots."""
    places = np.flatnonzero(parent != np.arange(len(parent)))
    roots_of(parent, places)
    return parent.copy()


def link(parent: Places, first: Places, second: Places) -> None:
    """Join the components of first[i] and second[i] for every i; `parent` is changed in place.

    The smaller root becomes the root of both, so the result does not depend on the order of links.
    """
    while len(first):
        a, b = roots_of(parent, first), roots_of(parent, second)
        apart = a != b
        first, second, a, b = first[apart], second[apart], a[apart], b[apart]
        # Where several links name one upper root, the smallest lower one wins; the rest follow in the next round.
        np.minimum.at(parent, np.maximum(a, b), np.minimum(a, b))


def link_equal(parent: Places, places: Places, codes: npt.NDArray[np.int64]) -> None:
    """Join the components of all places that have the same code."""
    order = np.argsort(codes, kind="stable")
    ranked, own = places[order], codes[order]
    starts = np.flatnonzero(np.concatenate(([True], own[1:] != own[:-1]))) if len(own) else own
    first = np.repeat(starts, np.diff(np.append(starts, len(own))))
    link(parent, ranked[first], ranked)


def linked(count: int, first: Places, second: Places) -> Places:
    """The component of each of `count` places under the given links, named by its smallest member."""
    parent = np.arange(count, dtype=np.int64)
    link(parent, first, second)
    return all_roots(parent)
