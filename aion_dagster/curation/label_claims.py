"""Labels and the pictures that they claim: which claims stand, and what is said of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aion_dagster.curation.paths import Fit
from aion_dagster.values import Loss


@dataclass(frozen=True, slots=True)
class Picture:
    """A candidate: a file of this batch, or (`row` is None) the name of a file of another one."""

    name: str
    parts: tuple[str, ...]
    uri_parts: tuple[str, ...] = ()
    row: Mapping[str, Any] | None = None

    @property
    def identity(self) -> str:
        """Byte-equal files are one picture, so a name that fits two of them is not ambiguous."""
        return (self.row and self.row["image_id"]) or f"\0{self.name}"


@dataclass(frozen=True, slots=True)
class Claim:
    """A label (a row of the index) that fits one picture best."""

    row: int
    file_name: str
    parts: tuple[str, ...]
    fit: Fit
    picture: Picture


def settled_claims(claims: Sequence[Claim]) -> tuple[list[Claim], list[Loss]]:
    """Drop claims that rest on part of a path where another label claims the same picture.

    `train/1.jpg` and `val/1.jpg` may both fit the only picture there is, `1.jpg`; at most one of them means it.
    """
    by_picture: dict[str, list[Claim]] = {}
    for claim in claims:
        by_picture.setdefault(claim.picture.identity, []).append(claim)
    kept: list[Claim] = []
    losses: list[Loss] = []
    for rivals in by_picture.values():
        top = max(c.fit for c in rivals)
        longest = max((c.parts for c in rivals if c.fit == top), key=len)
        for claim in rivals:
            agrees = longest[-len(claim.parts) :] == claim.parts
            undisputed = all(c.fit < top or longest[-len(c.parts) :] == c.parts for c in rivals)
            if claim.fit.sure or (claim.fit == top and agrees and undisputed):
                kept.append(claim)
            else:
                losses.append(_contested(claim, rivals))
    return kept, losses


def _contested(claim: Claim, rivals: Sequence[Claim]) -> Loss:
    others = sorted({c.file_name for c in rivals} - {claim.file_name})
    return Loss(
        "ambiguous",
        claim.file_name,
        f"its path fits {claim.picture.name} only in part, and other labels name that picture too: "
        f"{', '.join(others[:5])}",
    )


def ambiguous_label(name: str, best: Sequence[Picture]) -> Loss:
    """What is said of a label that fits several pictures equally well."""
    listed = sorted({p.name for p in best})
    more = f" and {len(listed) - 5} more" if len(listed) > 5 else ""
    return Loss(
        "ambiguous",
        name,
        f"fits {len(best)} pictures equally well: {', '.join(listed[:5])}{more}; "
        "give the label the picture's relative path",
    )
