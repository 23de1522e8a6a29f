"""Tags and titles brought into the remote library: only what it lacks, once per picture, at no cost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import pyarrow as pa

from aion_dagster import schemas
from aion_dagster.backends.aionvision import AionvisionBackend
from aion_dagster.backends.aionvision_begin import begun_calls, is_hopeless, not_made
from aion_dagster.backends.aionvision_errors import kind_of, refused_for_good
from aion_dagster.backends.calls import Begun, CallJournal, CallKey, Settlement, Standing
from aion_dagster.client import AionVision
from aion_dagster.client import errors as api
from aion_dagster.client.limits import PAGE, TAG, TAGS, TITLE
from aion_dagster.client.models.files import UserFile
from aion_dagster.engines import AionvisionConfig
from aion_dagster.identity import digest

OPERATION: Final = "write_back"
LABELLED: Final = ("labels", "objects")
"""Origins of annotations whose categories are tags."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a stored picture should have: a title where it is not None, and these tags beside those that it has."""

    image_id: str
    sha256: str
    remote_id: str
    title: str | None
    tags: tuple[str, ...]


def wanted_of(
    config: AionvisionConfig,
    images: pa.Table,
    uploads: pa.Table,
    descriptions: pa.Table,
    annotations: pa.Table,
) -> list[Wanted]:
    """What the stored pictures of a batch should have, as configured.

    A title is the name of the picture's file; one that was in the remote library before us keeps its own.
    """
    names = _first(zip(images["image_id"].to_pylist(), images["name"].to_pylist(), strict=True))
    tags = _tags(descriptions, annotations) if "tags" in config.write_back else {}
    common = config.tags if "tags" in config.write_back else ()
    found = []
    for row in uploads.to_pylist():
        if row["status"] != "completed":
            continue
        image_id = row["image_id"]
        title = None
        if "title" in config.write_back and not row["was_there"] and names.get(image_id):
            title = names[image_id].rpartition("/")[2][:TITLE]
        words = _usable([*common, *tags.get(image_id, ())])
        found.append(Wanted(image_id, row["sha256"], row["remote_id"], title, words))
    return found


def _first(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in pairs:
        found.setdefault(key, value)
    return found


def _tags(descriptions: pa.Table, annotations: pa.Table) -> dict[str, list[str]]:
    """Image id → tags of its description, then categories of its annotations."""
    found: dict[str, list[str]] = {}
    for row in descriptions.select(["image_id", "tags"]).to_pylist():
        found.setdefault(row["image_id"], []).extend(row["tags"] or ())
    for row in annotations.select(["image_id", "category", "origin"]).to_pylist():
        if row["origin"] in LABELLED and row["category"]:
            found.setdefault(row["image_id"], []).append(row["category"])
    return found


def _usable(words: Iterable[str]) -> tuple[str, ...]:
    """Words that the platform takes as tags, each once whatever its case; a comma would make two of one."""
    found: dict[str, str] = {}
    for word in words:
        tag = " ".join(word.split())
        if 1 <= len(tag) <= TAG and "," not in tag:
            found.setdefault(tag.casefold(), tag)
    return tuple(found.values())[:TAGS]


def write_back(
    backend: AionvisionBackend, calls: CallJournal, wanted: Sequence[Wanted]
) -> pa.Table:
    """A row of schema `WRITE_BACK` per picture; what was brought once is neither looked at nor brought again.

    What people change in the remote library afterwards stays as they want it.

    Raises:
        ConfigError: there is no key.
        UnavailableError: the platform refuses the key, or cannot be reached at all.
    """

    async def ask(client: AionVision) -> dict[str, Row]:
        return await _Writer(backend.config, client, calls, backend.engine).rows(wanted)

    rows = backend.ask(ask) if wanted else {}
    return pa.Table.from_pylist([rows[w.image_id] for w in wanted], schema=schemas.WRITE_BACK)


@dataclass
class _Writer:
    """Brings tags and titles into the remote library."""

    config: AionvisionConfig
    client: AionVision
    calls: CallJournal
    engine: str

    async def rows(self, wanted: Sequence[Wanted]) -> dict[str, Row]:
        """Image id → its row."""
        keys = {self._key(w): w for w in wanted}
        known = {b.key: b for b in await asyncio.to_thread(self.calls.look, list(keys))}
        rows = {keys[k].image_id: row for k, b in known.items() if (row := _known(keys[k], b))}
        left = [key for key in keys if keys[key].image_id not in rows]
        timeout = self.config.polling_timeout
        begun = await begun_calls(self.calls, left, timeout=timeout, free=True)
        rows |= {keys[k].image_id: row for k, b in begun.items() if (row := _known(keys[k], b))}
        mine = [keys[key] for key in left if keys[key].image_id not in rows]
        try:
            files = await self._files([w.remote_id for w in mine])
            jobs = [partial(self._brought, w, files.get(w.remote_id)) for w in mine]
            made = await self.client.transport.runtime.several(jobs, self.config.parallel)
        finally:
            # Never sent, as the journal understands it: a repetition does no harm and costs nothing.
            await asyncio.to_thread(self.calls.release, left)
        return rows | {w.image_id: row for w, row in zip(mine, made, strict=True)}

    def _key(self, wanted: Wanted) -> CallKey:
        what = digest([wanted.remote_id, wanted.title, sorted(wanted.tags)])[:32]
        return CallKey(wanted.sha256, OPERATION, what, self.engine)

    async def _files(self, ids: Sequence[str]) -> dict[str, UserFile]:
        found: dict[str, UserFile] = {}
        for start in range(0, len(ids), PAGE):
            page = await self.client.files.list(ids=ids[start : start + PAGE], limit=PAGE)
            found |= {file.id: file for file in page.files}
        return found

    async def _brought(self, wanted: Wanted, file: UserFile | None) -> Row:
        """Bring what a picture lacks."""
        key = self._key(wanted)
        if file is None:
            reason = "the remote library does not list this picture; it may have been deleted there"
            return await self._failed(key, wanted, "not_found", reason, retryable=False)
        title = wanted.title if wanted.title not in (None, file.title) else None
        tags = _merged(file.tags, wanted.tags)
        if title is not None or tags is not None:
            try:
                await self.client.files.update(file.id, title=title, tags=tags)
            except api.AionvisionError as error:
                if is_hopeless(error):
                    raise
                retryable = not refused_for_good(error)
                return await self._failed(
                    key, wanted, kind_of(error), str(error), retryable=retryable
                )
        await asyncio.to_thread(self.calls.settled, {key: Settlement({}, wanted.remote_id)})
        changed = title is not None or tags is not None
        row = _row(wanted, "written" if changed else "unchanged")
        return {**row, "title": title, "tags": tags}

    async def _failed(
        self, key: CallKey, wanted: Wanted, kind: str, reason: str, *, retryable: bool
    ) -> Row:
        await asyncio.to_thread(self.calls.failed, key, reason, kind=kind, retryable=retryable)
        return _failure(wanted, kind, reason, retryable=retryable)


def _merged(there: Sequence[str], ours: Sequence[str]) -> list[str] | None:
    """All tags, those that were there first; None where nothing is lacking, or there is room for nothing."""
    known = {tag.casefold() for tag in there}
    lacking = [tag for tag in ours if tag.casefold() not in known]
    merged = [*there, *lacking][:TAGS]
    return merged if len(merged) > len(there) else None


def _known(wanted: Wanted, begun: Begun) -> Row | None:
    """The row of a picture that nothing is brought to now."""
    if begun.standing is Standing.SETTLED:
        return _row(wanted, "unchanged")
    bad = not_made(begun)
    return None if bad is None else _failure(wanted, bad[0], bad[1], retryable=bad[2])


def _row(wanted: Wanted, status: str) -> Row:
    return {"image_id": wanted.image_id, "remote_id": wanted.remote_id, "status": status}


def _failure(wanted: Wanted, kind: str, reason: str, *, retryable: bool) -> Row:
    row: Mapping[str, Any] = _row(wanted, "failed")
    return {**row, "error": reason, "error_type": kind, "is_retryable": retryable}
