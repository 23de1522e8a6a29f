"""An export as one file: zip or tar, the same bytes for the same content."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from typing import Final, Literal

from aion_dagster.formats.tar_files import tar_end, tar_header, tar_padding
from aion_dagster.formats.text_files import files_below

Archive = Literal["zip", "tar"]

BESIDE: Final = ("export.json", "README.md", "losses.csv")
"""Files that stand beside the archive, too, for people and programs that want to know what is in it."""

_OLDEST: Final = (1980, 1, 1, 0, 0, 0)
"""The first moment that a zip file can tell."""

_PIECE: Final = 1 << 20


def archived(folder: Path, target: Path, name: str, kind: Archive) -> Path:
    """Write the files below `folder` into `target/<name>.<kind>`, and those that are to stand beside it; the archive.

    Nothing is compressed: pictures are already, and what compressors make differs between their versions. Files come
    in order of name.

    Raises:
        OSError: a file cannot be read or written.
    """
    place = target / f"{name}.{kind}"
    names = sorted(files_below(folder))
    if kind == "zip":
        _write_zip(folder, names, place)
    else:
        _write_tar(folder, names, place)
    for beside in BESIDE:
        if (folder / beside).is_file():
            shutil.copyfile(folder / beside, target / beside)
    return place


def _write_zip(folder: Path, names: list[str], place: Path) -> None:
    with zipfile.ZipFile(place, "x", zipfile.ZIP_STORED) as archive:
        for name in names:
            info = zipfile.ZipInfo(name, _OLDEST)
            info.external_attr = 0o100644 << 16
            info.create_system = 3
            info.file_size = (folder / name).stat().st_size
            with (folder / name).open("rb") as source, archive.open(info, "w") as out:
                shutil.copyfileobj(source, out, _PIECE)


def _write_tar(folder: Path, names: list[str], place: Path) -> None:
    written = 0
    with place.open("xb") as out:
        for name in names:
            size = (folder / name).stat().st_size
            header = tar_header(name, size)
            out.write(header)
            with (folder / name).open("rb") as source:
                shutil.copyfileobj(source, out, _PIECE)
            padding = tar_padding(size)
            out.write(padding)
            written += len(header) + size + len(padding)
        out.write(tar_end(written))
