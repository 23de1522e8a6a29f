"""Words that agree with their numbers."""

from __future__ import annotations


def plural(number: int, word: str) -> str:
    """`1 file`, `2 files`, `2 batches`, `2 classes`, `2 boxes`, `2 categories`, `2 days`."""
    if number == 1:
        return f"1 {word}"
    if word.endswith("y") and word[-2:-1] not in "aeiou":
        return f"{number} {word[:-1]}ies"
    ending = "es" if word.endswith(("ch", "s", "x")) else "s"
    return f"{number} {word}{ending}"
