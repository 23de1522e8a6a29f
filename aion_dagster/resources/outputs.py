"""What our own assets hand to the IO managers: a value with its fingerprint and metadata, per batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Built:
    """A table (or set of tables) with the fingerprint of what it was made from.

    `info` is what the ledger keeps of the build beside the run's id. `value` is a `pa.Table`, `pd.DataFrame`, `pa.RecordBatchReader`, a staged table, or a set of tables.
    """

    value: Any
    fingerprint: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    info: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PerBatch:
    """Outputs of a run over several partitions: batch → what was built for it."""

    batches: Mapping[str, Built]
