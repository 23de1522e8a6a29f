"""Pictures from cameras held in every way: in the exports they are upright, and their boxes lie on what was boxed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_library import Run, coco

from aion_dagster.formats.lossless_turning import is_installed

BACK = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_90"}
BACK |= {7: "TRANSVERSE", 8: "ROTATE_270"}
"""EXIF orientation → what makes the stored picture of the upright one (CIPA DC-008, tag 274)."""

BOX = [40.0, 24.0, 56.0, 30.0]


def held(path: Path, orientation: int, size: tuple[int, int]) -> None:
    """A photograph of a red box before something that differs from picture to picture."""
    rng = np.random.default_rng(10 * orientation + size[0])
    small = rng.integers(0, 120, (4, 5, 1), dtype=np.uint8).repeat(3, axis=2)
    picture = Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)
    x, y, width, height = map(int, BOX)
    picture.paste((240, 10, 10), (x, y, x + width, y + height))
    if orientation > 1:
        picture = picture.transpose(Image.Transpose[BACK[orientation]])
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture.save(path, quality=92, exif=exif.tobytes())


def test_boxes_of_turned_pictures_lie_on_what_was_boxed(run: Run, tmp_path: Path) -> None:
    if not is_installed():
        pytest.skip("needs libturbojpeg, which is not installed: apt-get install libturbojpeg0")
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    sizes = {"whole": (160, 96), "broken": (157, 93)}
    names = [(f"{kind}-{n}.jpg", *size) for kind, size in sizes.items() for n in range(1, 9)]
    for name, width, height in names:
        held(pictures / name, int(name[-5]), (width, height))
    labels = tmp_path / "labels.json"
    labels.write_text(json.dumps(coco(names, [(i, "box", BOX) for i in range(len(names))])))
    result = run(pictures, "--labels", labels, "--export", "coco")
    out = Path(result["exports"]["coco"])
    looked_at = set()
    for path in sorted(out.glob("annotations/instances_*.json")):
        content = json.loads(path.read_text("utf-8"))
        files = {image["id"]: image["file_name"] for image in content["images"]}
        for annotation in content["annotations"]:
            name = files[annotation["image_id"]]
            assert annotation["bbox"] == BOX
            with Image.open(
                out / "images" / path.stem.removeprefix("instances_") / name
            ) as picture:
                assert picture.size == sizes[name.partition("-")[0]]
                assert picture.getexif().get(0x0112, 1) == 1
                shown = np.asarray(picture.convert("RGB"), dtype=int)
            x, y, width, height = map(int, BOX)
            red = shown[..., 0] - shown[..., 1] > 110
            assert red[y + 1 : y + height - 1, x + 1 : x + width - 1].all(), name
            red[y - 1 : y + height + 1, x - 1 : x + width + 1] = False
            assert not red.any(), name
            looked_at.add(name)
    assert looked_at == {name for name, _, _ in names}
    counts = json.loads((out / "export.json").read_text())["counts"]
    assert (
        counts["turned_without_loss"] == 7 + 1
    )  # of broken blocks only the one mirrored at its diagonal
    assert (out / "losses.csv").read_text().count("its blocks do not align; encoded again") == 6
    assert "8 turned without loss" in (out.parent / "card/index.html").read_text("utf-8")
