"""Original files at run time: the configured sources, by name."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from aion_dagster.config import FolderSourceConfig, LibraryConfig
from aion_dagster.sources.folder import FolderSource
from aion_dagster.sources.source import Source
from aion_dagster.values import FileRef


def build_source(
    config: FolderSourceConfig, *, max_bytes: int, documents: tuple[str, ...] = ()
) -> Source:
    """The source that a configuration describes."""
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


class SourceReader:
    """Reads any file of a library by its reference, of sources that are configured no longer too."""

    def __init__(self, sources: Iterable[Source], *, max_bytes: int) -> None:
        """`max_bytes` holds for files whose source is configured no longer."""
        self._sources = {s.name: s for s in sources}
        # References carry absolute file:// URIs, so a folder that left the configuration can still be read.
        self._files = FolderSource(name="", root=Path("/"), max_bytes=max_bytes)

    @classmethod
    def from_config(cls, config: LibraryConfig) -> SourceReader:
        """Reader over the sources of `config`."""
        return cls(
            (build_source(s, max_bytes=config.max_file_bytes) for s in config.sources),
            max_bytes=config.max_file_bytes,
        )

    def source(self, ref: FileRef) -> Source:
        """The source that holds `ref`."""
        return self._sources.get(ref.source, self._files)

    def read(self, ref: FileRef) -> bytes:
        """The bytes of `ref`; raises SourceError when they are gone or changed."""
        return self.source(ref).read(ref)

    def local_path(self, ref: FileRef) -> Path | None:
        """Where the bytes lie on this machine, unchanged; None where they do not."""
        return self.source(ref).local_path(ref)
