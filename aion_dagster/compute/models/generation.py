"""Text out of pictures: Florence-2's tasks, and models that are talked to."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aion_dagster.compute.model_files import ModelFiles
from aion_dagster.compute.models.loading import Loaded, load, on_device
from aion_dagster.errors import ConfigError

Pixels = NDArray[np.uint8]

_MOST_TOKENS: Final = 512
QUESTION: Final = "Describe what can be seen in this picture in two to four sentences."


class Generator:
    """An image-text-to-text model; `tasks` says whether it knows those of Florence-2."""

    def __init__(self, loaded: Loaded) -> None:
        """Use `load`."""
        self._loaded = loaded
        self.identity = loaded.identity
        self.tasks = hasattr(loaded.processor, "post_process_generation") and hasattr(
            loaded.processor, "task_prompts_without_inputs"
        )
        if not self.tasks and not getattr(loaded.processor, "chat_template", None):
            raise ConfigError(
                f"{loaded.identity}: the model knows neither Florence-2's tasks nor has it a chat template"
            )

    @classmethod
    def load(cls, files: ModelFiles, *, device: str = "auto") -> Generator:
        """Load the model.

        Raises:
            UnavailableError: the extra `models` is not installed.
            ConfigError: the folder holds another kind of model.
        """
        return cls(load(files, "AutoModelForImageTextToText", device=device))

    def require_tasks(self, what: str) -> None:
        """Raise a ConfigError where the model does not know Florence-2's tasks."""
        if not self.tasks:
            raise ConfigError(
                f"{self.identity} cannot be asked for {what}; name a Florence-2 model"
            )

    def run_task(self, task: str, images: list[Pixels]) -> list[Any]:
        """What a task such as `<OCR_WITH_REGION>` gives for each picture, in pixels of it."""
        processor = self._loaded.processor
        inputs = processor(text=[task] * len(images), images=images, return_tensors="pt")
        answers = processor.batch_decode(self._generate(inputs), skip_special_tokens=False)
        return [
            processor.post_process_generation(
                text=answer, task=task, image_size=(image.shape[1], image.shape[0])
            )[task]
            for answer, image in zip(answers, images, strict=True)
        ]

    def converse(self, question: str, images: list[Pixels]) -> list[str]:
        """The answers of a model that is talked to."""
        processor = self._loaded.processor
        said = [
            {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}
        ]
        prompt = processor.apply_chat_template(said, add_generation_prompt=True)
        inputs = processor(
            text=[prompt] * len(images),
            images=[[image] for image in images],
            padding=True,
            return_tensors="pt",
        )
        answers = self._generate(inputs)[:, inputs["input_ids"].shape[1] :]
        return list(processor.batch_decode(answers, skip_special_tokens=True))

    def _generate(self, inputs: Any) -> Any:
        import torch

        with torch.inference_mode():
            return self._loaded.model.generate(
                **on_device(self._loaded, inputs), max_new_tokens=_MOST_TOKENS, do_sample=False
            )
