"""tar files that are the same bytes whenever they hold the same: no times, owners or machine names."""

from __future__ import annotations

import tarfile
from typing import Final

_BLOCK: Final = 512


def tar_header(name: str, size: int) -> bytes:
    """What stands before a file's bytes; long and other than ASCII names are PAX records."""
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, 0o644, 0
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")


def tar_padding(size: int) -> bytes:
    """What fills the last block behind a file of this size."""
    return bytes(-size % _BLOCK)


def tar_end(size: int) -> bytes:
    """What ends an archive of this size: two empty blocks, and more up to a whole record."""
    return bytes(2 * _BLOCK + -(size + 2 * _BLOCK) % tarfile.RECORDSIZE)
