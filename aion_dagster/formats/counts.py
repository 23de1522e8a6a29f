"""What an export on disk really holds, read back without the code that wrote it."""

from __future__ import annotations

import tarfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml
from pyarrow import csv as arrow_csv

from aion_dagster.errors import ExportError
from aion_dagster.formats.text_files import files_below
from aion_dagster.formats.voc_xml import HOSTILE, UNREADABLE, parsed

_SPLITS: Final = ("train", "val", "test")


@dataclass(frozen=True)
class ExportCounts:
    """Pictures that are really there with their label, annotations, categories; pictures by split."""

    images: int
    annotations: int
    categories: int
    splits: Mapping[str, int]


def count_export(format: str, folder: Path) -> ExportCounts:
    """Count what is on disk. A picture counts if both its file and its label entry exist.

    Raises:
        ExportError: unknown format, or a file of the export is missing or cannot be read.
    """
    counters = {
        "coco": _coco,
        "yolo": _yolo,
        "voc": _voc,
        "csv": _csv,
        "parquet": _parquet,
        "imagefolder": _imagefolder,
        "webdataset": _webdataset,
    }
    if format not in counters:
        raise ExportError(f"unknown export format {format!r}; known are {', '.join(counters)}")
    try:
        return counters[format](folder)
    except HOSTILE as error:
        raise ExportError(f"the {format} export in {folder} holds hostile XML ({error})") from error
    except (*UNREADABLE, TypeError, KeyError, tarfile.TarError, yaml.YAMLError) as error:
        raise ExportError(
            f"the {format} export in {folder} cannot be read back ({error}); write it again"
        ) from error


def _total(splits: Mapping[str, int], annotations: int, categories: int) -> ExportCounts:
    shown = {split: n for split, n in splits.items() if n}
    return ExportCounts(sum(shown.values()), annotations, categories, shown)


def _coco(folder: Path) -> ExportCounts:
    splits: dict[str, int] = {}
    annotations, categories = 0, set()
    listed = sorted((folder / "annotations").glob("instances_*.json"))
    if not listed:
        raise ExportError(f"{folder}: no annotations/instances_<split>.json")
    for path in listed:
        split = path.stem.removeprefix("instances_")
        content = orjson.loads(path.read_bytes())
        there = set(files_below(folder / "images" / split))
        kept = {image["id"] for image in content["images"] if image["file_name"] in there}
        splits[split] = len(kept)
        annotations += sum(a["image_id"] in kept for a in content["annotations"])
        categories |= {category["id"] for category in content["categories"]}
    return _total(_ordered(splits), annotations, len(categories))


def _yolo(folder: Path) -> ExportCounts:
    facts: dict[str, Any] = yaml.safe_load((folder / "data.yaml").read_text(encoding="utf-8"))
    splits: dict[str, int] = {}
    annotations, seen = 0, set()
    for split in ("train", "val", "test"):
        where = facts.get(split)
        if where is None or where in seen or where.rpartition("/")[2] != split:
            continue
        seen.add(where)
        labels = folder / "labels" / split
        found = [labels / f"{p.rpartition('.')[0]}.txt" for p in files_below(folder / where)]
        texts = [path.read_bytes() for path in found if path.is_file()]
        splits[split] = len(texts)
        annotations += sum(1 for text in texts for row in text.split(b"\n") if row.strip())
    return _total(splits, annotations, len(facts["names"]))


def _voc(folder: Path) -> ExportCounts:
    pictures = {name.rpartition(".")[0] or name for name in files_below(folder / "JPEGImages")}
    lists = sorted((folder / "ImageSets" / "Main").glob("*.txt"))
    if not lists:
        raise ExportError(f"{folder}: no ImageSets/Main/<split>.txt")
    splits: dict[str, int] = {}
    annotations = 0
    for path in lists:
        ids = path.read_text(encoding="utf-8").split("\n")
        documents = [folder / "Annotations" / f"{i}.xml" for i in ids if i in pictures]
        there = [document for document in documents if document.is_file()]
        splits[path.stem] = len(there)
        annotations += sum(len(parsed(document).findall("object")) for document in there)
    rows = (folder / "labelmap.txt").read_text(encoding="utf-8").splitlines()
    labels = {row.split(":")[0] for row in rows if row and not row.startswith("#")}
    return _total(_ordered(splits), annotations, len(labels - {"background"}))


def _csv(folder: Path) -> ExportCounts:
    images = _table(folder / "images.csv", ["image_id", "split"])
    annotations = _table(folder / "annotations.csv", ["image_id"])
    categories = _table(folder / "categories.csv", ["name"])
    known = pc.is_in(annotations.column("image_id"), images.column("image_id").combine_chunks())
    splits = {
        row["values"]: row["counts"] for row in images.column("split").value_counts().to_pylist()
    }
    return _total(_ordered(splits), int(pc.sum(known).as_py() or 0), categories.num_rows)


def _parquet(folder: Path) -> ExportCounts:
    images = pq.read_table(folder / "images.parquet", columns=["image_id", "split"])
    annotations = pq.read_table(folder / "annotations.parquet", columns=["image_id"])
    categories = pq.read_metadata(folder / "categories.parquet").num_rows
    known = pc.is_in(annotations.column("image_id"), images.column("image_id").combine_chunks())
    splits = Counter(images.column("split").to_pylist())
    return _total(_ordered(splits), int(pc.sum(known).as_py() or 0), categories)


def _imagefolder(folder: Path) -> ExportCounts:
    splits: dict[str, int] = {}
    annotations = 0
    found = sorted(p for p in folder.glob("*/metadata.*") if p.parent.name in _SPLITS)
    if not found:
        raise ExportError(f"{folder}: no <split>/metadata.jsonl or metadata.parquet")
    for path in found:
        there = set(files_below(path.parent))
        kept = [x for x in _metadata(path) if x["file_name"] in there]
        splits[path.parent.name] = len(kept)
        annotations += sum(len(x["objects"]["bbox"]) for x in kept)
    return _total(_ordered(splits), annotations, len(_class_names(folder)))


def _metadata(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
        return rows
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def _class_names(folder: Path) -> list[str]:
    """The class list, which stands beside data that has no place for it."""
    names: list[str] = orjson.loads((folder / "classes.json").read_bytes())
    return names


def _webdataset(folder: Path) -> ExportCounts:
    shards = sorted(folder.glob("*-*.tar"))
    if not shards:
        raise ExportError(f"{folder}: no <split>-<number>.tar")
    splits: Counter[str] = Counter()
    annotations = 0
    for path in shards:
        split = path.name.rpartition("-")[0]
        with tarfile.open(path, "r:") as archive:
            pictures, facts = set(), {}
            for member in archive:
                key, _, suffix = member.name.partition(".")
                if suffix == "json":
                    facts[key] = len(_json_of(archive, member)["annotations"])
                elif suffix != "cls":
                    pictures.add(key)
        splits[split] += len(pictures & facts.keys())
        annotations += sum(n for key, n in facts.items() if key in pictures)
    return _total(_ordered(splits), annotations, len(_class_names(folder)))


def _json_of(archive: tarfile.TarFile, member: tarfile.TarInfo) -> dict[str, Any]:
    file = archive.extractfile(member)
    if file is None:
        raise ValueError(f"{member.name} is no file")
    facts: dict[str, Any] = orjson.loads(file.read())
    return facts


def _table(path: Path, columns: Iterable[str]) -> pa.Table:
    names = list(columns)
    return arrow_csv.read_csv(
        path,
        parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
        convert_options=arrow_csv.ConvertOptions(
            include_columns=names, column_types=dict.fromkeys(names, pa.string())
        ),
    )


def _ordered(splits: Mapping[str, int]) -> dict[str, int]:
    order = {"train": 0, "val": 1, "test": 2}
    return {split: splits[split] for split in sorted(splits, key=lambda s: (order.get(s, 3), s))}
