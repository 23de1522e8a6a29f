"""Collect the photographs that ship inside scikit-image and scikit-learn into one folder.

    python examples/demo_photos.py photos

Nothing is downloaded: the pictures lie in the two installed packages (`pip install 'aion_dagster[demo]'`).
Every copy has the package's bytes and one fixed modification time, so the folder looks the same on
every machine, and a second call leaves the files that are already there untouched: whoever watches
the folder sees nothing new. Authors and licences stand in `CREDITS.md`, hand-drawn boxes in
`labels.json`.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

# Photographs only: test patterns, logos, silhouettes, drawings, a hologram and non-pictures stay behind.
PHOTOGRAPHS = {
    ("skimage", "data"): (
        "astronaut.png",
        "brick.png",
        "camera.png",
        "chelsea.png",
        "clock_motion.png",
        "coffee.png",
        "coins.png",
        "grass.png",
        "gravel.png",
        "hubble_deep_field.jpg",
        "ihc.png",
        "microaneurysms.png",
        "moon.png",
        "motorcycle_left.png",
        "motorcycle_right.png",
        "page.png",
        "retina.jpg",
        "rocket.jpg",
        "text.png",
    ),
    ("sklearn", "datasets/images"): ("china.jpg", "flower.jpg"),
}
MODIFIED_NS = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000_000


class PhotographMissingError(Exception):
    """A package, or a picture inside it, is not installed here."""


def photographs() -> Iterator[Path]:
    """Yield the path of every photograph inside the installed packages.

    Raises:
        PhotographMissingError: A package is not installed, or no longer ships the picture.
    """
    for (package, folder), names in PHOTOGRAPHS.items():
        # find_spec locates the package without importing it, which would cost seconds.
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise PhotographMissingError(
                f"{package} is not installed; run: pip install 'aion_dagster[demo]'"
            )
        for name in names:
            picture = Path(spec.submodule_search_locations[0], folder, name)
            if not picture.is_file():
                raise PhotographMissingError(
                    f"this release of {package} does not ship {name} (looked in {picture.parent})"
                )
            yield picture


def collect(target: Path) -> tuple[int, int]:
    """Copy the photographs into `target`; return how many were written and how many were there.

    Raises:
        PhotographMissingError: As `photographs` says.
        OSError: The folder cannot be written.
    """
    target.mkdir(parents=True, exist_ok=True)
    written = there = 0
    for picture in photographs():
        content, copy = picture.read_bytes(), target / picture.name
        if copy.is_file() and copy.read_bytes() == content:
            there += 1
            continue
        # Written beside and renamed, so that a watcher never reads half a picture.
        partial = target / f".{picture.name}.partial"
        partial.write_bytes(content)
        os.utime(partial, ns=(MODIFIED_NS, MODIFIED_NS))
        partial.replace(copy)
        written += 1
    return written, there


def main() -> int:
    """Collect into the folder named on the command line and say what was done."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("target", type=Path, metavar="TARGET", help="folder to collect into")
    target = parser.parse_args().target
    try:
        written, there = collect(target)
    except PhotographMissingError as error:
        print(f"demo_photos: {error}", file=sys.stderr)
        return 1
    print(f"{target}: {written} photographs written, {there} already there")
    return 0


if __name__ == "__main__":
    sys.exit(main())
