"""What the platform answers, as results: ids are those of the library where it knows them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from aion_dagster.pipelines.agents import AgentName
from aion_dagster.pipelines.material import Material
from aion_dagster.pipelines.results import (
    Assigned,
    Given,
    Item,
    ItemKind,
    StepResult,
)
from aion_dagster.storage.store import Store

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
class RemoteIds:
    """Ids of the library and of the platform, both ways, by kind."""

    to_remote: Mapping[str, Mapping[str, str]]
    to_local: Mapping[str, Mapping[str, str]]

    @classmethod
    def of(cls, store: Store) -> RemoteIds:
        """As the tables `uploads` and `documents` say."""
        material = Material(store)
        there = {kind: material.remote_ids(kind) for kind in ("image", "document")}
        return cls(there, {k: {r: i for i, r in ids.items()} for k, ids in there.items()})

    def remote(self, kind: str, own: str | None, remote: str | None) -> str | None:
        """The platform's id of something; None where it is not there."""
        return remote or self.to_remote.get(kind, {}).get(own or "")

    def item(self, kind: ItemKind, remote: str, **more: Any) -> Item:
        """Something that the platform names, with the library's id where it is known there."""
        own = self.to_local.get(kind, {}).get(remote)
        part_of = more.pop("part_of", None)
        document = self.to_local.get("document", {}).get(part_of or "", part_of)
        # Pieces and links have no other id than the platform's.
        return Item(
            kind,
            own or (remote if kind in ("chunk", "link") else None),
            remote,
            part_of=document,
            **more,
        )


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
    items = tuple(_items(outputs, ids))
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


def _items(outputs: Mapping[str, Any], ids: RemoteIds) -> Iterator[Item]:
    """What was found: the rows of a search, else the lists of ids; each once, documents before their pieces."""
    rows = [r for r in outputs.get("results") or () if isinstance(r, dict)]
    told = {row.get("chunk_id") or row.get("image_id") or row.get("document_id") for row in rows}
    best: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row.get("chunk_id") and row.get("document_id"):
            best.setdefault(str(row["document_id"]), row)
    for document, row in best.items():
        name = row.get("document_filename")
        yield ids.item("document", document, name=name, score=row.get("score"))
    for row in rows:
        yield _row(row, ids)
    for name, kind in _LISTS.items():
        for remote in outputs.get(name) or ():
            if isinstance(remote, str) and remote not in told and remote not in best:
                yield ids.item(kind, remote)


def _row(row: Mapping[str, Any], ids: RemoteIds) -> Item:
    score = row.get("score")
    if row.get("chunk_id"):
        return ids.item(
            "chunk",
            str(row["chunk_id"]),
            name=row.get("document_filename"),
            score=score,
            text=_line(row.get("text")),
            part_of=row.get("document_id"),
        )
    name = row.get("filename") or row.get("title")
    text = _line(row.get("description"))
    return ids.item("image", str(row.get("image_id")), name=name, score=score, text=text)


def _line(text: Any) -> str | None:
    return " ".join(text.split())[:300] if isinstance(text, str) else None


def _categories(outputs: Mapping[str, Any], ids: RemoteIds) -> Iterator[Assigned]:
    """`categorization` as category → ids, where it is that."""
    found = outputs.get("categorization") or outputs.get("categories")
    if not isinstance(found, dict):
        return
    for category, members in found.items():
        if not isinstance(members, list):
            continue
        for remote in members:
            if isinstance(remote, str):
                item = ids.item("document", remote)
                yield Assigned(str(category)[:200], "document", item.id or remote, "agent")


def _unfounded(text: str, ids: RemoteIds, items: Iterable[Item]) -> Iterator[str]:
    """References of a text to pictures and documents that neither the step nor the library knows."""
    from aion_dagster.client.models.references import parse_references

    refs = parse_references(text)
    known: dict[str, set[str]] = {k: set(v) for k, v in ids.to_local.items()}
    for item in items:
        known.setdefault(item.kind, set()).add(item.remote_id or "")
    named = [("image", r.id_prefix) for r in refs.images]
    named += [("document", r.id_prefix) for r in refs.documents]
    for kind, prefix in named:
        if not any(i.startswith(prefix) for i in known.get(kind, ())):
            yield f"a reference to {kind} {prefix}"


def _uncited(outputs: Mapping[str, Any], ids: RemoteIds, given: Given) -> Iterator[str]:
    """Cited pieces of documents that the step was not given."""
    allowed = {ids.remote("document", i.id, i.remote_id) for i in given.of("document")}
    cited: Sequence[Any] = outputs.get("chunk_references") or ()
    for reference in cited:
        document = reference.get("document_id") if isinstance(reference, dict) else None
        if document and document not in allowed:
            yield f"a reference to document {document}"
