"""Which files an upload means: folders become the pictures in them, names that would mix are told apart."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from typing import cast

from aion_dagster.client import limits
from aion_dagster.client.resources.upload_sources import (
    IMAGE_TYPES,
    FileInput,
    Source,
    source_of,
    sources_of,
)


def expanded(
    files: FileInput | Sequence[FileInput],
    filenames: Sequence[str] | None,
    *,
    recursive: bool,
    include_hidden: bool,
) -> list[Source]:
    """The files to send, folders replaced by the pictures in them, ordered by path.

    Raises:
        ValidationError: there is none; a file is not there, or is no picture; or names are given for folders.
    """
    listed = _listed(files)
    folders = [file for file in listed if _is_folder(file)]
    if folders and filenames is not None:
        raise limits.refuse("filenames", "names can be given for files, not for folders")
    if not folders:
        found = sources_of(listed, filenames)
    else:
        found = []
        for file in listed:
            if isinstance(file, str | os.PathLike) and _is_folder(file):
                inside = pictures_in(Path(file), recursive=recursive, include_hidden=include_hidden)
                found += [source_of(path, field="files") for path in inside]
            else:
                found.append(source_of(file, field="files"))
    if not found:
        raise limits.refuse("files", "no JPEG, PNG, WebP or GIF file is there")
    for source in found:
        if not source.is_image:
            raise limits.refuse(
                "files",
                f"{source.name} is {source.media_type}, the API describes JPEG, PNG, WebP and GIF; "
                "documents go to documents.upload()",
            )
    return found


def pictures_in(folder: Path, *, recursive: bool, include_hidden: bool) -> list[Path]:
    """The pictures in a folder by their suffix, ordered by path; links to folders are not followed."""
    return sorted(
        _pictures(folder, recursive, include_hidden), key=lambda p: p.relative_to(folder).parts
    )


def _pictures(folder: Path, recursive: bool, include_hidden: bool) -> Iterator[Path]:
    for where, folders, names in os.walk(folder, onerror=_unreadable):
        folders[:] = [f for f in folders if recursive and (include_hidden or f[0] != ".")]
        for name in names:
            path = Path(where, name)
            if (
                (include_hidden or name[0] != ".")
                and path.suffix.lower() in IMAGE_TYPES
                and path.is_file()
            ):
                yield path


def told_apart(sources: Sequence[Source]) -> list[str]:
    """Names to send, no two of which are the same `name_key`: answers name a file by nothing else.

    The first of several keeps its name, the next `a.jpg` is `a~2.jpg`.
    """
    own = {name_key(source.name) for source in sources}
    given: set[str] = set()
    numbers: Counter[str] = Counter()
    names: list[str] = []
    for source in sources:
        name, path, key = source.name, PurePath(source.name), name_key(source.name)
        numbers[key] += 1
        while name_key(name) in given or (numbers[key] > 1 and name_key(name) in own):
            name = f"{path.stem}~{numbers[key]}{path.suffix}"
            numbers[key] += name_key(name) in given or name_key(name) in own
        given.add(name_key(name))
        names.append(name)
    return names


def name_key(name: str) -> str:
    """What servers and file systems may take for the same name: cases and compositions of letters aside."""
    return unicodedata.normalize("NFC", name).casefold()


def _listed(files: FileInput | Sequence[FileInput]) -> list[FileInput]:
    if isinstance(files, str | os.PathLike | bytes) or hasattr(files, "read"):
        return [cast("FileInput", files)]
    return list(files)


def _is_folder(file: FileInput) -> bool:
    return isinstance(file, str | os.PathLike) and Path(file).is_dir()


def _unreadable(error: OSError) -> None:
    raise limits.refuse("files", f"{error.filename}: {error.strerror}") from error
