"""The vendor's documents as tables: methods with their signatures, fields with their types, paths, examples of bodies.

They are the vendor's, not ours to ship: whoever reads this module checks `SEEDS` first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

SEEDS: Final = Path(__file__).resolve().parents[3] / "shared" / "seeds"

README: Final = "000_4a3890699fff7bbe.txt"
REFERENCE: Final = "001_f59d7105989c2f21.txt"
API_README: Final = "002_d784ab47715d929f.txt"
FILES_API: Final = "003_757c1dc3a4adf720.txt"
UPLOADS_API: Final = "004_65fa696052f6ab4d.txt"

OPERATION: Final = re.compile(r"(GET|POST|PUT|PATCH|DELETE) ?(/[\w/{}.-]+)")


def text_of(name: str) -> str:
    return (SEEDS / name).read_text("utf-8")


@dataclass(frozen=True)
class Parameter:
    """A parameter as a seed writes it; `default` is its text, None where there is none."""

    name: str
    keyword_only: bool
    default: str | None


@dataclass(frozen=True)
class Method:
    """`owner` is `client.uploads`, `ChatSessionContext`, …; `open_ended` where the seed goes on with `...`."""

    owner: str
    class_name: str
    name: str
    parameters: tuple[Parameter, ...]
    open_ended: bool
    returns: str | None

    def __str__(self) -> str:
        return f"{self.owner}.{self.name}"


@dataclass(frozen=True)
class Field:
    """A field (or property, or method: `called`) of a result type; `type` is None where the seed gives none."""

    owner: str
    name: str
    type: str | None
    called: bool = False
    source: str = ""

    def __str__(self) -> str:
        return f"{self.source}: {self.owner}.{self.name}"


def methods() -> Iterator[Method]:
    """The tables of methods of the SDK reference, and what its pipeline example calls."""
    owner = class_name = ""
    text = text_of(REFERENCE).partition("## Resource Reference")[2].partition("## Common Work")[0]
    for line in text.splitlines():
        if heading := re.match(r"### (client\.\w+) \((\w+)\)", line):
            owner, class_name = heading[1], heading[2]
        elif heading := re.match(r"(?:\*\*|### )(\w+)(?:\*\*)? \(from ", line):
            owner = class_name = heading[1]
        elif row := re.match(r"\| `(\w+)\((.*?)\)(?: -> (.*?))?` \|", line):
            yield _method(owner, class_name, row[1], row[2], row[3])
        elif call := re.match(
            r"(?:result = await )?pipeline\.(\w+)\((.*?)\)(?:  # -> (\w+))?", line
        ):
            yield _method(owner, class_name, call[1], call[2], call[3])


def constructor() -> dict[str, str]:
    """The arguments of `AionVision(…)`, with the texts of their defaults."""
    block = text_of(REFERENCE).partition("async with AionVision(\n")[2].partition(") as client")[0]
    return {m[1]: m[2] for m in re.finditer(r"^\s+(\w+)=(.+?),", block, re.M)}


def environment() -> dict[str, str]:
    """Variables of the environment, with the texts of their defaults (`-` where there is none)."""
    rows = re.finditer(r"^\| `(AIONVISION_\w+)` \| .*? \| `?(.*?)`? \|$", text_of(README), re.M)
    return {row[1]: row[2] for row in rows}


def error_classes() -> dict[str, str]:
    """The classes that the README imports, each with what is said of it."""
    block = text_of(README).partition("from aion.exceptions import (")[2].partition("\n)")[0]
    return {m[1]: m[2] for m in re.finditer(r"^\s+(\w+),\s+# (.*)$", block, re.M)}


def error_attributes() -> list[tuple[str, str]]:
    """Class and attribute of what both documents read from errors: `e.retry_after`, `has partial_results`."""
    found = []
    for name, said in error_classes().items():
        if has := re.search(r"has (\w+(?:, \w+)*)$", said.replace(" - ", " ")):
            found += [(name, attribute) for attribute in has[1].split(", ")]
    block = (
        text_of(REFERENCE).partition("## Error Handling Patterns")[2].partition("## Key Types")[0]
    )
    for part in re.split(r"except AionVision\.", block)[1:]:
        found += [(re.match(r"\w+", part)[0], a) for a in re.findall(r"\be\.(\w+)", part)]  # type: ignore[index]
    limits = text_of(README).partition("a `RateLimitError` is raised with:")[2].partition("\n\n")[0]
    return found + [("RateLimitError", a) for a in re.findall(r"^- `(\w+)`", limits, re.M)]


def fields() -> list[Field]:
    """The tables of the README and the key types of the SDK reference."""
    return [*_tabled_fields(), *_listed_fields()]


def _tabled_fields() -> Iterator[Field]:
    text = (
        text_of(README).partition("## Result Types Quick Reference")[2].partition("## API Ref")[0]
    )
    owner = ""
    for line in _without_comments(text).splitlines():
        if heading := re.match(r"\*\*`(\w+)`\*\* \(", line):
            owner = heading[1]
        elif row := re.match(
            r"\| `(\w+)(\(\))?`(?: \(property\))? \| `(.*?)`(?: \(property\))? \|", line
        ):
            yield Field(owner, row[1], row[3].replace("\\|", "|"), bool(row[2]), "README")


def _listed_fields() -> Iterator[Field]:
    text = text_of(REFERENCE).partition("## Key Types")[2].partition("## REST API")[0]
    for line in _without_comments(text).splitlines():
        if not (item := re.match(r"- \*\*(\w+)\*\*: (.*)$", line)):
            continue
        said = re.sub(r"\*\*extends.*?attribute\. ", "", item[2])
        for part in re.split(r"\. (?=Propert|Method)", said):
            listed = re.sub(r"^(Property|Properties|Methods?): ", "", part)
            for entry in _split(listed.removesuffix(".")):
                yield from _listed(item[1], entry)


def _listed(owner: str, entry: str) -> Iterator[Field]:
    entry = entry.partition(" — ")[0] if "(" not in entry.partition(" — ")[0] else entry
    call = re.match(r"(\w+)\((?:\w+)?\)(?: -> (.+))?$", entry)
    if call and (call[2] or entry.endswith("()")):
        gives = owner if call[2] == "self" else call[2]
        yield Field(owner, call[1], gives, called=True, source="reference")
    elif plain := re.match(r"(\w+)(?: \((.*)\))?", entry):
        said = (plain[2] or "").partition(" — ")[0].strip()
        said = re.sub(r"^list of (\w+)$", r"list[\1]", said)
        typed = re.fullmatch(r"[A-Za-z]\w*(\[[\w, |]+\])?( \| None)?", said)
        yield Field(owner, plain[1], said if typed else None, source="reference")


def paths() -> dict[str, set[str]]:
    """Every operation that a document names, and which documents do; ids are `{}`, the prefix is left out."""
    found: dict[str, set[str]] = {}
    for name in (REFERENCE, API_README, FILES_API, UPLOADS_API):
        for line in _without_comments(text_of(name)).splitlines():
            row = re.match(r"\| (\w+) \| (/\S+) \|", line)
            heading = re.match(rf"(?:## |### )?{OPERATION.pattern}(?:\b|$)", line)
            if row or heading:
                method, path = (row or heading).groups()[:2]  # type: ignore[union-attr]
                if method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
                    operation = f"{method} {unnamed(path.removeprefix('/api/v2'))}"
                    found.setdefault(operation, set()).add(name[:3])
    return found


def unnamed(path: str) -> str:
    """A path whose placeholders have no names: the documents give them others than the specification."""
    return re.sub(r"\{\w+\}", "{}", path)


@dataclass(frozen=True)
class Example:
    """A body that a document shows; `kind` is `Request` or `Response`; forms are given as their fields' names."""

    operation: str
    kind: str
    value: Any

    def __str__(self) -> str:
        return f"{self.kind} {self.operation}"


def examples() -> Iterator[Example]:
    """Bodies of the files and uploads APIs."""
    yield from _files_examples()
    yield from _uploads_examples()


def _files_examples() -> Iterator[Example]:
    """Chunks of lines: an operation, then `Request` and `Response`, each before a body with comments."""
    operation = kind = ""
    chunk: list[str] = []
    for line in [*text_of(FILES_API).splitlines(), "Response"]:
        found = OPERATION.match(line)
        if found or line in ("Request", "Response"):
            if operation and kind:
                yield from _example(operation, kind, chunk)
                yield from _conditional(operation, chunk)
            chunk, kind = [], "" if found else line
            if found:
                operation = f"{found[1]} {unnamed(found[2].removeprefix('/api/v2'))}"
        else:
            chunk.append(line)


def _example(operation: str, kind: str, lines: list[str]) -> Iterator[Example]:
    text = "\n".join(re.sub(r"(?<!:)//.*$", "", line).rstrip() for line in lines)
    if begin := re.search(r"^\{$", text, re.M):
        value, _ = json.JSONDecoder().raw_decode(_valid(text[begin.start() :]))
        yield Example(operation, kind, value)
    elif kind == "Request":
        listed = [re.match(r"// (\w+): |[?&](\w+)=", line) for line in lines]
        names = [
            m[1] or m[2] for m in listed if m and (m[1] or m[2]) not in ("Required", "Optional")
        ]
        if names:
            yield Example(operation, "Form" if operation.startswith("POST") else "Query", names)


def _conditional(operation: str, lines: list[str]) -> Iterator[Example]:
    """Names of fields that only some media types have: in comments below a body."""
    comments = re.findall(
        r"^// (?:Additional.*?: )?(?:video: |document: |link: )?( *\w+, .*)$",
        "\n".join(lines),
        re.M,
    )
    names = [name for part in comments for name in re.findall(r"\w+", part)]
    if names and operation.startswith("GET"):
        yield Example(operation, "Fields", names)


def link_fields() -> list[str]:
    """What the files API lists of links in lists of files."""
    text = text_of(FILES_API).partition("Link-specific fields include:")[2]
    return re.findall(r"^\s*• (\w+): ", text, re.M)


def _uploads_examples() -> Iterator[Example]:
    operation = kind = ""
    blocks = re.split(
        r"^(#{2,3} (?:GET|POST) \S+.*|\*\*(?:Response|Request body|Parameters)\*\*.*)$",
        text_of(UPLOADS_API),
        flags=re.M,
    )
    for block in blocks:
        if found := re.match(r"#{2,3} (GET|POST) (\S+)", block):
            operation, kind = f"{found[1]} {unnamed(found[2])}", ""
        elif found := re.match(r"\*\*(Response|Request|Parameters)", block):
            kind = found[1]
        elif kind == "Parameters":
            yield Example(
                operation, "Form", re.findall(r"^\| (\w+) \| .* \| (?:Yes|No) \|", block, re.M)
            )
        elif kind and (body := re.search(r"```json\n(.*?)\n```", block, re.S)):
            yield Example(operation, kind, json.loads(body[1]))
            kind = ""


def _valid(text: str) -> str:
    """JSON without what stands for more."""
    return text.replace(", ... }", " }")


def _method(owner: str, class_name: str, name: str, listed: str, returns: str | None) -> Method:
    parameters: list[Parameter] = []
    keyword_only = open_ended = False
    for part in _split(listed):
        if part == "*":
            keyword_only = True
        elif part == "...":
            open_ended = True
        elif part:
            given, _, default = part.partition("=")
            parameters.append(Parameter(given, keyword_only, default or None))
    return Method(owner, class_name, name, tuple(parameters), open_ended, returns)


def _split(listed: str) -> list[str]:
    """At commas outside of brackets."""
    return [part.strip() for part in re.split(r",\s*(?![^(\[]*[)\]])", listed)]


def _without_comments(text: str) -> str:
    """What is announced in comments of Markdown is not there yet."""
    return re.sub(r"<!--.*?-->", "", text, flags=re.S)
