"""How documents are read and divided, and the name under which results of that are kept."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final

from aion_dagster.backends.protocol import VisionBackend
from aion_dagster.compute.documents.chunks import ChunkSettings
from aion_dagster.compute.documents.document import Limits
from aion_dagster.errors import ConfigError
from aion_dagster.identity import digest

ENGINE: Final = "aion_dagster.documents/2"
"""Changes whenever the same bytes would give other text or other pieces, so that stored ones are not taken for new."""


REMOTE: Final = "aion_dagster.remote_documents/1"
"""Changes whenever what the platform says of a document would be taken otherwise."""

REMOTE_OPERATION: Final = "remote_documents"
"""The name under which results of the platform are stored."""


@dataclass(frozen=True)
class DocumentSettings:
    """How documents are read and divided.

    Args:
        ocr: pages without text are rendered and read by the backend's text detection.
        max_tokens: tokens of a piece at most, 16–254, so that it fits all-MiniLM-L6-v2 with its two special tokens; less
            where the text model heeds fewer: a piece's vector sees all of it.
        overlap: tokens at the end of a piece that the next repeats, up to half of `max_tokens`.
        max_bytes: files with more bytes are `too_large`, unread where their size is known.
        max_pages: PDFs with more pages are `too_many_pages`.
        max_characters: documents with more text are `too_large`.
        max_ocr_pages: pages of one document that are rendered to be read.

    Raises:
        ConfigError: a value outside its range.
    """

    ocr: bool = False
    max_tokens: int = 200
    overlap: int = 32
    max_bytes: int = 256 * 2**20
    max_pages: int = 20_000
    max_characters: int = 32_000_000
    max_ocr_pages: int = 200

    def __post_init__(self) -> None:
        """Check every field."""
        if not 16 <= self.max_tokens <= 254:
            raise ConfigError(f"max_tokens = {self.max_tokens}: give 16 to 254")
        for name in ("max_bytes", "max_pages", "max_characters", "max_ocr_pages"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} = {getattr(self, name)}: give 1 or more")
        ChunkSettings(max_tokens=self.max_tokens, overlap=self.overlap)

    def operation(self) -> str:
        """The name under which results are stored."""
        return "documents"

    def parameters(self) -> str:
        """Digest of the engine and of every setting that results depend on."""
        return digest({"engine": ENGINE, **asdict(self)})

    def limits(self) -> Limits:
        """The bounds for one document."""
        return Limits(
            max_bytes=self.max_bytes,
            max_pages=self.max_pages,
            max_characters=self.max_characters,
            max_ocr_pages=self.max_ocr_pages,
        )

    def chunks(self, longest: int | None = None) -> ChunkSettings:
        """How pieces are made, for a text model that heeds the first `longest` tokens."""
        most = self.max_tokens if longest is None else min(self.max_tokens, longest)
        return ChunkSettings(max_tokens=most, overlap=min(self.overlap, most // 2))


def document_parameters(settings: DocumentSettings, backend: VisionBackend) -> str:
    """What results of `settings` with `backend` are known by in the ledger."""
    parts = [settings.parameters(), backend.identity("embed_text")]
    if settings.ocr:
        missing = backend.unavailable("text") is not None
        parts.append("unavailable" if missing else backend.identity("text"))
    return "/".join(parts)


def remote_document_parameters(engine: str, backend: VisionBackend) -> str:
    """What documents that the account `engine` of a platform read are known by in the ledger; vectors are of `backend`."""
    return "/".join([digest([REMOTE, engine]), backend.identity("embed_text")])
