"""The forward pass of BERT by ONNX Runtime: the graph is made here from the weights' names, the weights stay where they are.

Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers" (2019), with mean pooling over tokens as in
Reimers and Gurevych, "Sentence-BERT" (2019). What is rearranged, exactly up to rounding:

- Matrix products take the residual as what they add to. Their own bias is added by the normalisation before, whose other
  readers subtract what it does to them.
- The key's bias moves all scores of a query by the same amount, which softmax takes out again: it is left out.
- Texts of a run have one length, so that nothing is padded and nothing masked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aion_dagster.compute import onnx_format as onnx
from aion_dagster.errors import UnavailableError

Floats = NDArray[np.float32]

RUN_TOKENS: Final = 512
"""Tokens of one run at most (and always one text): enough for full speed of the products, little enough for the caches."""

_OPSET: Final = 23
"""The first that knows attention as one operator."""
_OLDEST: Final = (1, 23)
"""The first onnxruntime that has these operators."""


class BertSession:
    """A BERT encoder in ONNX Runtime; answers like `Bert`."""

    def __init__(self, tensors: Mapping[str, Floats], *, heads: int, epsilon: float, threads: int):
        """Build from the tensors of a checkpoint, named as Hugging Face names them, without `bert.` before.

        Args:
            tensors: float32, C order. They are not copied, and kept for as long as the session.
            heads: attention heads.
            epsilon: what the normalisations add to the variance.
            threads: that work on one run together.

        Raises:
            ImportError: onnxruntime is not installed.
            UnavailableError: it is too old.
            KeyError: a tensor is missing; its argument is the name.
            ValueError: the width cannot be divided by `heads`, or a tensor has not the shape that others ask for.
        """
        import onnxruntime

        if tuple(int(part) for part in onnxruntime.__version__.split(".")[:2]) < _OLDEST:
            raise UnavailableError(
                f"onnxruntime {onnxruntime.__version__} lacks an operator that text vectors need: "
                "pip install --upgrade 'aion_dagster[text]'"
            )
        graph = _Graph(tensors, heads, epsilon)
        self._words = tensors["embeddings.word_embeddings.weight"]
        self._positions = (
            tensors["embeddings.position_embeddings.weight"]
            + tensors["embeddings.token_type_embeddings.weight"][0]
        )
        self._weights = graph.weights
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Threads that wait in a loop would take the processor from other work.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        values = [onnxruntime.OrtValue.ortvalue_from_numpy(w) for w in self._weights.values()]
        options.add_external_initializers(list(self._weights), values)
        self._session: Any = onnxruntime.InferenceSession(
            graph.model(), options, providers=["CPUExecutionProvider"]
        )

    @property
    def width(self) -> int:
        """Length of a vector."""
        return int(self._words.shape[1])

    @property
    def vocabulary(self) -> int:
        """How many tokens there are."""
        return len(self._words)

    @property
    def longest(self) -> int:
        """How many tokens a text may have."""
        return len(self._positions)

    def encode(self, batch: Sequence[Sequence[int]], *, at_once: int = 32) -> Floats:
        """One vector of unit length per sequence of token ids, (n, width); neighbours of one length are computed at once."""
        vectors = np.empty((len(batch), self.width), np.float32)
        start = 0
        while start < len(batch):
            length = len(batch[start])
            end = start + 1
            most = start + max(1, min(at_once, RUN_TOKENS // length))
            while end < min(most, len(batch)) and len(batch[end]) == length:
                end += 1
            x = self._words[np.array(batch[start:end], np.int64)]
            x += self._positions[:length]
            (vectors[start:end],) = self._session.run(None, {"x": x})
            start = end
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-12))
        return vectors


class _Graph:
    """Operators and weights of one encoder; `x` (texts, tokens, width) in, `means` (texts, width) over tokens out.

    Between input and output everything is (texts·tokens, width), but for attention.
    """

    def __init__(self, tensors: Mapping[str, Floats], heads: int, epsilon: float) -> None:
        self._tensors = tensors
        self._epsilon = epsilon
        self._heads = heads
        self.weights: dict[str, Floats] = {}
        self._nodes: list[bytes] = []
        self.width = tensors["embeddings.word_embeddings.weight"].shape[1]
        if self.width % heads:
            raise ValueError(f"a width of {self.width} cannot be divided by {heads} heads")
        layers = [
            f"encoder.layer.{i}"
            for i in range(
                len({n.split(".")[2] for n in tensors if n.startswith("encoder.layer.")})
            )
        ]
        self._node("Shape", ["x"], "shape")
        x = self._node("Reshape", ["x", "flat"])
        ahead = [self._attention_bias(layer) for layer in layers]
        ahead.append(np.zeros(self.width, np.float32))
        x = self._normalised(x, "embeddings.LayerNorm", ahead[0])
        for layer, now, following in zip(layers, ahead, ahead[1:], strict=False):
            x = self._layer(x, layer, now, following)
        x = self._node("Reshape", [x, "shape"])
        self._node("ReduceMean", [x, "tokens"], "means", keepdims=0)

    def model(self) -> bytes:
        """The graph in ONNX's format, without its weights."""
        constants = [onnx.constant("flat", [-1, self.width]), onnx.constant("tokens", [1])]
        return onnx.model(
            nodes=self._nodes,
            weights=[*constants, *(onnx.outside(n, w.shape) for n, w in self.weights.items())],
            inputs=[onnx.value("x", ["texts", "length", self.width])],
            outputs=[onnx.value("means", ["texts", self.width])],
            opset=_OPSET,
        )

    def _attention_bias(self, layer: str) -> Floats:
        return self._tensor(f"{layer}.attention.output.dense.bias", self.width)

    def _layer(self, x: str, layer: str, now: Floats, following: Floats) -> str:
        """One transformer layer; x comes with `now` added to it and leaves with `following` added."""
        part = f"{layer}.attention.self"
        query = self._product(x, f"{part}.query", before=now)
        key = self._product(x, f"{part}.key", bias=False)
        value = self._product(x, f"{part}.value", before=now)
        inputs = [self._node("Reshape", [each, "shape"]) for each in (query, key, value)]
        attended = self._node(
            "Attention", inputs, q_num_heads=self._heads, kv_num_heads=self._heads
        )
        attended = self._node("Reshape", [attended, "flat"])
        x = self._product(attended, f"{layer}.attention.output.dense", onto=x)
        down = self._tensor(f"{layer}.output.dense.bias", self.width)
        x = self._normalised(x, f"{layer}.attention.output.LayerNorm", down)
        fed = self._product(x, f"{layer}.intermediate.dense", before=down)
        fed = self._node("Gelu", [fed])
        x = self._product(fed, f"{layer}.output.dense", onto=x)
        return self._normalised(x, f"{layer}.output.LayerNorm", following)

    def _normalised(self, x: str, name: str, shift: Floats) -> str:
        """Mean 0 and variance 1 along the width, scaled and moved, and moved by `shift` for the product that follows."""
        scale = self._weight(f"{name}.weight", self._tensor(f"{name}.weight", self.width))
        moved = self._weight(f"{name}.bias", self._tensor(f"{name}.bias", self.width) + shift)
        return self._node(
            "LayerNormalization", [x, scale, moved], axis=-1, epsilon=float(self._epsilon)
        )

    def _product(
        self,
        x: str,
        name: str,
        *,
        bias: bool = True,
        before: Floats | None = None,
        onto: str | None = None,
    ) -> str:
        """x · weightᵀ, plus the bias less what `before` (already in x) makes of itself, or plus `onto`."""
        weight = self._tensor(f"{name}.weight", None, None)
        inputs = [x, self._weight(f"{name}.weight", weight)]
        if onto is not None:
            inputs.append(onto)
        elif bias:
            own = self._tensor(f"{name}.bias", len(weight))
            made = own if before is None else own - weight @ before
            inputs.append(self._weight(f"{name}.bias", made))
        return self._node("Gemm", inputs, transB=1)

    def _tensor(self, name: str, *shape: int | None) -> Floats:
        tensor = self._tensors[name]
        fits = len(shape) == tensor.ndim and all(
            asked in (None, size) for asked, size in zip(shape, tensor.shape, strict=True)
        )
        if not fits:
            raise ValueError(f"{name} has the shape {tensor.shape}, which does not fit the others")
        return tensor

    def _weight(self, name: str, value: Floats) -> str:
        self.weights[name] = np.ascontiguousarray(value, np.float32)
        return name

    def _node(
        self,
        kind: str,
        inputs: list[str],
        output: str | None = None,
        **attributes: onnx.Attribute,
    ) -> str:
        name = output or f"{kind}{len(self._nodes)}"
        self._nodes.append(onnx.node(kind, inputs, name, attributes))
        return name
