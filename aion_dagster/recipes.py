"""Fingerprints of many batches by the same recipe: it is followed once, and repeated for each batch by hashing alone."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Mapping
from typing import Any

Digest = Callable[[Any], str]
"""As `identity.digest`."""


class Recipe:
    """What is hashed, in which order, to get from one text to the fingerprints that follow from it."""

    def __init__(self, follow: Callable[[str, Digest], Mapping[str, str]]) -> None:
        """`follow` makes fingerprints by name from a text, with the digest that it is given, and in no other way."""
        self._steps: list[list[bytes | int]] = []
        text = secrets.token_hex(32)
        # Texts that stand for values to come, told apart from all that is fixed by being random.
        self._places = {text.encode(): 0}
        made = follow(text, self._note)
        self._results = {name: self._places[value.encode()] for name, value in made.items()}

    def fingerprints(self, text: str) -> dict[str, str]:
        """What `follow` makes of a text."""
        values = [text.encode()]
        for step in self._steps:
            parts = [values[part] if isinstance(part, int) else part for part in step]
            values.append(hashlib.sha256(b"".join(parts)).hexdigest().encode())
        return {name: values[place].decode() for name, place in self._results.items()}

    def _note(self, value: Any) -> str:
        """A step: the parts of what `identity.digest` would hash."""
        whole = json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":")).encode()
        self._steps.append(self._split(whole))
        stand_in = secrets.token_hex(32)
        self._places[stand_in.encode()] = len(self._steps)
        return stand_in

    def _split(self, whole: bytes) -> list[bytes | int]:
        """The text with the values to come taken out."""
        parts: list[bytes | int] = [whole]
        for stand_in, place in self._places.items():
            split: list[bytes | int] = []
            for part in parts:
                if isinstance(part, int):
                    split.append(part)
                    continue
                first, *others = part.split(stand_in)
                split.append(first)
                for other in others:
                    split += [place, other]
            parts = split
        return parts
