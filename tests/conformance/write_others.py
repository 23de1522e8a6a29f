"""Let other people's tools write a COCO export in their formats, for `read_others.py` to read.

    CONFORMANCE_PYTHON tests/conformance/write_others.py EXPORTS OUT

EXPORTS is the export of one dataset; OUT gets a folder `<tool>-<format>-<split>` for each that a tool writes, and
`reference.json`: classes, and for every split the pictures with their sizes and boxes.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any
from unittest import mock

from check import keep_offline
from layout import coco_splits
from loaders import TORCHVISION_FOR_TORCH_2_13, pycocotools_coco

Write = Callable[[], Any]


def supervision(images: Path, file: Path, out: Callable[[str], Path]) -> Iterator[Write]:
    """`DetectionDataset.as_coco`, `as_yolo`, `as_pascal_voc`."""
    import supervision as sv

    dataset = sv.DetectionDataset.from_coco(str(images), str(file))
    yield lambda: dataset.as_coco(annotations_path=str(out("coco") / "instances.json"))
    yolo = out("yolo")
    yield lambda: dataset.as_yolo(
        annotations_directory_path=str(yolo / "labels"), data_yaml_path=str(yolo / "data.yaml")
    )
    yield lambda: dataset.as_pascal_voc(annotations_directory_path=str(out("voc") / "Annotations"))


def globox(images: Path, file: Path, out: Callable[[str], Path]) -> Iterator[Write]:
    """`AnnotationSet.save_coco`, `save_yolo_v5`, `save_pascal_voc`."""
    from globox import AnnotationSet

    found = AnnotationSet.from_coco(file)
    names = classes_of(file)
    yield lambda: found.save_coco(out("coco") / "instances.json")
    yolo = out("yolo")
    (yolo / "classes.txt").write_text("".join(f"{name}\n" for name in names))
    folders_of(file, yolo / "labels")
    numbers = {name: i for i, name in enumerate(names)}
    yield lambda: found.save_yolo_v5(yolo / "labels", label_to_id=numbers)
    voc = out("voc") / "Annotations"
    folders_of(file, voc)
    yield lambda: found.save_pascal_voc(voc)


def datumaro(images: Path, file: Path, out: Callable[[str], Path]) -> Iterator[Write]:
    """`Dataset.export` as coco_instances, yolo and voc_detection."""
    from datumaro.components.dataset import Dataset

    split = file.stem.removeprefix("instances_")
    whole = Dataset.import_from(str(file.parents[1]), "coco_instances")
    own = Dataset.from_extractors(whole.get_subset(split).as_dataset())
    for name, plugin in (("coco", "coco_instances"), ("yolo", "yolo"), ("voc", "voc_detection")):
        folder = out(name)
        # Its YOLO and VOC tell where pictures lie, so they want them.
        yield lambda f=folder, p=plugin: own.export(str(f), p, save_media=p == "yolo")


def ultralytics(images: Path, file: Path, out: Callable[[str], Path]) -> Iterator[Write]:
    """`convert_coco`, which writes labels and no list of classes."""
    real = metadata.version

    def version(package: str) -> str:
        return TORCHVISION_FOR_TORCH_2_13 if package == "torchvision" else real(package)

    with mock.patch("importlib.metadata.version", version):
        from ultralytics.data.converter import convert_coco

    yolo = out("yolo")
    with tempfile.TemporaryDirectory() as source:
        (Path(source) / file.name).write_bytes(file.read_bytes())
        made = yolo / "made"
        yield lambda: convert_coco(source, str(made), cls91to80=False)
    (yolo / "classes.txt").write_text("".join(f"{name}\n" for name in classes_of(file)))
    (made / "labels" / file.stem.removeprefix("instances_")).rename(yolo / "labels")


def classes_of(file: Path) -> list[str]:
    """Names of the classes in the order of their ids."""
    categories = json.loads(file.read_text("utf-8"))["categories"]
    return [c["name"] for c in sorted(categories, key=lambda c: c["id"])]


def folders_of(file: Path, target: Path) -> None:
    """Make the folders that the pictures' names speak of, for a tool that does not."""
    for image in json.loads(file.read_text("utf-8"))["images"]:
        (target / image["file_name"]).parent.mkdir(parents=True, exist_ok=True)


def reference(coco: Path) -> dict[str, Any]:
    """What the export holds, as pycocotools reads it."""
    sizes = {
        split: {
            i["file_name"].rpartition(".")[0]: (i["width"], i["height"])
            for i in json.loads(file.read_text("utf-8"))["images"]
        }
        for split, file in coco_splits(coco).items()
    }
    readings = list(pycocotools_coco(coco))
    return {
        "classes": readings[0].classes,
        "splits": {r.split: {"boxes": r.pictures, "sizes": sizes[r.split]} for r in readings},
    }


def main() -> None:
    """Write everything that every tool can."""
    coco, target = Path(sys.argv[1]) / "coco", Path(sys.argv[2])
    warnings.filterwarnings("ignore")
    logging.disable(logging.CRITICAL)
    target.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="conformance-") as scratch:
        keep_offline(Path(scratch))
        silent = io.StringIO()
        with contextlib.redirect_stdout(silent), contextlib.redirect_stderr(silent):
            given = reference(coco)
            (target / "reference.json").write_text(json.dumps(given))
            for split, file in coco_splits(coco).items():
                if not any(given["splits"][split]["boxes"].values()):
                    continue  # ultralytics and Datumaro's VOC write nothing at all then
                for tool in (supervision, globox, datumaro, ultralytics):

                    def out(name: str, tool: Any = tool, split: str = split) -> Path:
                        folder = target / f"{tool.__name__}-{name}-{split}"
                        folder.mkdir()
                        return folder

                    for write in tool(coco / "images" / split, file, out):
                        write()


if __name__ == "__main__":
    main()
