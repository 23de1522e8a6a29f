"""What the tables say of some pictures: counts, tags that go together, colors, time, place, near-duplicates, clusters."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Final

from aion_dagster.pipelines.clusters import clusters, names_of
from aion_dagster.pipelines.evidence_values import Picture
from aion_dagster.pipelines.material import Material
from aion_dagster.pipelines.ranking import Texts
from aion_dagster.pipelines.results import Assigned, Sentence, Source, StepResult
from aion_dagster.wording import plural

_SHOWN: Final = 8
_MOST_SOURCES: Final = 25
"""Sources that stand with one sentence; how many there are it says itself."""
_CELL: Final = 0.01
"""Degrees of a cell of places: about a kilometer."""


def analyze_pictures(material: Material, pictures: Sequence[Picture], intent: str) -> StepResult:
    """Sentences about pictures, those nearest to the intent first, and the categories that they fall into."""
    categories = [*_clusters(material, pictures), *_by_label(pictures), *_by_color(pictures)]
    categories += [*_by_day(pictures), *_by_place(pictures)]
    sentences = [
        *_counts(pictures),
        *_tags(pictures),
        *_pairs(pictures),
        *_grouped("Clusters", "cluster", categories, "in the cluster “{}”"),
        *_grouped("Labels", "label", categories, "labelled “{}”"),
        *_grouped("Color", "color", categories, "mostly of the color family “{}”"),
        *_light(pictures),
        *_times(pictures),
        *_grouped("Place", "place", categories, "taken near {}"),
        *_duplicates(pictures),
    ]
    return StepResult(
        agent="analysis",
        made_by="tables",
        summary=f"{plural(len(pictures), 'picture')}, {plural(len(sentences), 'statement')} from the tables",
        categories=tuple(categories),
        sentences=tuple(by_intent(sentences, intent)),
    )


def by_intent(sentences: Sequence[Sentence], intent: str) -> list[Sentence]:
    """Sections whose words the intent has come first; the order within sections stays."""
    sections = list(dict.fromkeys(s.section for s in sentences))
    texts = Texts(f"{x} " + " ".join(s.text for s in sentences if s.section == x) for x in sections)
    scores = dict(zip(sections, texts.scores(intent), strict=True))
    order = sorted(sections, key=lambda x: (-scores[x], sections.index(x)))
    return [s for section in order for s in sentences if s.section == section]


def picture_sources(pictures: Sequence[Picture]) -> tuple[Source, ...]:
    """The first of some pictures, as the sources of a sentence."""
    return tuple(Source("image", p.id) for p in pictures[:_MOST_SOURCES])


def place_name(place: tuple[float, float]) -> str:
    """The cell that a place lies in, as its rounded coordinates."""
    north, east = (math.floor(x / _CELL) * _CELL + _CELL / 2 for x in place)
    return f"{abs(north):.3f}° {'N' if north >= 0 else 'S'}, {abs(east):.3f}° {'E' if east >= 0 else 'W'}"


def color_family(picture: Picture) -> str | None:
    """The color family with the largest share of a picture."""
    shares: Counter[str] = Counter()
    for _, family, percentage in picture.colors:
        shares[family] += round(percentage * 1000)
    return min(shares, key=lambda f: (-shares[f], f)) if shares else None


def picture_clusters(
    material: Material, pictures: Sequence[Picture], wanted: int | None = None
) -> dict[str, str]:
    """Picture → name of its cluster; empty where there are no vectors."""
    vectors = material.picture_vectors(pictures)
    if vectors is None:
        return {}
    labels = clusters(vectors, wanted)
    names = names_of(labels, [p.subject for p in pictures])
    return {p.id: names[int(label)] for p, label in zip(pictures, labels, strict=True)}


def _clusters(material: Material, pictures: Sequence[Picture]) -> list[Assigned]:
    named = picture_clusters(material, pictures) if len(pictures) > 2 else {}
    if len(set(named.values())) < 2:
        return []
    return [Assigned(name, "image", image, "cluster") for image, name in named.items()]


def _by_label(pictures: Sequence[Picture]) -> list[Assigned]:
    return [Assigned(label, "image", p.id, "label") for p in pictures for label in p.labels]


def _by_color(pictures: Sequence[Picture]) -> list[Assigned]:
    known = ((p.id, color_family(p)) for p in pictures)
    return [Assigned(family, "image", image, "color") for image, family in known if family]


def _by_day(pictures: Sequence[Picture]) -> list[Assigned]:
    return [
        Assigned(f"{p.captured_at:%Y-%m-%d}", "image", p.id, "time")
        for p in pictures
        if p.captured_at is not None
    ]


def _by_place(pictures: Sequence[Picture]) -> list[Assigned]:
    return [
        Assigned(place_name(p.place), "image", p.id, "place")
        for p in pictures
        if p.place is not None
    ]


def _counts(pictures: Sequence[Picture]) -> Iterator[Sentence]:
    described = [p for p in pictures if p.description]
    verb = "is" if len(pictures) == 1 else "are"
    text = f"There {verb} {plural(len(pictures), 'picture')}, {len(described)} of them with a description."
    yield Sentence("Pictures", text, picture_sources(pictures))
    with_text = [p for p in pictures if p.visible_text]
    if with_text:
        verb = "shows" if len(with_text) == 1 else "show"
        text = f"{_of(with_text, pictures)} {verb} text that could be read."
        yield Sentence("Pictures", text, picture_sources(with_text))


def _tags(pictures: Sequence[Picture]) -> Iterator[Sentence]:
    having: dict[str, list[Picture]] = defaultdict(list)
    for picture in pictures:
        for tag in picture.tags:
            having[tag].append(picture)
    for tag in sorted(having, key=lambda t: (-len(having[t]), t))[:_SHOWN]:
        text = f"{_of(having[tag], pictures)} {_are(having[tag])} tagged “{tag}”."
        yield Sentence("Tags", text, picture_sources(having[tag]))


def _pairs(pictures: Sequence[Picture]) -> Iterator[Sentence]:
    """Tags and labels that come together more often than by chance."""
    counts: Counter[str] = Counter()
    together: dict[tuple[str, str], list[Picture]] = defaultdict(list)
    for picture in pictures:
        words = sorted({*picture.tags, *picture.labels})
        counts.update(words)
        for pair in combinations(words, 2):
            together[pair].append(picture)
    n = len(pictures)
    lifts = {
        pair: len(found) * n / (counts[pair[0]] * counts[pair[1]])
        for pair, found in together.items()
        if 2 <= len(found) < n
    }
    told = sorted(
        (pair for pair, lift in lifts.items() if lift > 1.2),
        key=lambda pair: (-len(together[pair]) * math.log(lifts[pair]), pair),
    )
    for pair in told[:_SHOWN]:
        text = (
            f"“{pair[0]}” and “{pair[1]}” stand together on {len(together[pair])} pictures, {lifts[pair]:.1f} times as "
            "often as by chance."
        )
        yield Sentence("What goes together", text, picture_sources(together[pair]))


def _grouped(
    section: str, basis: str, categories: Sequence[Assigned], words: str
) -> Iterator[Sentence]:
    """How many pictures there are of each category, the largest first."""
    members: dict[str, list[str]] = defaultdict(list)
    for one in categories:
        if one.basis == basis:
            members[one.category].append(one.id)
    for name in sorted(members, key=lambda m: (-len(members[m]), m))[:_SHOWN]:
        found = members[name]
        plural = "picture is" if len(found) == 1 else "pictures are"
        sources = tuple(Source("image", i) for i in found[:_MOST_SOURCES])
        yield Sentence(section, f"{len(found)} {plural} {words.format(name)}.", sources)


def _light(pictures: Sequence[Picture]) -> Iterator[Sentence]:
    found: Mapping[str, list[Picture]] = _having(pictures)
    for word in sorted(found, key=lambda w: (-len(found[w]), w)):
        text = f"{_of(found[word], pictures)} {_are(found[word])} of {word} brightness."
        yield Sentence("Light", text, picture_sources(found[word]))


def _having(pictures: Sequence[Picture]) -> dict[str, list[Picture]]:
    found: dict[str, list[Picture]] = defaultdict(list)
    for picture in pictures:
        if picture.brightness:
            found[picture.brightness.replace("_", " ")].append(picture)
    return found


def _times(pictures: Sequence[Picture]) -> Iterator[Sentence]:
    dated = sorted(
        (p for p in pictures if p.captured_at is not None), key=lambda p: str(p.captured_at)
    )
    if not dated:
        return
    first, last = dated[0].captured_at, dated[-1].captured_at
    text = f"{_of(dated, pictures)} say when they were taken: {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}."
    yield Sentence("Time", text, picture_sources(dated))
    days: dict[str, list[Picture]] = defaultdict(list)
    for picture in dated:
        days[f"{picture.captured_at:%Y-%m-%d}"].append(picture)
    busiest = min(days, key=lambda d: (-len(days[d]), d))
    if len(days) > 1:
        text = f"On {len(days)} days; the most, {len(days[busiest])}, on {busiest}."
        yield Sentence("Time", text, picture_sources(days[busiest]))


def _duplicates(pictures: Sequence[Picture]) -> Iterator[Sentence]:
    groups: dict[str, list[Picture]] = defaultdict(list)
    for picture in pictures:
        if picture.group is not None:
            groups[picture.group].append(picture)
    several = [members for members in groups.values() if len(members) > 1]
    for members in sorted(several, key=lambda m: (-len(m), m[0].name))[:_SHOWN]:
        names = ", ".join(p.name for p in members[:3])
        more = "" if len(members) <= 3 else " and others"
        text = f"{len(members)} pictures look nearly the same: {names}{more}."
        yield Sentence("Near-duplicates", text, picture_sources(members))


def _of(some: Sequence[Picture], everything: Sequence[Picture]) -> str:
    return f"{len(some)} of {len(everything)} pictures"


def _are(some: Sequence[Picture]) -> str:
    return "is" if len(some) == 1 else "are"
