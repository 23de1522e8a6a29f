"""The assets and jobs of a library about its account at the platform."""

from __future__ import annotations

from typing import Any, Final

import dagster as dg

from aion_dagster.assets.links import link_asset
from aion_dagster.assets.remote_colors import remote_color_asset
from aion_dagster.assets.remote_library import remote_library_asset
from aion_dagster.assets.uploads import upload_asset
from aion_dagster.assets.usage import usage_asset
from aion_dagster.assets.workbench import Workbench, keys
from aion_dagster.assets.write_back import write_back_asset
from aion_dagster.config import LibraryConfig
from aion_dagster.planning import has_remote_colors
from aion_dagster.resources.naming import Names

REMOTE_JOB: Final = "update_remote"
OBSERVE_JOB: Final = "observe_remote"


def account_assets(config: LibraryConfig) -> tuple[str, ...]:
    """Assets about the web and the account that no batch is needed for."""
    links = ("links",) if config.aionvision.links or config.links.urls else ()
    return (*links, "usage") if config.backend == "aionvision" else links


def remote_library_assets(bench: Workbench) -> list[Any]:
    """The assets of the backend `aionvision`, beside those that every backend has."""
    assets: list[Any] = [upload_asset(bench), usage_asset(bench), remote_library_asset(bench)]
    if has_remote_colors(bench.config):
        assets.append(remote_color_asset(bench))
    if bench.config.aionvision.write_back:
        assets.append(write_back_asset(bench))
    if bench.config.aionvision.links:
        assets.append(link_asset(bench))
    return assets


def remote_jobs(config: LibraryConfig) -> list[Any]:
    """Jobs about the web and the account."""
    names = Names(config.name)
    assets = account_assets(config)
    jobs = []
    if assets:
        jobs.append(
            dg.define_asset_job(
                names.job(REMOTE_JOB),
                selection=keys(names, assets),
                description="The configured links, and what was used of the account at the platform.",
            )
        )
    if config.backend == "aionvision":
        jobs.append(
            dg.define_asset_job(
                names.job(OBSERVE_JOB),
                selection=keys(names, ["remote_library"]),
                description="Looks at what is in the remote library; costs nothing.",
            )
        )
    return jobs
