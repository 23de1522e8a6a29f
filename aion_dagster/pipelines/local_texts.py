"""What documents and links say: what is told most, what they share, what tells them apart; each sentence as it stands."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from aion_dagster.pipelines.clusters import clusters, names_of
from aion_dagster.pipelines.evidence_values import Link, Piece
from aion_dagster.pipelines.local_pictures import by_intent
from aion_dagster.pipelines.material import Material
from aion_dagster.pipelines.ranking import Texts, sentences_of, words_of
from aion_dagster.pipelines.results import Assigned, ItemKind, Sentence, Source, StepResult
from aion_dagster.wording import plural

_SENTENCES: Final = 3
_TERMS: Final = 6
_COMPARED: Final = 100
"""Documents that are compared with each other, at most; they come best first."""


@dataclass(frozen=True)
class Paper:
    """A document or a link as a list of texts, each with the source that it is cited by."""

    kind: ItemKind
    id: str
    name: str
    parts: tuple[tuple[Source, str], ...]

    @property
    def text(self) -> str:
        """All of it."""
        return "\n".join(text for _, text in self.parts)


def papers_of(pieces: Sequence[Piece]) -> list[Paper]:
    """The documents that pieces are of."""
    found: dict[str, list[Piece]] = defaultdict(list)
    for piece in pieces:
        found[piece.document_id].append(piece)
    return [
        Paper(
            "document", key, own[0].document, tuple((Source("chunk", p.id), p.content) for p in own)
        )
        for key, own in found.items()
    ]


def links_as_papers(links: Sequence[Link]) -> list[Paper]:
    """Links, each with one part."""
    return [
        Paper("link", x.id, x.title or x.url, ((Source("link", x.id), f"{x.title}.\n\n{x.text}"),))
        for x in links
    ]


def analyze_papers(
    material: Material, papers: Sequence[Paper], intent: str, *, links: bool = False
) -> StepResult:
    """What each says about the intent, what it has of its own, what several share, and clusters of them."""
    what = "link" if links else "document"
    named = _clusters(material, papers)
    sentences = [
        *_counts(papers, what),
        *_tellings(papers, intent),
        *_terms(papers),
        *_shared(papers),
        *_in_clusters(papers, named),
    ]
    return StepResult(
        agent="link_analysis" if links else "document_analysis",
        made_by="tables",
        summary=f"{plural(len(papers), what)}, {plural(len(sentences), 'statement')} with their sources",
        categories=tuple(Assigned(named[p.id], p.kind, p.id, "cluster") for p in papers)
        if named
        else (),
        sentences=tuple(by_intent(sentences, intent)),
    )


def paper_clusters(
    material: Material, papers: Sequence[Paper], wanted: int | None = None
) -> dict[str, str]:
    """Document or link → name of its cluster: by the mean of its pieces' vectors, else by its words."""
    vectors = _means(material, papers)
    if vectors is None:
        vectors = _word_vectors([p.text for p in papers])
    labels = clusters(vectors, wanted)
    names = names_of(labels, [p.text for p in papers])
    return {p.id: names[int(label)] for p, label in zip(papers, labels, strict=True)}


def best_sentences(paper: Paper, intent: str, most: int) -> list[tuple[str, Source]]:
    """The sentences of a document that are nearest to the intent, as they stand there, in their order.

    Where none has a word of it, those that say most of what the document says.
    """
    parts = [(s, source) for source, text in paper.parts for s in sentences_of(text)]
    parts = [(s, source) for s, source in parts if len(words_of(s)) > 2] or parts
    texts = Texts(s for s, _ in parts)
    ranked = [i for i, _ in texts.ranked(intent)]
    if not ranked:
        telling = " ".join(Texts(s for s, _ in parts).telling(range(len(parts)), 12))
        ranked = [i for i, _ in texts.ranked(telling)] or list(range(len(parts)))
    chosen: list[int] = []
    for i in ranked:
        if parts[i][0] not in [parts[j][0] for j in chosen]:
            chosen.append(i)
        if len(chosen) == most:
            break
    return [parts[i] for i in sorted(chosen)]


def _counts(papers: Sequence[Paper], what: str) -> Iterator[Sentence]:
    names = ", ".join(p.name for p in papers[:5]) + (" and others" if len(papers) > 5 else "")
    sources = tuple(Source(p.kind, p.id) for p in papers[:25])
    verb = "is" if len(papers) == 1 else "are"
    text = f"There {verb} {plural(len(papers), what)}: {names}."
    yield Sentence(f"{what.capitalize()}s", text, sources)


def _tellings(papers: Sequence[Paper], intent: str) -> Iterator[Sentence]:
    for paper in papers:
        for text, source in best_sentences(paper, intent, _SENTENCES):
            yield Sentence(paper.name, text, (source,))


def _terms(papers: Sequence[Paper]) -> Iterator[Sentence]:
    if len(papers) < 2:
        return
    texts = Texts(p.text for p in papers)
    for place, paper in enumerate(papers):
        terms = texts.telling([place], _TERMS)
        if terms:
            text = f"{paper.name} has of its own: {', '.join(terms)}."
            yield Sentence("What tells them apart", text, (Source(paper.kind, paper.id),))


def _shared(papers: Sequence[Paper]) -> Iterator[Sentence]:
    texts = Texts(p.text for p in papers)
    found = []
    for one in range(min(len(papers), _COMPARED)):
        for other in range(one + 1, min(len(papers), _COMPARED)):
            words = texts.shared(one, other)[:_TERMS]
            strength = sum(texts.rarity(w) for w in words)
            if len(words) >= 2:
                found.append((strength, one, other, words))
    for _, one, other, words in sorted(found, key=lambda f: (-f[0], f[1], f[2]))[:_TERMS]:
        text = f"{papers[one].name} and {papers[other].name} share: {', '.join(words)}."
        sources = tuple(Source(papers[i].kind, papers[i].id) for i in (one, other))
        yield Sentence("What they share", text, sources)


def _clusters(material: Material, papers: Sequence[Paper]) -> dict[str, str]:
    return paper_clusters(material, papers) if len(papers) > 2 else {}


def _in_clusters(papers: Sequence[Paper], named: Mapping[str, str]) -> Iterator[Sentence]:
    members: dict[str, list[Paper]] = defaultdict(list)
    for paper in papers:
        if paper.id in named:
            members[named[paper.id]].append(paper)
    for name, found in members.items():
        text = f"{len(found)} {'is' if len(found) == 1 else 'are'} about “{name}”: {', '.join(p.name for p in found[:5])}."
        yield Sentence("Clusters", text, tuple(Source(p.kind, p.id) for p in found[:25]))


def _means(material: Material, papers: Sequence[Paper]) -> np.ndarray | None:
    """A unit vector per document, of its pieces' mean."""
    ids = [source.id for p in papers for source, _ in p.parts]
    if not papers or any(p.kind != "document" for p in papers):
        return None
    vectors = material.text_vectors("document_chunks", "chunk_id", ids)
    if vectors is None:
        return None
    starts = np.cumsum([0, *(len(p.parts) for p in papers)])
    means = np.array([vectors[a:b].mean(axis=0) for a, b in itertools.pairwise(starts)])
    return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), np.float32)


def _word_vectors(texts: Sequence[str]) -> np.ndarray:
    """Unit vectors (n, m) of the m words that at least two texts have, weighted by rarity."""
    counted = [words_of(t) for t in texts]
    having: dict[str, int] = defaultdict(int)
    for words in counted:
        for word in set(words):
            having[word] += 1
    ranked = sorted((w for w, n in having.items() if n > 1), key=lambda w: (-having[w], w))[:2000]
    column = {word: i for i, word in enumerate(ranked)}
    # One column of their own for those that share no word with any other.
    matrix = np.zeros((len(texts), len(column) + 1), np.float32)
    for row, words in enumerate(counted):
        for word in words:
            if word in column:
                matrix[row, column[word]] += np.log(1 + len(texts) / having[word])
    matrix[~matrix.any(axis=1), -1] = 1.0
    return np.asarray(matrix / np.linalg.norm(matrix, axis=1, keepdims=True), np.float32)
