"""Files that are broken, hostile or odd: each gets a row with a status and a reason, and the run succeeds."""

from __future__ import annotations

import io
import json
import os
import struct
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small_library import Run, draw_picture

from aion_dagster.formats.labels import read_labels
from aion_dagster.storage.store import Store


def bomb(side: int = 50_000) -> bytes:
    """A PNG whose header says side × side pixels, and whose data is a few kilobytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 1_000_000, 9)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )


def noise(mode: str = "RGB", size: tuple[int, int] = (120, 90), seed: int = 1) -> Image.Image:
    channels = {"L": 1, "RGB": 3, "CMYK": 4}[mode]
    values = np.random.default_rng(seed).integers(0, 255, (6, 8, channels), dtype=np.uint8)
    bands = [Image.fromarray(values[..., i]).resize(size, 3) for i in range(channels)]
    return bands[0] if channels == 1 else Image.merge(mode, bands)


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def bad_folder(folder: Path) -> dict[str, str]:
    """Every kind of bad file; name → the status that it must get."""
    jpeg = encoded(noise(), "JPEG")
    frames = [noise(seed=s) for s in (2, 3, 4)]
    deep = np.random.default_rng(5).integers(0, 65535, (60, 80), dtype=np.uint16)
    files: dict[str, tuple[bytes, str]] = {
        "empty.jpg": (b"", "unreadable"),
        "truncated.jpg": (jpeg[: len(jpeg) // 2], "unreadable"),
        "text.jpg": (b"this is no picture at all, it is a letter\n" * 20, "unsupported"),
        "really a png.jpg": (encoded(noise(seed=6), "PNG"), "ok"),
        "sixteen bits.png": (encoded(Image.fromarray(deep), "PNG"), "ok"),
        "cmyk.jpg": (encoded(noise("CMYK"), "JPEG"), "ok"),
        "moving.gif": (
            encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]),
            "ok",
        ),
        "moving.webp": (
            encoded(frames[1], "WEBP", save_all=True, append_images=frames[2:]),
            "ok",
        ),
        "bomb.png": (bomb(), "too_large"),
        "name with spaces, 'quotes', \"double\" and\na newline ü 写真.jpg": (
            encoded(noise(seed=7), "JPEG"),
            "ok",
        ),
        "one/001.jpg": (encoded(noise(seed=8), "JPEG"), "ok"),
        "two/001.jpg": (encoded(noise(seed=9), "JPEG"), "ok"),
        "a.jpg": (encoded(noise(seed=10), "JPEG"), "ok"),
        "a.png": (encoded(noise(seed=11), "PNG"), "ok"),
    }
    for name, (data, _) in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return {name: status for name, (_, status) in files.items()}


@pytest.fixture
def bad(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    folder = tmp_path / "bad"
    return folder, bad_folder(folder)


def test_every_bad_file_has_a_row_with_status_and_reason_and_the_run_succeeds(
    run: Run, bad: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    folder, expected = bad
    secret = tmp_path / "outside.jpg"
    draw_picture(secret, 77)
    (folder / "link.jpg").symlink_to(secret)
    result = run(folder)
    assert result["files"] == len(expected)
    assert result["ok"] == Counter(expected.values())["ok"]
    store = Store.open(tmp_path / "store", create=False)
    rows = {r["name"]: r for r in store.tables.read("images").to_pylist()}
    assert {name: row["status"] for name, row in rows.items()} == expected
    assert all(row["error"] for row in rows.values() if row["status"] != "ok")
    assert rows["moving.gif"]["frame_count"] == 3
    assert rows["really a png.jpg"]["format"] == "png"
    assert "link.jpg" in result["output"]
    assert "outside" not in json.dumps([r["name"] for r in rows.values()])


def test_exports_hold_every_readable_picture_under_a_safe_name_of_its_own(
    run: Run, bad: tuple[Path, dict[str, str]]
) -> None:
    folder, expected = bad
    result = run(folder)
    readable = Counter(expected.values())["ok"]
    for name, below in (("coco", "images"), ("yolo", "images"), ("voc", "JPEGImages")):
        files = [p for p in (Path(result["exports"][name]) / below).rglob("*") if p.is_file()]
        stems = {
            p.relative_to(Path(result["exports"][name]) / below)
            .with_suffix("")
            .as_posix()
            .casefold()
            for p in files
        }
        assert len(files) == len(stems) == readable, name
        assert not any("\n" in p.name for p in files)
    losses = (Path(result["exports"]["yolo"]) / "losses.csv").read_text()
    assert "renamed" in losses
    assert "converted" in losses


def test_a_file_that_vanishes_or_changes_while_it_is_read_gets_a_row(
    run: Run, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aion_dagster.sources import folder as source

    files = sorted(pictures.rglob("*.jpg"))
    original = source.FolderSource.read

    def read(self: source.FolderSource, ref: object) -> bytes:
        if ref.name.endswith(files[0].name) and files[0].exists():
            files[0].unlink()
        if ref.name.endswith(files[1].name):
            with files[1].open("ab") as file:
                file.write(b"more")
        return original(self, ref)

    monkeypatch.setattr(source.FolderSource, "read", read)
    result = run(pictures)
    assert (result["files"], result["failed"]) == (12, 2)
    store = Store.open(tmp_path / "store", create=False)
    errors = {
        r["name"].split("/")[-1]: r["error"]
        for r in store.tables.read("images").to_pylist()
        if r["status"] != "ok"
    }
    assert "gone" in errors[files[0].name]
    assert "changed" in errors[files[1].name] or "changes" in errors[files[1].name]


def test_a_file_that_vanishes_before_it_is_exported_stands_in_the_loss_report(
    run: Run, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aion_dagster.sources.folder import FolderSource

    run(pictures, "--export", "none")
    vanishes = sorted(pictures.rglob("*.jpg"))[0]
    original = FolderSource.scan

    def scan(self: FolderSource, *asked: Any, **more: Any) -> Any:
        page = original(self, *asked, **more)
        vanishes.unlink(missing_ok=True)
        return page

    monkeypatch.setattr(FolderSource, "scan", scan)
    result = run("--export", "coco")
    coco = Path(result["exports"]["coco"])
    assert len(list((coco / "images").rglob("*.jpg"))) == 11
    assert "missing" in (coco / "losses.csv").read_text()


def test_wrong_labels_are_put_right_or_reported(run: Run, pictures: Path, tmp_path: Path) -> None:
    name = sorted(p.relative_to(pictures).as_posix() for p in pictures.rglob("*.jpg"))[0]
    labels = {
        "images": [
            {"id": 0, "file_name": name, "width": 320, "height": 240},
            {"id": 7, "file_name": "no/such/picture.jpg", "width": 10, "height": 10},
        ],
        "categories": [{"id": 0, "name": "zero"}, {"id": 90, "name": "ninety"}],
        "annotations": [
            {"id": 0, "image_id": 0, "category_id": 0, "bbox": [300, 200, 100, 100], "area": 1},
            {"id": 1, "image_id": 0, "category_id": 90, "bbox": [10, 10, 20, 30], "area": 99999},
            {"id": 2, "image_id": 0, "category_id": 90, "bbox": [400, 10, 20, 30], "area": 600},
            {"id": 3, "image_id": 7, "category_id": 90, "bbox": [1, 1, 2, 2], "area": 4},
            {"id": 4, "image_id": 55, "category_id": 90, "bbox": [1, 1, 2, 2], "area": 4},
            {"id": 5, "image_id": 0, "category_id": 90, "bbox": [5, 5, 0, 9], "area": 0},
        ],
    }
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(labels))
    result = run(pictures, "--labels", path, "--export", "coco")
    found = read_labels(Path(result["exports"]["coco"]))
    boxes = sorted(tuple(b.values()) for b in found.annotations["bbox"].to_pylist())
    assert boxes == [(10.0, 10.0, 20.0, 30.0), (300.0, 200.0, 20.0, 40.0)]
    written = [
        a
        for part in Path(result["exports"]["coco"]).glob("annotations/*.json")
        for a in json.loads(part.read_text())["annotations"]
    ]
    assert sorted(a["area"] for a in written) == [600.0, 800.0]
    assert [c.name for c in found.categories] == ["zero", "ninety"]
    kinds = Counter(
        line.split(",")[1]
        for line in (Path(result["exports"]["coco"]) / "losses.csv").read_text().splitlines()[1:]
    )
    assert kinds["clipped"] == 1
    assert kinds["unmatched"] == 1
    assert kinds["dropped"] + kinds["invalid"] >= 3


def test_a_store_that_cannot_be_written_is_named_in_a_clear_error(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from aion_dagster.cli import main

    (tmp_path / "file").write_text("in the way")
    assert main(["run", str(pictures), "--store", str(tmp_path / "file")]) == 1
    assert str(tmp_path / "file") in capsys.readouterr().err


def test_a_full_disk_ends_the_run_with_an_error_and_leaves_no_half_written_table(
    pictures: Path, tmp_path: Path
) -> None:
    """The limit on file sizes makes writes fail as a full disk does."""
    import subprocess
    import sys

    for i in range(30):  # noise, so that the variants of the batch do not fit under the limit
        values = np.random.default_rng(i).integers(0, 255, (400, 500, 3), dtype=np.uint8)
        Image.fromarray(values).save(pictures / f"noise {i}.jpg", quality=95)
    code = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, resource.RLIM_INFINITY))\n"
        "from aion_dagster.cli import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    store = tmp_path / "store"
    done = subprocess.run(
        [sys.executable, "-c", code, "run", str(pictures), "--store", str(store)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "Cannot write" in done.stderr
    assert "variants" in done.stderr
    assert not [p for p in (store / "tables" / "variants").rglob("*") if p.is_file()]
    assert not list((store / "exports").iterdir())
    again = subprocess.run(
        [
            sys.executable,
            "-m",
            "aion_dagster",
            "run",
            str(pictures),
            "--store",
            str(store),
            "--json",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout.splitlines()[-1])["ok"] == 42
    assert os.listdir(store / "exports" / "main")


@pytest.mark.needs_shared
def test_the_real_pictures_come_out_upright_with_their_boxes(
    run: Run, shared_data: Path, tmp_path: Path
) -> None:
    result = run(
        shared_data / "photos",
        shared_data / "orientation",
        shared_data / "labelled" / "images",
        "--labels",
        shared_data / "labelled" / "annotations_coco.json",
        "--export",
        "coco,yolo,voc,csv",
    )
    assert (result["files"], result["ok"]) == (34, 34)
    store = Store.open(tmp_path / "store", create=False)
    sizes = {r["name"]: (r["width"], r["height"]) for r in store.tables.read("images").to_pylist()}
    for shape in ("landscape", "portrait"):
        upright = {sizes[f"{shape}_{i}.jpg"] for i in range(1, 9)}
        assert len(upright) == 1
        width, height = upright.pop()
        assert (width > height) == (shape == "landscape")
    parts = [
        json.loads(p.read_text())
        for p in Path(result["exports"]["coco"]).glob("annotations/*.json")
    ]
    boxes = [a for part in parts for a in part["annotations"]]
    assert sum(len(part["images"]) for part in parts) == 34
    assert len(boxes) == 12
    assert all(abs(a["area"] - a["bbox"][2] * a["bbox"][3]) < 1 for a in boxes)
    exported = {
        i["file_name"].split("/")[-1]: (i["width"], i["height"])
        for part in parts
        for i in part["images"]
    }
    assert all(
        exported[n.split("/")[-1]] == s for n, s in sizes.items() if "scape" in n or "portrait" in n
    )
    for path in Path(result["exports"]["coco"]).glob("images/**/landscape_*.jpg"):
        with Image.open(path) as picture:
            assert picture.size == exported[path.name]
            assert picture.getexif().get(274, 1) == 1
    again = run("--export", "coco,yolo,voc,csv")
    assert again["files"] == 0
    assert "Nothing new" in again["output"]
