"""The store as a Dagster resource."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import dagster as dg
from pydantic import PrivateAttr

from aion_dagster.resources.access import hold_store, open_store
from aion_dagster.resources.kept_connections import kept_connections
from aion_dagster.storage.store import Store


class StoreResource(dg.ConfigurableResource[Any]):
    """One library's tables, table sets and ledger; a run holds the store while it lasts."""

    uri: str
    library: str = "default"
    _store: Store = PrivateAttr()

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[StoreResource]:
        """Open the store for a run, which from now on keeps its connections to the instance's databases."""
        self._store = open_store(self.uri, self.library)
        with (
            hold_store(self._store, context.run.run_id if context.run else None),
            kept_connections(context.instance) if context.instance else nullcontext(),
        ):
            yield self

    @property
    def store(self) -> Store:
        """The open store."""
        return self._store
