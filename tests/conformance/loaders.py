"""The independent loaders: each turns one format's folder into readings, one per split."""

from __future__ import annotations

import importlib.metadata
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

from layout import coco_splits, key, picture_folders, voc_splits, yolo_settings, yolo_splits
from readings import DEVKIT_PX, EXACT_PX, YOLO_PX, Box, NotForThisLoaderError, Reading

TORCHVISION_FOR_TORCH_2_13 = "0.28.0"


# --- pycocotools -------------------------------------------------------------------------------


def pycocotools_coco(root: Path) -> Iterator[Reading]:
    """`pycocotools.coco.COCO`; boxes as they stand in the file."""
    from pycocotools.coco import COCO

    for split, file in coco_splits(root).items():
        coco = COCO(str(file))
        names = {c["id"]: c["name"] for c in coco.loadCats(sorted(coco.getCatIds()))}
        pictures: dict[str, list[Box]] = {}
        for image in coco.loadImgs(coco.getImgIds()):
            boxes = []
            for annotation in coco.loadAnns(coco.getAnnIds(image["id"])):
                x, y, w, h = annotation["bbox"]
                boxes.append((names[annotation["category_id"]], x, y, x + w, y + h))
            pictures[key(image["file_name"])] = boxes
        yield Reading("coco", "pycocotools", split, pictures, tuple(names.values()))


def average_precision_against_itself(file: Path) -> float | None:
    """COCOeval of the ground truth against itself: 1.0, or something is wrong with ids or areas.

    None where the file has no box to evaluate.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth = COCO(str(file))
    same = [
        {name: a[name] for name in ("image_id", "category_id", "bbox")} | {"score": 1.0}
        for a in truth.anns.values()
    ]
    if not same:
        return None
    evaluation = COCOeval(truth, truth.loadRes(same), "bbox")
    evaluation.params.maxDets = [1, 10, 10_000]
    evaluation.evaluate()
    evaluation.accumulate()
    # Axes: IoU, recall, class, area, detections per picture; -1 stands where a class has no truth.
    precision = evaluation.eval["precision"][:, :, :, 0, 2]
    return float(precision[precision > -1].mean())


# --- supervision -------------------------------------------------------------------------------


def supervision_pictures(dataset: Any, below: Path) -> dict[str, list[Box]]:
    """Boxes per picture of a `supervision.DetectionDataset` without decoding the pictures."""
    return {
        key(path, below): [
            (dataset.classes[int(c)], *map(float, box))
            for box, c in zip(detections.xyxy, detections.class_id, strict=True)
        ]
        for path, detections in dataset.annotations.items()
    }


def supervision_coco(root: Path) -> Iterator[Reading]:
    """`DetectionDataset.from_coco`."""
    import supervision as sv

    for split, file in coco_splits(root).items():
        images = root / "images" / split
        dataset = sv.DetectionDataset.from_coco(str(images), str(file))
        pictures = supervision_pictures(dataset, images)
        yield Reading("coco", "supervision", split, pictures, tuple(dataset.classes))


def supervision_yolo(root: Path) -> Iterator[Reading]:
    """`DetectionDataset.from_yolo`, folder by folder."""
    import supervision as sv

    for split, images in yolo_splits(root).items():
        labels = root / "labels" / images.relative_to(root / "images")
        pictures: dict[str, list[Box]] = {}
        classes: tuple[str, ...] | None = None
        for folder in picture_folders(images):
            dataset = sv.DetectionDataset.from_yolo(
                str(folder), str(labels / folder.relative_to(images)), str(root / "data.yaml")
            )
            pictures |= supervision_pictures(dataset, images)
            classes = tuple(dataset.classes)
        yield Reading("yolo", "supervision", split, pictures, classes, YOLO_PX)


def supervision_voc(root: Path) -> Iterator[Reading]:
    """`DetectionDataset.from_pascal_voc`, folder by folder; it learns classes from the boxes."""
    import supervision as sv

    images = root / "JPEGImages"
    pictures: dict[str, list[Box]] = {}
    for folder in picture_folders(images):
        annotations = root / "Annotations" / folder.relative_to(images)
        dataset = sv.DetectionDataset.from_pascal_voc(str(folder), str(annotations))
        pictures |= supervision_pictures(dataset, images)
    yield from by_image_set("supervision", root, pictures)


def by_image_set(loader: str, root: Path, pictures: Mapping[str, list[Box]]) -> Iterator[Reading]:
    """Readings of a Pascal VOC export, whose pictures of all splits lie in one folder.

    Raises:
        ValueError: A picture stands in no image set, so no split would ever contain it.
    """
    image_sets = voc_splits(root)
    if unlisted := pictures.keys() - {name for names in image_sets.values() for name in names}:
        raise ValueError(f"{sorted(unlisted)[0]!r} is listed in no file of ImageSets/Main")
    for split, names in image_sets.items():
        of_split = {name: pictures[name] for name in names if name in pictures}
        yield Reading("voc", loader, split, of_split, None, DEVKIT_PX)


# --- ultralytics -------------------------------------------------------------------------------


def ultralytics_yolo(root: Path) -> Iterator[Reading]:
    """`check_det_dataset` and `YOLODataset`, which reads and verifies every label file."""
    real_version = importlib.metadata.version

    def version(package: str) -> str:
        # On import ultralytics asks for torchvision's version and compares it with torch's. Reading
        # data never uses torchvision, so it is not installed and the expected answer is given.
        return TORCHVISION_FOR_TORCH_2_13 if package == "torchvision" else real_version(package)

    with mock.patch("importlib.metadata.version", version):
        from ultralytics.cfg import get_cfg
        from ultralytics.data import utils
        from ultralytics.data.dataset import YOLODataset

    # The font is for drawing, and it would be fetched from the network.
    with mock.patch.object(utils, "check_font"):
        data = utils.check_det_dataset(str(root / "data.yaml"), autodownload=False)
    names = data["names"]
    for split in (s for s in ("train", "val", "test") if data.get(s)):
        dataset = YOLODataset(
            img_path=data[split], data=data, task="detect", imgsz=64, augment=False, hyp=get_cfg()
        )
        images = Path(data[split])
        pictures = {
            key(label["im_file"], images): [
                pixels(names[int(c)], *map(float, box), *label["shape"])
                for c, box in zip(label["cls"][:, 0], label["bboxes"], strict=True)
            ]
            for label in dataset.labels
        }
        yield Reading("yolo", "ultralytics", split, pictures, tuple(names.values()), YOLO_PX)


def pixels(name: str, x: float, y: float, w: float, h: float, height: int, width: int) -> Box:
    """A box from centre and size as fractions of the picture."""
    return (
        name,
        (x - w / 2) * width,
        (y - h / 2) * height,
        (x + w / 2) * width,
        (y + h / 2) * height,
    )


# --- globox ------------------------------------------------------------------------------------


def globox_pictures(annotations: Iterable[Any], prefix: str = "") -> dict[str, list[Box]]:
    """Boxes per picture of a `globox.AnnotationSet`."""
    return {
        key(prefix + annotation.image_id): [
            (box.label, box.xmin, box.ymin, box.xmax, box.ymax) for box in annotation.boxes
        ]
        for annotation in annotations
    }


def globox_coco(root: Path) -> Iterator[Reading]:
    """`AnnotationSet.from_coco`; it keeps no list of classes."""
    from globox import AnnotationSet

    for split, file in coco_splits(root).items():
        pictures = globox_pictures(AnnotationSet.from_coco(file))
        yield Reading("coco", "globox", split, pictures, None)


def globox_yolo(root: Path) -> Iterator[Reading]:
    """`AnnotationSet.from_yolo_v5`, which takes one folder and one suffix at a time."""
    from globox import AnnotationSet

    names = yolo_settings(root)["names"]
    for split, images in yolo_splits(root).items():
        labels = root / "labels" / images.relative_to(root / "images")
        pictures: dict[str, list[Box]] = {}
        for folder in picture_folders(images):
            prefix = folder.relative_to(images).as_posix() + "/"
            for suffix in sorted({p.suffix for p in folder.iterdir() if p.is_file()}):
                staged = root / "staged"
                staged.mkdir()
                for picture in folder.glob(f"*{suffix}"):
                    shutil.copy(labels / f"{key(picture, images)}.txt", staged)
                found = AnnotationSet.from_yolo_v5(
                    staged, image_folder=folder, image_extension=suffix
                )
                shutil.rmtree(staged)
                pictures |= globox_pictures(found, prefix)
        named = {p: [(names[int(b[0])], *b[1:]) for b in boxes] for p, boxes in pictures.items()}
        yield Reading("yolo", "globox", split, named, None, YOLO_PX)


def globox_voc(root: Path) -> Iterator[Reading]:
    """`AnnotationSet.from_pascal_voc`, folder by folder."""
    from globox import AnnotationSet

    annotations = root / "Annotations"
    pictures: dict[str, list[Box]] = {}
    for folder in sorted({file.parent for file in annotations.rglob("*.xml")}):
        # A picture is called as its XML's <filename> says, which may name the subfolder or not.
        below = folder.relative_to(annotations)
        for name, boxes in globox_pictures(AnnotationSet.from_pascal_voc(folder)).items():
            pictures[(below / Path(name).name).as_posix()] = boxes
    yield from by_image_set("globox", root, pictures)


# --- Datumaro ----------------------------------------------------------------------------------


def datumaro(root: Path, format_: str, plugin: str, tolerance: float) -> Iterator[Reading]:
    """`Dataset.import_from` with one of Datumaro's importers."""
    from datumaro.components.annotation import AnnotationType
    from datumaro.components.dataset import Dataset

    dataset = Dataset.import_from(str(root), plugin)
    labels = tuple(label.name for label in dataset.categories()[AnnotationType.label])
    splits: dict[str, dict[str, list[Box]]] = {}
    for item in dataset:
        splits.setdefault(item.subset, {})[item.id] = [
            (labels[a.label], a.x, a.y, a.x + a.w, a.y + a.h)
            for a in item.annotations
            if a.type == AnnotationType.bbox
        ]
    # A VOC label map begins with the background, which is no class of objects.
    classes = labels[1:] if format_ == "voc" and labels[:1] == ("background",) else labels
    for split, pictures in splits.items():
        yield Reading(format_, "datumaro", split, pictures, classes, tolerance)


def datumaro_coco(root: Path) -> Iterator[Reading]:
    """Datumaro's `coco_instances`."""
    yield from datumaro(root, "coco", "coco_instances", EXACT_PX)


def datumaro_yolo(root: Path) -> Iterator[Reading]:
    """Datumaro's `yolo`, which looks for pictures one folder deep and for none below."""
    for images in yolo_splits(root).values():
        if picture_folders(images) != [images]:
            raise NotForThisLoaderError("Datumaro reads no pictures in subfolders of a YOLO split")
    yield from datumaro(root, "yolo", "yolo", YOLO_PX)


def datumaro_voc(root: Path) -> Iterator[Reading]:
    """Datumaro's `voc_detection`; it learns classes from `labelmap.txt`."""
    yield from datumaro(root, "voc", "voc_detection", DEVKIT_PX)


# --- torchvision -------------------------------------------------------------------------------


def torchvision_coco(root: Path) -> Iterator[Reading]:
    """`torchvision.datasets.CocoDetection`, which decodes every picture."""
    try:
        from torchvision.datasets import CocoDetection
    except ImportError as error:
        raise NotForThisLoaderError("torchvision is not installed") from error

    for split, file in coco_splits(root).items():
        images = root / "images" / split
        dataset = CocoDetection(str(images), str(file))
        names = {c["id"]: c["name"] for c in dataset.coco.loadCats(dataset.coco.getCatIds())}
        pictures: dict[str, list[Box]] = {}
        for number, (picture, boxes) in zip(dataset.ids, dataset, strict=True):
            (listed,) = dataset.coco.loadImgs(number)
            same_size(picture, listed["width"], listed["height"], listed["file_name"])
            pictures[key(listed["file_name"])] = [
                coco_box(names[a["category_id"]], a["bbox"]) for a in boxes
            ]
        yield Reading("coco", "torchvision", split, pictures, tuple(names.values()))


def coco_box(name: str, bbox: Iterable[float]) -> Box:
    """A box from its corner and size."""
    x, y, w, h = bbox
    return (name, x, y, x + w, y + h)


def same_size(picture: Any, width: int, height: int, name: str) -> None:
    """See to it that a decoded picture is as large as the export says.

    Raises:
        ValueError: it is not.
    """
    if picture.size != (width, height):
        raise ValueError(f"{name} is {picture.size}, the export says {(width, height)}")


# --- Hugging Face datasets -----------------------------------------------------------------------


def datasets_imagefolder(root: Path) -> Iterator[Reading]:
    """`datasets.load_dataset` of the folder as it is, with every picture decoded."""
    import datasets

    loaded = datasets.load_dataset(str(root))
    splits = {"validation": "val"}
    for found, rows in loaded.items():
        split = splits.get(found, found)
        paths = rows.cast_column("image", datasets.Image(decode=False))["image"]
        pictures: dict[str, list[Box]] = {}
        for place, row in zip(paths, rows, strict=True):
            name = key(place["path"], root / split)
            same_size(row["image"], row["width"], row["height"], name)
            objects = row["objects"]
            pairs = zip(objects["category"], objects["bbox"], strict=True)
            pictures[name] = [coco_box(category, bbox) for category, bbox in pairs]
        yield Reading("imagefolder", "datasets", split, pictures, None)


# --- WebDataset ----------------------------------------------------------------------------------


def webdataset_webdataset(root: Path) -> Iterator[Reading]:
    """`webdataset.WebDataset`, with every picture decoded."""
    import json

    import webdataset

    classes = tuple(json.loads((root / "classes.json").read_text()))
    shards: dict[str, list[str]] = {}
    for file in sorted(root.glob("*.tar")):
        shards.setdefault(file.name.rpartition("-")[0], []).append(str(file))
    for split, files in shards.items():
        pictures: dict[str, list[Box]] = {}
        # By extension, each sample as it is: some pictures are JPEG and some PNG.
        for sample in webdataset.WebDataset(files, shardshuffle=False).decode("pil"):
            facts = sample["json"]
            (picture,) = (v for k, v in sample.items() if k in ("jpg", "png", "webp", "bmp"))
            same_size(picture, facts["width"], facts["height"], facts["file_name"])
            pictures[key(facts["file_name"])] = [
                coco_box(a["category"], a["bbox"]) for a in facts["annotations"]
            ]
        yield Reading("webdataset", "webdataset", split, pictures, classes)


# --- pandas ------------------------------------------------------------------------------------


def pandas_csv(root: Path) -> Iterator[Reading]:
    """`pandas.read_csv` of the three tables."""
    import pandas as pd

    def table(name: str) -> Any:
        # A class called NA is a class; an apostrophe keeps spreadsheets from running a cell.
        rows = pd.read_csv(root / name, keep_default_na=False)
        return rows.replace(r"^'([=+\-@\t\r])", r"\1", regex=True)

    classes = tuple(table("categories.csv").sort_values("category_id")["name"])
    boxes: dict[str, list[Box]] = {}
    for a in table("annotations.csv").itertuples():
        boxes.setdefault(a.image_id, []).append((a.category, a.x, a.y, a.x + a.w, a.y + a.h))
    for split, images in table("images.csv").groupby("split"):
        pictures = {key(i.file_name): boxes.get(i.image_id, []) for i in images.itertuples()}
        yield Reading("csv", "pandas", split, pictures, classes)


def pandas_parquet(root: Path) -> Iterator[Reading]:
    """`pandas.read_parquet` of the three tables."""
    import pandas as pd

    classes = tuple(pd.read_parquet(root / "categories.parquet")["name"])
    boxes: dict[str, list[Box]] = {}
    for a in pd.read_parquet(root / "annotations.parquet").itertuples():
        sides = [a.bbox[k] for k in "xywh"]
        boxes.setdefault(a.image_id, []).append(coco_box(a.category, sides))
    for split, images in pd.read_parquet(root / "images.parquet").groupby("split"):
        pictures = {key(i.file_name): boxes.get(i.image_id, []) for i in images.itertuples()}
        yield Reading("parquet", "pandas", split, pictures, classes)


LOADERS = {
    "coco": (pycocotools_coco, supervision_coco, globox_coco, datumaro_coco, torchvision_coco),
    "yolo": (ultralytics_yolo, supervision_yolo, globox_yolo, datumaro_yolo),
    "voc": (supervision_voc, globox_voc, datumaro_voc),
    "csv": (pandas_csv,),
    "parquet": (pandas_parquet,),
    "imagefolder": (datasets_imagefolder,),
    "webdataset": (webdataset_webdataset,),
}
"""Loaders by the format that they read."""

READERS_OF_DATA_YAML = (ultralytics_yolo, supervision_yolo, globox_yolo)
"""Loaders that find a YOLO split by `data.yaml`; Datumaro looks for folders."""
