"""A plan of folders: categories that the intent names, what it says to sort by, earlier categories, or clusters."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aion_dagster.pipelines.evidence_values import Picture
from aion_dagster.pipelines.local_pictures import color_family, picture_clusters, place_name
from aion_dagster.pipelines.local_texts import Paper, paper_clusters
from aion_dagster.pipelines.material import Material
from aion_dagster.pipelines.ranking import Texts, words_of
from aion_dagster.pipelines.results import (
    Assigned,
    Item,
    ItemKind,
    Placed,
    Sentence,
    Source,
    StepResult,
)
from aion_dagster.wording import plural

OTHER: Final = "other"
_NUMBER: Final = re.compile(r"\binto\s+(\d{1,2})\s+(?:folders|groups|categories|clusters)\b", re.I)
_NAMED: Final = re.compile(
    r"(?:\binto(?:\s+(?:the\s+)?(?:folders|groups|categories))?|\b(?:folders|groups|categories))\s*:?\s+(?=\S)(.+)$"
    r"|:\s*(.+)$",
    re.I | re.S,
)
_BETWEEN: Final = re.compile(r"\s*(?:[,;\n]|\band\b|\bor\b|\bund\b|\boder\b)\s*", re.I)
_BAD: Final = re.compile(r"[^\w .()&+-]+")
_LONGEST: Final = 60
_MOST_FOLDERS: Final = 40


@dataclass(frozen=True)
class _Thing:
    """Something to put into a folder."""

    kind: ItemKind
    id: str
    name: str
    text: str


Sorted = dict[tuple[str, str], str]
"""(kind, id) → folder."""


def plan_folders(
    material: Material,
    pictures: Sequence[Picture],
    papers: Sequence[Paper],
    items: Sequence[Item],
    earlier: Sequence[Assigned],
    intent: str,
) -> StepResult:
    """Every picture and document in one folder; nothing is moved.

    Args:
        material: the library's tables.
        pictures: pictures to put in order.
        papers: documents to put in order.
        items: the same, as they were handed on. Those that the platform alone knows are left out, since nothing is
            known of them here, and what is not of this library is not its to move; the summary says how many.
        earlier: categories that an earlier step found.
        intent: by what; see the module's first line for how it is read.
    """
    things = [_Thing("image", p.id, p.name, p.text) for p in pictures]
    things += [_Thing("document", p.id, p.name, p.text) for p in papers]
    sorted_by, reason = _sorted(material, pictures, papers, things, earlier, intent)
    known = {(t.kind, t.id): t for t in things}
    plan = []
    files = [item for item in items if item.kind in ("image", "document")]
    for item in files:
        if item.id is None:
            continue
        thing = known.get((item.kind, item.id))
        folder = sorted_by.get((item.kind, item.id), OTHER)
        name = thing.name if thing else item.name or item.id
        plan.append(Placed(folder_name(folder), item.kind, item.id, item.remote_id, name, reason))
    plan.sort(key=lambda p: (p.folder == OTHER, p.folder, p.name, p.id or ""))
    folders = list(dict.fromkeys(p.folder for p in plan))
    summary = f"A plan: {plural(len(plan), 'file')} into {plural(len(folders), 'folder')}, {reason}"
    strangers = len(files) - len(plan)
    if strangers:
        summary += f"; left out {told_strangers(strangers)}"
    return StepResult(
        agent="folder",
        made_by="tables",
        summary=summary,
        plan=tuple(plan),
        sentences=tuple(_told(plan, folder) for folder in folders),
        facts={"not_of_this_library": strangers} if strangers else {},
    )


def told_strangers(number: int) -> str:
    """Files that the platform alone knows, in words."""
    verb = "is" if number == 1 else "are"
    return f"{plural(number, 'file')} of the platform that {verb} not of this library"


def folder_name(text: str) -> str:
    """A folder's name out of any text: safe on every file system and as a prefix in a bucket."""
    clean = " ".join(_BAD.sub(" ", text).split()).strip(" .")[:_LONGEST].strip(" .")
    return clean or OTHER


def named_categories(intent: str) -> list[str]:
    """The categories that an intent names: `Sort into roofs, walls and gardens`, `by room: kitchen, hall`."""
    found = _NAMED.search(intent)
    if found is None or _NUMBER.search(intent):
        return []
    parts = _BETWEEN.split((found[1] or found[2]).strip().rstrip(".!"))
    names = [folder_name(part.strip("\"'“”")) for part in parts if part.strip("\"'“” ")]
    distinct = list(dict.fromkeys(names))
    return distinct[:_MOST_FOLDERS] if len(distinct) > 1 else []


def _sorted(
    material: Material,
    pictures: Sequence[Picture],
    papers: Sequence[Paper],
    things: Sequence[_Thing],
    earlier: Sequence[Assigned],
    intent: str,
) -> tuple[Sorted, str]:
    """Folders by what the intent says, and that in words."""
    names = named_categories(intent)
    if names:
        return _by_name(things, names), "by the categories that the intent names"
    asked = set(words_of(intent))
    for words, key, reason in _FACTS:
        if asked & words:
            found: Sorted = {}
            for picture in pictures:
                folder = key(picture)
                if folder:
                    found["image", picture.id] = folder
            if found:
                return found, reason
    told = _from_earlier(earlier)
    if told:
        return told, "by the categories of an earlier step"
    wanted = _NUMBER.search(intent)
    count = int(wanted[1]) if wanted and int(wanted[1]) > 0 else None
    clustered: Sorted = {
        ("image", i): name for i, name in picture_clusters(material, pictures, count).items()
    }
    if papers:
        named = paper_clusters(material, papers, count)
        clustered |= {("document", i): name for i, name in named.items()}
    return clustered, "by clusters, named by their words"


def _by_name(things: Sequence[_Thing], names: Sequence[str]) -> Sorted:
    """The category whose words a thing has most of; none where it has no word of any."""
    texts = Texts(thing.text for thing in things)
    scores = [texts.scores(name) for name in names]
    found: Sorted = {}
    for place, thing in enumerate(things):
        best = max(range(len(names)), key=lambda i: (scores[i][place], -i))
        if scores[best][place] > 0:
            found[thing.kind, thing.id] = names[best]
    return found


def _from_earlier(earlier: Sequence[Assigned]) -> Sorted:
    """The first category of each item, clusters before others."""
    order = {"agent": 0, "intent": 1, "cluster": 2, "label": 3}
    found: Sorted = {}
    for one in sorted(earlier, key=lambda a: order.get(a.basis, 9)):
        found.setdefault((one.kind, one.id), one.category)
    return found


def _told(plan: Sequence[Placed], folder: str) -> Sentence:
    members = [p for p in plan if p.folder == folder]
    names = ", ".join(p.name for p in members[:5]) + (" …" if len(members) > 5 else "")
    sources = tuple(Source(p.kind, p.id) for p in members[:25] if p.id is not None)
    return Sentence("Folders", f"{folder}: {plural(len(members), 'file')} ({names})", sources)


def _day(picture: Picture) -> str | None:
    return f"{picture.captured_at:%Y-%m-%d}" if picture.captured_at else None


def _month(picture: Picture) -> str | None:
    return f"{picture.captured_at:%Y-%m}" if picture.captured_at else None


def _year(picture: Picture) -> str | None:
    return f"{picture.captured_at:%Y}" if picture.captured_at else None


def _place(picture: Picture) -> str | None:
    return place_name(picture.place).replace("°", "") if picture.place else None


def _label(picture: Picture) -> str | None:
    return picture.labels[0] if picture.labels else None


_FACTS: Final[tuple[tuple[frozenset[str], Callable[[Picture], str | None], str], ...]] = (
    (frozenset({"color", "colour", "farbe"}), color_family, "by their main color family"),
    (
        frozenset({"brightness", "light", "helligkeit"}),
        lambda p: (p.brightness or "").replace("_", " ") or None,
        "by brightness",
    ),
    (frozenset({"year", "jahr"}), _year, "by the year in which they were taken"),
    (frozenset({"month", "monat"}), _month, "by the month in which they were taken"),
    (
        frozenset({"date", "day", "time", "tag", "datum"}),
        _day,
        "by the day on which they were taken",
    ),
    (frozenset({"place", "location", "gps", "ort"}), _place, "by the place where they were taken"),
    (frozenset({"label", "object", "clas", "class"}), _label, "by their first label"),
)
"""Words of an intent, what they sort pictures by, and that in words."""


def plan_counts(plan: Sequence[Placed]) -> Mapping[str, int]:
    """Folder → how many files are to go there."""
    counts: dict[str, int] = {}
    for one in plan:
        counts[one.folder] = counts.get(one.folder, 0) + 1
    return counts
