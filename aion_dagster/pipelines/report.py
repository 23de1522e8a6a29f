"""A step's result as Markdown; texts come from outside and are escaped."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from aion_dagster.pipelines.local_plan import plan_counts, told_strangers
from aion_dagster.pipelines.material import Material
from aion_dagster.pipelines.results import Item, Source, StepResult

MADE_BY: Final[Mapping[str, str]] = {
    "index": "Found by the library's index on this machine.",
    "tables": "Computed from the library's tables on this machine; no model wrote this.",
    "extractive": "Extractive: every sentence stands as it is in the evidence; no model wrote this.",
    "model": "Written by the model {model} from the evidence below; every sentence names what it rests on.",
    "aionvision": "Answered by the Aionvision platform.",
}

_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]<>|#~])")
_RUNS: Final = re.compile(r"\]\(\s*(?=[a-z]*script:|data:|file:)", re.I)
_MOST_ITEMS: Final = 100


def markdown(
    result: StepResult, title: str, names: Mapping[Source, str] = MappingProxyType({})
) -> str:
    """The whole report: who made it, what it says sentence by sentence, and the sources by number and name."""
    lines = [
        f"# {escaped(title)}",
        "",
        f"*{escaped(MADE_BY[result.made_by].format(model=result.model))}*",
        "",
    ]
    if result.summary:
        lines += [escaped(result.summary), ""]
    if result.text:
        lines += [harmless(result.text), ""]
    numbers: dict[Source, int] = {}
    section = None
    for sentence in result.sentences:
        if sentence.section != section:
            section = sentence.section
            lines += ["", f"## {escaped(section)}", ""]
        marks = "".join(f"[{numbers.setdefault(s, len(numbers) + 1)}]" for s in sentence.sources)
        lines.append(f"- {escaped(sentence.text)} {marks}")
    lines += _plan(result)
    lines += _items(result)
    if numbers:
        lines += ["", "## Sources", ""]
        lines += [
            f"{number}. {s.kind} {escaped(names.get(s, ''))} `{s.id}`"
            for s, number in numbers.items()
        ]
    return "\n".join(lines).strip() + "\n"


def harmless(text: str) -> str:
    """Markdown of the platform without HTML, pictures that would be fetched, and links that would run."""
    plain = text.replace("<", "&lt;").replace("![", "!\\[")
    return _RUNS.sub("](unsafe:", plain)


def escaped(text: str) -> str:
    """Text on one line that Markdown and HTML take as nothing but text."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return _SPECIAL.sub(r"\\\1", line.replace("&", "&amp;"))


def source_names(result: StepResult, material: Material) -> dict[Source, str]:
    """What people call the sources of a result: names of files, and the pages of pieces."""
    ids: dict[str, set[str]] = {}
    for sentence in result.sentences:
        for source in sentence.sources:
            ids.setdefault(source.kind, set()).add(source.id)
    names = {Source("image", p.id): p.name for p in material.pictures(ids.get("image", ()))}
    names |= {
        Source("document", i): name
        for i, name in material.documents(ids.get("document", ())).items()
    }
    if "chunk" in ids:
        for piece in material.pieces(chunks=ids["chunk"]):
            pages = f", page {piece.pages[0]}" if piece.pages else ""
            names[Source("chunk", piece.id)] = piece.document + pages
    if "link" in ids:
        names |= {Source("link", x.id): x.title or x.url for x in material.links(ids["link"])}
    return names


def missing_sources(result: StepResult, material: Material) -> list[str]:
    """Sentences without any source, and those that refer to what the library does not have, each with the reason."""
    wanted: dict[str, set[str]] = {}
    for sentence in result.sentences:
        for source in sentence.sources:
            wanted.setdefault(source.kind, set()).add(source.id)
    there = {kind: material.existing(kind, ids) for kind, ids in wanted.items()}
    problems: list[str] = []
    for sentence in result.sentences:
        said = f"“{sentence.text[:80]}”"
        if not sentence.sources:
            problems.append(f"{said} has no source")
        problems += [
            f"{said} rests on {s.kind} {s.id}, which the library does not have"
            for s in sentence.sources
            if s.id not in there[s.kind]
        ]
    problems += [f"left out: {text[:120]}" for text in result.unfounded]
    return problems


def _plan(result: StepResult) -> list[str]:
    if not result.plan:
        return []
    rows = [f"| {escaped(f)} | {n} |" for f, n in plan_counts(result.plan).items()]
    return ["", "## Plan", "", "| folder | files |", "|---|---|", *rows]


def _items(result: StepResult) -> list[str]:
    if not result.items:
        return []
    rows = [
        f"| {i.kind} | {escaped(i.name or '')} | {'' if i.score is None else f'{i.score:.3f}'} | "
        f"{escaped((i.text or '')[:160])} | {_key(i)} |"
        for i in result.items[:_MOST_ITEMS]
    ]
    more = len(result.items) - _MOST_ITEMS
    strangers = sum(i.id is None for i in result.items)
    return [
        "",
        "## Found",
        "",
        *([f"Among them {told_strangers(strangers)}.", ""] if strangers else []),
        "| kind | name | score | why | id |",
        "|---|---|---|---|---|",
        *rows,
        *([f"\n… and {more} more"] if more > 0 else []),
    ]


def _key(item: Item) -> str:
    """The id in the library; of what is not of it the platform's, marked as such."""
    return (
        f"`{item.id}`" if item.id else f"not of this library (`{item.remote_id}` at the platform)"
    )
