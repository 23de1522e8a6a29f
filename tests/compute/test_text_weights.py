"""Subnormal weights are taken out of models, and nothing else is changed."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aion_dagster.compute.text_weights import without_subnormals


def model(*tensors, data=()):
    graph = onnx.helper.make_graph([], "g", [], [], [*tensors, *data])
    return onnx.helper.make_model(graph)


weights = st.lists(
    st.one_of(st.floats(width=32, allow_nan=False), st.sampled_from([1e-40, -1e-45, 1.5e-39, 0.0])),
    min_size=1,
    max_size=40,
)


@given(weights)
def test_weights_too_small_become_zero_and_all_others_stay(values):
    before = np.array(values, np.float32)
    patched = onnx.load_from_string(
        without_subnormals(model(onnx.numpy_helper.from_array(before, "w")).SerializeToString())
    )
    after = onnx.numpy_helper.to_array(patched.graph.initializer[0])
    assert np.array_equal(after, np.where(np.abs(before) < 1e-30, np.float32(0), before))


def test_whole_numbers_keep_their_bytes():
    raw = model(onnx.numpy_helper.from_array(np.array([1, 2, 3], np.int32), "n"))
    assert without_subnormals(raw.SerializeToString()) == raw.SerializeToString()


@given(st.integers(20, 200))
def test_a_model_that_ends_inside_its_weights_is_refused(missing):
    whole = model(onnx.numpy_helper.from_array(np.ones(60, np.float32), "w")).SerializeToString()
    with pytest.raises(ValueError, match="ONNX model ends"):
        without_subnormals(whole[: len(whole) - missing])


@pytest.mark.skipif(importlib.util.find_spec("rapidocr") is None, reason="the extra `ocr`")
def test_the_detector_answers_the_same_to_the_last_bit_without_them():
    import onnxruntime
    import rapidocr

    folder = Path(rapidocr.__file__).parent / "models"
    (file,) = folder.glob("*_det_*.onnx")
    raw = file.read_bytes()
    assert without_subnormals(raw) != raw
    picture = np.random.default_rng(3).normal(0, 0.5, (1, 3, 64, 96)).astype(np.float32)
    before, after = (
        onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"]).run(
            None, {"x": picture}
        )[0]
        for data in (raw, without_subnormals(raw))
    )
    assert np.array_equal(before, after)
