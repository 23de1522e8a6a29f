"""Searches by the library's index; among given pictures or documents by their words and vectors alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing

import numpy as np
from numpy.typing import NDArray

from aion_dagster.errors import UnavailableError
from aion_dagster.pipelines.evidence_values import Link
from aion_dagster.pipelines.material import Material
from aion_dagster.pipelines.ranking import Texts
from aion_dagster.pipelines.results import Item, ItemKind
from aion_dagster.pipelines.tasks import Task
from aion_dagster.search.document_search import joined
from aion_dagster.search.found import Found, FoundChunk
from aion_dagster.search.fusion import reciprocal_rank
from aion_dagster.search.hits import Hit
from aion_dagster.search.library import LibrarySearch
from aion_dagster.search.texts import DEPTH, LEAST_SIMILARITY, Embed
from aion_dagster.storage.store import Store

Join = Callable[[Sequence[Hit], Sequence[Hit], int], list[Hit]]
"""Words, meaning and the limit → one ranking, best first."""


def find_pictures(
    store: Store, material: Material, task: Task, embed: Embed | None, model: str | None
) -> list[Item]:
    """Pictures that fit the intent, best first: of the library, or among those that are given."""
    query, limit = task.step.intent, task.step.limit
    if not _is_narrowed(task, "image"):
        with closing(LibrarySearch(store, embed=embed, text_model=model)) as search:
            if task.step.min_score is None:
                return [_picture_item(found) for found in search.text(query, limit=limit)]
            everything = search.text(query, limit=max(limit, DEPTH))
            fitting = [f for f in everything if _is_near(f, task.step.min_score)]
            return [_picture_item(found) for found in fitting[:limit]]
    named = {p.id: p for p in material.pictures(_given(task, "image"))}
    near = _nearness(material, ("embeddings", "image_id"), [*named], query, embed)
    words = {key: picture.text for key, picture in named.items()}
    return [
        Item("image", hit.image_id, None, named[hit.image_id].name, hit.score, why)
        for hit, why in _ranked(words, near, query, _as_pictures, limit, task.step.min_score)
    ]


def find_documents(
    store: Store, material: Material, task: Task, embed: Embed | None, model: str | None
) -> list[Item]:
    """Documents that fit and the pieces that do, best first."""
    query, limit = task.step.intent, task.step.limit
    if not _is_narrowed(task, "document"):
        with closing(LibrarySearch(store, embed=embed, text_model=model)) as search:
            return _with_documents([_piece_item(c) for c in search.documents(query, limit=limit)])
    named = {p.id: p for p in material.pieces(_given(task, "document"))}
    near = _nearness(material, ("document_chunks", "chunk_id"), [*named], query, embed)
    words = {key: piece.content for key, piece in named.items()}
    found = []
    for hit, why in _ranked(words, near, query, joined, limit):
        piece = named[hit.image_id]
        found.append(
            Item("chunk", piece.id, None, piece.document, hit.score, why, piece.document_id)
        )
    return _with_documents(found)


def find_links(material: Material, task: Task) -> list[Item]:
    """Links whose title, address or page has words of the intent.

    Raises:
        UnavailableError: the library has no links.
    """
    links = material.links(task.given.ids("link") if task.given.of("link") else None)
    if not links:
        raise UnavailableError(
            "this library has no links to search: name some in the configuration and materialize the asset 'links'"
        )
    texts = Texts(f"{x.title}\n{x.domain}\n{x.url}\n{x.text}" for x in links)
    ranked = texts.ranked(task.step.intent)[: task.step.limit]
    return [link_item(links[i], score) for i, score in ranked]


def link_item(link: Link, score: float | None = None) -> Item:
    """A link as it is handed on."""
    return Item("link", link.id, None, link.title or link.url, score, link.url)


def _is_narrowed(task: Task, kind: ItemKind) -> bool:
    """Whether a search looks at less than the library, which is what the index is for."""
    return bool(task.given.of(kind)) or task.batch is not None


def _given(task: Task, kind: ItemKind) -> tuple[str, ...] | None:
    """What a search looks at; None for all of the batch."""
    return task.given.ids(kind) if task.given.of(kind) else None


def _nearness(
    material: Material,
    place: tuple[str, str],
    ids: Sequence[str],
    query: str,
    embed: Embed | None,
) -> NDArray[np.float32] | None:
    """How near each is to the query in meaning; None where not all have a vector in the table, or nothing makes one."""
    if embed is None:
        return None
    vectors = material.text_vectors(*place, ids)
    if vectors is None:
        return None
    return np.asarray(vectors @ np.asarray(embed([query])[0], np.float32), np.float32)


def _ranked(
    texts: Mapping[str, str],
    near: NDArray[np.float32] | None,
    query: str,
    join: Join,
    limit: int,
    floor: float | None = None,
) -> list[tuple[Hit, str]]:
    """Words and meaning as one ranking, each with the reason; below `floor` meaning does not count."""
    ids = [*texts]
    least = max(LEAST_SIMILARITY, floor or 0.0)
    words = [Hit(ids[i], score) for i, score in Texts(texts.values()).ranked(query)]
    meaning: list[Hit] = []
    if near is not None:
        order = sorted(range(len(ids)), key=lambda i: (-near[i], ids[i]))
        meaning = [Hit(ids[i], float(near[i])) for i in order if near[i] >= least]
    by_words = {hit.image_id for hit in words}
    similar = {hit.image_id: hit.score for hit in meaning}
    found = []
    for hit in join(words, meaning, limit):
        reasons = ["words of the query"] if hit.image_id in by_words else []
        if hit.image_id in similar:
            reasons.append(f"meaning {similar[hit.image_id]:.2f}")
        found.append((hit, ", ".join(reasons)))
    return found


def _is_near(found: Found, floor: float) -> bool:
    """Whether a picture has words of the query, or is near enough in meaning."""
    return any(r.kind == "words" or (r.similarity or 0.0) >= floor for r in found.reasons)


def _as_pictures(words: Sequence[Hit], meaning: Sequence[Hit], limit: int) -> list[Hit]:
    """As `LibrarySearch.text` joins them: the weights of `joined` were chosen for pages of text, not for a picture's words."""
    return reciprocal_rank([words, meaning], limit=limit)


def _picture_item(found: Found) -> Item:
    why = "; ".join(map(str, found.reasons))
    return Item("image", found.image_id, None, found.name, found.score, why)


def _piece_item(found: FoundChunk) -> Item:
    text = " ".join(found.snippet.split())
    return Item("chunk", found.chunk_id, None, found.name, found.score, text, found.document_id)


def _with_documents(pieces: Sequence[Item]) -> list[Item]:
    """The documents that pieces are of, each with its best score, before the pieces."""
    documents: dict[str, Item] = {}
    for piece in pieces:
        if piece.part_of is not None:
            documents.setdefault(
                piece.part_of, Item("document", piece.part_of, None, piece.name, piece.score)
            )
    return [*documents.values(), *pieces]
