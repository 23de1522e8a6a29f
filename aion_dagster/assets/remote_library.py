"""remote_library: what is in the remote library, whoever brought it there; observed, never written."""

import html
from typing import Any, cast

import dagster as dg

from aion_dagster.assets.automation import once_a_day
from aion_dagster.assets.remote import GROUP
from aion_dagster.assets.workbench import Workbench, final_failures
from aion_dagster.backends.aionvision import AionvisionBackend
from aion_dagster.backends.aionvision_library import Seen, look
from aion_dagster.errors import UnavailableError


def remote_library_asset(bench: Workbench) -> dg.SourceAsset:
    """Counts of the remote library's files as an observation, with a data version that changes when they do."""
    names = bench.names
    wanted = bench.config.aionvision.remote_library

    @dg.observable_source_asset(
        key=names.key("remote_library"),
        description="The files of the remote library, whoever brought them there: observed, a hundred in a request.",
        group_name=names.group(GROUP),
        required_resource_keys=bench.resource_keys,
        automation_condition=once_a_day() if wanted.daily else None,
        tags={"dagster/kind/aionvision": ""},
    )
    def remote_library(context: dg.OpExecutionContext) -> dg.ObserveResult:
        with final_failures():
            backend = getattr(context.resources, names.resource("compute")).backend
            if not isinstance(backend, AionvisionBackend):
                raise UnavailableError("this asset needs the backend 'aionvision'")
            backend.note_in(bench.store(cast("Any", context)).ledger.paid_calls(context.run.run_id))
            seen = look(backend, wanted)
        return dg.ObserveResult(
            data_version=dg.DataVersion(seen.version), metadata=_metadata(seen, bench)
        )

    return remote_library


def _metadata(seen: Seen, bench: Workbench) -> dict[str, Any]:
    """Counts, times, the most frequent tags; nothing that a page could take for markup."""
    wanted = bench.config.aionvision.remote_library
    conditions = wanted.model_dump(
        mode="json", exclude_defaults=True, exclude={"most_files", "daily"}
    )
    facts: dict[str, Any] = {
        "files": seen.files,
        "files_in_all": seen.total,
        "is_whole": seen.is_whole,
        "size_bytes": seen.size_bytes,
    }
    if conditions:
        facts["conditions"] = dg.MetadataValue.json(conditions)
    for name, moment in (("oldest", seen.first), ("newest", seen.last)):
        if moment is not None:
            facts[name] = dg.MetadataValue.timestamp(moment)
    for what in ("media_type", "description", "variants", "document_text", "crawl", "tag"):
        counts = seen.counts(what)
        if counts:
            shown = {html.escape(word): count for word, count in counts.items()}
            facts[f"by_{what}"] = dg.MetadataValue.json(shown)
    return facts
