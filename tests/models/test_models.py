"""Real loading code on tiny random models: what comes back has its form, its order and its bounds."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import tiny_models
import torch
from numpy.typing import NDArray

from aion_dagster.compute.model_files import ModelFiles, resolve_model
from aion_dagster.compute.models.batching import BatchSize, in_batches
from aion_dagster.compute.models.captions import Captioner
from aion_dagster.compute.models.joint_vectors import JointEncoder
from aion_dagster.compute.models.objects import ObjectDetector
from aion_dagster.compute.models.regions import clipped
from aion_dagster.compute.models.text_reader import TextReader
from aion_dagster.errors import ConfigError, UnavailableError

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], ModelFiles]:
    root = tmp_path_factory.mktemp("models")

    def get(name: str) -> ModelFiles:
        folder = root / name
        if not folder.is_dir():
            getattr(tiny_models, name)(folder)
        return resolve_model(str(folder))

    return get


def pictures(count: int, size: tuple[int, int] = (40, 60)) -> list[Pixels]:
    random = np.random.default_rng(1)
    return [random.integers(0, 256, (*size, 3), dtype=np.uint8) for _ in range(count)]


@pytest.mark.parametrize("name", ["clip", "siglip"])
def test_vectors_have_length_one_and_do_not_depend_on_their_company(
    models: Callable[[str], ModelFiles], name: str
) -> None:
    encoder = JointEncoder.load(models(name), device="cpu", batch_size=3)
    images = pictures(7)
    together = np.stack(list(encoder.encode_images(images)))
    alone = np.stack([next(encoder.encode_images([image])) for image in images])
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(together, alone, atol=1e-4)
    texts = encoder.encode_texts(["a photo of a cat", "a red table"])
    assert texts.shape == (2, together.shape[1])
    np.testing.assert_allclose(np.linalg.norm(texts, axis=1), 1, atol=1e-5)


def test_scores_of_tags_are_as_each_model_was_trained(
    models: Callable[[str], ModelFiles],
) -> None:
    for name, shared in (("clip", True), ("siglip", False)):
        encoder = JointEncoder.load(models(name), device="cpu")
        vectors = np.stack(list(encoder.encode_images(pictures(4))))
        scores = encoder.tag_scores(vectors, encoder.encode_texts(["cat", "dog", "street"]))
        assert scores.shape == (4, 3)
        assert ((scores >= 0) & (scores <= 1)).all()
        assert np.allclose(scores.sum(axis=1), 1, atol=1e-5) == shared


def test_images_are_taken_no_further_than_the_batch_at_work(
    models: Callable[[str], ModelFiles],
) -> None:
    taken = 0

    def many() -> Iterator[Pixels]:
        nonlocal taken
        for image in pictures(10):
            taken += 1
            yield image

    encoder = JointEncoder.load(models("clip"), device="cpu", batch_size=2)
    next(encoder.encode_images(many()))
    assert taken == 2


@pytest.mark.parametrize("name", ["florence", "llava"])
def test_every_picture_has_a_caption_as_clean_text(
    models: Callable[[str], ModelFiles], name: str
) -> None:
    captioner = Captioner.load(models(name), device="cpu", batch_size=2)
    said = list(captioner.caption(pictures(3)))
    assert len(said) == 3
    assert all(isinstance(text, str) and "<pad>" not in text for text in said)
    assert said == list(captioner.caption(pictures(3)))
    assert "float32" in captioner.engine


def test_text_and_objects_of_florence_have_no_invented_scores(
    models: Callable[[str], ModelFiles],
) -> None:
    for kind in (TextReader, ObjectDetector):
        found = list(kind.load(models("florence"), device="cpu").find(pictures(3)))
        assert len(found) == 3
        assert all(region.score is None for regions in found for region in regions)


def test_boxes_lie_within_their_picture_best_first(models: Callable[[str], ModelFiles]) -> None:
    detector = ObjectDetector.load(models("yolos"), device="cpu", min_score=0.0, batch_size=2)
    images = [*pictures(2, (40, 60)), *pictures(2, (90, 30))]
    found = list(detector.find(images))
    assert sum(map(len, found)) > 0
    for image, regions in zip(images, found, strict=True):
        scores = [r.score for r in regions]
        assert scores == sorted(scores, reverse=True)
        for r in regions:
            assert r.label in ("cat", "dog")
            assert 0 <= r.x < r.x + r.w <= image.shape[1] + 1e-3
            assert 0 <= r.y < r.y + r.h <= image.shape[0] + 1e-3


def test_a_score_that_nothing_reaches_leaves_nothing(models: Callable[[str], ModelFiles]) -> None:
    detector = ObjectDetector.load(models("yolos"), device="cpu", min_score=1.0)
    assert list(detector.find(pictures(2))) == [[], []]


@pytest.mark.parametrize(
    "points",
    [[float("nan"), 0, 1, 1], [float("inf"), 0, 1, 1], [5, 5, 5, 9], [70, 0, 90, 9], [1, 2]],
)
def test_a_box_without_an_area_in_the_picture_is_left_out(points: list[float]) -> None:
    assert clipped("x", points, (60, 40)) is None


def test_another_kind_of_model_is_refused_by_name(models: Callable[[str], ModelFiles]) -> None:
    with pytest.raises(ConfigError, match="yolos"):
        Captioner.load(models("yolos"), device="cpu")
    with pytest.raises(ConfigError, match="joint"):
        JointEncoder.load(models("yolos"), device="cpu")
    with pytest.raises(ConfigError):
        TextReader.load(models("llava"), device="cpu")
    with pytest.raises(ConfigError, match="device"):
        JointEncoder.load(models("clip"), device="cuda:99")


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    folder = tiny_models.clip(tmp_path / "clip")
    weights = folder / "model.safetensors"
    torch.save({}, folder / "pytorch_model.bin")
    weights.unlink()
    with pytest.raises(UnavailableError, match="pickled"):
        resolve_model(str(folder))


def test_code_that_a_model_brings_is_not_run(tmp_path: Path) -> None:
    folder = tiny_models.clip(tmp_path / "clip")
    trap = tmp_path / "was run"
    code = f"from pathlib import Path\nPath({str(trap)!r}).touch()\nclass Trap: pass\n"
    (folder / "trap.py").write_text(code)
    config = folder / "config.json"
    text = config.read_text().replace("{", '{"auto_map": {"AutoModel": "trap.Trap"},', 1)
    config.write_text(text)
    with suppress(ConfigError, UnavailableError):  # refused is as good as ignored
        JointEncoder.load(resolve_model(str(folder)), device="cpu")
    assert not trap.exists()


def test_a_hub_id_without_a_revision_is_refused() -> None:
    with pytest.raises(ConfigError, match="revision"):
        resolve_model("organisation/model", None)


CHILD = """
import resource, sys
import torch
from aion_dagster.compute.models.batching import BatchSize, in_batches
pages = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (pages + 400 * 2**20,) * 2)
size, tried = BatchSize(64), []
def compute(batch):
    tried.append(len(batch))
    kept = torch.ones(len(batch), 20 * 2**18)  # 20 MiB each
    return [i + int(kept[0, 0]) for i in batch]
found = list(in_batches(range(100), compute, size))
assert found == list(range(1, 101)), found
assert tried[0] == 64 and size.value < 20, (tried, size)
assert tried.count(64) == 1, tried
print(size.value)
"""


def test_a_batch_that_does_not_fit_into_memory_is_halved_and_its_size_remembered() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHILD], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 1


def test_other_errors_are_not_taken_for_a_lack_of_memory() -> None:
    def compute(_batch: list[int]) -> list[int]:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        list(in_batches(range(8), compute, BatchSize(4)))
