"""uploads: the pictures of a batch in the remote library, each content once."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from aion_dagster import schemas
from aion_dagster.assets.remote import counted
from aion_dagster.assets.workbench import Workbench, final_failures, table_output
from aion_dagster.backends.aionvision import AionvisionBackend
from aion_dagster.backends.aionvision_storage import prepare_storage
from aion_dagster.backends.aionvision_variants import Variants, with_variants
from aion_dagster.backends.protocol import Original, UploadingBackend
from aion_dagster.errors import SourceError, UnavailableError
from aion_dagster.resources.metadata import call_metadata
from aion_dagster.resources.outputs import Built
from aion_dagster.resources.sources import SourceReader
from aion_dagster.values import FileRef


def upload_asset(bench: Workbench) -> dg.AssetsDefinition:
    """A row per distinct picture of a batch, with its remote id or the reason why there is none."""
    names = bench.names

    @dg.asset(
        key=names.key("uploads"),
        deps=[names.key("images")],
        io_manager_key=names.tables,
        description="Where each picture is in the remote library; content that is there already is not sent again.",
        kinds={"parquet"},
        pool=names.pool("upload"),
        **bench.partitioned,
    )
    def uploads(context: dg.AssetExecutionContext) -> Any:
        store = bench.store(context)
        backend, calls = bench.paying(context)
        if not isinstance(backend, UploadingBackend):
            raise UnavailableError("this backend has no remote library")
        built: dict[str, Built] = {}
        with final_failures():
            for batch in context.partition_keys:
                images = store.tables.read("images", batch=batch)
                originals = originals_of(images, bench.sources(context))
                if isinstance(backend, AionvisionBackend):
                    prepare_storage(backend)
                table = backend.upload(originals, partial(bench.advance, "uploads"))
                facts = {**_counts(table), **call_metadata(calls)}
                if isinstance(backend, AionvisionBackend):
                    variants = with_variants(backend, table)
                    table = variants.uploads
                    facts |= _variant_counts(variants)
                again = table.filter(table["is_retryable"])["image_id"].to_pylist()
                fingerprint, info = bench.planner(context).made(batch, "uploads", again)
                built[batch] = Built(table, fingerprint, facts, info)
        yield table_output("result", built)

    return uploads


def originals_of(images: pa.Table, reader: SourceReader) -> list[Original]:
    """The distinct readable pictures of a batch, in its order."""
    ok = images.filter(pc.equal(images["status"], schemas.STATUS_OK))
    columns = ("source", "uri", "name", "version", "size_bytes", "modified_at")
    found: dict[str, tuple[dict[str, Any], list[FileRef]]] = {}
    for row in ok.select([*columns, "image_id", "sha256", "media_type"]).to_pylist():
        file = FileRef(**{name: row[name] for name in columns})
        found.setdefault(row["sha256"], (row, []))[1].append(file)
    return [
        Original(
            row["image_id"],
            sha,
            row["name"],
            row["media_type"],
            row["size_bytes"],
            _opener(files, reader),
        )
        for sha, (row, files) in found.items()
    ]


def _opener(files: list[FileRef], reader: SourceReader) -> Callable[[], Path | bytes]:
    """Opens the first of the files that is still there as it was."""

    def opened() -> Path | bytes:
        problem: SourceError | None = None
        for ref in files:
            try:
                return reader.local_path(ref) or reader.read(ref)
            except SourceError as error:
                problem = error
        raise problem or SourceError("no file holds this picture")

    return opened


def _counts(table: pa.Table) -> dict[str, int]:
    statuses = table["status"].to_pylist()
    return {
        "stored": statuses.count("completed"),
        "were_there": sum(table["was_there"].to_pylist()),
        "failed": statuses.count("failed"),
    }


def _variant_counts(variants: Variants) -> dict[str, int]:
    """Pictures by the state of the platform's sizes of them."""
    facts = counted(variants.uploads["variant_status"].to_pylist(), "variants_")
    return {**facts, "variants_asked_for": variants.repaired} if variants.repaired else facts
