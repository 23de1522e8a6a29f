"""Where files come from: scan and read."""

from aion_dagster.sources.folder import FolderSource
from aion_dagster.sources.source import ScanPage, Source

__all__ = ["FolderSource", "ScanPage", "Source"]
