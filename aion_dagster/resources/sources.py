"""Configured sources as sources, and original files at run time, whichever source they are of."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from aion_dagster.config import LibraryConfig, SourceConfig
from aion_dagster.errors import (
    CredentialsError,
    OutageError,
    SourceError,
    SourceUnavailableError,
    UnavailableError,
)
from aion_dagster.source_configs import (
    AionvisionSourceConfig,
    DriveSourceConfig,
    FolderSourceConfig,
    S3SourceConfig,
)
from aion_dagster.sources.drive import DriveSource
from aion_dagster.sources.drive_access import DriveAccess
from aion_dagster.sources.folder import FolderSource
from aion_dagster.sources.source import Source
from aion_dagster.values import FileRef


def build_source(
    config: SourceConfig, *, max_bytes: int, documents: tuple[str, ...] = ()
) -> Source:
    """The source that a configuration describes; nothing is asked of it yet.

    Args:
        config: what kind of source, and where.
        max_bytes: larger files are listed and cannot be read.
        documents: formats of documents that are taken beside pictures.

    Raises:
        UnavailableError: an extra is not installed.
    """
    return _BUILDERS[config.type](config, max_bytes, documents)


def _folder(config: FolderSourceConfig, max_bytes: int, documents: tuple[str, ...]) -> Source:
    return FolderSource(
        name=config.name,
        root=Path(config.path),
        recursive=config.recursive,
        include_hidden=config.include_hidden,
        include=config.include,
        exclude=config.exclude,
        documents=documents,
        max_bytes=max_bytes,
    )


def _s3(config: S3SourceConfig, max_bytes: int, documents: tuple[str, ...]) -> Source:
    try:
        from aion_dagster.resources.buckets import bucket_clients
    except ImportError as error:
        raise UnavailableError(
            f"The source {config.place} needs the extra 'aws': pip install 'aion_dagster[aws]'"
        ) from error
    from aion_dagster.sources.s3 import S3Source
    from aion_dagster.sources.s3_queue import ObjectEvents

    bucket, queue = bucket_clients(config)
    return S3Source(
        config.name,
        config.bucket,
        bucket,
        prefix=config.prefix,
        include_hidden=config.include_hidden,
        include=config.include,
        exclude=config.exclude,
        documents=documents,
        max_bytes=max_bytes,
        requester_pays=config.requester_pays,
        version_ids=config.version_ids,
        events=ObjectEvents(queue, config.queue_url, config.bucket) if config.queue_url else None,
        relist_seconds=config.reconcile_seconds,
    )


def _drive(config: DriveSourceConfig, max_bytes: int, documents: tuple[str, ...]) -> Source:
    return DriveSource(
        config.name,
        config.folder,
        access=DriveAccess(
            config.credentials_file or "", config.credentials_env or "", config.impersonate or ""
        ),
        recursive=config.recursive,
        include_hidden=config.include_hidden,
        include=config.include,
        exclude=config.exclude,
        documents=documents,
        export=config.export,
        max_bytes=max_bytes,
        connections=config.connections,
        relist_seconds=config.relist_hours * 3600,
        api_endpoint=config.api_endpoint or "",
    )


def _aionvision(
    config: AionvisionSourceConfig, max_bytes: int, documents: tuple[str, ...]
) -> Source:
    from aion_dagster.resources.connections import PlatformConnection
    from aion_dagster.sources.aionvision import AionvisionSource

    return AionvisionSource(
        config.name,
        config.connection_id,
        PlatformConnection(config),
        folder=config.folder,
        include=config.include,
        exclude=config.exclude,
        documents=documents,
        max_bytes=max_bytes,
    )


Builder = Callable[[Any, int, tuple[str, ...]], Source]

# A further kind of source: its class in `source_configs`, its module in `sources`, and a line here.
_BUILDERS: Final[Mapping[str, Builder]] = {
    "folder": _folder,
    "s3": _s3,
    "drive": _drive,
    "aionvision": _aionvision,
}


class SourceReader:
    """Reads any file of a library by its reference; files of this machine also when their source is configured no longer.

    Sources are opened when they are first read from. Safe for several threads.
    """

    def __init__(self, sources: Iterable[SourceConfig], *, max_bytes: int) -> None:
        """`max_bytes`: larger files are not read."""
        self._configs = {s.name: s for s in sources}
        self._max_bytes = max_bytes
        self._open: dict[str, Source] = {}
        self._guard = threading.Lock()
        # References carry absolute file:// URIs, so a folder that left the configuration can still be read.
        self._files = FolderSource(name="", root=Path("/"), max_bytes=max_bytes)

    @classmethod
    def from_config(cls, config: LibraryConfig) -> SourceReader:
        """Reader over the sources of `config`."""
        return cls(config.sources, max_bytes=config.max_file_bytes)

    def source(self, ref: FileRef) -> Source:
        """The source that holds `ref`.

        Raises:
            SourceError: it is configured no longer, and its files are not on this machine.
        """
        config = self._configs.get(ref.source)
        if config is not None:
            with self._guard:
                if ref.source not in self._open:
                    self._open[ref.source] = build_source(config, max_bytes=self._max_bytes)
                return self._open[ref.source]
        if ref.uri.startswith("file://"):
            return self._files
        raise SourceError(
            f"{ref.name}: its source {ref.source!r} is configured no longer; add it again to read its files."
        )

    def read(self, ref: FileRef) -> bytes:
        """The bytes of `ref`.

        Raises:
            SourceError: they are gone or changed, or cannot be read.
            OutageError: nothing of its source can be read now; that says nothing about the file.
        """
        try:
            return self.source(ref).read(ref)
        except (SourceUnavailableError, CredentialsError) as error:
            raise OutageError(str(error)) from error

    def local_path(self, ref: FileRef) -> Path | None:
        """Where the bytes lie on this machine, unchanged; None where they do not."""
        return self.source(ref).local_path(ref)
