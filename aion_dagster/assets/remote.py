"""What assets about a remote account share: the platform, the journal, the group that the UI shows them in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, Final, TypedDict

import dagster as dg

from aion_dagster.assets.workbench import RETRY, Workbench
from aion_dagster.backends.aionvision import AionvisionBackend
from aion_dagster.errors import UnavailableError
from aion_dagster.storage.ledger_calls import PaidCalls

GROUP: Final = "remote"
_LONGEST: Final = 40
"""Characters of a word that a server made up."""


class Account(TypedDict):
    """Decorator arguments of an asset about a remote account."""

    retry_policy: dg.RetryPolicy
    group_name: str
    required_resource_keys: set[str]
    pool: str


def account_asset(bench: Workbench) -> Account:
    """Decorator arguments of an asset about a remote account."""
    return {
        "retry_policy": RETRY,
        "group_name": bench.names.group(GROUP),
        "required_resource_keys": bench.resource_keys,
        "pool": bench.names.pool(GROUP),
    }


def platform(
    bench: Workbench, context: dg.AssetExecutionContext
) -> tuple[AionvisionBackend, PaidCalls]:
    """The platform and the journal of its paid calls.

    Raises:
        UnavailableError: the library has no remote backend.
    """
    backend, calls = bench.paying(context)
    if not isinstance(backend, AionvisionBackend):
        raise UnavailableError("this asset needs the backend 'aionvision'")
    return backend, calls


def counted(words: Iterable[Any], prefix: str) -> dict[str, int]:
    """How often each word comes, as metadata."""
    counts = Counter(str(word)[:_LONGEST] for word in words if word is not None)
    return {f"{prefix}{word}": count for word, count in sorted(counts.items())}
