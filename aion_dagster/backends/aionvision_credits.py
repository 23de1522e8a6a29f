"""Credits of a call, where the platform's answer tells them: its published answers have no such field, servers add it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_NAMES: Final = ("credits_used", "credits_charged", "credits")
_MOST: Final = 1e15


def told_credits(answer: Mapping[str, Any] | None) -> float | None:
    """The credits that an answer names, in any of the ways that servers do; None where it names none."""
    for name in _NAMES:
        value = (answer or {}).get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if 0 <= value < _MOST:
            return float(value)
    return None
