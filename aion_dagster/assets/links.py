"""links: the configured URLs, crawled here or saved as links of the remote library."""

from typing import Any

import dagster as dg

from aion_dagster.assets.automation import once_a_day, when_new
from aion_dagster.assets.remote import account_asset, counted, platform
from aion_dagster.assets.workbench import Workbench, final_failures
from aion_dagster.backends.aionvision_links import links_table
from aion_dagster.backends.crawled_links import crawled_links
from aion_dagster.identity import digest
from aion_dagster.resources.metadata import call_metadata
from aion_dagster.resources.outputs import Built


def link_asset(bench: Workbench) -> dg.AssetsDefinition:
    """A row per configured URL."""
    names = bench.names
    urls = list(bench.config.aionvision.links)

    @dg.asset(
        key=names.key("links"),
        io_manager_key=names.tables,
        description="The configured URLs as links of the remote library: each is saved once, and its page crawled.",
        kinds={"parquet"},
        code_version=digest(urls)[:16],
        automation_condition=when_new(),
        **account_asset(bench),
    )
    def links(context: dg.AssetExecutionContext) -> Any:
        with final_failures():
            backend, calls = platform(bench, context)
            table = links_table(backend, calls, urls)
            again = table.filter(table["is_retryable"])["source_url"].to_pylist()
            fingerprint, info = bench.planner(context).made_whole("links", again)
        facts = {
            **counted(table["crawl_status"].to_pylist(), "links_"),
            "without_link": table["link_id"].null_count,
            "were_there": sum(table["was_there"].to_pylist()),
            "retryable": len(again),
            **call_metadata(calls),
        }
        yield dg.Output(
            Built(table, fingerprint, facts, info), data_version=dg.DataVersion(fingerprint[:16])
        )

    return links


def crawled_link_asset(bench: Workbench) -> dg.AssetsDefinition:
    """A row per configured URL, of what its page says."""
    names, config = bench.names, bench.config.links
    settings = config.model_dump(mode="json", exclude={"daily"})

    @dg.asset(
        key=names.key("links"),
        io_manager_key=names.tables,
        description="The pages of the configured URLs: title, Open Graph data, favicon and text.",
        kinds={"parquet"},
        code_version=digest(settings)[:16],
        automation_condition=when_new() | once_a_day() if config.daily else when_new(),
        **bench.whole_in("links"),
    )
    def links(context: dg.AssetExecutionContext) -> Any:
        tables = bench.store(context).tables
        before = tables.read("links") if tables.exists("links") else None
        with final_failures():
            table = crawled_links(config, before, progress=lambda n: bench.advance("links", n))
            again = table.filter(table["is_retryable"])["source_url"].to_pylist()
            fingerprint, info = bench.planner(context).made_whole("links", again)
        facts = {
            "dagster/row_count": table.num_rows,
            **counted(table["crawl_status"].to_pylist(), "links_"),
            "refused": table.num_rows - table["crawl_status"].drop_null().length(),
            "retryable": len(again),
        }
        yield dg.Output(
            Built(table, fingerprint, facts, info), data_version=dg.DataVersion(fingerprint[:16])
        )

    return links
