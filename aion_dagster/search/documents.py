"""The words of each picture, as the search index takes them."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

COLUMNS = ("image_id", "title", "description", "tags", "visible_text")


def search_documents(library: pa.Table, descriptions: ds.Dataset) -> Iterator[pa.RecordBatch]:
    """Record batches of image_id, name, title, description, tags and visible_text, a row per picture in use.

    A picture that several batches describe is taken once; one without a description keeps its name.
    """
    live = library.filter(pc.is_null(library["superseded_by"]))
    names = dict(zip(live["image_id"].to_pylist(), live["name"].to_pylist(), strict=True))
    for chunk in descriptions.to_batches(columns=list(COLUMNS)):
        ids = chunk.column("image_id").to_pylist()
        fresh = [i for i, image in enumerate(ids) if names.get(image) is not None]
        taken = {ids[i]: i for i in reversed(fresh)}
        if not taken:
            continue
        rows = chunk.take(pa.array(sorted(taken.values()), pa.int64()))
        found = [names.pop(image) for image in rows.column("image_id").to_pylist()]
        yield rows.append_column("name", pa.array(found, pa.string()))
    if names:
        yield pa.RecordBatch.from_pylist(
            [_bare(image, name) for image, name in names.items()],
            schema=pa.schema(
                [
                    (c, pa.string())
                    for c in ("image_id", "title", "description", "visible_text", "name")
                ]
                + [("tags", pa.list_(pa.string()))]
            ),
        )


def _bare(image: str, name: str) -> dict[str, object]:
    return {"image_id": image, "name": name}
