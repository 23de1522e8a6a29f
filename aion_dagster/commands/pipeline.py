"""`aion-dagster pipeline list|run NAME`: the configured pipelines, and one of them run through Dagster."""

from __future__ import annotations

import json
import os
import time
import uuid
from argparse import Namespace
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from aion_dagster.commands.interrupts import heeding_interrupts
from aion_dagster.commands.materialize import run_errors
from aion_dagster.commands.quiet import quiet_console
from aion_dagster.commands.saying import say
from aion_dagster.commands.settings import check_reachable, store_config
from aion_dagster.commands.summary import plural
from aion_dagster.config import LibraryConfig, PipelineConfig
from aion_dagster.costs import INVOCATION
from aion_dagster.errors import ConfigError, StorageError
from aion_dagster.pipelines.asset_names import APPLIED, applied_assets, pipeline_assets
from aion_dagster.pipelines.carrying_out import TOLD
from aion_dagster.pipelines.kept import Stored, begin_occasion, stored
from aion_dagster.pipelines.readiness import lacking
from aion_dagster.pipelines.runner import check_library
from aion_dagster.resources.access import open_store
from aion_dagster.storage.store import Store


def pipeline(args: Namespace) -> int:
    """Carry out the command; the exit status."""
    config = store_config(args)
    return _list(config, args) if args.action == "list" else _run(config, args)


def _list(config: LibraryConfig, args: Namespace) -> int:
    """Every pipeline with its steps, what each takes from, and what the library lacks for it."""
    problems = {p.name: _lacking(config, p) for p in config.pipelines}
    if args.json:
        told = [{**_plain(config, p), "lacking": problems[p.name]} for p in config.pipelines]
        print(json.dumps(told))
        return 0
    for one in config.pipelines:
        mode = "in one call" if one.mode == "single_call" else "step by step"
        print(f"{one.name}  {one.runs_on(config.backend)}, {mode}, {one.schedule}")
        for step in one.wired():
            before = ", ".join(one.step_names[i] for i in step.waits_for)
            after = f" after {before}" if before else ""
            print(f"  {step.number}  {step.name} ({step.agent}){after}")
            apply = one.steps[step.number].apply
            if apply is not None:
                target = f" {apply.target}" if apply.target else ""
                print(f"     {APPLIED}: {apply.to}{target}")
        for problem in problems[one.name]:
            print(f"  lacking: {problem}")
    if not config.pipelines:
        print("no pipelines are configured")
    return 0


def _lacking(config: LibraryConfig, one: PipelineConfig) -> list[str]:
    """What a pipeline works on and its library, where there is one, does not have."""
    try:
        opened = Store.open(config.store, library=config.name, create=False)
    except StorageError:
        return []
    with opened as store:
        if not store.tables.exists("images"):
            return []
        found = lacking(
            one,
            store,
            remote=one.runs_on(config.backend) == "aionvision",
            links=bool(config.links.urls or config.aionvision.links),
            documents=bool(config.documents),
        )
        return list(found)


def _plain(config: LibraryConfig, one: PipelineConfig) -> dict[str, Any]:
    return {
        "name": one.name,
        "backend": one.runs_on(config.backend),
        "mode": one.mode,
        "schedule": one.schedule,
        "steps": [
            {
                "name": s.name,
                "agent": s.agent,
                "after": [one.step_names[i] for i in s.waits_for],
                "asset": f"pipeline/{one.name}/{s.name}",
                "apply": (a := one.steps[s.number].apply) and a.model_dump(mode="json"),
            }
            for s in one.wired()
        ],
    }


def _run(config: LibraryConfig, args: Namespace) -> int:
    """Run a pipeline on its library; steps whose results stand are not run again."""
    begun = time.perf_counter()
    quiet_console()
    one = _named(config, args.name)
    check_reachable(config)
    for problem in _lacking(config, one):
        say(f"lacking: {problem}")
    store = open_store(config.store, config.name)
    os.environ[INVOCATION] = uuid.uuid4().hex
    with store.lock(
        wait=not args.no_wait, on_wait=say, what=f"aion-dagster pipeline run {one.name}"
    ):
        store.sweep()
        check_library(store)
        if args.again:
            begin_occasion(store, one.name, datetime.now(UTC).isoformat())
        statuses, applied, errors = _materialized(config, store, one)
    found = {name: _found(store, one, name, status) for name, status in statuses.items()}
    calls = store.ledger.calls_of_run(os.environ[INVOCATION])
    _tell(one, found, applied)
    if calls:
        print(f"paid  {plural(calls, 'call')} ('costs' shows them by day)")
    for error in errors:
        say(f"failed: {error}")
    if args.json:
        result = {
            "pipeline": one.name,
            "steps": {name: facts for name, (_, facts) in found.items()},
            "applied": applied,
            "paid_calls": calls,
            "seconds": round(time.perf_counter() - begun, 3),
        }
        print(json.dumps(result))
    return 1 if errors else 0


def _materialized(
    config: LibraryConfig, store: Store, one: PipelineConfig
) -> tuple[dict[str, str], dict[str, dict[str, Any]], list[str]]:
    """How each step ended, what became of plans to be carried out, and what went wrong; batch after batch if partitioned."""
    from aion_dagster.assets.pipelines import pipeline_job_name
    from aion_dagster.definitions import build_definitions
    from aion_dagster.resources.instance import COMMAND_TAG, embedded_instance, report_dead_runs
    from aion_dagster.resources.naming import Names

    names = Names(config.name)
    job = build_definitions(config, quiet=True).resolve_job_def(pipeline_job_name(names, one))
    batches: list[str | None] = [None]
    if one.seeds.by_batch:
        batches = [b.key for b in store.ledger.batches() if b.blocked_reason is None]
    statuses = dict.fromkeys(one.step_names, "skipped")
    to_apply = {asset: one.step_names[i] for i, asset in applied_assets(one).items()}
    applied: dict[str, dict[str, Any]] = {step: {"status": "failed"} for step in to_apply.values()}
    errors: list[str] = []
    with embedded_instance(config.store) as instance:
        report_dead_runs(instance, config.store)
        for batch in batches:
            with heeding_interrupts():
                result = job.execute_in_process(
                    instance=instance,
                    partition_key=batch,
                    raise_on_error=False,
                    asset_selection=[names.key(a) for a in pipeline_assets(one)],
                    tags={COMMAND_TAG: "pipeline"},
                )
            errors += [f"{batch}: {e}" if batch else e for e in run_errors(result, checks=False)]
            for check in result.get_asset_check_evaluations():
                step = names.asset(check.asset_key).rpartition("/")[2]
                if check.check_name == "completed":
                    statuses[step] = str(check.metadata["status"].value)
                elif not check.passed:
                    errors.append(f"check {check.check_name} of {step}: {check.description}")
            for event in result.get_asset_materialization_events():
                if event.asset_key and names.asset(event.asset_key) in to_apply:
                    facts = {k: v.value for k, v in event.materialization.metadata.items()}
                    status = "failed" if facts["failed"] else "completed"
                    applied[to_apply[names.asset(event.asset_key)]] = {"status": status, **facts}
    for step, facts in applied.items():
        if statuses[step] in ("failed", "skipped"):
            facts["status"] = "skipped"
    return statuses, applied, errors


def _named(config: LibraryConfig, name: str) -> PipelineConfig:
    for one in config.pipelines:
        if one.name == name:
            return one
    known = ", ".join(p.name for p in config.pipelines) or "none"
    raise ConfigError(f"there is no pipeline {name!r}; configured are: {known}")


def _found(
    store: Store, one: PipelineConfig, name: str, status: str
) -> tuple[Stored | None, dict[str, Any]]:
    """What there is of a step now, as JSON."""
    kept = None if one.seeds.by_batch else stored(store, one.name, name)
    if kept is None or status in ("failed", "skipped"):
        return kept, {"status": status}
    return kept, {
        "status": status,
        "made_by": kept.result.made_by,
        "summary": kept.result.summary,
        "report": str(kept.report),
    }


def _tell(
    one: PipelineConfig,
    found: Mapping[str, tuple[Stored | None, dict[str, Any]]],
    applied: Mapping[str, dict[str, Any]],
) -> None:
    """How each step ended, and below a plan what was done with it."""
    width = max(len(name) for name in (*found, *([APPLIED] if applied else [])))
    for step in one.wired():
        _, facts = found[step.name]
        summary = facts.get("summary", "")
        if summary and step.agent == "folder" and step.name not in applied:
            summary += "; nothing was moved" if one.mode == "steps" else ""
        print(f"{step.name:<{width}}  {facts['status']:<9}  {summary}".rstrip())
        if "report" in facts:
            print(f"{'':<{width}}  {'':<9}  {facts['report']}")
        if step.name in applied:
            done = applied[step.name]
            print(f"{APPLIED:<{width}}  {done['status']:<9}  {done.get(TOLD, '')}".rstrip())
