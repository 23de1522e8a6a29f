"""`aion-dagster ledger rebuild`: a lost or damaged ledger made anew from what the store tells."""

from __future__ import annotations

import json
from argparse import Namespace
from dataclasses import asdict

from aion_dagster.commands.settings import store_config
from aion_dagster.rebuilding import Rebuilt, ledger_problem, rebuild_ledger
from aion_dagster.storage.store import Store
from aion_dagster.wording import plural


def ledger(args: Namespace) -> int:
    """Rebuild it where it does not fit the store, or where `--force` is given; the exit status."""
    config = store_config(args)
    store = Store.open(config.store, library=config.name, create=False)
    # Nobody waits for this: whoever is at work has a ledger that is not to be replaced.
    with store.lock(wait=False, what="aion-dagster ledger rebuild"):
        problem = ledger_problem(store)
        done = None
        if problem is not None or args.force:
            done = rebuild_ledger(config, store, dry_run=args.dry_run)
    if args.json:
        rebuilt = None if done is None else {**asdict(done), "kept": done.kept and str(done.kept)}
        facts = {"problem": problem, "dry_run": args.dry_run, "rebuilt": rebuilt}
        print(json.dumps(facts))
    else:
        print("\n".join(_lines(problem, done, dry_run=args.dry_run)))
    return 0


def _lines(problem: str | None, done: Rebuilt | None, *, dry_run: bool) -> list[str]:
    if done is None:
        return [
            "The ledger knows every batch of the store: nothing was done (--force rebuilds it anyway)."
        ]
    lines = [
        f"ledger     {problem or 'fits the store'}",
        f"{'would have' if dry_run else 'has now':10} {plural(done.files, 'file version')} in"
        f" {plural(done.batches, 'batch')}, {plural(done.deleted, 'file')} gone",
        f"made       {plural(done.builds, 'table')}; {plural(done.results, 'result')} to be found by content",
        f"paid calls {plural(done.calls, 'answer')} from tables,"
        f" {plural(done.carried, 'row')} of journal and budgets from the old ledger",
    ]
    if done.unfinished:
        lines.append(f"to do      {plural(done.unfinished, 'batch')}: the next run completes them")
    lines += [f"left out   {key}: its files are in other batches" for key in done.passed_over]
    if done.kept is not None:
        lines.append(f"old ledger {done.kept}")
    return [*lines, *(["Nothing was changed (--dry-run)."] if dry_run else [])]
