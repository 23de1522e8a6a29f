"""Progress bars of a run, on standard error, only where somebody watches."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

TITLES = {
    "images": "pictures",
    "text_regions": "text",
    "codes": "codes",
    "objects": "objects",
    "documents": "documents",
    "descriptions": "descriptions",
    "embeddings": "vectors",
}


class Bars:
    """One bar per kind of work; work that nobody announced has no bar."""

    def __init__(self, *, visible: bool | None = None) -> None:
        """Visible on a terminal, unless told otherwise."""
        self._visible = sys.stderr.isatty() if visible is None else visible
        self._bars: dict[str, tqdm[Any]] = {}

    def __enter__(self) -> Self:
        """Show bars until the block ends."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the bars as they are, and give the terminal back."""
        for bar in self._bars.values():
            bar.close()

    def announce(self, asset: str, total: int) -> None:
        """Expect `total` items of work on an asset."""
        if self._visible and total and asset not in self._bars:
            self._bars[asset] = tqdm(
                total=total, desc=TITLES.get(asset, asset), unit="", position=len(self._bars)
            )

    def advance(self, asset: str, items: int) -> None:
        """Count `items` as done."""
        if asset in self._bars:
            self._bars[asset].update(items)
