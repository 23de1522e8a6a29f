"""What a model says, as text that can be kept: it comes from outside."""

from __future__ import annotations

import unicodedata
from typing import Final

_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})


def plain(text: str, longest: int) -> str:
    """Without control, formatting and unassigned characters, which hide things or break what shows them; cut to a length."""
    kept = (c for c in text if c in "\n\t" or unicodedata.category(c) not in _HIDDEN)
    return "".join(kept).strip()[:longest]


def plain_line(text: str, longest: int) -> str:
    """The same on one line."""
    return " ".join(plain(text, longest).split())
