"""Models behind the local backend: rows of the tables, one per picture, whatever becomes of it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import tiny_models
from PIL import Image

from aion_dagster import schemas
from aion_dagster.backends.local import LocalBackend
from aion_dagster.backends.protocol import DescribeRequest, Picture
from aion_dagster.compute.picture_pass import PassSettings, PictureInput, run_pass
from aion_dagster.engines import ModelsConfig
from aion_dagster.errors import UnavailableError
from aion_dagster.values import FileRef


def jpeg(seed: int, size: tuple[int, int]) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1] // 10, size[0] // 10, 3))
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).resize(size).save(buffer, "JPEG")
    return buffer.getvalue()


FILES = [jpeg(0, (300, 200)), jpeg(1, (2400, 1600)), b"no picture", jpeg(2, (90, 160))]


def pictures() -> list[Picture]:
    return [Picture(f"image-{i}", f"{i:064x}", lambda d=d: d) for i, d in enumerate(FILES)]


def request() -> DescribeRequest:
    from datetime import UTC, datetime

    refs = [
        FileRef("s", f"file:///{i}", f"{i}.jpg", "1", len(d), datetime.now(UTC))
        for i, d in enumerate(FILES)
    ]
    inputs = [PictureInput(r, lambda d=d: d) for r, d in zip(refs, FILES, strict=True)]
    (chunk,) = run_pass(inputs, PassSettings())
    large = dict(
        zip(
            chunk.variants["image_id"].to_pylist(),
            chunk.variants["large_1024"].to_pylist(),
            strict=True,
        )
    )
    return DescribeRequest(
        chunk.images,
        chunk.color_analyses,
        chunk.visual_features,
        None,
        None,
        variants=lambda ids: {i: large[i] for i in ids},
    )


def test_objects_have_boxes_in_pixels_of_the_full_picture(tmp_path: Path) -> None:
    folder = str(tiny_models.yolos(tmp_path / "yolos"))
    backend = LocalBackend(models=ModelsConfig(objects=folder, min_object_score=0, device="cpu"))
    assert backend.unavailable("objects") is None
    table = pa.concat_tables(backend.detect_objects(pictures()))
    assert table.schema == schemas.DETECTIONS
    rows = table.to_pylist()
    assert [r["status"] for r in rows] == ["ok", "ok", "failed", "ok"]
    assert "UndecodableError" in rows[2]["error"]
    boxes = [r["bbox"] for r in rows[1]["regions"]]
    assert max(b["x"] + b["w"] for b in boxes) <= 2400.01
    assert max(b["x"] + b["w"] for b in boxes) > 1024


def test_image_vectors_have_a_row_per_picture(tmp_path: Path) -> None:
    folder = str(tiny_models.clip(tmp_path / "clip"))
    backend = LocalBackend(models=ModelsConfig(joint=folder, device="cpu"))
    rows = pa.concat_tables(backend.embed_images(pictures())).to_pylist()
    assert [r["status"] for r in rows] == ["ok", "ok", "failed", "ok"]
    assert rows[2]["vector"] is None
    assert {len(r["vector"]) for r in rows if r["vector"]} == {8}
    assert {r["model"] for r in rows} == {backend.identity("embed_images")}
    assert backend.embed_query(["a cat"]).shape == (1, 8)


def test_captions_keep_measured_tags_and_add_those_that_fit(tmp_path: Path) -> None:
    models = ModelsConfig(
        captions=str(tiny_models.florence(tmp_path / "florence")),
        joint=str(tiny_models.siglip(tmp_path / "siglip")),
        tags=("cat", "street"),
        min_tag_score=0,
        device="cpu",
        batch_size=2,
    )
    rows = LocalBackend(models=models).describe(request()).to_pylist()
    assert len(rows) == 4
    assert rows[2]["description_status"] == "failed"
    assert rows[2]["description_error_type"] == "image"
    for row in (rows[0], rows[1], rows[3]):
        assert {"cat", "street"} <= set(row["tags"])
        assert {"landscape", "portrait"} & set(row["tags"])
        assert "florence" in row["model"]
        if row["description_status"] == "completed":
            assert row["title"]
        else:
            assert row["description_error_type"] == "empty"
            assert row["description"] is None


def test_text_by_a_model_is_rows_of_regions(tmp_path: Path) -> None:
    folder = str(tiny_models.florence(tmp_path / "florence"))
    backend = LocalBackend(models=ModelsConfig(ocr=folder, device="cpu"))
    rows = pa.concat_tables(backend.detect_text(pictures())).to_pylist()
    assert [r["status"] for r in rows] == ["ok", "ok", "failed", "ok"]
    assert all(r["regions"] is not None for r in rows if r["status"] == "ok")


def test_what_is_not_configured_is_unavailable() -> None:
    backend = LocalBackend()
    for ask in (backend.detect_objects, backend.embed_images):
        with pytest.raises(UnavailableError, match=r"models\."):
            list(ask([]))


def test_results_of_another_model_are_known_by_another_name(tmp_path: Path) -> None:
    one, two = (str(getattr(tiny_models, n)(tmp_path / n)) for n in ("clip", "siglip"))
    names = {
        LocalBackend(models=ModelsConfig(joint=m)).identity("embed_images") for m in (one, two)
    }
    assert len(names) == 2
