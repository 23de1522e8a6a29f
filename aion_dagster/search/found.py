"""What a search of the library answers: pictures and pieces of documents, each with the reasons why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

ReasonKind = Literal["words", "meaning", "color", "looks", "picture_text"]

_LONGEST_WORD: Final = 40


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason why something was found; what does not belong to its kind is None.

    kinds: `words` (`words` stand in `field`, `snippet` is the text around them), `meaning` (its description is near the
    query, by the cosine `similarity`), `color` (it has `hex`, called `name`, in `percentage` of it, `delta_e` away from
    the one asked for), `looks` (it resembles the picture asked with, `similarity` 1 for the same), `picture_text` (the
    picture itself is near the query, by the cosine `similarity` of a joint model).

    Texts come from outside: hostile until escaped. In `snippet` matches stand in [brackets].
    """

    kind: ReasonKind
    words: tuple[str, ...] = ()
    field: str | None = None
    snippet: str | None = None
    similarity: float | None = None
    hex: str | None = None
    name: str | None = None
    percentage: float | None = None
    delta_e: float | None = None

    def __str__(self) -> str:
        """The reason as a person reads it, e.g. `“oak” in title: [Oak] table`."""
        if self.kind == "words":
            words = ", ".join(f"“{_shown(w)}”" for w in self.words)
            return f"{words} in {(self.field or '').replace('_', ' ')}: {self.snippet}"
        if self.kind == "color":
            away = "" if self.delta_e is None else f", ΔE {self.delta_e:.1f}"
            return f"{self.hex} {self.name or ''}".rstrip() + f", {self.percentage:.0f} %{away}"
        what = {"meaning": "meaning", "looks": "looks", "picture_text": "picture and text"}
        return f"{what[self.kind]} {self.similarity:.2f}"


def _shown(word: str) -> str:
    """A word as it fits a line: text without spaces is one word from sign to sign."""
    return word if len(word) <= _LONGEST_WORD else f"{word[: _LONGEST_WORD - 1]}…"


@dataclass(frozen=True, slots=True)
class Found:
    """A picture. `score` orders the results of one search, higher is better, and says nothing across searches."""

    image_id: str
    name: str
    uri: str
    score: float
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class FoundChunk:
    """A piece of a document; `page_numbers` begin at 1 and are empty where the format has no pages.

    `heading` are the headings that it stands under, outermost first; `snippet` is the text around what matched, or its
    beginning.
    """

    chunk_id: str
    document_id: str
    name: str
    uri: str
    score: float
    page_numbers: tuple[int, ...]
    heading: tuple[str, ...]
    snippet: str
    reasons: tuple[Reason, ...]
