"""Objects in pictures: detectors of transformers (DETR, RT-DETR, YOLOS …), or Florence-2's task."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from aion_dagster.compute.model_files import ModelFiles
from aion_dagster.compute.models.batching import BatchSize, in_batches
from aion_dagster.compute.models.generation import Generator, Pixels
from aion_dagster.compute.models.loading import EXTRA, Loaded, load, on_device
from aion_dagster.compute.models.regions import FoundRegion, clipped
from aion_dagster.compute.models.said import plain_line
from aion_dagster.errors import ConfigError, UnavailableError

TASK: Final = "<OD>"
_LONGEST: Final = 200

Find = Callable[[list[Pixels]], list[list[FoundRegion]]]


class ObjectDetector:
    """Finds objects with class, box, and score where the model gives one.

    Attributes:
        engine: model, numbers, what was asked of it, and the least score.
    """

    def __init__(self, find: Find, engine: str, batch_size: int) -> None:
        """Use `load`."""
        self._find = find
        self._size = BatchSize(batch_size)
        self.engine = engine

    @classmethod
    def load(
        cls,
        files: ModelFiles,
        *,
        device: str = "auto",
        batch_size: int = 32,
        min_score: float = 0.3,
    ) -> ObjectDetector:
        """Load a detector, or a Florence-2 model.

        Args:
            files: the model's folder.
            device: auto, or one of torch's names.
            batch_size: pictures computed together, at most.
            min_score: boxes below this score are left out; Florence-2 gives no scores.

        Raises:
            UnavailableError: the extra `models` is not installed.
            ConfigError: the folder holds another kind of model.
        """
        if _is_detector(files):
            loaded = load(files, "AutoModelForObjectDetection", device=device)
            engine = f"{loaded.identity}/detection/{min_score:g}"
            return cls(lambda batch: _detect(loaded, batch, min_score), engine, batch_size)
        generator = Generator.load(files, device=device)
        generator.require_tasks("objects")
        return cls(
            lambda batch: _by_task(generator, batch), f"{generator.identity}/{TASK}", batch_size
        )

    def find(self, images: Iterable[Pixels]) -> Iterator[list[FoundRegion]]:
        """The objects of each picture (h, w, 3), uint8, in the order of their scores."""
        return in_batches(images, self._find, self._size)


def _is_detector(files: ModelFiles) -> bool:
    try:
        from transformers import MODEL_FOR_OBJECT_DETECTION_MAPPING, AutoConfig
    except ImportError as error:
        raise UnavailableError(f"{EXTRA}; importing failed: {error}") from error
    try:
        config = AutoConfig.from_pretrained(
            files.folder, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"{files.folder} is no model that transformers knows: {error}") from error
    return type(config) in MODEL_FOR_OBJECT_DETECTION_MAPPING


def _detect(loaded: Loaded, batch: list[Pixels], min_score: float) -> list[list[FoundRegion]]:
    import torch

    inputs = loaded.processor(images=batch, return_tensors="pt")
    with torch.inference_mode():
        outputs = loaded.model(**on_device(loaded, inputs))
    sizes = [image.shape[:2] for image in batch]
    found: list[dict[str, Any]] = loaded.processor.post_process_object_detection(
        outputs, threshold=min_score, target_sizes=sizes
    )
    names = loaded.model.config.id2label
    return [_boxes(f, names, image) for f, image in zip(found, batch, strict=True)]


def _boxes(found: dict[str, Any], names: dict[int, str], image: Pixels) -> list[FoundRegion]:
    size = image.shape[1], image.shape[0]
    values = zip(
        found["labels"].tolist(), found["scores"].tolist(), found["boxes"].tolist(), strict=True
    )
    regions = [
        clipped(plain_line(names[label], _LONGEST), box, size, score=score)
        for label, score, box in sorted(values, key=lambda v: -v[1])
        if label in names
    ]
    return [region for region in regions if region is not None]


def _by_task(generator: Generator, batch: list[Pixels]) -> list[list[FoundRegion]]:
    found = []
    for answer, image in zip(generator.run_task(TASK, batch), batch, strict=True):
        size = image.shape[1], image.shape[0]
        regions = [
            clipped(plain_line(label, _LONGEST), box, size)
            for label, box in zip(answer["labels"], answer["bboxes"], strict=True)
        ]
        found.append([region for region in regions if region is not None and region.label])
    return found
