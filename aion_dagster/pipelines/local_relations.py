"""Relationships between pictures, documents and links: near-duplicates, the same time and place, words and meaning shared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Final

import numpy as np

from aion_dagster.pipelines.evidence_values import Picture
from aion_dagster.pipelines.local_pictures import by_intent, place_name
from aion_dagster.pipelines.local_texts import Paper
from aion_dagster.pipelines.material import Material
from aion_dagster.pipelines.ranking import Texts, words_of
from aion_dagster.pipelines.results import (
    ItemKind,
    Relationship,
    Sentence,
    Source,
    StepResult,
)
from aion_dagster.wording import plural

_MOST: Final = 200
"""Relationships that are kept, the strongest."""
_TOLD: Final = 12
_LEAST_COSINE: Final = 0.3
"""As for a search (`LEAST_SIMILARITY`): below, texts do not mean the same."""
_NEAR_HOURS: Final = 1.0
_LEAST_WORDS: Final = 2
_BLOCK: Final = 512
_CROSSED: Final = 2_000
"""Texts on each side that are compared with each other, at most; they come best first."""


@dataclass(frozen=True)
class _Side:
    """Texts that are compared: what they are called, and what stands in them."""

    kind: ItemKind
    ids: tuple[str, ...]
    names: tuple[str, ...]
    texts: tuple[str, ...]


def cross_reference(
    material: Material, pictures: Sequence[Picture], papers: Sequence[Paper], intent: str
) -> StepResult:
    """What pictures, documents and links have to do with each other, the strongest relationships first."""
    found = [*_duplicates(pictures), *_together(pictures)]
    sides = _sides(pictures, papers)
    for one, other in combinations(sides, 2):
        found += _words(one, other)
    found += _meaning(material, pictures, papers)
    kept = sorted(found, key=lambda r: (-r.strength, r.relation, r.from_id, r.to_id))[:_MOST]
    names = {p.id: p.name for p in pictures} | {p.id: p.name for p in papers}
    parts = {source.id: paper.name for paper in papers for source, _ in paper.parts}
    sentences = list(_sentences(kept, names | parts))
    return StepResult(
        agent="cross_reference",
        made_by="tables",
        summary=f"{plural(len(kept), 'relationship')} between {_things(pictures, papers)}",
        relationships=tuple(kept),
        sentences=tuple(by_intent(sentences, intent)),
    )


def _things(pictures: Sequence[Picture], papers: Sequence[Paper]) -> str:
    """How many of what there are, as in `3 pictures, 1 document`."""
    kinds = ["picture"] * len(pictures) + [p.kind for p in papers]
    return ", ".join(plural(kinds.count(kind), kind) for kind in dict.fromkeys(kinds))


def _sides(pictures: Sequence[Picture], papers: Sequence[Paper]) -> list[_Side]:
    some = pictures[:_CROSSED]
    sides = [
        _Side(
            "image",
            tuple(p.id for p in some),
            tuple(p.name for p in some),
            tuple(p.text for p in some),
        )
    ]
    for kind in ("document", "link"):
        own = [p for p in papers if p.kind == kind][:_CROSSED]
        parts = [(s.id, paper.name, text) for paper in own for s, text in paper.parts][:_CROSSED]
        if parts:
            ids, names, texts = zip(*parts, strict=True)
            sides.append(_Side("chunk" if kind == "document" else "link", ids, names, texts))
    return [side for side in sides if side.ids]


def _duplicates(pictures: Sequence[Picture]) -> Iterator[Relationship]:
    groups: dict[str, list[Picture]] = defaultdict(list)
    for picture in pictures:
        if picture.group is not None:
            groups[picture.group].append(picture)
    for members in groups.values():
        first = members[0]
        for other in members[1:]:
            detail = f"{first.name} and {other.name} look nearly the same"
            yield Relationship("near_duplicate", "image", first.id, "image", other.id, 1.0, detail)


def _together(pictures: Sequence[Picture]) -> Iterator[Relationship]:
    """Neighbours in time, and pictures of one place."""
    dated = sorted(
        ((p.captured_at, p) for p in pictures if p.captured_at is not None),
        key=lambda pair: (pair[0], pair[1].id),
    )
    for (before, one), (after, other) in pairwise(dated):
        hours = (after - before).total_seconds() / 3600
        if hours <= _NEAR_HOURS:
            minutes = round(hours * 60)
            apart = f"{minutes} minute{'' if minutes == 1 else 's'} apart"
            detail = f"{one.name} and {other.name} were taken {apart}"
            strength = 0.9 - 0.4 * hours / _NEAR_HOURS
            yield Relationship("same_time", "image", one.id, "image", other.id, strength, detail)
    cells: dict[str, list[Picture]] = defaultdict(list)
    for picture in pictures:
        if picture.place is not None:
            cells[place_name(picture.place)].append(picture)
    for cell, members in cells.items():
        for other in members[1:]:
            detail = f"{members[0].name} and {other.name} were taken near {cell}"
            yield Relationship("same_place", "image", members[0].id, "image", other.id, 0.7, detail)


def _words(one: _Side, other: _Side) -> Iterator[Relationship]:
    """Texts that share at least two words that are not in half of all texts."""
    everything = (*one.texts, *other.texts)
    texts = Texts(everything)
    having: dict[str, list[int]] = defaultdict(list)
    for place, text in enumerate(everything):
        for word in set(words_of(text)):
            having[word].append(place)
    border, shared = len(one.texts), defaultdict(list)
    for word, places in having.items():
        if len(places) > max(4, len(everything) // 2):
            continue
        left = [p for p in places if p < border]
        for a in left:
            for b in places[len(left) :]:
                shared[a, b].append(word)
    scored = []
    for (a, b), words in shared.items():
        if len(words) >= _LEAST_WORDS:
            ordered = sorted(words, key=lambda w: (-texts.rarity(w), w))
            scored.append((sum(map(texts.rarity, words)), a, b, ordered))
    best = max((score for score, *_ in scored), default=1.0)
    for score, a, b, words in sorted(scored, key=lambda s: (-s[0], s[1], s[2]))[:_MOST]:
        detail = (
            f"{one.names[a]} and {other.names[b - border]} share the words {', '.join(words[:6])}"
        )
        yield Relationship(
            "shared_words",
            one.kind,
            one.ids[a],
            other.kind,
            other.ids[b - border],
            0.8 * score / best,
            detail,
        )


def _meaning(
    material: Material, pictures: Sequence[Picture], papers: Sequence[Paper]
) -> Iterator[Relationship]:
    """Descriptions and pieces of documents that mean the same, by the vectors of one text model."""
    parts = [(s.id, p.name) for p in papers if p.kind == "document" for s, _ in p.parts][:_CROSSED]
    some = list(pictures[:_CROSSED])
    if not some or not parts:
        return
    left = material.text_vectors("embeddings", "image_id", [p.id for p in some])
    right = material.text_vectors("document_chunks", "chunk_id", [i for i, _ in parts])
    if left is None or right is None or left.shape[1] != right.shape[1]:
        return
    for begin in range(0, len(some), _BLOCK):
        near = left[begin : begin + _BLOCK] @ right.T
        for row, place in enumerate(np.argmax(near, axis=1)):
            similarity = float(near[row, place])
            if similarity >= _LEAST_COSINE:
                picture, (chunk, name) = some[begin + row], parts[int(place)]
                detail = f"{picture.name} and {name} are near in meaning ({similarity:.2f})"
                yield Relationship(
                    "similar_text", "image", picture.id, "chunk", chunk, similarity, detail
                )


def _sentences(relationships: Sequence[Relationship], names: dict[str, str]) -> Iterator[Sentence]:
    told: dict[str, int] = defaultdict(int)
    for one in relationships:
        told[one.relation] += 1
        if told[one.relation] > _TOLD or one.from_id not in names or one.to_id not in names:
            continue
        sources = (Source(one.from_kind, one.from_id), Source(one.to_kind, one.to_id))
        section = one.relation.replace("_", " ").capitalize()
        yield Sentence(section, f"{one.detail}.", sources)
