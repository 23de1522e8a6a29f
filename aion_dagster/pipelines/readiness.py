"""What a pipeline lacks in a library as it stands, so that it is known before anything is run or paid."""

from __future__ import annotations

from collections.abc import Iterator

from aion_dagster.pipelines.graph import said
from aion_dagster.pipelines.material import Material
from aion_dagster.pipelines.specification import PipelineConfig
from aion_dagster.storage.store import Store


def lacking(
    pipeline: PipelineConfig, store: Store, *, remote: bool, links: bool, documents: bool
) -> Iterator[str]:
    """What a pipeline works on and the library does not have, each with the way out.

    Args:
        pipeline: the pipeline.
        store: where its library is; it may be empty.
        remote: its steps run at the platform, which may have links and files of its own.
        links: the configuration names links.
        documents: the configuration takes documents in.
    """
    has_links = links or remote or store.tables.exists("links")
    for step in pipeline.wired():
        if step.agent == "link_search" and not has_links:
            yield (
                f"{said(step.number, step)}: this library has no links to search; name some in the configuration, as in "
                "'links: {urls: [https://…]}', and run aion-dagster run"
            )
    seeds = pipeline.seeds
    if isinstance(seeds.documents, str) and not documents and not store.tables.exists("documents"):
        yield (
            f"seeds.documents: {seeds.documents!r} of none; say which kinds are taken in, as in 'documents: [pdf, md]', and "
            "run aion-dagster run"
        )
    if remote:
        return
    material = Material(store)
    for kind, asked in (("images", seeds.images), ("documents", seeds.documents)):
        if isinstance(asked, str) or not asked:
            continue
        known = (
            {p.id for p in material.pictures(asked)}
            if kind == "images"
            else {*material.documents(asked)}
        )
        strangers = [i for i in asked if i not in known]
        if strangers:
            more = f" (and {len(strangers) - 1} more)" if strangers[1:] else ""
            yield f"seeds.{kind}: {strangers[0]!r}{more} is not in the library"
