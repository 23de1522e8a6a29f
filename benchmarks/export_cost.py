"""What exports cost: every format from Parquet, beside writers with nothing around them and other people's tools.

    python benchmarks/export_cost.py [--pictures 100000] [--boxes 1000000] [--work DIR] [--peers PYTHON] [--only A,B]

The floor of a format is the shortest program that writes the same labels from Parquet: orjson or string formatting and
one write per file, no options, checks or reports. Peers (--peers: an interpreter that has supervision, globox, Datumaro
and ultralytics, such as the one of `make conformance`) read COCO and write. Every figure is a process of its own: CPU
seconds and peak memory of the whole process less its imports. Labels only, but for the lines with `pictures`, which
hard-link as many JPEGs. Prints a table and, last, one JSON object.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.metadata
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SEED = 0
SIZES = ((640, 480), (1280, 720), (500, 375), (1920, 1080))
CLASSES = [f"class {i}" for i in range(20)]
LINKS_PER_FILE = 25_000
FORMATS = ("coco", "yolo", "voc", "csv", "parquet", "imagefolder")


# --- the data ------------------------------------------------------------------------------------


def generate(work: Path, pictures: int, boxes: int) -> None:
    """Tables of a dataset, the plain tables that floors read, the same as COCO, and pictures."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from aion_dagster import schemas

    rng = np.random.default_rng(SEED)
    kind = rng.integers(0, len(SIZES), pictures)
    width, height = (np.array([s[i] for s in SIZES])[kind] for i in (0, 1))
    labelled = np.flatnonzero(rng.random(pictures) >= 0.05)
    image = np.sort(rng.choice(labelled, boxes))
    w, h = (np.round(rng.uniform(0.02, 0.4, boxes) * s[image], 2) for s in (width, height))
    x = np.floor(rng.random(boxes) * (width[image] - w) * 100) / 100
    y = np.floor(rng.random(boxes) * (height[image] - h) * 100) / 100
    share = 1 / np.arange(1, len(CLASSES) + 1)
    category = rng.choice(len(CLASSES), boxes, p=share / share.sum())
    split = np.array(["train", "val", "test"])[np.searchsorted([0.8, 0.9], rng.random(pictures))]
    names = [f"img_{i:07d}.jpg" for i in range(pictures)]
    ids = _uuids(rng.bytes(16 * pictures), pictures)
    own_images = {
        "image_id": ids, "sha256": [i.replace("-", "") * 2 for i in ids], "file_name": names,
        "width": width, "height": height, "orientation": [1] * pictures,
        "format": ["jpeg"] * pictures, "split": split, "group_id": ids,
        "labelled": [True] * pictures,
    }  # fmt: skip
    sides = [pa.array(v) for v in (x, y, w, h)]
    own_boxes = {
        "annotation_id": _uuids(rng.bytes(16 * boxes), boxes),
        "image_id": pa.array(ids).take(pa.array(image)),
        "category": pa.array(CLASSES).take(pa.array(category)),
        "bbox": pa.StructArray.from_arrays(sides, names=list("xywh")),
        "iscrowd": np.zeros(boxes, dtype=bool),
        "origin": pa.array(["labels"]).take(pa.array(np.zeros(boxes, dtype=int))),
    }
    for name, columns, schema, rows in (
        ("images", own_images, schemas.DATASET_IMAGES, pictures),
        ("annotations", own_boxes, schemas.ANNOTATIONS, boxes),
    ):
        whole = [
            pa.array(columns[f.name]).cast(f.type) if f.name in columns else pa.nulls(rows, f.type)
            for f in schema
        ]
        pq.write_table(pa.table(whole, schema=schema), work / f"{name}.parquet", compression="zstd")
    plain_images = {"image_id": np.arange(1, pictures + 1), "file_name": names, "width": width, "height": height, "split": split}  # fmt: skip
    plain_boxes = {"id": np.arange(1, boxes + 1), "image_id": image + 1, "category": category, "x": x, "y": y, "w": w, "h": h}  # fmt: skip
    pq.write_table(pa.table(plain_images), work / "plain_images.parquet")
    pq.write_table(pa.table(plain_boxes), work / "plain_boxes.parquet")
    _pictures(work, names, kind.tolist())
    (work / "annotations").mkdir()
    floor_coco(work, work)
    (work / "annotations/instances_train.json").write_bytes((work / "coco.json").read_bytes())


def _uuids(data: bytes, count: int) -> list[str]:
    text = data.hex()
    parts = ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32))
    return ["-".join(text[32 * i + a : 32 * i + b] for a, b in parts) for i in range(count)]


def _pictures(work: Path, names: list[str], kinds: list[int]) -> None:
    from PIL import Image

    folder = work / "images/train"
    folder.mkdir(parents=True)
    for number, (name, kind) in enumerate(zip(names, kinds, strict=True)):
        original = work / f"{kind}_{number // LINKS_PER_FILE}.jpg"
        if not original.exists():
            Image.new("RGB", SIZES[kind], (90, 90, 90)).save(original, quality=5)
        os.link(original, folder / name)


# --- floors: the shortest program that writes the same labels ----------------------------------------


def _plain(work: Path, name: str, step: int = 65_536) -> Iterator[dict[str, list[Any]]]:
    import pyarrow.parquet as pq

    for batch in pq.ParquetFile(work / f"plain_{name}.parquet").iter_batches(step):
        yield batch.to_pydict()


def floor_coco(work: Path, out: Path) -> None:
    import orjson

    with (out / "coco.json").open("wb", buffering=1 << 20) as file:
        classes = [{"id": i, "name": n, "supercategory": n} for i, n in enumerate(CLASSES, 1)]
        file.write(b'{"info":{},"licenses":[],"categories":' + orjson.dumps(classes))
        file.write(b',"images":[')
        comma = b""
        for d in _plain(work, "images"):
            columns = (d["image_id"], d["file_name"], d["width"], d["height"])
            keys = ("id", "file_name", "width", "height")
            rows = [dict(zip(keys, row, strict=True)) for row in zip(*columns, strict=True)]
            file.write(comma + orjson.dumps(rows)[1:-1])
            comma = b","
        file.write(b'],"annotations":[')
        comma = b""
        for d in _plain(work, "boxes"):
            columns = (d["id"], d["image_id"], d["category"], d["x"], d["y"], d["w"], d["h"])
            rows = [
                {
                    "id": i,
                    "image_id": image,
                    "category_id": c + 1,
                    "bbox": [x, y, w, h],
                    "area": w * h,
                    "iscrowd": 0,
                    "segmentation": [],
                }
                for i, image, c, x, y, w, h in zip(*columns, strict=True)
            ]
            file.write(comma + orjson.dumps(rows)[1:-1])
            comma = b","
        file.write(b"]}")


def _by_picture(work: Path) -> tuple[Any, ...]:
    import numpy as np
    import pyarrow.parquet as pq

    images = pq.read_table(work / "plain_images.parquet", memory_map=True)
    boxes = pq.read_table(work / "plain_boxes.parquet", memory_map=True)
    image = boxes["image_id"].to_numpy() - 1
    ends = np.searchsorted(image, np.arange(images.num_rows + 1)).tolist()
    sizes = (images["width"].to_numpy(), images["height"].to_numpy())
    sides = [boxes[k].to_numpy() for k in "xywh"]
    return images["file_name"].to_pylist(), sizes, image, boxes["category"].to_numpy(), sides, ends


def floor_yolo(work: Path, out: Path) -> None:
    names, (width, height), image, category, (x, y, w, h), ends = _by_picture(work)
    wide, tall = width[image], height[image]
    columns = (category, (x + w / 2) / wide, (y + h / 2) / tall, w / wide, h / tall)
    rows = zip(*(c.tolist() for c in columns), strict=True)
    lines = ["%d %.8f %.8f %.8f %.8f\n" % row for row in rows]  # noqa: UP031 - the fastest way
    for i, name in enumerate(names):
        file = os.open(f"{out}/{name[:-4]}.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.write(file, "".join(lines[ends[i] : ends[i + 1]]).encode())
        os.close(file)


def floor_voc(work: Path, out: Path) -> None:
    from xml.sax.saxutils import escape

    names, (width, height), _, category, (x, y, w, h), ends = _by_picture(work)
    labels = [escape(CLASSES[i]) for i in category.tolist()]
    rows = zip(labels, *(v.tolist() for v in (x + 1, y + 1, x + w, y + h)), strict=True)
    template = (
        "<object><name>%s</name><pose>Unspecified</pose><truncated>0</truncated><difficult>0</difficult><bndbox>"
        "<xmin>%d</xmin><ymin>%d</ymin><xmax>%d</xmax><ymax>%d</ymax></bndbox></object>\n"
    )
    objects = [template % row for row in rows]
    for i, (name, wide, tall) in enumerate(
        zip(names, width.tolist(), height.tolist(), strict=True)
    ):
        with (out / f"{name[:-4]}.xml").open("w", encoding="utf-8") as file:
            file.write(
                f"<annotation><folder>images</folder><filename>{escape(name)}</filename><size><width>{wide}</width>"
                f"<height>{tall}</height><depth>3</depth></size><segmented>0</segmented>\n"
                f"{''.join(objects[ends[i] : ends[i + 1]])}</annotation>\n"
            )


def floor_csv(work: Path, out: Path) -> None:
    """A row per box with the columns of ours, by Python's csv module, which everybody uses."""
    import csv

    names, (width, height), image, category, sides, _ = _by_picture(work)
    with (out / "annotations.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        columns = (image.tolist(), category.tolist(), *(s.tolist() for s in sides))
        for i, (row, c, x, y, w, h) in enumerate(zip(*columns, strict=True)):
            writer.writerow((i, row, names[row], "train", CLASSES[c], c, x, y, w, h, w * h, "", False, "", "labels"))  # fmt: skip
    with (out / "images.csv").open("w", newline="") as file:
        sizes = zip(names, width.tolist(), height.tolist(), strict=True)
        csv.writer(file).writerows(sizes)


def floor_parquet(work: Path, out: Path) -> None:
    """The dataset's own file read and written a part at a time."""
    import pyarrow.parquet as pq

    source = pq.ParquetFile(work / "annotations.parquet")
    with pq.ParquetWriter(out / "a.parquet", source.schema_arrow, compression="zstd") as writer:
        for batch in source.iter_batches(65_536, use_threads=False):
            writer.write_batch(batch)


def floor_imagefolder(work: Path, out: Path) -> None:
    """A Parquet row per picture with lists of what its boxes are."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    columns = ["annotation_id", "category", "bbox", "iscrowd"]
    own = pq.read_table(work / "annotations.parquet", columns=columns).combine_chunks()
    names, (width, height), _, category, (x, y, w, h), ends = _by_picture(work)
    box = pa.FixedSizeListArray.from_arrays(np.stack([x, y, w, h], axis=1).ravel(), 4)
    values = {
        "id": own["annotation_id"], "bbox": box, "category": own["category"],
        "category_id": category, "area": pc.multiply(w, h), "iscrowd": own["iscrowd"],
    }  # fmt: skip
    starts = pa.array(ends, pa.int32())
    lists = []
    for column in values.values():
        whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        lists.append(pa.ListArray.from_arrays(starts, whole))
    objects = pa.StructArray.from_arrays(lists, names=list(values))
    facts = {"file_name": names, "width": width, "height": height, "objects": objects}
    pq.write_table(pa.table(facts), out / "metadata.parquet", compression="zstd")


def floor_pictures(work: Path, out: Path) -> None:
    """`floor_coco`, and a hard link for every picture."""
    floor_coco(work, out)
    for name in os.listdir(work / "images/train"):  # noqa: PTH208 - no objects
        os.link(work / "images/train" / name, out / name)


# --- ours --------------------------------------------------------------------------------------------


def ours(work: Path, out: Path, name: str, *, pictures: bool = False, again: bool = False) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from aion_dagster import schemas
    from aion_dagster.formats.annotation_files import ParquetAnnotations
    from aion_dagster.formats.export import write_export
    from aion_dagster.formats.pictures import PictureFile
    from aion_dagster.values import Category, Dataset

    class Linked:
        def __init__(self, files: dict[str, Path]) -> None:
            self.files = files

        def open(self, image_id: str) -> PictureFile:
            return PictureFile(self.files[image_id], self.files[image_id].read_bytes)

    with pq.ParquetFile(work / "images.parquet", pre_buffer=False) as file:
        images = file.read(use_threads=False)
    pa.default_memory_pool().release_unused()
    dataset = Dataset(
        name="bench",
        version="0",
        images=images,
        annotations=schemas.ANNOTATIONS.empty_table(),
        categories=tuple(Category(n, n) for n in CLASSES),
    )
    source = None
    if pictures:
        names = zip(images["image_id"].to_pylist(), images["file_name"].to_pylist(), strict=True)
        source = Linked({i: work / "images/train" / n for i, n in names})
    rows = ParquetAnnotations(str(work / "annotations.parquet"))
    kept = work / "before"
    previous = kept if again else None
    write_export(name, dataset, out, source, rows=rows, previous=previous)
    if pictures and not again:
        shutil.rmtree(kept, ignore_errors=True)
        out.rename(kept)
        out.mkdir()


# --- peers: COCO read and written --------------------------------------------------------------------


def peer_supervision(work: Path, out: Path, _name: str) -> None:
    import supervision as sv

    source = str(work / "annotations/instances_train.json")
    dataset = sv.DetectionDataset.from_coco(str(work / "images/train"), source)
    dataset.as_coco(annotations_path=str(out / "coco.json"))


def peer_globox(work: Path, out: Path, name: str) -> None:
    from globox import AnnotationSet

    found = AnnotationSet.from_coco(work / "annotations/instances_train.json")
    if name == "coco":
        found.save_coco(out / "coco.json")
    elif name == "yolo":
        found.save_yolo_v5(out, label_to_id={n: i for i, n in enumerate(CLASSES)})
    else:
        found.save_pascal_voc(out)


def peer_datumaro(work: Path, out: Path, _name: str) -> None:
    from datumaro.components.dataset import Dataset

    found = Dataset.import_from(str(work), "coco_instances")
    found.export(str(out / "d"), "coco_instances", save_media=False)


def peer_ultralytics(work: Path, out: Path, _name: str) -> None:
    from unittest import mock

    real = importlib.metadata.version
    answer = lambda package: "0.28.0" if package == "torchvision" else real(package)  # noqa: E731
    with mock.patch("importlib.metadata.version", answer):
        from ultralytics.data.converter import convert_coco
    convert_coco(str(work / "annotations"), str(out / "u"), cls91to80=False)


PEERS: dict[str, tuple[Callable[[Path, Path, str], None], tuple[str, ...]]] = {
    "globox": (peer_globox, ("coco", "yolo", "voc")),
    "supervision": (peer_supervision, ("coco",)),
    "datumaro": (peer_datumaro, ("coco",)),
    "ultralytics": (peer_ultralytics, ("yolo",)),
}


IMPORTS = {
    "floor": ("numpy", "orjson", "pyarrow.dataset", "pyarrow.parquet", "xml.sax.saxutils", "csv"),
    "ours": (
        "pandas",
        "pyarrow.dataset",
        "aion_dagster.formats.export",
        "aion_dagster.formats.annotation_files",
    ),
    "globox": ("globox",),
    "supervision": ("supervision",),
    "datumaro": ("datumaro.components.dataset",),
    "ultralytics": ("cv2", "numpy", "torch"),
}
"""What has to be imported is no cost of an export."""


# --- measuring ---------------------------------------------------------------------------------------


def one(who: str, name: str, work: Path, out: Path) -> dict[str, float]:
    """One export in this process."""
    for module in IMPORTS[who]:
        importlib.import_module(module)
    cpu, start = time.process_time(), time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        if who == "floor":
            globals()[f"floor_{name}"](work, out)
        elif who == "ours" and name.startswith("pictures"):
            ours(work, out, "coco", pictures=True, again=name.endswith("again"))
        elif who == "ours":
            ours(work, out, name)
        else:
            PEERS[who][0](work, out, name)
    return {
        "cpu_s": round(time.process_time() - cpu, 2),
        "wall_s": round(time.perf_counter() - start, 2),
        "peak_mb": _peak_mb(),
    }


def _peak_mb() -> int:
    """Of this program only: what `getrusage` tells holds the memory of the parent it was forked from, too."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return round(int(line.split()[1]) / 1024)
    raise SystemExit("this benchmark needs Linux")


def measured(python: str, who: str, name: str, work: Path) -> dict[str, float]:
    """One export in a process of its own, into memory where there is such a folder: disks differ between runs."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(
        dir=work if "pictures" in name or not shared.is_dir() else shared
    ) as out:
        command = [python, __file__, "--one", who, name, "--work", str(work), "--out", out]
        paths = [str(Path(__file__).resolve().parents[1]), os.environ.get("PYTHONPATH", "")]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(p for p in paths if p), "YOLO_OFFLINE": "true", "YOLO_CONFIG_DIR": out
        }  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise SystemExit(f"{who} {name}: {done.stderr[-2000:]}")
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--boxes", type=int, default=1_000_000)
    parser.add_argument("--work", type=Path, default=Path("bench_work/export_cost"))
    parser.add_argument("--peers", metavar="PYTHON")
    parser.add_argument("--only", help="such as ours,floor,globox")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    work = arguments.work.resolve() / f"{arguments.pictures}x{arguments.boxes}" if not arguments.one else arguments.work  # fmt: skip
    if arguments.one:
        print(json.dumps(one(*arguments.one, work, arguments.out)))
        return
    if not (work / "annotations/instances_train.json").is_file():
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        generate(work, arguments.pictures, arguments.boxes)
    only = arguments.only.split(",") if arguments.only else None
    jobs = [(w, f) for f in (*FORMATS, "pictures") for w in ("floor", "ours")]
    jobs.append(("ours", "pictures_again"))
    if arguments.peers:
        jobs += [(peer, f) for peer, (_, formats) in PEERS.items() for f in formats]
    found: dict[str, dict[str, float]] = {}
    print(f"{'format':<16}{'by':<13}{'CPU s':>8}{'wall s':>8}{'peak MB':>9}{'/ floor':>9}")
    for who, name in jobs:
        if only and who not in only:
            continue
        python = arguments.peers if who in PEERS else sys.executable
        result = found[f"{name} {who}"] = measured(python, who, name, work)
        floor = found.get(f"{name.removesuffix('_again')} floor")
        ratio = f"{result['cpu_s'] / floor['cpu_s']:.2f}" if floor else ""
        print(
            f"{name:<16}{who:<13}{result['cpu_s']:>8.2f}{result['wall_s']:>8.2f}{result['peak_mb']:>9.0f}{ratio:>9}",
            flush=True,
        )
    print(json.dumps({"pictures": arguments.pictures, "boxes": arguments.boxes, "seed": SEED, "results": found}))  # fmt: skip


if __name__ == "__main__":
    main()
