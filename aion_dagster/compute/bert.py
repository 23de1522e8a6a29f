"""The forward pass of BERT in numpy: token ids in, one unit vector per text out.

Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers" (2019), with mean pooling over tokens as in
Reimers and Gurevych, "Sentence-BERT" (2019).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_GELU_ROWS: Final = 64
"""Rows that GELU takes at a time, so that its passes stay in the processor's cache."""

_ERF: Final = (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)
_ERF_P: Final = 0.3275911
"""Abramowitz and Stegun, formula 7.1.26: erf within 1.5e-7."""


@dataclass(frozen=True)
class Linear:
    """x @ weight + bias; weight is (in, out)."""

    weight: Floats
    bias: Floats

    def __call__(self, x: Floats) -> Floats:
        """Apply to the last axis of x."""
        out: Floats = x @ self.weight
        out += self.bias
        return out


@dataclass(frozen=True)
class LayerNorm:
    """Normalisation of the last axis to mean 0 and variance 1, then scaled and shifted."""

    weight: Floats
    bias: Floats
    epsilon: float

    def __call__(self, x: Floats) -> Floats:
        """Normalise x in place and return it."""
        x -= x.mean(axis=-1, keepdims=True)
        variance = np.einsum("...i,...i->...", x, x)[..., None] / np.float32(x.shape[-1])
        x /= np.sqrt(variance + np.float32(self.epsilon))
        x *= self.weight
        x += self.bias
        return x


@dataclass(frozen=True)
class Layer:
    """One transformer layer; `qkv` is query, key and value side by side, the query already scaled."""

    qkv: Linear
    attention_out: Linear
    attention_norm: LayerNorm
    up: Linear
    down: Linear
    norm: LayerNorm


@dataclass(frozen=True)
class Bert:
    """A BERT encoder whose weights are numpy arrays."""

    words: Floats
    positions: Floats
    embedding_norm: LayerNorm
    layers: tuple[Layer, ...]
    heads: int

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, NDArray[np.floating]], *, heads: int, epsilon: float
    ) -> Bert:
        """Build from the tensors of a checkpoint, named as Hugging Face names them, with or without `bert.` before.

        Raises:
            KeyError: a tensor is missing; its argument is the name.
            ValueError: the width cannot be divided by `heads`.
        """
        named = {name.removeprefix("bert."): t for name, t in tensors.items()}

        def floats(name: str) -> Floats:
            return np.ascontiguousarray(named[name], dtype=np.float32)

        def linear(*names: str) -> Linear:
            weights = [floats(f"{name}.weight").T for name in names]
            biases = [floats(f"{name}.bias") for name in names]
            return Linear(
                np.ascontiguousarray(np.concatenate(weights, axis=1)), np.concatenate(biases)
            )

        def norm(name: str) -> LayerNorm:
            return LayerNorm(floats(f"{name}.weight"), floats(f"{name}.bias"), epsilon)

        words = floats("embeddings.word_embeddings.weight")
        width = words.shape[1]
        if width % heads:
            raise ValueError(f"a width of {width} cannot be divided by {heads} heads")

        def layer(prefix: str) -> Layer:
            attention = f"{prefix}.attention"
            qkv = linear(*(f"{attention}.self.{part}" for part in ("query", "key", "value")))
            qkv.weight[:, :width] /= np.float32(np.sqrt(width // heads))
            qkv.bias[:width] /= np.float32(np.sqrt(width // heads))
            return Layer(
                qkv,
                linear(f"{attention}.output.dense"),
                norm(f"{attention}.output.LayerNorm"),
                linear(f"{prefix}.intermediate.dense"),
                linear(f"{prefix}.output.dense"),
                norm(f"{prefix}.output.LayerNorm"),
            )

        count = len({n.split(".")[2] for n in named if n.startswith("encoder.layer.")})
        # Every token is of type 0 here: one text, never a pair.
        positions = (
            floats("embeddings.position_embeddings.weight")
            + floats("embeddings.token_type_embeddings.weight")[0]
        )
        return cls(
            words,
            positions,
            norm("embeddings.LayerNorm"),
            tuple(layer(f"encoder.layer.{i}") for i in range(count)),
            heads,
        )

    @property
    def width(self) -> int:
        """Length of a vector."""
        return int(self.words.shape[1])

    @property
    def vocabulary(self) -> int:
        """How many tokens there are."""
        return len(self.words)

    @property
    def longest(self) -> int:
        """How many tokens a text may have."""
        return len(self.positions)

    def encode(self, batch: Sequence[Sequence[int]], *, at_once: int = 32) -> Floats:
        """One vector of unit length per sequence of token ids, (n, width); `at_once` bounds the memory."""
        runs = [self._run(batch[i : i + at_once]) for i in range(0, len(batch), at_once)]
        return np.concatenate([np.empty((0, self.width), np.float32), *runs])

    def _run(self, batch: Sequence[Sequence[int]]) -> Floats:
        """The vectors of sequences that are computed together.

        Sequences are packed end to end without padding; only attention, which is per sequence anyway, takes them apart.
        A text's vector therefore does not depend on its company beyond the rounding of a matrix product.
        """
        lengths = np.array([len(ids) for ids in batch])
        ends = np.cumsum(lengths)
        bounds = [(int(end - n), int(end)) for n, end in zip(lengths, ends, strict=True)]
        x = self.words[np.concatenate([np.asarray(ids, dtype=np.int64) for ids in batch])]
        x += np.concatenate([self.positions[:n] for n in lengths])
        x = self.embedding_norm(x)
        for layer in self.layers:
            attended = layer.attention_out(self._attend(layer.qkv(x), bounds))
            attended += x
            x = layer.attention_norm(attended)
            fed = layer.down(gelu(layer.up(x)))
            fed += x
            x = layer.norm(fed)
        pooled = np.stack([x[start:end].mean(axis=0) for start, end in bounds])
        pooled /= np.maximum(np.linalg.norm(pooled, axis=1, keepdims=True), np.float32(1e-12))
        return pooled

    def _attend(self, qkv: Floats, bounds: Sequence[tuple[int, int]]) -> Floats:
        """Softmax attention over each run of equally long sequences at once; (tokens, 3·width) → (tokens, width)."""
        width, heads = self.width, self.heads
        out = np.empty((len(qkv), width), np.float32)
        first = 0
        while first < len(bounds):
            start, end = bounds[first]
            n = end - start
            last = first
            while last + 1 < len(bounds) and bounds[last + 1][1] - bounds[last + 1][0] == n:
                last += 1
            stop = bounds[last][1]
            parts = qkv[start:stop].reshape(-1, n, 3, heads, width // heads)
            q, k, v = (parts[:, :, i].transpose(0, 2, 1, 3) for i in range(3))
            weights: Floats = q @ k.transpose(0, 1, 3, 2)
            weights -= weights.max(axis=-1, keepdims=True)
            np.exp(weights, out=weights)
            attended = (weights @ v) / weights.sum(axis=-1, keepdims=True)
            out[start:stop] = attended.transpose(0, 2, 1, 3).reshape(-1, width)
            first = last + 1
        return out


def gelu(x: Floats) -> Floats:
    """x·Φ(x) with the exact error function (not the tanh approximation), in place; x is (rows, columns)."""
    rows = min(_GELU_ROWS, len(x))
    t, e = np.empty((2, rows, x.shape[1]), np.float32)
    for start in range(0, len(x), _GELU_ROWS):
        part = x[start : start + _GELU_ROWS]
        _gelu_of(part, t[: len(part)], e[: len(part)])
    return x


def _gelu_of(x: Floats, t: Floats, e: Floats) -> None:
    """GELU of x in place; t and e are room to work in.

    With z = |x|/√2: Φ(x) = ½·erfc(z) where x is negative and 1 - ½·erfc(z) where it is not, and so
    x·Φ(x) = max(x, 0) - |x|·½·erfc(z) for both.
    """
    np.abs(x, out=t)
    np.multiply(t, t, out=e)
    e *= np.float32(-0.5)
    np.exp(e, out=e)
    e *= t
    e *= np.float32(0.5)
    t *= np.float32(_ERF_P / np.sqrt(2.0))
    t += np.float32(1.0)
    np.reciprocal(t, out=t)
    np.maximum(x, np.float32(0.0), out=x)
    poly = t * np.float32(_ERF[4])
    for a in reversed(_ERF[:4]):
        poly += np.float32(a)
        poly *= t
    poly *= e
    x -= poly
