"""Searches by the library's index; among given pictures or documents by their words and vectors alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing

import numpy as np
from numpy.typing import NDArray

from aion_dagster.errors import UnavailableError
from aion_dagster.pipelines.evidence_values import Link, Picture, Piece
from aion_dagster.pipelines.material import Material
from aion_dagster.pipelines.ranking import Texts
from aion_dagster.pipelines.results import Item
from aion_dagster.pipelines.tasks import Task
from aion_dagster.search.found import Found, FoundChunk
from aion_dagster.search.fusion import reciprocal_rank
from aion_dagster.search.hits import Hit
from aion_dagster.search.library import LEAST_SIMILARITY, LibrarySearch
from aion_dagster.storage.store import Store

Embed = Callable[[Sequence[str]], NDArray[np.float32]]


def find_pictures(
    store: Store, material: Material, task: Task, embed: Embed | None, model: str | None
) -> list[Item]:
    """Pictures that fit the intent, best first: of the library, or among those that are given."""
    query, limit = task.step.intent, task.step.limit
    if task.given.of("image") or task.batch is not None:
        ids = task.given.ids("image") if task.given.of("image") else None
        return _among_pictures(material, material.pictures(ids), query, limit, embed)
    with closing(LibrarySearch(store, embed=embed, text_model=model)) as search:
        return [_picture_item(found) for found in search.text(query, limit=limit)]


def find_documents(
    store: Store, material: Material, task: Task, embed: Embed | None, model: str | None
) -> list[Item]:
    """Documents that fit and the pieces that do, best first."""
    query, limit = task.step.intent, task.step.limit
    if task.given.of("document") or task.batch is not None:
        ids = task.given.ids("document") if task.given.of("document") else None
        return _among_pieces(material, material.pieces(ids), query, limit, embed)
    with closing(LibrarySearch(store, embed=embed, text_model=model)) as search:
        return _with_documents([_piece_item(c) for c in search.documents(query, limit=limit)])


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


def _among_pictures(
    material: Material, pictures: Sequence[Picture], query: str, limit: int, embed: Embed | None
) -> list[Item]:
    ids = [p.id for p in pictures]
    vectors = material.text_vectors("embeddings", "image_id", ids) if embed else None
    ranked = _ranked(ids, [p.text for p in pictures], vectors, query, limit, embed)
    named = {p.id: p for p in pictures}
    return [
        Item("image", hit.image_id, None, named[hit.image_id].name, hit.score, why)
        for hit, why in ranked
    ]


def _among_pieces(
    material: Material, pieces: Sequence[Piece], query: str, limit: int, embed: Embed | None
) -> list[Item]:
    ids = [p.id for p in pieces]
    vectors = material.text_vectors("document_chunks", "chunk_id", ids) if embed else None
    ranked = _ranked(ids, [p.content for p in pieces], vectors, query, limit, embed)
    named = {p.id: p for p in pieces}
    items = []
    for hit, why in ranked:
        piece = named[hit.image_id]
        items.append(
            Item("chunk", piece.id, None, piece.document, hit.score, why, piece.document_id)
        )
    return _with_documents(items)


def _ranked(
    ids: Sequence[str],
    texts: Sequence[str],
    vectors: NDArray[np.float32] | None,
    query: str,
    limit: int,
    embed: Embed | None,
) -> list[tuple[Hit, str]]:
    """Words and meaning, joined by reciprocal rank as everywhere, each with the reason."""
    words = [Hit(ids[i], score) for i, score in Texts(texts).ranked(query)]
    meaning: list[Hit] = []
    if vectors is not None and embed is not None:
        near = vectors @ np.asarray(embed([query])[0], np.float32)
        order = sorted(range(len(ids)), key=lambda i: (-near[i], ids[i]))
        meaning = [Hit(ids[i], float(near[i])) for i in order if near[i] >= LEAST_SIMILARITY]
    by_words = {hit.image_id for hit in words}
    similar = {hit.image_id: hit.score for hit in meaning}
    found = []
    for hit in reciprocal_rank([words, meaning], limit=limit):
        reasons = ["words of the query"] if hit.image_id in by_words else []
        if hit.image_id in similar:
            reasons.append(f"meaning {similar[hit.image_id]:.2f}")
        found.append((hit, ", ".join(reasons)))
    return found


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
