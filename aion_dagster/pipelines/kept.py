"""Where results of steps are kept: a set of tables per step (and batch), its report as a file, its build in the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from aion_dagster.identity import digest
from aion_dagster.pipelines.material import Material
from aion_dagster.pipelines.report import escaped, markdown, source_names
from aion_dagster.pipelines.results import StepResult
from aion_dagster.storage.places import Place, write_bytes
from aion_dagster.storage.store import Store

_CARRIED_OUT: Final = "## Carried out\n"


@dataclass(frozen=True)
class Stored:
    """A result as it lies in the store; `version` is that of its contents."""

    result: StepResult
    version: str
    place: Place
    report: Place


def asset_name(pipeline: str, step: str) -> str:
    """The asset of a step: `pipeline/<pipeline>/<step>`."""
    return f"pipeline/{pipeline}/{step}"


def set_name(pipeline: str, step: str, batch: str | None = None) -> str:
    """The set of tables that holds its result."""
    name = asset_name(pipeline, step)
    return name if batch is None else f"{name}/{batch}"


def read_result(store: Store, pipeline: str, step: str, batch: str | None = None) -> StepResult:
    """The current result of a step.

    Raises:
        StorageError: it was never run, or its files are damaged.
    """
    return StepResult.from_tables(*store.sets.read(set_name(pipeline, step, batch)))


def stored(store: Store, pipeline: str, step: str, batch: str | None = None) -> Stored | None:
    """The current result with its places; None where the step was never run."""
    name = set_name(pipeline, step, batch)
    version = store.sets.current(name)
    if version is None:
        return None
    result = StepResult.from_tables(*store.sets.read(name, version))
    return Stored(
        result, version, store.sets.path(name, version), _report(store, pipeline, step, batch)
    )


def is_fresh(store: Store, pipeline: str, step: str, batch: str | None, fingerprint: str) -> bool:
    """Whether the current result was made from what it would be made from now."""
    build = store.ledger.build(asset_name(pipeline, step), batch or "")
    if build is None or build.fingerprint != fingerprint:
        return False
    if store.sets.current(set_name(pipeline, step, batch)) != build.info.get("version"):
        return False
    return _report(store, pipeline, step, batch).is_file()


def keep(
    store: Store,
    pipeline: str,
    step: str,
    batch: str | None,
    fingerprint: str,
    result: StepResult,
    info: dict[str, Any],
) -> Stored:
    """Write a result: tables, then the report, then the build, so that a death between them has it written again."""
    name = set_name(pipeline, step, batch)
    version = digest(result.contents())[:24]
    place = store.sets.write(name, version, result.tables(), result.info(), renew=True)
    report = _report(store, pipeline, step, batch)
    names = source_names(result, Material(store, batch))
    title = f"{pipeline}: {step.replace('_', ' ')}"
    write_bytes(report, markdown(result, title, names).encode())
    rows = max(len(result.items), len(result.sentences), len(result.plan))
    store.ledger.record_build(
        asset_name(pipeline, step), batch or "", fingerprint, rows, {"version": version, **info}
    )
    return Stored(result, version, place, report)


def tell_applied(store: Store, pipeline: str, step: str, told: str) -> None:
    """Say at the end of a step's report how its plan was carried out the last time."""
    report = _report(store, pipeline, step, None)
    text = report.read_bytes().decode().partition(_CARRIED_OUT)[0].rstrip()
    write_bytes(report, f"{text}\n\n{_CARRIED_OUT}\n{escaped(told)}\n".encode())


def occasion_of(store: Store, pipeline: str) -> str:
    """What was last asked for anew; empty where nothing was."""
    build = store.ledger.build(f"pipeline/{pipeline}")
    return "" if build is None else build.fingerprint


def begin_occasion(store: Store, pipeline: str, occasion: str) -> None:
    """Have everything asked anew from now on; the same occasion again changes nothing."""
    if occasion_of(store, pipeline) != occasion:
        store.ledger.record_build(f"pipeline/{pipeline}", "", occasion, 0, {})


def _report(store: Store, pipeline: str, step: str, batch: str | None) -> Place:
    folder = store.root / "reports" / "pipeline" / pipeline
    return folder / f"{step}.md" if batch is None else folder / step / f"{batch}.md"
