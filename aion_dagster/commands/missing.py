"""What a run says of what it could not bring: pictures without a description, links that were not taken."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from aion_dagster.config import LibraryConfig
from aion_dagster.storage.store import Store
from aion_dagster.wording import plural

LISTED: Final = 10
"""Reasons that are named; the rest are counted."""


@dataclass
class Missing:
    """Rows that failed, by reason; how many may come another time, and how many wait for a budget."""

    had: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    retryable: int = 0
    over_budget: int = 0

    def count_descriptions(self, store: Store, batch: str) -> None:
        """Add a batch's descriptions; pictures that are not usable are told of elsewhere."""
        names = ("status", "error", "error_type", "is_retryable")
        columns = [f"description_{name}" for name in names]
        table = store.tables.read("descriptions", batch=batch, columns=columns)
        for status, error, kind, retryable in zip(
            *(table[c].to_pylist() for c in columns), strict=True
        ):
            if status == "completed":
                self.had += 1
            elif kind != "image":
                self._add(error or status, bool(retryable), kind == "budget")

    def count_links(self, store: Store) -> None:
        """Add the links of a library."""
        if not store.tables.exists("links"):
            return
        columns = ["error", "error_type", "is_retryable", "crawl_status", "crawl_error"]
        for row in store.tables.read("links", columns=columns).to_pylist():
            reason = row["error"] or (
                row["crawl_status"] == "failed" and (row["crawl_error"] or "failed")
            )
            if reason:
                self._add(reason, bool(row["is_retryable"]), row["error_type"] == "budget")
            else:
                self.had += 1

    def _add(self, reason: str, retryable: bool, over_budget: bool) -> None:
        self.reasons[reason] += 1
        self.retryable += retryable
        self.over_budget += over_budget

    def lines(self, thing: str, what: str, table: str) -> Iterator[str]:
        """How many of all, and the reasons, the most frequent first."""
        lost = self.reasons.total()
        if not lost:
            return
        yield f"  {lost} of {plural(lost + self.had, thing)} {what}:"
        yield from (f"  {n} x {reason}" for reason, n in self.reasons.most_common(LISTED))
        if len(self.reasons) > LISTED:
            yield f"  … and others: table '{table}'"

    def last_line(self, config: LibraryConfig, thing: str, what: str) -> Iterator[str]:
        """The most frequent reason and what to do, for the very end."""
        lost = self.reasons.total()
        if not lost:
            return
        ((reason, _),) = self.reasons.most_common(1)
        command = f"retry --store {shlex.quote(config.store)}"
        if self.over_budget == lost:
            todo = f"the store's file is {config.remembered_path}"
        elif self.retryable:
            todo = f"'aion-dagster {command}' or the next run tries again"
        else:
            todo = f"'aion-dagster {command} --all' tries again what failed for good"
        yield f"missing  {plural(lost, thing)} {what}: {reason}; {todo}"
