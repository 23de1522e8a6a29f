"""Many small files: written and listed with as few system calls as possible."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def write_text_files(
    folder: Path, names: Iterable[str], contents: Iterable[bytes | memoryview]
) -> None:
    """Write each content under its name below `folder`; folders are made, no file may exist yet.

    Raises:
        OSError: a file exists or cannot be written.
    """
    made: set[str] = set()
    root = f"{folder}/"
    for name, content in zip(names, contents, strict=True):
        parent = name.rpartition("/")[0]
        if parent not in made:
            (folder / parent).mkdir(parents=True, exist_ok=True)
            made.add(parent)
        # open() and its buffers cost more than the few hundred bytes of a label file
        descriptor = os.open(root + name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            data = memoryview(content)
            while data:
                data = data[os.write(descriptor, data) :]
        finally:
            os.close(descriptor)


def files_below(folder: Path) -> list[str]:
    """Files below a folder as sorted POSIX paths relative to it; none where there is no such folder."""
    found: list[str] = []
    skip = len(str(folder)) + 1
    for place, _, names in os.walk(folder):
        prefix = f"{place[skip:]}/" if len(place) > skip else ""
        found += [prefix + name for name in names]
    return sorted(found)
