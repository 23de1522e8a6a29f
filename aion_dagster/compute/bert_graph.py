"""The forward pass of BERT by ONNX Runtime: the graph is made from the weights, without an exporter and without torch.

The graph consists of ONNX Runtime's own fused operators for transformers (domain `com.microsoft`), so that nothing is left
to its optimizer, and is kept as a file, so that the package `onnx` is needed once per model.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aion_dagster.compute.bert import Bert, LayerNorm

GRAPH_VERSION: Final = 1
"""Changes with the graph, so that kept files of an older one are not taken."""

_CONTRIB: Final = "com.microsoft"
_OPSET: Final = 17
_FACTS: Final = ("width", "vocabulary", "longest")


class BertSession:
    """A BERT encoder in ONNX Runtime; answers like `Bert.encode`."""

    def __init__(self, session: Any) -> None:
        """Use `open`."""
        self._session = session
        facts = session.get_modelmeta().custom_metadata_map
        self.width, self.vocabulary, self.longest = (int(facts[name]) for name in _FACTS)

    @classmethod
    def open(cls, graph: Path, *, threads: int) -> BertSession:
        """Load a file that `write_graph` made; `threads` compute one batch together."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Threads that wait in a loop would take the processor from other work.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(
            str(graph), options, providers=["CPUExecutionProvider"]
        )
        return cls(session)

    def encode(self, batch: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """One vector of unit length per sequence of token ids, (n, width); best with sequences of about one length."""
        longest = max(map(len, batch))
        ids = np.zeros((len(batch), longest), np.int32)
        mask = np.zeros_like(ids)
        for row, tokens in enumerate(batch):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        (vectors,) = self._session.run(None, {"ids": ids, "mask": mask})
        return np.asarray(vectors, np.float32)


def cached_graph(name: str) -> Path:
    """Where the graph of a model is kept in the user's cache; `name` changes with the weights and their settings."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aion_dagster"
    return home / f"{name}-graph{GRAPH_VERSION}.onnx"


def write_graph(target: Path, bert: Bert) -> None:
    """Write the graph with its weights, beside it first and then renamed.

    Raises:
        ImportError: the package `onnx` is not installed.
        OSError: the folder cannot be written.

    Inputs: `ids` and `mask` (n, tokens), int32; output (n, width), unit vectors: means over the tokens that the mask keeps.
    """
    from onnx import TensorProto, helper

    graph = _Graph(bert)
    nodes, weights = graph.nodes, graph.weights
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "bert",
            [
                helper.make_tensor_value_info(n, TensorProto.INT32, ["n", "t"])
                for n in ("ids", "mask")
            ],
            [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["n", bert.width])],
            weights,
        ),
        opset_imports=[helper.make_opsetid("", _OPSET), helper.make_opsetid(_CONTRIB, 1)],
        ir_version=8,
    )
    facts = dict(zip(_FACTS, (bert.width, len(bert.words), len(bert.positions)), strict=True))
    helper.set_model_props(model, {name: str(value) for name, value in facts.items()})
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    try:
        partial.write_bytes(model.SerializeToString())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


class _Graph:
    """Nodes and weights of one encoder."""

    def __init__(self, bert: Bert) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        norm = bert.embedding_norm
        tables = self._weight("words", bert.words), self._weight("places", bert.positions)
        x = self._add(
            "EmbedLayerNormalization",
            ["ids", "", *tables, "", *self._norm("embedding", norm)],
            epsilon=norm.epsilon,
        )
        for number, layer in enumerate(bert.layers):
            name = f"layer{number}"
            qkv = self._weight(f"{name}.qkv", layer.qkv.weight)
            bias = self._weight(f"{name}.qkv.bias", layer.qkv.bias)
            attended = self._add(
                "Attention", [x, qkv, bias, "mask"], num_heads=bert.heads, scale=1.0
            )
            attended = self._times(attended, f"{name}.out", layer.attention_out.weight)
            x = self._residual(
                attended, x, f"{name}.norm1", layer.attention_norm, layer.attention_out.bias
            )
            fed = self._times(x, f"{name}.up", layer.up.weight)
            fed = self._add("BiasGelu", [fed, self._weight(f"{name}.up.bias", layer.up.bias)])
            fed = self._times(fed, f"{name}.down", layer.down.weight)
            x = self._residual(fed, x, f"{name}.norm2", layer.norm, layer.down.bias)
        self._pool(x)

    def _pool(self, x: str) -> None:
        """The mean of the tokens that the mask keeps, at unit length."""
        mask = self._add("Cast", ["mask"], domain="", to=1)
        row = self._add(
            "Unsqueeze", [mask, self._weight("one", np.array([1], np.int64))], domain=""
        )
        total = self._add("MatMul", [row, x], domain="")
        summed = self._add(
            "Squeeze", [total, self._weight("one again", np.array([1], np.int64))], domain=""
        )
        # Dividing by the number of tokens would change nothing: the length is made one anyway.
        self._add("LpNormalization", [summed], domain="", output="vectors", axis=-1, p=2)

    def _residual(
        self, x: str, skip: str, name: str, norm: LayerNorm, bias: NDArray[np.float32]
    ) -> str:
        inputs = [x, skip, *self._norm(name, norm), self._weight(f"{name}.before", bias)]
        return self._add("SkipLayerNormalization", inputs, epsilon=norm.epsilon)

    def _times(self, x: str, name: str, weight: NDArray[np.float32]) -> str:
        return self._add("MatMul", [x, self._weight(name, weight)], domain="")

    def _norm(self, name: str, norm: LayerNorm) -> list[str]:
        return [
            self._weight(f"{name}.scale", norm.weight),
            self._weight(f"{name}.shift", norm.bias),
        ]

    def _weight(self, name: str, value: NDArray[Any]) -> str:
        from onnx import numpy_helper

        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def _add(
        self,
        kind: str,
        inputs: list[str],
        *,
        domain: str = _CONTRIB,
        output: str | None = None,
        **attributes: Any,
    ) -> str:
        from onnx import helper

        name = output or f"{kind}{len(self.nodes)}"
        # The second output of the embedding, a count of tokens, is not optional.
        outputs = [name, f"{name}.mask"] if kind == "EmbedLayerNormalization" else [name]
        self.nodes.append(helper.make_node(kind, inputs, outputs, domain=domain, **attributes))
        return name
