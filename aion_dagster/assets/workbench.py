"""What the asset factories of one library share: configuration, names, resources at run time, retry rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypedDict

import dagster as dg

from aion_dagster.backends.pictures_ahead import PicturesAhead
from aion_dagster.backends.protocol import VisionBackend
from aion_dagster.config import LibraryConfig
from aion_dagster.costs import invocation, spending_caps
from aion_dagster.errors import AionError, ConfigError, LabelError, UnavailableError
from aion_dagster.planning import Planner
from aion_dagster.resources.naming import Names
from aion_dagster.resources.outputs import Built, PerBatch
from aion_dagster.resources.sources import SourceReader
from aion_dagster.storage.ledger_calls import PaidCalls
from aion_dagster.storage.store import Store

Advance = Callable[[str, int], None]
"""Told how many items an asset has done: (asset, items)."""

RETRY = dg.RetryPolicy(
    max_retries=2, delay=1, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS
)
"""For crashes of a step; faults that a repetition cannot mend are raised as failures without retries."""

FINAL = (ConfigError, LabelError, UnavailableError)


class Partitioned(TypedDict):
    """Decorator arguments of an asset with a partition per batch."""

    partitions_def: dg.DynamicPartitionsDefinition
    retry_policy: dg.RetryPolicy
    group_name: str
    required_resource_keys: set[str]


class Whole(TypedDict):
    """Decorator arguments of an asset over all batches."""

    retry_policy: dg.RetryPolicy
    group_name: str
    required_resource_keys: set[str]
    pool: str


def silent(_asset: str, _items: int) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True)
class Workbench:
    """Given to every asset factory of a library; `ahead`, where there is one, has the pictures of batches to come."""

    config: LibraryConfig
    advance: Advance = silent
    ahead: PicturesAhead | None = None

    @property
    def names(self) -> Names:
        """Dagster names of the library."""
        return Names(self.config.name)

    @property
    def partitioned(self) -> Partitioned:
        """Decorator arguments of an asset with a partition per batch."""
        return {
            "partitions_def": self.names.partitions,
            "retry_policy": RETRY,
            "group_name": self.names.group("pictures"),
            "required_resource_keys": self.resource_keys,
        }

    @property
    def whole(self) -> Whole:
        """Decorator arguments of an asset over all batches."""
        return self.whole_in("library")

    def whole_in(self, group: str) -> Whole:
        """Decorator arguments of an asset over all batches that the UI shows in another group."""
        return {
            "retry_policy": RETRY,
            "group_name": self.names.group(group),
            "required_resource_keys": self.resource_keys,
            "pool": self.names.pool("library"),
        }

    def outs(
        self, group: str, descriptions: Mapping[str, str], *, is_required: bool = True
    ) -> dict[str, dg.AssetOut]:
        """The outputs of a step that writes several tables, in the order of `descriptions`.

        Args:
            group: what they stand in.
            descriptions: table → what it holds.
            is_required: whether the step always writes all of them.
        """
        return {
            table: dg.AssetOut(
                key=self.names.key(table),
                io_manager_key=self.names.tables,
                is_required=is_required,
                description=description,
                kinds={"parquet"},
                group_name=self.names.group(group),
            )
            for table, description in descriptions.items()
        }

    @property
    def resource_keys(self) -> set[str]:
        """Resources that the assets' bodies use."""
        return {self.names.resource(r) for r in ("store", "sources", "compute")}

    def store(self, context: dg.AssetExecutionContext) -> Store:
        """The library's store."""
        store: Store = getattr(context.resources, self.names.store).store
        return store

    def sources(self, context: dg.AssetExecutionContext) -> SourceReader:
        """Reader of original files."""
        reader: SourceReader = getattr(context.resources, self.names.resource("sources"))
        return reader

    def backend(self, context: dg.AssetExecutionContext) -> VisionBackend:
        """Who answers heavy questions."""
        backend: VisionBackend = getattr(context.resources, self.names.resource("compute")).backend
        return backend

    def paying(self, context: dg.AssetExecutionContext) -> tuple[VisionBackend, PaidCalls]:
        """The same, whose paid calls are noted in the ledger and kept within the budgets; and the journal."""
        backend = self.backend(context)
        calls = self.store(context).ledger.paid_calls(
            invocation() or context.run.run_id, spending_caps(self.config.budgets)
        )
        calls.take_over()
        backend.note_in(calls)
        return backend, calls

    def planner(self, context: dg.AssetExecutionContext) -> Planner:
        """Fingerprints as of now."""
        return Planner(self.config, self.store(context), self.backend(context))


@contextmanager
def final_failures() -> Iterator[None]:
    """Turn errors that no repetition mends into failures without retries, with their own message."""
    try:
        yield
    except FINAL as error:
        raise dg.Failure(f"{type(error).__name__}: {error}", allow_retries=False) from error
    except AionError as error:
        raise dg.Failure(f"{type(error).__name__}: {error}") from error


def one_or_many(built: Mapping[str, Built]) -> Built | PerBatch:
    """The value that the IO manager wants for a run over these batches."""
    return next(iter(built.values())) if len(built) == 1 else PerBatch(built)


def table_output(name: str, built: Mapping[str, Built]) -> dg.Output[Any]:
    """An op output with the data version where there is one partition."""
    value = one_or_many(built)
    version = dg.DataVersion(value.fingerprint[:16]) if isinstance(value, Built) else None
    return dg.Output(value, output_name=name, data_version=version)


def keys(names: Names, assets: Sequence[str]) -> list[dg.AssetKey]:
    """Keys of several assets."""
    return [names.key(a) for a in assets]
