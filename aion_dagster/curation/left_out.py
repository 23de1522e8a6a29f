"""What a dataset leaves out of a library, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from aion_dagster import schemas
from aion_dagster.values import Loss

Reason = Literal["deleted", "no_size", "not_selected", "quality", "unlabelled", "near_duplicate"]

LOSS_KINDS: Final[dict[Reason, str]] = {
    "no_size": "invalid",
    "quality": "dropped",
    "unlabelled": "unlabelled",
    "near_duplicate": "deduplicated",
}
"""Reasons that stand in the loss report too. What was not asked for, or is not there any more, is no loss."""


@dataclass
class Choice:
    """The pictures that are left, and those that are not."""

    pictures: pa.Table
    _parts: list[pa.Table] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)

    def keep(
        self, mask: npt.NDArray[np.bool_], reason: Reason, details: Sequence[str] | str
    ) -> None:
        """Leave out the rows that are False in `mask`; `details` says why, one text for all or one for each of them."""
        if mask.all():
            return
        gone = self.pictures.filter(pa.array(~mask))
        texts = [details] * gone.num_rows if isinstance(details, str) else list(details)
        self._parts.append(
            pa.table(
                {
                    "image_id": gone["image_id"],
                    "name": gone["name"],
                    "reason": pa.array([reason] * gone.num_rows, pa.string()),
                    "detail": pa.array(texts, pa.string()),
                },
                schema=schemas.LEFT_OUT,
            )
        )
        if reason in LOSS_KINDS:
            names = gone["name"].to_pylist()
            self.losses += [
                Loss(LOSS_KINDS[reason], name, text)
                for name, text in zip(names, texts, strict=True)
            ]
        self.pictures = self.pictures.filter(pa.array(mask)).combine_chunks()

    @property
    def table(self) -> pa.Table:
        """Schema `LEFT_OUT`, sorted by name."""
        whole = pa.concat_tables([schemas.LEFT_OUT.empty_table(), *self._parts])
        return whole.sort_by([("name", "ascending"), ("image_id", "ascending")]).combine_chunks()


def live_pictures(library: pa.Table) -> Choice:
    """The pictures of a library that are neither superseded nor deleted and have a size, in the order of ids."""
    current = library.filter(pc.is_null(library["superseded_by"]))
    choice = Choice(current.sort_by("image_id").combine_chunks())
    is_there = pc.is_null(choice.pictures["deleted_at"]).to_numpy()
    choice.keep(is_there, "deleted", "its file is gone from its source")
    rows = choice.pictures
    sized = pc.and_(pc.greater(rows["width"], 0), pc.greater(rows["height"], 0))
    mask = pc.fill_null(sized, fill_value=False).to_numpy()
    choice.keep(mask, "no_size", "the picture has no size; left out")
    return choice
