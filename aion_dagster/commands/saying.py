"""What commands say beside their output."""

from __future__ import annotations

import sys


def say(text: str) -> None:
    """A line on standard error: for whoever watches, not for what reads the output."""
    print(text, file=sys.stderr, flush=True)
