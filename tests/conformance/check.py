"""Load the exports of one or more datasets with other people's tools and compare what they see.

    python tests/conformance/check.py EXPORTS

EXPORTS is `<store>/exports` or the exports of one dataset (`<store>/exports/<dataset>`): a folder with
`coco`, `yolo`, `voc` and `csv` in it, or with those that `--formats` names. Every loader has to see the same pictures, the same boxes
of the same classes at the same place, in every split; COCOeval of the ground truth against itself
has to be 1. Prints a table; the exit status is 0 when all agree, 1 on a difference, 2 when there is
nothing to check.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from layout import coco_splits
from loaders import LOADERS, READERS_OF_DATA_YAML, average_precision_against_itself
from readings import NotForThisLoaderError, Reading, differences, largest_distance

Loader = Callable[[Path], Iterable[Reading]]
UNSEEN = ("-",) * 5


@dataclass(frozen=True)
class Row:
    """One line of the table.

    `seen` is what stands in the columns from pictures to distance; `problem` is empty where the loader
    agrees with the reference, and no fault of the export where the row is `skipped`.
    """

    format: str
    loader: str
    split: str
    seen: tuple[str, ...]
    problem: str = ""
    skipped: bool = False


def datasets(exports: Path) -> list[Path]:
    """Folders of datasets in `exports`, or `exports` itself."""
    candidates = [exports, *sorted(p for p in exports.glob("*") if p.is_dir())]
    return [d for d in candidates if any((d / name).is_dir() for name in LOADERS)]


def check(dataset: Path, formats: list[str]) -> Iterator[Row]:
    """Compare every loader with pycocotools, or with the first loader where COCO is not asked for.

    `dataset` is a copy: ultralytics writes its cache beside the labels and may repair a picture.
    """
    reference: dict[str, Reading] = {}
    for format_ in formats:
        if not (dataset / format_).is_dir():
            yield Row(format_, "-", "all", UNSEEN, "this format was not exported")
            continue
        for loader in LOADERS[format_]:
            name = loader.__name__.removesuffix(f"_{format_}")
            try:
                readings = read(loader, dataset / format_)
            except NotForThisLoaderError as reason:
                yield Row(format_, name, "all", UNSEEN, f"not checked: {reason}", skipped=True)
                continue
            except Exception as error:  # noqa: BLE001 - whatever a loader raises is the finding
                yield Row(format_, name, "all", UNSEEN, f"{type(error).__name__}: {error}")
                continue
            reference = reference or {r.split: r for r in readings}
            yield from (compared(reference, reading) for reading in readings)
            for split in expected_splits(loader, reference) - {r.split for r in readings}:
                yield Row(format_, name, split, UNSEEN, "split missing")
    if "coco" in formats:
        yield from evaluated(dataset / "coco")


def read(loader: Loader, folder: Path) -> list[Reading]:
    """What a loader sees, without what it prints."""
    silent = io.StringIO()
    with contextlib.redirect_stdout(silent), contextlib.redirect_stderr(silent):
        return list(loader(folder))


def expected_splits(loader: Loader, reference: dict[str, Reading]) -> set[str]:
    """Splits that a loader has to find.

    Whoever reads YOLO's `data.yaml` needs train and val, however few pictures there are.
    """
    splits = {name for name, reading in reference.items() if reading.pictures}
    return splits | ({"train", "val"} if loader in READERS_OF_DATA_YAML else set())


def counterpart(reference: dict[str, Reading], reading: Reading) -> Reading | None:
    """The split to compare with: of the same name, or for YOLO the one that stands in for it.

    YOLO repeats another split where the dataset has no train or no val.
    """
    same = reference.get(reading.split)
    if same is None or not same.pictures:
        other = {"train": "val", "val": "train"}.get(reading.split, "")
        if reading.format == "yolo":
            return reference.get(other) or next(iter(reference.values()), None)
    return same


def compared(reference: dict[str, Reading], reading: Reading) -> Row:
    """Compare one split with the same split of the reference."""
    wanted = counterpart(reference, reading)
    if wanted is None:
        problems = ["the reference has no such split"] if reading.pictures else []
        distance = 0.0
    else:
        problems = differences(wanted, reading)
        distance = largest_distance(wanted, reading)
    seen = (
        str(len(reading.pictures)),
        str(reading.empty_pictures),
        str(reading.boxes),
        f"{len(reading.boxed_classes)}/{'?' if reading.classes is None else len(reading.classes)}",
        f"{distance:.4f}",
    )
    return Row(reading.format, reading.loader, reading.split, seen, "; ".join(problems))


def evaluated(coco: Path) -> Iterator[Row]:
    """Average precision of every split's ground truth against itself."""
    for split, file in coco_splits(coco).items():
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                precision = average_precision_against_itself(file)
        except Exception as error:  # noqa: BLE001 - as above
            yield Row("coco", "COCOeval", split, UNSEEN, f"{type(error).__name__}: {error}")
            continue
        if precision is not None:
            problem = "" if round(precision, 6) == 1.0 else f"AP is {precision:.6f}, not 1"
            seen = ("", "", "", "", f"AP {precision:.4f}")
            yield Row("coco", "COCOeval", split, seen, problem)


def report(name: str, rows: list[Row]) -> bool:
    """Print the table of one dataset; true where all loaders agree on something."""
    heads = ("format", "loader", "split", "pictures", "empty", "boxes", "classes", "off by px", "")
    lines = [heads]
    for row in rows:
        verdict = row.problem or "ok"
        lines.append((row.format, row.loader, row.split, *row.seen, verdict))
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads) - 1)]
    print(f"\n{name}")
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=False)]
        print("  ".join([*cells, line[-1]]).rstrip())
    checked = [row for row in rows if not row.skipped]
    agreeing = [row for row in checked if not row.problem]
    boxes = sum(int(row.seen[2]) for row in checked if row.seen[2].isdecimal())
    if not boxes:
        print("No loader found a single box, so nothing is shown by their agreement.")
    print(f"{len(agreeing)} of {len(checked)} agree")
    return boxes > 0 and len(agreeing) == len(checked)


def keep_offline(scratch: Path) -> None:
    """Tell every library to stay off the network and to keep its settings in `scratch`.

    To be called before the first loader runs.
    """
    os.environ.update(
        YOLO_OFFLINE="true",
        YOLO_VERBOSE="false",
        YOLO_CONFIG_DIR=str(scratch),
        HF_HUB_OFFLINE="1",
        HF_HOME=str(scratch / "huggingface"),
        MPLCONFIGDIR=str(scratch),
    )


def main() -> int:
    """Check what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("exports", type=Path, metavar="EXPORTS")
    parser.add_argument("--formats", default=",".join(LOADERS), help="default: %(default)s")
    arguments = parser.parse_args()
    exports, formats = arguments.exports, arguments.formats.split(",")
    if unknown := set(formats) - set(LOADERS):
        parser.error(f"unknown format {sorted(unknown)[0]!r}; known are {', '.join(LOADERS)}")
    found = datasets(exports)
    if not found:
        print(f"{exports}: no exported dataset; make one with: aion-dagster run … --export coco,yolo,voc,csv,parquet,imagefolder,webdataset",
              file=sys.stderr)  # fmt: skip
        return 2
    warnings.filterwarnings("ignore")
    logging.disable(logging.CRITICAL)
    agreed = []
    with tempfile.TemporaryDirectory(prefix="conformance-") as scratch:
        keep_offline(Path(scratch))
        for number, dataset in enumerate(found):
            copy = Path(scratch, str(number))
            shutil.copytree(dataset, copy)
            agreed.append(report(dataset.name, list(check(copy, formats))))
    return 0 if all(agreed) else 1


if __name__ == "__main__":
    sys.exit(main())
