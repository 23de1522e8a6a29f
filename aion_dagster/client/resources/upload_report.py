"""Telling the caller of an upload how it goes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from aion_dagster.client.models.uploads import (
    DescriptionFailedEvent,
    DescriptionProgressEvent,
    FileCompleteEvent,
    UploadProgressEvent,
    UploadResult,
)
from aion_dagster.client.resources.upload_sources import Source, Watch


@dataclass(frozen=True, slots=True)
class Report:
    """Whom to tell; one call at a time, whatever runs side by side."""

    on_progress: Callable[[UploadProgressEvent], None] | None = None
    on_file_complete: Callable[[FileCompleteEvent], None] | None = None
    on_description_progress: Callable[[DescriptionProgressEvent], None] | None = None
    on_description_failed: Callable[[DescriptionFailedEvent], None] | None = None
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def watch(self, indices: Sequence[int], names: Sequence[str]) -> Watch | None:
        """Progress of the files of one request."""
        tell = self.on_progress
        if tell is None:
            return None

        def watch(sources: Sequence[Source]) -> Callable[[int, int], None]:
            sent = [0] * len(sources)

            def told(position: int, length: int) -> None:
                sent[position] += length
                size = sources[position].size
                with self._lock:
                    tell(UploadProgressEvent(indices[position], sent[position], size, names[position]))  # fmt: skip

            return told

        return watch

    def complete(self, index: int, row: UploadResult) -> None:
        """A file was taken or refused."""
        with self._lock:
            if self.on_file_complete is not None:
                self.on_file_complete(FileCompleteEvent(index, row))
            self._failed(index, row)

    def described(self, index: int, row: UploadResult, done: int, total: int) -> None:
        """A description is over."""
        with self._lock:
            if self.on_description_progress is not None:
                self.on_description_progress(DescriptionProgressEvent(done, total, row))
            self._failed(index, row)

    def _failed(self, index: int, row: UploadResult) -> None:
        if row.is_failed and self.on_description_failed is not None:
            self.on_description_failed(DescriptionFailedEvent(index, row))
