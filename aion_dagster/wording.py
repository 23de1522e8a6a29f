"""Words that agree with their numbers."""

from __future__ import annotations


def plural(number: int, word: str) -> str:
    """`1 file`, `2 files`, `2 batches`, `2 classes`, `2 boxes`."""
    ending = "" if number == 1 else ("es" if word.endswith(("ch", "s", "x")) else "s")
    return f"{number} {word}{ending}"
