"""The work that is left on a library, and the run requests for it."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cached_property

import dagster as dg

from aion_dagster.config import LibraryConfig
from aion_dagster.identity import digest
from aion_dagster.planning import (
    REVISION,
    Plan,
    Planner,
    configured_backend,
    partitioned_assets,
)
from aion_dagster.resources.naming import Names
from aion_dagster.sensors.runs import asked_for, batches_at_work
from aion_dagster.sensors.settled import Settled
from aion_dagster.storage.store import Store


class Work:
    """What is to be done, as things stand when it is made.

    Attributes:
        plan: stale assets by batch; nothing about assets over all batches, which follow by themselves.
        at_work: batches that some run is about.
    """

    def __init__(self, config: LibraryConfig, store: Store, instance: dg.DagsterInstance) -> None:
        """Compare what the ledger says was built with what the configuration asks for."""
        self._config, self._store, self._instance = config, store, instance
        self._names = Names(config.name)
        self._planner = Planner(config, store, configured_backend(config))
        self.plan = self._planned()
        self.at_work = batches_at_work(self._names, partitioned_assets(config), instance)
        self.at_work &= self._planner.records.keys()

    def _planned(self) -> Plan:
        """The plan for all batches, made of those that are not known to be done."""
        records = self._planner.records
        settled = Settled(self._planner)
        blocked = [key for key, record in records.items() if record.blocked_reason is not None]
        plan = self._planner.plan_of(dict.fromkeys([*settled.without(records), *blocked]))
        settled.note(records, blocked, plan.batches)
        return plan

    @property
    def recorded(self) -> list[str]:
        """Keys of all batches, in the order of recording."""
        return list(self._planner.records)

    @cached_property
    def wanted(self) -> dict[str, dg.RunRequest]:
        """Batch → its run, for stale batches that nobody works on, those first that never started.

        The run key follows from everything that the batch should be made from. So a batch is asked for again under the
        same key until it has started, and under a new one when its inputs changed; a batch that is at work is left
        alone, and so is one that failed: Dagster repeats its run, or a person does. One in which some rows failed for a
        time, or for want of a budget, is asked for once more on the next day, or as soon as the budgets change.
        """
        open_batches = [b for b in self.plan.batches if b not in self.at_work]
        keys = {batch: self._run_key(batch) for batch in open_batches}
        asked = asked_for(keys.values(), self._instance)
        return {
            batch: dg.RunRequest(
                run_key=keys[batch],
                partition_key=batch,
                asset_selection=[self._names.key(a) for a in self.plan.batches[batch]],
            )
            for batch in sorted(open_batches, key=self._has_started)
            if keys[batch] not in asked
        }

    @property
    def unfinished(self) -> int:
        """Batches that are at work or will be; those that failed wait for a person and do not count."""
        return len(self.at_work | self.wanted.keys())

    def requests(self) -> list[dg.RunRequest]:
        """Runs to ask for now: within the limits of a tick and of what may be under way."""
        room = self._config.max_unfinished_batches - len(self.at_work)
        most = max(0, min(self._config.max_batches_per_tick, room))
        return list(self.wanted.values())[:most]

    def labels(self) -> dg.RunRequest:
        """A run that imports the label files as they are now."""
        return dg.RunRequest(
            run_key=f"{self._names.job('labels')}-{self._planner.labels[:16]}",
            asset_selection=[self._names.key("labels")],
        )

    def library(self) -> list[dg.RunRequest]:
        """A run of the library where files went or came back and no batch will bring it up to date."""
        build = self._store.ledger.build("library")
        revision = self._store.ledger.revision()
        if build is None or self.unfinished or build.info.get(REVISION, 0) >= revision:
            return []
        key = f"{self._names.job('library')}-{digest([self._config.store, revision])[:16]}"
        if asked_for([key], self._instance):
            return []
        return [dg.RunRequest(run_key=key, asset_selection=[self._names.key("library")])]

    def _has_started(self, batch: str) -> bool:
        return self._planner.records[batch].started_at is not None

    def _run_key(self, batch: str) -> str:
        inputs: list[object] = [self._config.store, self._planner.expected(batch)]
        if batch in self.plan.incomplete:
            budgets = self._config.budgets.model_dump(mode="json")
            inputs += [datetime.now(UTC).date().isoformat(), budgets]
        return f"{self._names.job(batch)}-{digest(inputs)[:16]}"
