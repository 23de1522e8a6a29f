"""Text in pictures by a Florence-2 model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from aion_dagster.compute.model_files import ModelFiles
from aion_dagster.compute.models.batching import BatchSize, in_batches
from aion_dagster.compute.models.generation import Generator, Pixels
from aion_dagster.compute.models.regions import FoundRegion, clipped
from aion_dagster.compute.models.said import plain_line

TASK: Final = "<OCR_WITH_REGION>"
_LONGEST: Final = 1_000


class TextReader:
    """Finds and reads text; the model gives no confidence, so neither do we.

    Attributes:
        engine: model, numbers, and what was asked of it.
    """

    def __init__(self, generator: Generator, batch_size: int) -> None:
        """Use `load`."""
        generator.require_tasks("text with its place")
        self._generator = generator
        self._size = BatchSize(batch_size)
        self.engine = f"{generator.identity}/{TASK}"

    @classmethod
    def load(cls, files: ModelFiles, *, device: str = "auto", batch_size: int = 32) -> TextReader:
        """Load a Florence-2 model.

        Raises:
            UnavailableError: the extra `models` is not installed.
            ConfigError: the folder holds another kind of model.
        """
        return cls(Generator.load(files, device=device), batch_size)

    def find(self, images: Iterable[Pixels]) -> Iterator[list[FoundRegion]]:
        """The pieces of text of each picture (h, w, 3), uint8, in the model's order; their `label` is the text."""

        def read(batch: list[Pixels]) -> list[list[FoundRegion]]:
            answers = self._generator.run_task(TASK, batch)
            return [_regions(a, i) for a, i in zip(answers, batch, strict=True)]

        return in_batches(images, read, self._size)


def _regions(answer: dict[str, list[object]], image: Pixels) -> list[FoundRegion]:
    size = image.shape[1], image.shape[0]
    found = []
    for text, points in zip(answer["labels"], answer["quad_boxes"], strict=True):
        said = plain_line(str(text), _LONGEST)
        region = clipped(said, points, size, is_polygon=True)  # type: ignore[arg-type]  # a list of numbers
        if said and region is not None:
            found.append(region)
    return found
