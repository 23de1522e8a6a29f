"""What the server sees in a picture: made from the picture's hash, so that the same bytes say the same."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

_KINDS: Final = ("harbour", "street", "forest", "kitchen", "bridge", "market", "roof", "field")
_LOOKS: Final = ("quiet", "crowded", "rainy", "sunlit", "weathered", "narrow", "wide", "empty")
_THINGS: Final = (
    "boat", "lamp", "bench", "pole", "bicycle", "tree", "door", "sign",
    "dog", "basket", "stair", "window", "car", "bird", "pipe", "wall",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Seen:
    """A description."""

    title: str
    description: str
    tags: tuple[str, ...]
    visible_text: str | None
    confidence: float


def seen(sha256: str, question: str = "") -> Seen:
    """The description of what has this hash; another `question` (prompt, model) has another answer."""
    digest = hashlib.sha256(f"{sha256}\0{question}".encode()).digest()
    look, kind = _LOOKS[digest[0] % 8], _KINDS[digest[1] % 8]
    things = tuple(dict.fromkeys(_THINGS[b % 16] for b in digest[2:5]))
    text = f"{kind.upper()} {digest[5]}" if digest[6] % 2 else None
    listed = " and ".join(f"a {thing}" for thing in things)
    return Seen(
        title=f"A {look} {kind}, {digest.hex()[:6]}",
        description=f"The picture shows a {look} {kind} with {listed}. Mark {digest.hex()[:12]}.",
        tags=(kind, look, *things),
        visible_text=text,
        confidence=round(0.5 + digest[7] / 512, 4),
    )
