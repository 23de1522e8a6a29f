"""Colors as the Aionvision platform measures them, in the columns of those that are measured here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import pyarrow as pa

from aion_dagster import schemas
from aion_dagster.backends.aionvision import AionvisionBackend
from aion_dagster.backends.aionvision_begin import (
    begun_calls,
    is_hopeless,
    may_have_arrived,
    not_made,
)
from aion_dagster.backends.aionvision_color_rows import Row, color_row
from aion_dagster.backends.aionvision_errors import kind_of, never_begun, refused_for_good
from aion_dagster.backends.calls import Begun, CallJournal, CallKey, Settlement, Standing
from aion_dagster.backends.reuse import reusable_rows
from aion_dagster.client import AionVision
from aion_dagster.client import errors as api
from aion_dagster.client.models.colors import ColorExtractionResult
from aion_dagster.engines import AionvisionConfig
from aion_dagster.storage.store import Store

OPERATION: Final = "remote_colors"
_EXTRACTED_AT_ONCE: Final = 100
_PENDING: Final = "pending"
_ASKED: Final = (Standing.IN_DOUBT, Standing.ACCEPTED)
"""How an extraction stands that was asked for and whose end is not noted."""


@dataclass(frozen=True)
class RemoteColors:
    """Rows of schema `COLOR_ANALYSES` of the pictures whose colors are known.

    Attributes:
        table: the rows.
        finished: contents (SHA-256) whose rows may be reused.
        unfinished: image ids of pictures that another time may bring.
        missing: pictures without colors, for whatever reason.
        reused: rows that an earlier batch had.
    """

    table: pa.Table
    finished: list[str]
    unfinished: list[str]
    missing: int
    reused: int


def colors_parameters(engine: str, n_colors: int) -> str:
    """What colors are known by in the ledger: the account, and how many there are at most."""
    return f"{engine}-{n_colors}"


def remote_colors(
    batch: str,
    uploads: pa.Table,
    store: Store,
    backend: AionvisionBackend,
    calls: CallJournal,
    n_colors: int,
    advance: Callable[[int], None],
) -> RemoteColors:
    """Colors of the uploaded pictures of a batch: they are extracted when a picture is uploaded, and looked up here.

    An extraction is asked for, through the journal, only where the platform says that its own failed, or where it was
    not over in an earlier run either.

    Raises:
        ConfigError: there is no key.
        UnavailableError: the platform refuses the key, or cannot be reached at all.
    """
    stored = [r for r in uploads.to_pylist() if r["status"] == "completed"]
    rows, left = reusable_rows(
        store,
        "color_analyses",
        operation=OPERATION,
        parameters=colors_parameters(backend.engine, n_colors),
        batch=batch,
        contents={r["sha256"]: r["image_id"] for r in stored},
    )
    advance(rows.num_rows)
    pictures = [
        _Picture(r["image_id"], r["sha256"], r["remote_id"]) for r in stored if r["sha256"] in left
    ]

    async def ask(client: AionVision) -> _Colors:
        colors = _Colors(backend.config, client, calls, backend.engine, n_colors, advance)
        await colors.look_up(pictures)
        return colors

    if not pictures:
        finished = [r["sha256"] for r in stored]
        return RemoteColors(rows, finished, [], uploads.num_rows - len(stored), rows.num_rows)
    colors = backend.ask(ask)
    made = [row for p in pictures if (row := colors.rows.get(p.image_id)) is not None]
    table = pa.concat_tables([rows, pa.Table.from_pylist(made, schema=schemas.COLOR_ANALYSES)])
    known = set(table["image_id"].to_pylist())
    return RemoteColors(
        table,
        sorted(r["sha256"] for r in stored if r["image_id"] in known),
        sorted(colors.unfinished),
        uploads.num_rows - table.num_rows,
        rows.num_rows,
    )


@dataclass(frozen=True, slots=True)
class _Picture:
    image_id: str
    sha256: str
    remote_id: str


@dataclass
class _Colors:
    """Looks up colors, and has those extracted that are not there."""

    config: AionvisionConfig
    client: AionVision
    calls: CallJournal
    engine: str
    n_colors: int
    advance: Callable[[int], None]
    rows: dict[str, Row] = field(default_factory=dict)
    unfinished: set[str] = field(default_factory=set)
    _unseen: set[str] = field(default_factory=set)
    """Pictures that could not be looked at when that was last tried."""
    _answers: bool = False
    """Whether any look was answered, so that those which are not are the affair of their pictures."""

    async def look_up(self, pictures: Sequence[_Picture]) -> None:
        """Fill `rows` and `unfinished`."""
        keys = [self._key(p) for p in pictures]
        known = {b.key: b for b in await asyncio.to_thread(self.calls.look, keys)}
        waiting = [p for p in pictures if known[self._key(p)].kind != _PENDING]
        states = await self._watched(waiting)
        # What was not over in an earlier run gets one look, and is asked for.
        states |= await self._states([p for p in pictures if p.image_id not in states])
        again = [p for p in pictures if self._wants_extraction(p, states, known)]
        asked = await self._extracted(again)
        states |= await self._watched(asked)
        ours = {self._key(p) for p in asked}
        ours |= {key for key, one in known.items() if one.standing in _ASKED}
        for picture in pictures:
            state = states.get(picture.image_id)
            await self._note(picture, state, was_asked=self._key(picture) in ours)
        self.advance(len(pictures))

    def _key(self, picture: _Picture) -> CallKey:
        return CallKey(picture.sha256, OPERATION, str(self.n_colors), self.engine)

    def _wants_extraction(
        self,
        picture: _Picture,
        states: Mapping[str, ColorExtractionResult],
        known: Mapping[CallKey, Begun],
    ) -> bool:
        state = states.get(picture.image_id)
        if state is None or state.is_completed:
            return False
        return state.is_failed or known[self._key(picture)].kind == _PENDING

    async def _states(self, pictures: Sequence[_Picture]) -> dict[str, ColorExtractionResult]:
        """How far the colors of pictures are, but for those that the remote library does not have, or that cannot be looked at.

        Raises:
            AionvisionError: no picture at all could be looked at so far.
        """
        failures: list[api.AionvisionError] = []

        async def state(picture: _Picture) -> ColorExtractionResult | None:
            self._unseen.discard(picture.image_id)
            try:
                looked = await self.client.colors.get(picture.remote_id)
            except api.ResourceNotFoundError:
                self._answers = True
                return None
            except api.AionvisionError as error:
                if is_hopeless(error):
                    raise
                self._unseen.add(picture.image_id)
                failures.append(error)
                return None
            self._answers = True
            return looked

        jobs = [partial(state, picture) for picture in pictures]
        found = await self.client.transport.runtime.several(jobs, self.config.parallel)
        if failures and not self._answers:
            raise failures[0]
        return {p.image_id: s for p, s in zip(pictures, found, strict=True) if s is not None}

    async def _watched(self, pictures: Sequence[_Picture]) -> dict[str, ColorExtractionResult]:
        """The same, once nothing is under way any more, or that takes too long."""
        found: dict[str, ColorExtractionResult] = {}
        left = list(pictures)
        loop = asyncio.get_running_loop()
        end = loop.time() + self.config.polling_timeout
        while left:
            found |= await self._states(left)
            left = [p for p in left if p.image_id in found and found[p.image_id].is_pending]
            if loop.time() > end:
                break
            if left:
                await asyncio.sleep(self.config.polling_interval)
        return found

    async def _extracted(self, pictures: Sequence[_Picture]) -> list[_Picture]:
        """Have colors extracted, each paid once; the pictures that the platform works on."""
        keys = {self._key(p): p for p in pictures}
        timeout = self.config.polling_timeout
        begun = await begun_calls(self.calls, list(keys), timeout=timeout)
        for key, one in begun.items():
            bad = not_made(one)
            if bad is not None and bad[2]:
                self.unfinished.add(keys[key].image_id)
        sending = [key for key, one in begun.items() if one.may_send]
        taken = [key for key, one in begun.items() if one.standing is Standing.ACCEPTED]
        try:
            for start in range(0, len(sending), _EXTRACTED_AT_ONCE):
                taken += await self._ask_for(sending[start : start + _EXTRACTED_AT_ONCE], keys)
            self.unfinished |= {keys[key].image_id for key in set(sending) - set(taken)}
        finally:
            await asyncio.to_thread(self.calls.release, sending)
        return [keys[key] for key in taken]

    async def _ask_for(
        self, keys: Sequence[CallKey], pictures: Mapping[CallKey, _Picture]
    ) -> list[CallKey]:
        """Ask for extractions, in halves where the whole is refused for one's sake; those that the platform took."""
        await asyncio.to_thread(self.calls.sent, keys)
        try:
            await self.client.colors.batch_extract(
                [pictures[key].remote_id for key in keys], force=True, n_colors=self.n_colors
            )
        except api.AionvisionError as error:
            splits = len(keys) > 1 and not error.begun and refused_for_good(error)
            if is_hopeless(error) or splits or never_begun(error):
                await asyncio.to_thread(self.calls.refused, keys)
            elif not may_have_arrived(error):
                kind, retryable = kind_of(error), not refused_for_good(error)
                for key in keys:
                    await asyncio.to_thread(
                        self.calls.failed, key, str(error), kind=kind, retryable=retryable
                    )
            if is_hopeless(error):
                raise
            if splits:
                middle = len(keys) // 2
                first = await self._ask_for(keys[:middle], pictures)
                return first + await self._ask_for(keys[middle:], pictures)
            return []
        ids = {key: (pictures[key].remote_id, None) for key in keys}
        await asyncio.to_thread(self.calls.accepted, ids)
        return list(keys)

    async def _note(
        self, picture: _Picture, state: ColorExtractionResult | None, *, was_asked: bool
    ) -> None:
        """Keep what came of a picture."""
        key = self._key(picture)
        if state is None:
            # What is not in the remote library has no colors, and never will.
            self.unfinished |= self._unseen & {picture.image_id}
            return
        row = None
        if state.is_completed and state.color_analysis is not None:
            row = color_row(picture.image_id, state.color_analysis, self.n_colors)
        if row is not None:
            self.rows[picture.image_id] = row
            if was_asked:
                done = {key: Settlement(None, picture.remote_id)}
                await asyncio.to_thread(self.calls.settled, done)
            return
        if state.is_pending:
            self.unfinished.add(picture.image_id)
            if not was_asked:
                await self._not_over(key)
        elif was_asked:
            reason = "the platform could not extract its colors"
            await asyncio.to_thread(
                self.calls.failed, key, reason, kind="extraction", retryable=False
            )

    async def _not_over(self, key: CallKey) -> None:
        """Note that a look was in vain: the next run asks for the extraction."""
        (begun,) = await asyncio.to_thread(self.calls.begin, [key], free=True)
        if begun.standing is Standing.GRANTED:
            reason = "not over yet; look again later"
            await asyncio.to_thread(self.calls.failed, key, reason, kind=_PENDING, retryable=True)
