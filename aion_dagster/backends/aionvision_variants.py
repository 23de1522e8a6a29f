"""How the Aionvision platform's sizes of uploaded pictures stand; those that failed are asked for again on request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import pyarrow as pa

from aion_dagster import schemas
from aion_dagster.backends.aionvision import AionvisionBackend
from aion_dagster.backends.aionvision_begin import is_hopeless
from aion_dagster.client import AionVision
from aion_dagster.client import errors as api
from aion_dagster.client.limits import PAGE
from aion_dagster.client.models.files import UserFile
from aion_dagster.client.models.statuses import WorkStatus


@dataclass(frozen=True)
class Variants:
    """The uploads with `variant_status` and `variant_count`, and how many pictures' sizes were asked for again."""

    uploads: pa.Table
    repaired: int


def with_variants(backend: AionvisionBackend, uploads: pa.Table) -> Variants:
    """Look up a hundred pictures in a request; nothing is waited for, and what cannot be looked up stays unknown.

    Raises:
        ConfigError: there is no key.
        UnavailableError: the platform refuses the key.
    """
    ids = [i for i in uploads["remote_id"].to_pylist() if i]
    if backend.config.variants == "ignore" or not ids:
        return Variants(uploads, 0)

    async def ask(client: AionVision) -> tuple[dict[str, UserFile], dict[str, str]]:
        files = await _files(client, ids)
        failed = [i for i, f in files.items() if WorkStatus(f.variant_status or "").is_failure]
        if backend.config.variants != "repair":
            return files, {}
        jobs = [partial(_repaired, client, i) for i in failed]
        states = await client.transport.runtime.several(jobs, backend.config.parallel)
        return files, {i: s for i, s in zip(failed, states, strict=True) if s}

    files, repaired = backend.ask(ask)
    return Variants(_filled(uploads, files, repaired), len(repaired))


def _filled(
    uploads: pa.Table, files: Mapping[str, UserFile], repaired: Mapping[str, str]
) -> pa.Table:
    rows = uploads.to_pylist()
    for row in rows:
        file = files.get(row["remote_id"])
        if file is not None:
            row["variant_status"] = repaired.get(file.id) or file.variant_status
            row["variant_count"] = file.variant_count
    return pa.Table.from_pylist(rows, schema=schemas.UPLOADS)


async def _files(client: AionVision, ids: Sequence[str]) -> dict[str, UserFile]:
    found: dict[str, UserFile] = {}
    for start in range(0, len(ids), PAGE):
        try:
            page = await client.files.list(ids=ids[start : start + PAGE], limit=PAGE)
        except api.AionvisionError as error:
            if is_hopeless(error):
                raise
            return found
        found |= {file.id: file for file in page.files}
    return found


async def _repaired(client: AionVision, remote_id: str) -> str | None:
    """Have the sizes made anew; the state then, or None where that is refused."""
    try:
        answer = await client.files.trigger_variant_generation(remote_id)
    except api.AionvisionError as error:
        if is_hopeless(error):
            raise
        return None
    state = answer.get("current_status")
    return state if isinstance(state, str) else "queued"
