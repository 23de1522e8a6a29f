"""Captions: what a model says of a picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from aion_dagster.compute.model_files import ModelFiles
from aion_dagster.compute.models.batching import BatchSize, in_batches
from aion_dagster.compute.models.generation import QUESTION, Generator, Pixels
from aion_dagster.compute.models.said import plain

TASK: Final = "<MORE_DETAILED_CAPTION>"
_LONGEST: Final = 4_000


class Captioner:
    """Writes descriptions, by Florence-2's most detailed caption or by asking a model that is talked to.

    Attributes:
        engine: model, numbers, and what was asked of it.
    """

    def __init__(self, generator: Generator, batch_size: int) -> None:
        """Use `load`."""
        self._generator = generator
        self._size = BatchSize(batch_size)
        self.engine = f"{generator.identity}/{TASK if generator.tasks else 'question'}"

    @classmethod
    def load(cls, files: ModelFiles, *, device: str = "auto", batch_size: int = 32) -> Captioner:
        """Load an image-text-to-text model.

        Raises:
            UnavailableError: the extra `models` is not installed.
            ConfigError: the folder holds another kind of model.
        """
        return cls(Generator.load(files, device=device), batch_size)

    def caption(self, images: Iterable[Pixels]) -> Iterator[str]:
        """A text per picture (h, w, 3), uint8, in their order; empty where the model says nothing."""

        def say(batch: list[Pixels]) -> list[str]:
            if self._generator.tasks:
                answers = self._generator.run_task(TASK, batch)
            else:
                answers = self._generator.converse(QUESTION, batch)
            return [plain(str(answer), _LONGEST) for answer in answers]

        return in_batches(images, say, self._size)
