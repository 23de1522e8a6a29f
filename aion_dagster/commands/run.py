"""`aion-dagster run`: take in what is new, materialize everything, export, say what was done."""

from __future__ import annotations

import gc
import json
import os
import time
import uuid
from argparse import Namespace
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime

import dagster as dg

from aion_dagster.assets.pictures import picture_tables
from aion_dagster.backends.pictures import PictureTables
from aion_dagster.backends.pictures_ahead import PicturesAhead
from aion_dagster.commands.materialize import Materializer, Outcome, side_by_side
from aion_dagster.commands.progress import Bars
from aion_dagster.commands.quiet import quiet_console
from aion_dagster.commands.saying import say
from aion_dagster.commands.settings import chosen_dataset, run_config
from aion_dagster.commands.summary import Summary, as_json, summary_lines
from aion_dagster.compute.picture_workers import PictureWorkers
from aion_dagster.config import LibraryConfig
from aion_dagster.costs import INVOCATION
from aion_dagster.errors import SourceError
from aion_dagster.ingest import ingest
from aion_dagster.planning import Plan, Planner, configured_backend, decoded_tables
from aion_dagster.resources.access import open_store
from aion_dagster.resources.instance import embedded_instance, report_dead_runs
from aion_dagster.resources.naming import Names
from aion_dagster.resources.sources import SourceReader, build_source
from aion_dagster.sensors.merged import retired_partitions
from aion_dagster.sensors.new_files import adopted_events
from aion_dagster.sensors.runs import known_partitions
from aion_dagster.storage.store import Store

_ALLOCATIONS = 20_000
"""New objects after which garbage is looked for; Python's own 700 are less than a step of Dagster makes."""


def run(args: Namespace) -> int:
    """Carry out the command; the exit status."""
    return run_on(args, run_config(args))


def run_on(
    args: Namespace, config: LibraryConfig, *, take_in: bool = True, whole_only: bool = False
) -> int:
    """Work on what is left, after listing the sources where `take_in`; the exit status.

    With `whole_only` what all batches are together is made anew, and no batch is worked on, which might be paid for.
    """
    begun = time.perf_counter()
    quiet_console()
    _spare_the_collector()
    with picture_workers(args) as workers:
        return _work_on(args, config, workers, begun, take_in=take_in, whole_only=whole_only)


def _work_on(
    args: Namespace,
    config: LibraryConfig,
    workers: PictureWorkers | None,
    begun: float,
    *,
    take_in: bool,
    whole_only: bool,
) -> int:
    store = open_store(config.store, config.name)
    summary = Summary()
    os.environ[INVOCATION] = uuid.uuid4().hex
    with (
        store.lock(wait=not args.no_wait, on_wait=say, what="aion-dagster run"),
        Bars() as bars,
        _pictures_ahead(config, store, bars, workers) as ahead,
    ):
        store.sweep()
        if take_in:
            _take_in(config, store, summary)
        plan = Planner(config, store, configured_backend(config)).plan()
        if args.jobs == 1 and not whole_only:
            ahead.expect(_whole_passes(config, plan))
        with embedded_instance(config.store) as instance:
            report_dead_runs(instance, config.store)
            run = Run(config, store, instance, bars, ahead, summary, workers, jobs=args.jobs)
            run.everything(plan, whole_only=whole_only)
    summary.paid_calls = store.ledger.calls_of_run(os.environ[INVOCATION])
    summary.seconds = time.perf_counter() - begun
    dataset = chosen_dataset(config, args.dataset)
    print("\n".join(summary_lines(config, store, dataset, summary)))
    for error in summary.errors:
        say(f"failed: {error}")
    if args.json:
        print(json.dumps(as_json(config, store, dataset, summary)))
    return 1 if summary.errors else 0


def _spare_the_collector() -> None:
    """What was imported stays to the end: looking through it again and again for garbage takes 5 % of a run."""
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS)


def _take_in(config: LibraryConfig, store: Store, summary: Summary) -> None:
    """Record the new files of every source as batches; one that cannot be listed does not hold up the others."""
    missing = deleted = 0
    begun = datetime.now(UTC)
    for each in config.sources:
        try:
            source = build_source(each, max_bytes=config.max_file_bytes, documents=config.documents)
            source.check()
            result = ingest(
                source,
                store,
                batch_files=config.batch_files,
                batch_bytes=config.batch_bytes,
                may_be_empty=each.may_be_empty,
            )
        except SourceError as error:
            say(f"{error}; passed over, {config.remembered_path} lists it")
            missing += 1
            continue
        summary.new_batches += len(result.batches)
        summary.problems += result.problems
        deleted += result.deleted
    if deleted:
        gone = (d.uri for d in store.ledger.deletions() if d.deleted_at >= begun)
        summary.gone = sorted(gone)
    if missing and missing == len(config.sources):
        summary.errors.append("none of the sources can be listed")


def picture_workers(args: Namespace) -> AbstractContextManager[PictureWorkers | None]:
    """Processes for the decode pass, where batches are materialized in this one.

    To be made first of all: they must inherit no lock, and no open database.
    """
    workers = PictureWorkers.beside() if args.jobs == 1 else None
    return workers if workers is not None else nullcontext()


def _pictures_ahead(
    config: LibraryConfig, store: Store, bars: Bars, workers: PictureWorkers | None
) -> PicturesAhead:
    """The decode pass over batches that are materialized in this process."""
    reader = SourceReader.from_config(config)
    parts = frozenset(decoded_tables(config))

    def compute(
        batch: str,
        *,
        go_on: Callable[[int], None],
        before_asking: Callable[[Collection[str]], None],
    ) -> PictureTables:
        def advance(files: int) -> None:
            go_on(files)
            bars.advance("images", files)

        return picture_tables(
            config,
            store,
            reader.read,
            batch,
            parts,
            advance=advance,
            before_asking=before_asking,
            workers=workers,
        )

    return PicturesAhead(compute)


def _whole_passes(config: LibraryConfig, plan: Plan) -> list[str]:
    """Batches whose pictures are to be computed altogether."""
    parts = set(decoded_tables(config))
    return [batch for batch, assets in plan.batches.items() if parts <= {*assets}]


class Run:
    """The work of one command on an exclusively held store."""

    def __init__(
        self,
        config: LibraryConfig,
        store: Store,
        instance: dg.DagsterInstance,
        bars: Bars,
        ahead: PicturesAhead,
        summary: Summary,
        workers: PictureWorkers | None,
        *,
        jobs: int,
    ) -> None:
        """`summary` is filled while the work goes on; `workers` decode for `ahead`; `jobs` batches run side by side."""
        self._config, self._store, self._instance = config, store, instance
        self._bars, self._ahead, self._summary, self._jobs = bars, ahead, summary, jobs
        self._workers = workers
        self._materializer: Materializer | None = None

    def everything(self, plan: Plan, *, whole_only: bool = False) -> None:
        """The library; then the account at a remote platform, which tells of this run too."""
        self._library(plan, whole_only)
        if plan.remote and not whole_only:
            self._summary.did_work = True
            unfinished = all(map(self._planner().is_unfinished, plan.remote))
            self._finish(self._dagster().remote(plan.remote))
            self._summary.made |= not unfinished
            if "links" in plan.remote:
                self._summary.links.count_links(self._store)

    def _library(self, plan: Plan, whole_only: bool) -> None:
        """Labels, then batches, then what they are together; stops where a stage leaves nothing to go on with."""
        planner = self._planner()
        self._adopt(plan)
        if not self._store.ledger.batches():
            self._config.remember()
            return
        self._summary.did_work = bool(plan)
        if plan.labels and not whole_only and not self._finish(self._dagster().labels()):
            return
        self._summary.made |= plan.labels
        # Only now: labels that cannot be read are not what later runs should go by.
        self._config.remember()
        if plan.batches and not whole_only:
            self._batches(plan, planner.usable_batches())
        if self._workers is not None:
            self._workers.close()  # what comes now needs their memory more
        planner = self._planner()
        left = planner.plan().whole if planner.usable_batches() else ()
        if left:
            self._summary.made = True
            for asset in left:
                if asset.count("/") == 2:
                    self._bars.announce(asset, self._pictures())
            if self._finish(self._dagster().whole(left)):
                self._follow(plan.batches)

    def _follow(self, batches: Collection[str]) -> None:
        """Run the pipelines that follow the library, or each batch that was done."""
        for pipeline in self._config.pipelines:
            if pipeline.schedule == "on_new":
                for batch in batches if pipeline.seeds.by_batch else (None,):
                    self._finish(self._dagster().pipeline(pipeline, batch))

    def _planner(self) -> Planner:
        return Planner(self._config, self._store, configured_backend(self._config))

    def _dagster(self) -> Materializer:
        """Built when there is work: a run without any is over before that."""
        if self._materializer is None:
            self._materializer = Materializer(
                self._config, self._instance, self._bars.advance, self._ahead
            )
        return self._materializer

    def _pictures(self) -> int:
        build = self._store.ledger.build("library")
        return 0 if build is None else build.rows

    def _adopt(self, plan: Plan) -> None:
        """Make the instance know every batch; report what exists without running it again."""
        names = Names(self._config.name)
        recorded = [b.key for b in self._store.ledger.batches()]
        known = known_partitions(names, recorded, self._instance)
        missing = [b for b in recorded if b not in known]
        if missing:
            self._instance.add_dynamic_partitions(names.partitions_name, missing)
        for batch in retired_partitions(names, self._store, self._instance):
            self._instance.delete_dynamic_partition(names.partitions_name, batch)
        for batch in missing:
            if batch not in plan.batches:
                for event in adopted_events(self._config, batch):
                    self._instance.report_runless_asset_event(event)

    def _batches(self, plan: Plan, whole_before: set[str]) -> None:
        """Materialize what is left of each batch; those that were not whole before count as taken in."""
        sizes = {b.key: b.file_count for b in self._store.ledger.batches()}
        for asset in ("images", "text_regions", "codes", "objects", "documents"):
            total = sum(sizes[b] for b, assets in plan.batches.items() if asset in assets)
            self._bars.announce(asset, total)
        if self._jobs > 1 and len(plan.batches) > 1:
            outcomes = side_by_side(self._config, plan.batches, self._jobs)
        else:
            dagster = self._dagster()
            outcomes = (dagster.batch(b, assets) for b, assets in plan.batches.items())
        for outcome in outcomes:
            self._finish(outcome)
            if self._jobs > 1:
                self._bars.advance("images", sizes[outcome.batch])
            self._summary.made |= outcome.batch not in plan.incomplete
            if outcome.batch not in whole_before:
                self._summary.count(self._store, outcome.batch)
            if "descriptions" in plan.batches[outcome.batch]:
                self._summary.count_descriptions(self._store, outcome.batch)

    def _finish(self, outcome: Outcome) -> bool:
        """Note errors; whether there were none."""
        where = f"{outcome.batch}: " if outcome.batch else ""
        self._summary.errors += [where + e for e in outcome.errors]
        return outcome.success
