"""Vectors of pictures and texts in one space: SigLIP, SigLIP 2, CLIP and their like."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aion_dagster.compute.model_files import ModelFiles
from aion_dagster.compute.models.batching import BatchSize, in_batches
from aion_dagster.compute.models.loading import Loaded, load, on_device
from aion_dagster.errors import ConfigError

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

_TEXTS_AT_ONCE: Final = 64


class JointEncoder:
    """Makes unit vectors whose dot product says how well a picture and a text fit.

    Attributes:
        engine: model, numbers, and what was asked of it.
    """

    def __init__(self, loaded: Loaded, batch_size: int) -> None:
        """Use `load`."""
        self._loaded = loaded
        self._size = BatchSize(batch_size)
        self.engine = f"{loaded.identity}/joint"

    @classmethod
    def load(cls, files: ModelFiles, *, device: str = "auto", batch_size: int = 32) -> JointEncoder:
        """Load a model with image and text features.

        Raises:
            UnavailableError: the extra `models` is not installed.
            ConfigError: the folder holds another kind of model.
        """
        loaded = load(files, "AutoModel", device=device)
        if not all(hasattr(loaded.model, f"get_{kind}_features") for kind in ("image", "text")):
            raise ConfigError(
                f"{files.folder}: {type(loaded.model).__name__} has no joint vectors of pictures and texts; name a CLIP "
                "or SigLIP model"
            )
        return cls(loaded, batch_size)

    def encode_images(self, images: Iterable[Pixels]) -> Iterator[Floats]:
        """A vector (d,) of length one per picture (h, w, 3), uint8, in their order."""

        def encode(batch: list[Pixels]) -> list[Floats]:
            inputs = self._loaded.processor(images=batch, return_tensors="pt")
            return list(self._features("image", inputs))

        return in_batches(images, encode, self._size)

    def encode_texts(self, texts: Sequence[str]) -> Floats:
        """Vectors (n, d) of length one."""
        # SigLIP was trained on texts padded to their full length; CLIP does not care.
        longest = "max_length" if hasattr(self._loaded.model, "logit_bias") else True
        found: list[Floats] = []
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            inputs = self._loaded.processor(
                text=list(texts[start : start + _TEXTS_AT_ONCE]),
                padding=longest,
                truncation=True,
                return_tensors="pt",
            )
            found.extend(self._features("text", inputs))
        return np.stack(found) if found else np.empty((0, 0), np.float32)

    def tag_scores(self, vectors: Floats, texts: Floats) -> Floats:
        """How well each picture (n, d) fits each text (m, d), (n, m), 0–1, as the model was trained to say it.

        SigLIP judges each text on its own; CLIP shares one among the texts, so that its scores depend on which others are
        asked about.
        """
        scale = float(self._loaded.model.logit_scale.detach().exp())
        logits = vectors @ texts.T * np.float32(scale)
        bias = getattr(self._loaded.model, "logit_bias", None)
        if bias is not None:
            return np.asarray(1 / (1 + np.exp(-(logits + float(bias.detach())))), np.float32)
        raised = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(raised / raised.sum(axis=1, keepdims=True), np.float32)

    def _features(self, kind: str, inputs: Any) -> Floats:
        import torch

        with torch.inference_mode():
            asked = getattr(self._loaded.model, f"get_{kind}_features")
            answer = asked(**on_device(self._loaded, inputs))
            # transformers 5 answers an object, before it a tensor.
            tensor = answer if torch.is_tensor(answer) else answer.pooler_output
            unit = torch.nn.functional.normalize(tensor.float(), dim=-1)
        return np.asarray(unit.cpu().numpy(), np.float32)
