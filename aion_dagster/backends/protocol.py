"""`VisionBackend`: who answers heavy questions about pictures, locally or remotely, into the same tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa

from aion_dagster.backends.calls import CallJournal

RESEND: Final = "resend"
"""`description_error_type` of a picture that must be uploaded once more before it can be described."""

Operation = Literal["text", "codes", "objects", "describe", "embed_text", "embed_images"]


@dataclass(frozen=True)
class Picture:
    """A picture to look at; `read` gives its original bytes and may raise a SourceError."""

    image_id: str
    sha256: str
    read: Callable[[], bytes]


def _no_variants(_image_ids: Sequence[str]) -> Mapping[str, bytes]:
    """For backends that look at measurements only."""
    return {}


@dataclass(frozen=True)
class DescribeRequest:
    """Everything about a batch that a description may draw on.

    `images` has one row per distinct content (schema `IMAGES`), the others one per picture or none. `variants` gives
    the JPEG bytes of the large variant (longest side 1024 pixels at most, upright) of some image ids; ids without one
    are missing in what it returns. `uploads` (schema `UPLOADS`) says where the pictures are in a remote library.
    """

    images: pa.Table
    color_analyses: pa.Table
    visual_features: pa.Table
    text_regions: pa.Table | None
    codes: pa.Table | None
    objects: pa.Table | None = None
    uploads: pa.Table | None = None
    variants: Callable[[Sequence[str]], Mapping[str, bytes]] = _no_variants


@dataclass(frozen=True, slots=True)
class Original:
    """A picture to upload; `open` gives a path or the bytes, and raises SourceError where they are gone."""

    image_id: str
    sha256: str
    name: str
    media_type: str
    size_bytes: int
    open: Callable[[], Path | bytes]


class VisionBackend(Protocol):
    """One seam for local compute and remote services."""

    @property
    def provider(self) -> str:
        """Who answers, as written into the tables."""
        ...

    def note_in(self, calls: CallJournal) -> None:
        """Note paid calls in a journal from now on, and keep to its budgets."""
        ...

    def identity(self, operation: Operation) -> str:
        """Engine, version and parameters: results with another identity are computed anew."""
        ...

    def unavailable(self, operation: Operation) -> str | None:
        """Why `operation` cannot be answered here and what would change that; None where it can."""
        ...

    def detect_text(self, pictures: Iterable[Picture]) -> Iterator[pa.Table]:
        """Text in pictures, in chunks of schema `DETECTIONS`, a row per picture."""
        ...

    def detect_codes(self, pictures: Iterable[Picture]) -> Iterator[pa.Table]:
        """Barcodes and QR codes, in chunks of schema `DETECTIONS`, a row per picture."""
        ...

    def detect_objects(self, pictures: Iterable[Picture]) -> Iterator[pa.Table]:
        """Objects with category, box and score, in chunks of schema `DETECTIONS`, a row per picture.

        Raises:
            UnavailableError: nothing here can see objects; `unavailable` says the same beforehand.
        """
        ...

    def embed_images(self, pictures: Iterable[Picture]) -> Iterator[pa.Table]:
        """Vectors of pictures, in chunks of schema `IMAGE_EMBEDDINGS`, a row per picture.

        Raises:
            UnavailableError: no image model; `unavailable` says the same beforehand.
        """
        ...

    def describe(self, request: DescribeRequest) -> pa.Table:
        """A row of schema `DESCRIPTIONS` per picture of the request."""
        ...

    def embed_text(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of unit length, shape (len(texts), 384), float32.

        Raises:
            UnavailableError: no text model; `unavailable` says the same beforehand.
        """
        ...


@runtime_checkable
class UploadingBackend(Protocol):
    """A backend that answers about pictures in a remote library, which they must be brought to first."""

    @property
    def engine(self) -> str:
        """Which account of which server."""
        ...

    def upload(
        self, originals: Sequence[Original], advance: Callable[[int], None] = ...
    ) -> pa.Table:
        """A row of schema `UPLOADS` per picture; content that is there already is not stored again."""
        ...
