"""Pages of a PDF as pictures, for those that hold no text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from aion_dagster.compute.documents.document import ExtractionError
from aion_dagster.errors import UnavailableError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LONGEST_SIDE: Final = 2000
"""Pixels of a rendered page's longest side: 170 dpi on A4, where text recognition has all it can use."""


@dataclass(frozen=True, slots=True)
class Raster:
    """A rendered page: `data` are rows of `stride` bytes, of which 3 × `width` are RGB."""

    width: int
    height: int
    stride: int
    data: bytes

    def rgb(self) -> NDArray[np.uint8]:
        """The pixels, uint8 (height, width, 3)."""
        import numpy as np

        rows = np.frombuffer(self.data, np.uint8).reshape(self.height, self.stride)
        pixels = rows[:, : 3 * self.width].reshape(self.height, self.width, 3)
        return np.ascontiguousarray(pixels)


class Renderer:
    """Renders pages of one PDF; a context manager."""

    def __init__(self, data: bytes) -> None:
        """Open the file."""
        self._data = data
        self._pdf: Any = None

    def raster(self, number: int) -> Raster:
        """Page `number` (from 1), upright as the file says.

        Raises:
            ExtractionError: the page cannot be rendered.
            UnavailableError: pypdfium2 is not installed.
        """
        try:
            import pypdfium2
        except ImportError as error:
            reason = "rendering PDF pages needs pypdfium2: pip install 'aion_dagster[documents]'"
            raise UnavailableError(reason) from error
        from aion_dagster.compute.documents.pdf import open_pdf

        if self._pdf is None:
            self._pdf = open_pdf(self._data)
        try:
            page = self._pdf[number - 1]
            width, height = page.get_size()
            scale = LONGEST_SIDE / max(width, height, 1e-3)
            bitmap = page.render(scale=scale, rev_byteorder=True, no_smoothtext=False)
        except (pypdfium2.PdfiumError, ValueError, IndexError) as error:
            reason = f"page {number} cannot be rendered ({error})"
            raise ExtractionError("unreadable", reason) from error
        try:
            if bitmap.n_channels != 3:
                raise ExtractionError("unreadable", f"page {number} was not rendered as RGB")
            return Raster(bitmap.width, bitmap.height, bitmap.stride, bytes(bitmap.buffer))
        finally:
            bitmap.close()
            page.close()

    def rgb(self, number: int) -> NDArray[np.uint8]:
        """The pixels of page `number`; raises as `raster` does."""
        return self.raster(number).rgb()

    def __enter__(self) -> Self:
        """The renderer itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        if self._pdf is not None:
            self._pdf.close()
            self._pdf = None
