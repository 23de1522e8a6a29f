"""Ids of the library and of the platform, both ways: looked up for what is asked alone, as a library may have millions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import or_
from typing import Any, Final, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from aion_dagster.pipelines.results import Given, Item, ItemKind
from aion_dagster.storage.store import Store

_PLACES: Final[Mapping[str, tuple[str, str]]] = {
    "image": ("uploads", "image_id"),
    "document": ("documents", "document_id"),
}
"""Kind → table and column of the library's own id; the platform's stands beside it in `remote_id`."""


MOST_TEXT: Final = 300
"""Characters that say why an item is there."""


class Thing(Protocol):
    """What has an id in the library, at the platform, or both."""

    @property
    def kind(self) -> ItemKind:
        """What it is."""
        ...

    @property
    def id(self) -> str | None:
        """Its id in the library."""
        ...

    @property
    def remote_id(self) -> str | None:
        """Its id at the platform."""
        ...


@dataclass(frozen=True)
class NamedThere:
    """Something as the platform names it: its id there, and for pieces that of their document."""

    kind: ItemKind
    remote_id: str
    part_of: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


class RemoteIds:
    """What the tables `uploads` and `documents` say; what is asked for together is read in one pass."""

    def __init__(self, store: Store) -> None:
        """Nothing is read before it is asked for."""
        self._store = store

    def remotes(self, things: Sequence[Thing]) -> list[str | None]:
        """The platform's id of each; None where it is not there."""
        found = {
            kind: self._pairs(kind, "own", {t.id for t in things if t.kind == kind and not t.remote_id})
            for kind in _PLACES
        }  # fmt: skip
        there = {kind: dict(pairs) for kind, pairs in found.items()}
        return [t.remote_id or there.get(t.kind, {}).get(t.id or "") for t in things]

    def owns(self, kind: str, remotes: Collection[str]) -> dict[str, str]:
        """Platform's id → the library's, of those that it knows."""
        return {remote: own for own, remote in self._pairs(kind, "remote", remotes)}

    def items(self, named: Sequence[NamedThere]) -> list[Item]:
        """Things that the platform names, with the library's ids and names where they are known there.

        What the library has written about a picture stands where the platform tells nothing of it.
        """
        images = self.owns("image", {n.remote_id for n in named if n.kind == "image"})
        documents = {n.remote_id for n in named if n.kind == "document"}
        documents |= {n.part_of for n in named if n.part_of is not None}
        known = {"image": images, "document": self.owns("document", documents)}
        # Pieces and links have no other id than the platform's.
        items = [
            Item(
                n.kind,
                known.get(n.kind, {}).get(n.remote_id)
                or (n.remote_id if n.kind in ("chunk", "link") else None),
                n.remote_id,
                part_of=known["document"].get(n.part_of or "", n.part_of),
                **n.facts,
            )
            for n in named
        ]
        return self._called(items)

    def recognized(self, given: Given) -> Given:
        """The same with the library's ids and names of what is named by the platform's id."""
        named = [i for i in given.items if i.id is None and i.remote_id]
        found = self.items([NamedThere(i.kind, str(i.remote_id)) for i in named])
        known = {(i.kind, i.remote_id): i for i in found}
        items = (known.get((i.kind, i.remote_id), i) if i.id is None else i for i in given.items)
        return replace(given, items=tuple(items))

    def _called(self, items: Sequence[Item]) -> list[Item]:
        """Items by the names that the library has for them: an upload has another one at the platform."""
        pictures = {i.id for i in items if i.kind == "image"}
        documents = {i.id if i.kind == "document" else i.part_of for i in items}
        names = {
            "image": self._told("images", "image_id", "name", pictures),
            "document": self._told("documents", "document_id", "name", documents),
        }
        untold = {i.id for i in items if i.kind == "image" and not i.text}
        texts = self._told("descriptions", "image_id", "description", untold)
        called = []
        for item in items:
            key = item.part_of if item.kind == "chunk" else item.id
            own = names.get("document" if item.kind == "chunk" else item.kind, {}).get(key or "")
            text = item.text
            if item.kind == "image" and not text:
                text = " ".join(texts.get(item.id or "", "").split())[:MOST_TEXT] or None
            called.append(replace(item, name=own or item.name, text=text))
        return called

    def _told(
        self, table: str, key: str, column: str, ids: Collection[str | None]
    ) -> dict[str, str]:
        """What a column says of each of some ids."""
        wanted = pa.array(sorted({i for i in ids if i}), pa.string())
        if not len(wanted) or not self._store.tables.exists(table):
            return {}
        condition = ds.field(key).isin(wanted) & pc.is_valid(ds.field(column))
        rows = self._store.tables.dataset(table).to_table([key, column], filter=condition)
        return dict(zip(rows[key].to_pylist(), rows[column].to_pylist(), strict=True))

    def beginning(self, kind: str, prefixes: Collection[str]) -> list[str]:
        """The platform's ids that begin with one of these."""
        if not prefixes:
            return []
        begins = (pc.starts_with(ds.field("remote_id"), p) for p in sorted(prefixes))
        return [remote for _, remote in self._where(kind, reduce(or_, begins))]

    def _pairs(self, kind: str, side: str, ids: Iterable[str | None]) -> list[tuple[str, str]]:
        wanted = pa.array(sorted({i for i in ids if i}), pa.string())
        if not len(wanted):
            return []
        column = _PLACES[kind][1] if side == "own" else "remote_id"
        return self._where(kind, ds.field(column).isin(wanted))

    def _where(self, kind: str, condition: pc.Expression) -> list[tuple[str, str]]:
        """The library's ids and the platform's, in the order of batches."""
        table, column = _PLACES[kind]
        if not self._store.tables.exists(table):
            return []
        there = pc.is_valid(ds.field("remote_id")) & (ds.field("remote_id") != "")
        rows = self._store.tables.dataset(table).to_table(
            [column, "remote_id"], filter=there & condition
        )
        return list(zip(rows[column].to_pylist(), rows["remote_id"].to_pylist(), strict=True))
