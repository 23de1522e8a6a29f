"""usage: what the remote account used, by day and operation."""

from typing import Any

import dagster as dg

from aion_dagster.assets.automation import once_a_day
from aion_dagster.assets.remote import account_asset, platform
from aion_dagster.assets.workbench import Workbench, final_failures
from aion_dagster.backends.aionvision_usage import read_usage
from aion_dagster.resources.outputs import Built


def usage_asset(bench: Workbench) -> dg.AssetsDefinition:
    """A row per day (or month), operation and origin; grows from day to day."""
    names = bench.names

    @dg.asset(
        key=names.key("usage"),
        io_manager_key=names.tables,
        description="Credits, tokens and counts by day and operation: what the platform says of the account, and what "
        "the journal says of this library.",
        kinds={"parquet"},
        automation_condition=once_a_day() if bench.config.aionvision.usage else None,
        **account_asset(bench),
    )
    def usage(context: dg.AssetExecutionContext) -> Any:
        store = bench.store(context)
        with final_failures():
            backend, _ = platform(bench, context)
            before = store.tables.read("usage") if store.tables.exists("usage") else None
            found = read_usage(backend, store.ledger.spending(), before)
            fingerprint = bench.planner(context).whole("usage")
        facts = {**found.facts}
        if found.missing:
            facts["not_told_by_this_server"] = ", ".join(found.missing)
        yield dg.Output(
            Built(found.table, fingerprint, facts), data_version=dg.DataVersion(fingerprint[:16])
        )

    return usage
