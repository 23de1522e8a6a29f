"""`aion-dagster trace`: from an exported picture or annotation back to source object, bytes, model, run and cost."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from aion_dagster.commands.settings import store_config
from aion_dagster.errors import ConfigError
from aion_dagster.exported_ids import annotation_in_coco, dataset_of, image_of_file
from aion_dagster.provenance import Trace, annotation_of, file_of, image_of, trace_image
from aion_dagster.source_files import SourceFile
from aion_dagster.storage.store import Store
from aion_dagster.wording import plural


def trace(args: Namespace) -> int:
    """Print it, for people or as JSON."""
    config = store_config(args)
    with Store.open(config.store, library=config.name, create=False) as store:
        found = _found(store, args.id, args.annotation)
    if args.json:
        print(json.dumps(found.plain(), default=str))
    else:
        print("\n".join(_file(found) if isinstance(found, SourceFile) else lines(found)))
    return 0


def _found(store: Store, asked: str, number: str | None) -> Trace | SourceFile:
    """What is known of what was asked for: a picture, or a file that is none."""
    path = Path(asked)
    exported = dataset_of(store, path) if path.is_file() else None
    if exported is not None:
        dataset, folder = exported
        if number is None:
            return trace_image(store, image_of_file(dataset, folder, path))
        if number.isdecimal():
            row = annotation_in_coco(dataset, path, int(number))
            return trace_image(store, row["image_id"], row)
    if number is not None:
        asked = number
    row_of = annotation_of(store, asked)
    if row_of is not None:
        return trace_image(store, row_of["image_id"], row_of)
    image = image_of(store, asked)
    if image is not None:
        return trace_image(store, image)
    file = file_of(store, asked)
    if file is None:
        raise ConfigError(
            f"{asked!r} is no annotation, picture, SHA-256, file name in an export, or path, URI or name in a source of"
            f" {store.root}; of an exported COCO file name an id by --annotation"
        )
    # A batch may be kept out of the library.
    in_library = file.image_id and image_of(store, file.image_id)
    return trace_image(store, in_library) if in_library else file


def _file(file: SourceFile) -> Iterator[str]:
    """A file that is no picture of the library, as a person reads it."""
    why = f": {file.error}" if file.error else ""
    yield f"file       {file.name}  {file.status}{why}"
    yield f"source     {file.source}: {file.uri}"
    yield f"  version  {file.version}, batch {file.batch}"


def lines(found: Trace) -> Iterator[str]:
    """The trace as a person reads it."""
    if found.annotation is not None:
        yield from _annotation(found.annotation)
    yield f"picture    {found.name}  {found.width}×{found.height}  {found.state}"
    yield f"  id       {found.image_id}"
    yield f"  sha256   {found.sha256}"
    for place in found.places:
        yield f"source     {place.source}: {place.uri}"
        yield f"  version  {place.version}, {place.size_bytes} bytes, batch {place.batch}"
    for step in found.steps:
        yield f"{step.table:16} run {step.run_id}  {step.built_at}  fingerprint {(step.fingerprint or '')[:16]}"
        for key, value in step.made_by.items():
            yield f"  {key}: {', '.join(value) if isinstance(value, list) else value}"
    for result in found.results:
        yield f"result     {result.operation}, parameters {result.parameters[:16]}, in batch {result.batch}"
    for call in found.calls:
        cost = "credits not told" if call.credits is None else f"{call.credits:g} credits"
        yield f"paid call  {call.operation} by {call.engine}: {call.state}, {cost}, {call.input_tokens}/{call.output_tokens} tokens"
        yield f"  run {call.run}, {call.day}, parameters {call.parameters[:16]}, remote id {call.remote_id}"
    yield f"cost       {found.credits:g} credits in {plural(len(found.calls), 'paid call')}"
    for one in found.datasets:
        mark = " (current)" if one.is_current else ""
        yield f"dataset    {one.dataset} {one.version}{mark}: {one.split}/{one.file_name}, {plural(len(one.annotations), 'annotation')}"
        for export, folder in one.exports.items():
            yield f"  {export:8} {folder}"


def _annotation(row: Mapping[str, Any]) -> Iterator[str]:
    box = row.get("bbox")
    shown = "" if box is None else f"  [{', '.join(f'{v:g}' for v in box.values())}]"
    yield f"annotation {row.get('category') or row.get('text')}{shown}"
    yield f"  id       {row['annotation_id']}"
    yield f"  origin   {row['origin']}: {row.get('origin_ref')}"
    if row.get("score") is not None:
        yield f"  score    {row['score']:g}"
