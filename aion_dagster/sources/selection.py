"""Which files of a source count as possible pictures."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final

from aion_dagster.document_names import document_type

_EXTENSIONS = """
labels, sidecars, settings: json jsonl ndjson geojson xml xmp aae txt csv tsv yaml yml toml ini cfg conf names data log
    lock md5 sha256 torrent
documents, tables: md rst tex html htm css pdf doc docx odt rtf xls xlsx ods ppt pptx odp epub parquet arrow feather
programs, code: py pyc ipynb js ts sh bat ps1 c h cc cpp java go rs rb php sql exe dll so dylib msi deb rpm
databases, arrays, models: db sqlite sqlite3 npy npz mat h5 hdf5 pkl pickle pt pth ckpt onnx safetensors tflite
    tfrecord pb
archives: zip tar gz tgz bz2 xz zst 7z rar iso
sound, video: mp3 wav flac ogg m4a aac mp4 m4v mov avi mkv webm mpg mpeg wmv
left behind by systems and programs: tmp part partial crdownload bak swp lnk url
"""
NOT_PICTURES: Final = frozenset(
    word for line in _EXTENSIONS.splitlines() for word in line.rpartition(":")[2].split()
)
"""Extensions that are passed over, so that labels beside pictures do not become unsupported pictures.

Files without an extension or with any other one are listed; whether they are pictures, their bytes decide.
"""

_NOT_PICTURE_NAMES: Final = frozenset(
    {"thumbs.db", "desktop.ini", "readme", "license", "licence", "makefile"}
)


@dataclass(frozen=True)
class Selection:
    """Rules for names; a pattern is a shell pattern, in which `*` also crosses `/`.

    A pattern without `/` is compared with the base name, one with `/` with the path relative to the source's root.

    Attributes:
        include: only names that match one of these are taken, whatever their extension; empty: all possible pictures.
        exclude: names that match one of these are left out; folders too, with all that is in them.
        include_hidden: take names that begin with a dot as well.
        documents: formats of documents (pdf, docx, txt, md) that are taken beside pictures.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    include_hidden: bool = False
    documents: tuple[str, ...] = ()

    def takes_folder(self, name: str) -> bool:
        """Whether to go into a folder, given by its relative path."""
        return self._visible(name) and not _matches(self._excluded, name)

    def takes_path(self, name: str) -> bool:
        """Whether to take a file of a source that lists no folders: those that its name leads through count, too."""
        folder = name.rpartition("/")[0]
        return (not folder or self._leads_in(folder)) and self.takes_file(name)

    def takes_file(self, name: str) -> bool:
        """Whether a file, given by its relative path, is a possible picture or a document."""
        if not self._visible(name) or _matches(self._excluded, name):
            return False
        if self.include:
            return _matches(self._included, name)
        base = name.rpartition("/")[2].lower()
        if document_type(base, self.documents) is not None:
            return True
        _, dot, extension = base.rpartition(".")
        return not (dot and extension in NOT_PICTURES) and base not in _NOT_PICTURE_NAMES

    @cached_property
    def _leads_in(self) -> Callable[[str], bool]:
        """Whether to go into a folder and all that it is in; a listing names the same few again and again."""

        @lru_cache(maxsize=1024)
        def leads_in(folder: str) -> bool:
            parent = folder.rpartition("/")[0]
            return self.takes_folder(folder) and (not parent or leads_in(parent))

        return leads_in

    def _visible(self, name: str) -> bool:
        return self.include_hidden or not name.rpartition("/")[2].startswith(".")

    @cached_property
    def _included(self) -> tuple[re.Pattern[str] | None, re.Pattern[str] | None]:
        return _compiled(self.include)

    @cached_property
    def _excluded(self) -> tuple[re.Pattern[str] | None, re.Pattern[str] | None]:
        return _compiled(self.exclude)


def _compiled(patterns: Sequence[str]) -> tuple[re.Pattern[str] | None, re.Pattern[str] | None]:
    """One expression for base names, one for relative paths."""
    return (
        _union([p for p in patterns if "/" not in p]),
        _union([p.removeprefix("./").removeprefix("/") for p in patterns if "/" in p]),
    )


def _union(patterns: Sequence[str]) -> re.Pattern[str] | None:
    return re.compile("|".join(fnmatch.translate(p) for p in patterns)) if patterns else None


def _matches(compiled: tuple[re.Pattern[str] | None, re.Pattern[str] | None], name: str) -> bool:
    bases, paths = compiled
    if bases is not None and bases.match(name.rpartition("/")[2]) is not None:
        return True
    return paths is not None and paths.match(name) is not None
