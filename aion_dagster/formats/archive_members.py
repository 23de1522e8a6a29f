"""What is in a .zip or .tar file, whichever it is, and how one comes to it."""

from __future__ import annotations

import gzip
import io
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, TypeAlias

_LARGEST_READ: Final = 1 << 26
"""Bytes that headers of a tar archive may take at once; its extended headers are read into memory."""


@dataclass
class Member:
    """One entry of an archive, whatever kind of archive it is."""

    name: str
    size: int
    is_folder: bool
    is_file: bool
    is_encrypted: bool = False
    handle: Any = None


ReadMember: TypeAlias = Callable[[Member], IO[bytes]]


@contextmanager
def opened(archive: Path) -> Iterator[tuple[Iterable[Member], ReadMember]]:
    """Members of an archive, and what opens one of them."""
    if archive.name.lower().endswith(".zip"):
        with zipfile.ZipFile(archive) as file:
            yield map(_zip_member, file.infolist()), lambda member: file.open(member.handle)
    else:
        # Members are read in the order in which they lie: a compressed archive is passed over twice, not once for each.
        with _tar_stream(archive) as stream, tarfile.open(fileobj=stream, errorlevel=2) as tar:
            yield map(_tar_member, tar), lambda member: _inside(tar, member)


def _inside(tar: tarfile.TarFile, member: Member) -> IO[bytes]:
    stream = tar.extractfile(member.handle)
    if stream is None:
        raise tarfile.ReadError(f"{member.name} holds no bytes")
    return stream


@contextmanager
def _tar_stream(archive: Path) -> Iterator[Any]:
    with archive.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        if packed:
            with gzip.GzipFile(fileobj=raw) as file:
                yield _Wary(file)
        else:
            yield _Wary(raw)


class _Wary(io.RawIOBase):
    """A stream of which nobody reads very much at once, whatever a header says."""

    def __init__(self, stream: io.BufferedReader | gzip.GzipFile) -> None:
        self._stream = stream

    def read(self, size: int = -1, /) -> bytes:
        if not 0 <= size <= _LARGEST_READ:
            raise tarfile.ReadError("a header is too large")
        return self._stream.read(size)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True


def _zip_member(info: zipfile.ZipInfo) -> Member:
    mode = stat.S_IFMT(info.external_attr >> 16)
    return Member(
        name=info.orig_filename if "\0" in info.orig_filename else info.filename,
        size=info.file_size,
        is_folder=info.is_dir(),
        is_file=mode in (0, stat.S_IFREG),
        is_encrypted=bool(info.flag_bits & 0x1),
        handle=info,
    )


def _tar_member(info: tarfile.TarInfo) -> Member:
    return Member(
        name=info.name,
        size=info.size,
        is_folder=info.isdir(),
        is_file=info.isreg() and not info.issparse(),
        handle=info,
    )
