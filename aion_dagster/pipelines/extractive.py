"""Reports made of the evidence itself: sentences as they stand in descriptions, documents, links and earlier steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aion_dagster.pipelines.agents import AgentName
from aion_dagster.pipelines.evidence_values import Picture
from aion_dagster.pipelines.local_texts import Paper
from aion_dagster.pipelines.ranking import Texts, sentences_of, words_of
from aion_dagster.pipelines.results import (
    Relationship,
    Sentence,
    Source,
    StepResult,
)

MOST_EVIDENCE: Final = 2_000
"""Sentences that are ranked, at most."""

_SECTIONS: Final = ("Findings", "Pictures", "Documents", "Links", "Relationships")
_TOLD: Final = 14
_ALIKE: Final = 0.7
"""Share of words in common with a sentence that is chosen already, above which one says nothing new."""


def evidence(
    pictures: Sequence[Picture],
    papers: Sequence[Paper],
    sentences: Sequence[Sentence],
    relationships: Sequence[Relationship],
) -> list[Sentence]:
    """Everything that a report can rest on, each with its sources; nothing without one."""
    found = [Sentence("Findings", s.text, s.sources) for s in sentences if s.sources]
    for picture in pictures:
        own = Source("image", picture.id)
        told = sentences_of(picture.description) or ([picture.title] if picture.title else [])
        found += [Sentence("Pictures", f"{picture.name}: {text}", (own,)) for text in told]
        if picture.visible_text:
            read = " ".join(picture.visible_text.split())[:200]
            found.append(Sentence("Pictures", f"{picture.name} shows the text “{read}”.", (own,)))
    for paper in papers:
        section = "Links" if paper.kind == "link" else "Documents"
        for source, text in paper.parts:
            found += [
                Sentence(section, f"{paper.name}: {s}", (source,))
                for s in sentences_of(text)
                if len(words_of(s)) > 2
            ]
    for one in relationships:
        sources = (Source(one.from_kind, one.from_id), Source(one.to_kind, one.to_id))
        found.append(Sentence("Relationships", f"{one.detail}.", sources))
    distinct = {s.text: s for s in reversed(found)}
    return [s for s in found if distinct[s.text] is s]


def relevant(sentences: Sequence[Sentence], intent: str, most: int) -> list[Sentence]:
    """The sentences nearest to an intent, none that says what a better one says already.

    Where none has a word of the intent, every section's first ones.
    """
    texts = Texts(s.text for s in sentences)
    ranked = [i for i, _ in texts.ranked(intent)]
    ranked = ranked or _in_turn(sentences)
    chosen: list[int] = []
    words: list[set[str]] = []
    for i in ranked[:MOST_EVIDENCE]:
        own = set(words_of(sentences[i].text))
        if not any(own and len(own & other) / len(own) > _ALIKE for other in words):
            chosen.append(i)
            words.append(own)
        if len(chosen) == most:
            break
    return [sentences[i] for i in chosen]


def synthesize(agent: AgentName, found: Sequence[Sentence], intent: str) -> StepResult:
    """The sentences of the evidence that answer best, under the headings of where they come from."""
    chosen = relevant(found, intent, _TOLD)
    ordered = sorted(chosen, key=lambda s: _SECTIONS.index(s.section))
    return StepResult(
        agent=agent,
        made_by="extractive",
        summary=f"{len(ordered)} of {len(found)} sentences of the evidence, as they stand there",
        sentences=tuple(ordered),
        facts={"evidence": len(found)},
    )


def _in_turn(sentences: Sequence[Sentence]) -> list[int]:
    """The first of every section, then the second of every one, …"""
    turns: dict[str, int] = {}
    places = []
    for i, sentence in enumerate(sentences):
        turn = turns.get(sentence.section, 0)
        turns[sentence.section] = turn + 1
        places.append((turn, i))
    return [i for _, i in sorted(places)]
