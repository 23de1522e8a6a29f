"""The bytes of a file of Google Drive: exactly the listed version, or the reason why not."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

from aion_dagster.errors import (
    FileChangedError,
    FileTooLargeError,
    FileVanishedError,
    SourceError,
)
from aion_dagster.sources.drive_api import DriveApi
from aion_dagster.sources.drive_faults import EntryMissingError, TransientError
from aion_dagster.sources.drive_files import EXPORT_TYPES, SCHEME, Content
from aion_dagster.values import FileRef

_HASHES: Final[dict[str, Callable[[bytes], str]]] = {
    "md5": lambda data: hashlib.md5(data, usedforsecurity=False).hexdigest(),
    "sha256": lambda data: hashlib.sha256(data).hexdigest(),
}


def read_file(api: DriveApi, ref: FileRef, max_bytes: int | None) -> bytes:
    """The bytes of a listed version.

    Raises:
        FileVanishedError: the file is gone.
        FileChangedError: it is another version now.
        FileTooLargeError: it has more than `max_bytes`, or more than Google exports.
        SourceUnavailableError: Drive does not answer, which says nothing about the file.
        SourceError: Drive does not hand it over, or hands over something else.
    """
    if not ref.uri.startswith(SCHEME):
        raise SourceError(f"{ref.uri} is no file of Google Drive.")
    content = Content.of(ref.uri, ref.version)
    try:
        if content.export:
            return _exported(api, ref, content, max_bytes)
        return _downloaded(api, ref, content, max_bytes)
    except EntryMissingError as error:
        raise FileVanishedError(f"{ref.name}: the file is gone, or not shared any more.") from error
    except TransientError as error:
        if error.is_failure:
            # Some files fail for ever, exports more than others. Where Drive answers about one, it is the file.
            api.file(content.file_id)
            raise SourceError(str(error)) from error
        raise


def _downloaded(api: DriveApi, ref: FileRef, content: Content, max_bytes: int | None) -> bytes:
    if max_bytes is not None and ref.size_bytes > max_bytes:
        raise FileTooLargeError(f"{ref.name}: {ref.size_bytes:,} bytes, {max_bytes:,} are allowed.")
    data = b""
    if ref.size_bytes:
        data = api.download(content.file_id, ref.name, ref.size_bytes)
    kind, _, expected = content.version.partition("-")
    if data and kind in _HASHES and _HASHES[kind](data) == expected:
        return data
    _check_version(api, ref, content)
    if len(data) != ref.size_bytes or (kind in _HASHES and data):
        raise SourceError(f"{ref.name}: Google Drive sent other bytes than their checksum says.")
    return data


def _exported(api: DriveApi, ref: FileRef, content: Content, max_bytes: int | None) -> bytes:
    # The size that Drive tells of a document is not that of an export.
    data = api.export(content.file_id, EXPORT_TYPES[content.export], ref.name)
    if max_bytes is not None and len(data) > max_bytes:
        raise FileTooLargeError(
            f"{ref.name}: {len(data):,} bytes as {content.export}, {max_bytes:,} are allowed."
        )
    # Versions only go up, so one that is right afterwards was right before.
    _check_version(api, ref, content)
    return data


def _check_version(api: DriveApi, ref: FileRef, content: Content) -> None:
    if api.file(content.file_id).version != content.version:
        raise FileChangedError(f"{ref.name}: the file changed after it was listed.")
