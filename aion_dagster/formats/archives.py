"""Archives of labels unpacked safely: what reaches outside, links, devices, bombs and twins are refused."""

from __future__ import annotations

import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from lzma import LZMAError
from pathlib import Path
from typing import IO, Final

from aion_dagster.errors import LabelError
from aion_dagster.formats.archive_members import Member, ReadMember, opened
from aion_dagster.formats.names import PICTURE_EXTENSIONS

SUFFIXES: Final = (".zip", ".tar", ".tar.gz", ".tgz")
"""How the names of archives end."""

_CLUTTER: Final = frozenset({"__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini"})
_PIECE: Final = 1 << 20
_BROKEN: Final = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    LZMAError,
    EOFError,
    OSError,
    NotImplementedError,
    struct.error,
    ValueError,
    RuntimeError,
    OverflowError,
)
"""What the standard library raises for an archive that is cut off, damaged or of a kind that it cannot read."""


@dataclass(frozen=True)
class ArchiveLimits:
    """How much an archive may hold: files, bytes unpacked in all and in one file, times its own size, depth of folders.

    The ratio counts from `free_bytes` on: small archives of repetitive text shrink very well.
    """

    files: int = 2_000_000
    total_bytes: int = 20 * 2**30
    file_bytes: int = 4 * 2**30
    ratio: float = 200.0
    free_bytes: int = 64 * 2**20
    depth: int = 32
    name_bytes: int = 1024


@dataclass(frozen=True)
class Unpacked:
    """What came out: files written, pictures of which only the name was, and archives within that were left closed."""

    labels: int
    pictures: int
    nested: tuple[str, ...]


@dataclass
class _Count:
    """What has been unpacked so far."""

    limits: ArchiveLimits
    archive: Path
    archive_bytes: int
    files: int = 0
    bytes: int = 0
    passed: int = 0
    names: dict[str, str] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)

    def refuse(self, why: str) -> LabelError:
        return LabelError(f"{self.archive}: not unpacked: {why}")

    def another(self, name: str) -> None:
        self.files += 1
        if self.files > self.limits.files:
            raise self.refuse(f"more than {self.limits.files:,} files")
        folded = unicodedata.normalize("NFC", name).casefold()
        if folded in self.names:
            raise self.refuse(
                f"it has {self.names[folded]!r} and {name!r}, which are one file on many systems"
            )
        self.names[folded] = name

    def more(self, count: int) -> None:
        self.bytes += count
        if self.bytes > self.limits.total_bytes:
            raise self.refuse(f"it unpacks to more than {self.limits.total_bytes >> 20:,} MiB")
        self._shrunk(self.bytes)

    def passed_over(self, count: int) -> None:
        """Bytes that are not wanted still have to be unpacked to come to what lies behind them."""
        self.passed += count
        self._shrunk(self.passed)

    def _shrunk(self, unpacked: int) -> None:
        if unpacked > max(self.limits.free_bytes, self.limits.ratio * self.archive_bytes):
            raise self.refuse(
                f"it unpacks to more than {self.limits.ratio:g} times its size, as a bomb does; unpack it yourself if "
                "you trust it, and name the folder"
            )


def is_archive(name: str) -> bool:
    """Whether a file's name ends like that of an archive that can be read."""
    return name.lower().endswith(SUFFIXES)


def unpack(archive: Path, folder: Path, limits: ArchiveLimits | None = None) -> Unpacked:
    """Unpack the labels of a .zip, .tar or .tar.gz into an empty folder.

    All names are checked before anything is written. Pictures are written as empty files: labels are matched with the
    library's pictures, and only the names of these are needed. Archives within the archive are not opened.

    Raises:
        LabelError: a name is absolute or reaches outside, is a link or a device, is there twice (in any spelling that
            some system takes for the same), is encrypted, or there is too much; or the archive is damaged.
    """
    limits = limits or ArchiveLimits()
    try:
        size = archive.stat().st_size
        with opened(archive) as (members, read):
            checked = _checked(members, _Count(limits, archive, size))
            return _write(checked, read, folder, _Count(limits, archive, size))
    except _BROKEN as error:
        raise LabelError(
            f"{archive}: not a whole archive ({error or type(error).__name__}); make it again, it may be cut off"
        ) from error


def _checked(members: Iterable[Member], count: _Count) -> list[Member]:
    """The members, each looked at before the next one's header is read."""
    found = []
    for member in members:
        found.append(member)
        _check_name(member.name, count)
        if member.is_encrypted:
            raise count.refuse(
                f"{member.name!r} is encrypted; unpack it yourself, and name the folder"
            )
        if member.is_folder:
            continue
        if not member.is_file:
            raise count.refuse(f"{member.name!r} is a link, a device or another special file")
        count.another(_clean(member.name))
        if member.size > count.limits.file_bytes:
            raise count.refuse(
                f"{member.name!r} is larger than {count.limits.file_bytes >> 20:,} MiB"
            )
        if _is_picture(member.name):
            count.passed_over(max(member.size, 0))
        else:
            count.more(max(member.size, 0))
    _check_folders(count)
    return found


def _check_name(name: str, count: _Count) -> None:
    parts = name.replace("\\", "/").split("/")
    bad = (
        not name.strip("/")
        or name[:1] in "/\\"
        or ".." in parts
        or ":" in parts[0][1:2]
        or any(unicodedata.category(c) == "Cc" for c in name)
    )
    if bad:
        raise count.refuse(f"{name!r} is no relative path inside it")
    if "\\" in name and "/" in name:
        raise count.refuse(f"{name!r} mixes two kinds of separators")
    if (
        len(parts) > count.limits.depth
        or len(name.encode("utf-8", "replace")) > count.limits.name_bytes
    ):
        raise count.refuse(f"{name[:60]!r}… lies too deep, or its name is too long")


def _check_folders(count: _Count) -> None:
    """A name that is a file's and a folder's at once."""
    for folded, name in count.names.items():
        parent = folded.rpartition("/")[0]
        while parent and parent not in count.folders:
            count.folders.add(parent)
            parent = parent.rpartition("/")[0]
        if folded in count.folders:
            raise count.refuse(f"{name!r} is a file and a folder")
    for folder in count.folders:
        if folder in count.names:
            raise count.refuse(f"{count.names[folder]!r} is a file and a folder")


def _write(members: Iterable[Member], read: ReadMember, folder: Path, count: _Count) -> Unpacked:
    labels = pictures = 0
    nested: list[str] = []
    for member in members:
        name = _clean(member.name)
        if member.is_folder or not _CLUTTER.isdisjoint(name.split("/")):
            continue
        target = folder / name
        if is_archive(name):
            nested.append(name)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if _is_picture(name):
            target.touch(exist_ok=False)
            pictures += 1
            continue
        labels += 1
        with read(member) as stream, target.open("xb") as file:
            _copy(stream, file, member, count)
    return Unpacked(labels, pictures, tuple(nested))


def _copy(stream: IO[bytes], file: IO[bytes], member: Member, count: _Count) -> None:
    """What headers say of sizes is not trusted: bytes are counted as they come."""
    written = 0
    while piece := stream.read(_PIECE):
        written += len(piece)
        count.more(len(piece))
        if written > max(member.size, 0):
            raise count.refuse(f"{member.name!r} is longer than it says")
        file.write(piece)
    if written < member.size:
        raise count.refuse(f"{member.name!r} is cut off")


def _clean(name: str) -> str:
    return "/".join(p for p in name.replace("\\", "/").split("/") if p not in ("", "."))


def _is_picture(name: str) -> bool:
    return f".{name.lower().rpartition('.')[2]}" in PICTURE_EXTENSIONS
