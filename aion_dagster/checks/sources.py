"""The check that tells when a source has not been scanned for too long."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import dagster as dg

from aion_dagster.config import LibraryConfig
from aion_dagster.resources.access import open_store
from aion_dagster.resources.naming import Names
from aion_dagster.storage.ledger_records import SourceState
from aion_dagster.storage.store import Store

SCANNED = "sources_scanned"


def source_states(config: LibraryConfig, store: Store) -> list[SourceState]:
    """How the passes over each source ended."""
    return [store.ledger.source_state(source.name) for source in config.sources]


def overdue(config: LibraryConfig, states: list[SourceState]) -> tuple[str, ...]:
    """Names of the sources over which no pass came to its end within the time that is allowed."""
    limit = datetime.now(UTC) - timedelta(hours=config.max_scan_age_hours)
    return tuple(s.name for s in states if s.scanned_at is None or s.scanned_at < limit)


def scanned_evaluation(config: LibraryConfig, states: list[SourceState]) -> dg.AssetCheckEvaluation:
    """The check's result as an event, for those who do not run it as a step."""
    result = _result(config, states)
    return dg.AssetCheckEvaluation(
        asset_key=Names(config.name).key("library"),
        check_name=SCANNED,
        passed=result.passed,
        metadata=result.metadata,
        severity=result.severity,
        description=result.description,
    )


def scanned_check(
    config: LibraryConfig, in_force: Callable[[], LibraryConfig] | None = None
) -> dg.AssetChecksDefinition:
    """The check, to be run by hand or with the library; the new-files sensor reports when its result changes."""
    names = Names(config.name)

    @dg.asset_check(
        asset=names.key("library"),
        name=SCANNED,
        description="Warns where a source has not been looked through for longer than max_scan_age_hours.",
    )
    def sources_scanned() -> dg.AssetCheckResult:
        now = in_force() if in_force else config
        return _result(now, source_states(now, open_store(now.store, now.name)))

    return sources_scanned


def _result(config: LibraryConfig, states: list[SourceState]) -> dg.AssetCheckResult:
    late = overdue(config, states)
    lines = [_sentence(state) for state in states if state.name in late]
    return dg.AssetCheckResult(
        passed=not late,
        severity=dg.AssetCheckSeverity.WARN,
        description=" ".join(lines) or None,
        metadata={
            "sources": len(states),
            "overdue": ", ".join(late) or "none",
            **{
                f"scanned/{s.name}": dg.TimestampMetadataValue(s.scanned_at.timestamp())
                for s in states
                if s.scanned_at is not None
            },
        },
    )


def _sentence(state: SourceState) -> str:
    when = "ever" if state.scanned_at is None else f"since {state.scanned_at:%Y-%m-%d %H:%M} UTC"
    why = f": {state.problem}" if state.problem else ""
    return f"{state.name} has not been scanned to its end {when}{why}."
