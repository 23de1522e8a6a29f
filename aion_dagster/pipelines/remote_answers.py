"""What the platform answers, as results: ids are those of the library where it knows them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from aion_dagster.pipelines.agents import AgentName
from aion_dagster.pipelines.remote_ids import MOST_TEXT, NamedThere, RemoteIds
from aion_dagster.pipelines.results import (
    Assigned,
    Given,
    Item,
    ItemKind,
    StepResult,
)

_LISTS: Final[Mapping[str, ItemKind]] = {
    "image_ids": "image",
    "result_ids": "image",
    "document_ids": "document",
    "chunk_ids": "chunk",
    "link_ids": "link",
}
_TEXTS: Final = ("report", "analysis", "text", "content", "answer")
_LONGEST: Final = 200_000


@dataclass(frozen=True)
class NodeResult:
    """A step of a pipeline's answer; `problem` says why there is no result."""

    payload: Mapping[str, Any]
    problem: str | None
    was_skipped: bool = False


def node_result(node: Any) -> NodeResult:
    """A node as the platform tells it."""
    if not isinstance(node, dict):
        return NodeResult({}, "the answer names no result of this step")
    status = str(node.get("status"))
    if status in ("completed", "success"):
        return NodeResult(node, None)
    reason = str(node.get("error") or node.get("summary") or f"the step ended as {status}")[:300]
    return NodeResult(node, reason, status == "skipped")


def result_of(
    agent: AgentName, payload: Mapping[str, Any], ids: RemoteIds, given: Given
) -> StepResult:
    """An answer as a result; of a pipeline of one step that step's."""
    steps = payload.get("steps")
    node = steps[0] if isinstance(steps, list) and steps else None
    outputs = dict(node.get("outputs") or {}) if node else dict(payload)
    summary = str((node or payload).get("summary") or "")
    text = _text(outputs)
    items = tuple(ids.items(list(_items(outputs))))
    unfounded = (
        *_unfounded(text or "", ids, (*given.items, *items)),
        *_uncited(outputs, ids, given),
    )
    return StepResult(
        agent=agent,
        made_by="aionvision",
        summary=" ".join(summary.split())[:500],
        text=text,
        items=items,
        categories=tuple(_categories(outputs, ids)),
        unfounded=unfounded,
    )


def _text(outputs: Mapping[str, Any]) -> str | None:
    """What is said in words; outputs that nobody knows as JSON, so that nothing is lost."""
    for name in _TEXTS:
        value = outputs.get(name)
        if isinstance(value, str) and value:
            return value[:_LONGEST]
    known = {*_LISTS, "results", "count", "summary", "success", "token_usage"}
    rest = {k: v for k, v in outputs.items() if k not in known and v not in (None, [], {})}
    if not rest or "results" in outputs:
        return None
    return f"```json\n{orjson.dumps(rest, option=orjson.OPT_INDENT_2).decode()[:_LONGEST]}\n```"


def _items(outputs: Mapping[str, Any]) -> Iterator[NamedThere]:
    """What was found: the rows of a search, else the lists of ids; each once, documents before their pieces."""
    rows = [r for r in outputs.get("results") or () if isinstance(r, dict)]
    told = {row.get("chunk_id") or row.get("image_id") or row.get("document_id") for row in rows}
    best: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row.get("chunk_id") and row.get("document_id"):
            best.setdefault(str(row["document_id"]), row)
    for document, row in best.items():
        facts = {"name": row.get("document_filename"), "score": row.get("score")}
        yield NamedThere("document", document, facts=facts)
    for row in rows:
        yield _row(row)
    for name, kind in _LISTS.items():
        for remote in outputs.get(name) or ():
            if isinstance(remote, str) and remote not in told and remote not in best:
                yield NamedThere(kind, remote)


def _row(row: Mapping[str, Any]) -> NamedThere:
    facts = {"score": row.get("score")}
    if row.get("chunk_id"):
        facts |= {"name": row.get("document_filename"), "text": _line(row.get("text"))}
        document = row.get("document_id")
        part_of = None if document is None else str(document)
        return NamedThere("chunk", str(row["chunk_id"]), part_of, facts)
    name = row.get("filename") or row.get("title")
    facts |= {"name": name, "text": _line(row.get("description"))}
    return NamedThere("image", str(row.get("image_id")), facts=facts)


def _line(text: Any) -> str | None:
    return " ".join(text.split())[:MOST_TEXT] if isinstance(text, str) else None


def _categories(outputs: Mapping[str, Any], ids: RemoteIds) -> Iterator[Assigned]:
    """`categorization` as category → ids, where it is that."""
    found = outputs.get("categorization") or outputs.get("categories")
    if not isinstance(found, dict):
        return
    named = [
        (str(category)[:200], remote)
        for category, members in found.items()
        if isinstance(members, list)
        for remote in members
        if isinstance(remote, str)
    ]
    owns = ids.owns("document", {remote for _, remote in named})
    for category, remote in named:
        yield Assigned(category, "document", owns.get(remote, remote), "agent")


def _unfounded(text: str, ids: RemoteIds, items: Iterable[Item]) -> Iterator[str]:
    """References of a text to pictures and documents that neither the step nor the library knows."""
    from aion_dagster.client.models.references import parse_references

    refs = parse_references(text)
    named = {
        "image": [r.id_prefix for r in refs.images],
        "document": [r.id_prefix for r in refs.documents],
    }
    known: dict[str, set[str]] = {k: set(ids.beginning(k, named[k])) for k in named}
    for item in items:
        known.setdefault(item.kind, set()).add(item.remote_id or "")
    for kind, prefixes in named.items():
        for prefix in prefixes:
            if not any(i.startswith(prefix) for i in known[kind]):
                yield f"a reference to {kind} {prefix}"


def _uncited(outputs: Mapping[str, Any], ids: RemoteIds, given: Given) -> Iterator[str]:
    """Cited pieces of documents that the step was not given."""
    cited: Sequence[Any] = outputs.get("chunk_references") or ()
    allowed = set(ids.remotes(given.of("document"))) if cited else set()
    for reference in cited:
        document = reference.get("document_id") if isinstance(reference, dict) else None
        if document and document not in allowed:
            yield f"a reference to document {document}"
