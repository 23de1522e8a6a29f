"""What a run says at its end: what was done, what failed, where the results are."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from aion_dagster.commands.label_summary import label_lines
from aion_dagster.commands.missing import Missing
from aion_dagster.config import DatasetConfig, LibraryConfig
from aion_dagster.storage.places import place_of
from aion_dagster.storage.store import Store
from aion_dagster.values import Dataset, Loss
from aion_dagster.wording import plural as plural

LISTED = 10
"""Unusable files and problems that are named; the rest are counted."""


@dataclass
class Summary:
    """What a run did, for people and as JSON."""

    new_batches: int = 0
    batches: int = 0
    files: int = 0
    ok: int = 0
    documents: int = 0
    documents_ok: int = 0
    paid_calls: int = 0
    seconds: float = 0.0
    did_work: bool = False
    made: bool = False
    errors: list[str] = field(default_factory=list)
    problems: list[Loss] = field(default_factory=list)
    unusable: list[tuple[str, str, str]] = field(default_factory=list)
    descriptions: Missing = field(default_factory=Missing)
    links: Missing = field(default_factory=Missing)
    gone: list[str] = field(default_factory=list)

    @property
    def failed(self) -> int:
        """Files that are no usable picture and no document with text."""
        return self.files - self.ok

    def count(self, store: Store, batch: str) -> None:
        """Add a batch that this run took in."""
        if not store.tables.exists("images", batch):
            return
        columns = ["name", "status", "error"]
        rows = store.tables.read("images", batch=batch, columns=columns).to_pylist()
        bad = [(r["name"], r["status"], r["error"] or "") for r in rows if r["status"] != "ok"]
        if store.tables.exists("documents", batch):
            columns = ["name", "text_extraction_status", "error"]
            papers = store.tables.read("documents", batch=batch, columns=columns).to_pylist()
            rows += papers
            bad += [
                (r["name"], r["text_extraction_status"], r["error"] or "")
                for r in papers
                if r["text_extraction_status"] != "completed"
            ]
            self.documents += len(papers)
            self.documents_ok += sum(r["text_extraction_status"] == "completed" for r in papers)
        self.batches += 1
        self.files += len(rows)
        self.ok += len(rows) - len(bad)
        self.unusable += bad

    def count_descriptions(self, store: Store, batch: str) -> None:
        """Add a batch whose descriptions this run was to make; pictures that are not usable are told of elsewhere."""
        if not store.tables.exists("descriptions", batch):
            return
        self.descriptions.count_descriptions(store, batch)


def exports_of(store: Store, dataset: DatasetConfig) -> dict[str, str]:
    """Where a dataset's exports are, by format."""
    places = {e: store.exports.place(dataset.name, e) for e in dataset.exports}
    return {e: str(place) for e, place in places.items() if place is not None}


def report_of(store: Store, dataset: DatasetConfig) -> str | None:
    """Where a dataset's page is."""
    place = store.exports.place(dataset.name, "card")
    return None if place is None else str(place / "index.html")


def as_json(
    config: LibraryConfig, store: Store, dataset: DatasetConfig, summary: Summary
) -> dict[str, Any]:
    """The object that `--json` prints: exports, report and losses of `dataset`, and in `datasets` those of each."""
    return {
        "batches": summary.batches,
        "files": summary.files,
        "ok": summary.ok,
        "failed": summary.failed,
        "gone": len(summary.gone),
        "paid_calls": summary.paid_calls,
        "undescribed": dict(summary.descriptions.reasons),
        "links_not_taken": dict(summary.links.reasons),
        "seconds": round(summary.seconds, 3),
        **_results(store, dataset),
        "datasets": {each.name: _results(store, each) for each in config.datasets},
        "errors": summary.errors,
    }


def _results(store: Store, dataset: DatasetConfig) -> dict[str, Any]:
    """Where the exports and the page of a dataset are, and its losses by kind."""
    return {
        "exports": exports_of(store, dataset),
        "report": report_of(store, dataset),
        "losses": _losses(store, dataset),
    }


def _losses(store: Store, dataset: DatasetConfig) -> dict[str, int]:
    """How many losses of which kind the version that stands now has."""
    name = f"dataset/{dataset.name}"
    version = store.sets.current(name)
    if version is None:
        return {}
    return dict(
        Counter(store.sets.read_table(name, version, "losses", ["kind"])["kind"].to_pylist())
    )


def current_dataset(store: Store, dataset: DatasetConfig) -> Dataset | None:
    """The version that stands now."""
    name = f"dataset/{dataset.name}"
    if store.sets.current(name) is None:
        return None
    return Dataset.from_tables(*store.sets.read(name))


def summary_lines(
    config: LibraryConfig, store: Store, dataset: DatasetConfig, summary: Summary
) -> list[str]:
    """What a person reads at the end of a run."""
    lines = [_work(config, store, summary)]
    lines += [f"  {status}: {name!r}: {why}" for name, status, why in summary.unusable[:LISTED]]
    if len(summary.unusable) > LISTED:
        lines.append(
            f"  … and {len(summary.unusable) - LISTED} more: table 'images', column 'error'"
        )
    lines += [f"  {p.kind}: {p.subject}: {p.detail}" for p in summary.problems[:LISTED]]
    if len(summary.problems) > LISTED:
        lines.append(f"  … and {len(summary.problems) - LISTED} more files that were not taken in")
    lines += _gone(summary)
    lines += _descriptions(summary)
    version = current_dataset(store, dataset)
    if version is not None and version.images.num_rows:
        lines += label_lines(config, store, dataset, version)
    lines += _unsplit(store, dataset)
    lines += _places(store, dataset)
    for other in config.datasets:
        if other.name != dataset.name:
            lines.append(f"also     {other.name}: {_short(store, other)}")
            lines += [f"  {line}" for line in (*_unsplit(store, other), *_places(store, other))]
    lines.append(f"store    {store.root}")
    lines.append(f"UI       {_command()} dev --store {shlex.quote(config.store)}")
    lines += summary.descriptions.last_line(config, "picture", "without a description")
    lines += summary.links.last_line(config, "link", "not taken")
    return lines


def _places(store: Store, dataset: DatasetConfig) -> list[str]:
    """Where the exports and the page of a dataset are."""
    lines = [f"{name:8} {place}" for name, place in exports_of(store, dataset).items()]
    page = report_of(store, dataset)
    return [*lines, f"report   {place_of(page).as_uri()}"] if page else lines


def _short(store: Store, dataset: DatasetConfig) -> str:
    """What another dataset has, in a few words."""
    name = f"dataset/{dataset.name}"
    version = store.sets.current(name)
    if version is None:
        return "it was not made"
    pictures = store.sets.read_table(name, version, "images", ["image_id"]).num_rows
    lost = ", ".join(f"{kind} {n}" for kind, n in sorted(_losses(store, dataset).items()))
    return f"{plural(pictures, 'picture')}, losses: {lost or 'none'}"


def _unsplit(store: Store, dataset: DatasetConfig) -> list[str]:
    """That there was nothing to split: val is train then, and no measure of anything."""
    name = f"dataset/{dataset.name}"
    version = store.sets.current(name)
    if version is None:
        return []
    losses = store.sets.read_table(name, version, "losses", ["kind", "subject", "detail"])
    whole = pc.and_(pc.equal(losses["kind"], "split"), pc.equal(losses["subject"], "dataset"))
    return [f"splits   {detail}" for detail in losses.filter(whole)["detail"].to_pylist()]


def _work(config: LibraryConfig, store: Store, summary: Summary) -> str:
    """How much was done, in a sentence."""
    if summary.did_work and not (summary.batches or summary.new_batches or summary.errors):
        what = "what was missing or had changed was made"
        if not summary.made:
            what = "of what was left nothing could be made"
        return f"No new files; {what} ({summary.seconds:.1f} s)."
    if summary.did_work:
        return (
            f"{plural(summary.files, 'file')} in {plural(summary.batches, 'batch')}: "
            f"{_usable(summary)}, {summary.failed} not usable, {summary.seconds:.1f} s"
        )
    if store.ledger.batches():
        return f"Nothing new: no work was done ({summary.seconds:.1f} s)."
    return f"No files found in {', '.join(s.place for s in config.sources) or 'no source'}."


def _usable(summary: Summary) -> str:
    pictures = plural(summary.ok - summary.documents_ok, "picture")
    if not summary.documents:
        return pictures
    return f"{pictures}, {plural(summary.documents_ok, 'document')} with text"


def _descriptions(summary: Summary) -> list[str]:
    """What was paid, and which pictures have no description for which reasons."""
    lines = []
    if summary.paid_calls:
        lines.append(f"paid     {plural(summary.paid_calls, 'call')} ('costs' shows them by day)")
    lines += summary.descriptions.lines("picture", "have no description", "descriptions")
    lines += summary.links.lines("link", "were not taken", "links")
    return lines


def _gone(summary: Summary) -> list[str]:
    """Which files were found to be gone from their sources; the table `left_out` names the pictures among them."""
    if not summary.gone:
        return []
    are = "file is" if len(summary.gone) == 1 else "files are"
    lines = [
        f"gone     {len(summary.gone)} {are} no longer in the sources, and left out of datasets:"
    ]
    lines += [f"  {uri}" for uri in summary.gone[:LISTED]]
    if len(summary.gone) > LISTED:
        lines.append(
            f"  … and {len(summary.gone) - LISTED} more: table 'library', column 'deleted_at'"
        )
    return lines


def _command() -> str:
    """What a person types to reach this program: its name, or its path where the name is not found."""
    if shutil.which("aion-dagster"):
        return "aion-dagster"
    program = Path(sys.executable).with_name("aion-dagster")
    near = os.path.relpath(program)
    return shlex.quote(str(program) if near.startswith("..") else near)
