"""Where a pass through Google Drive stands, as a short string."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Final

from aion_dagster.errors import CursorExpiredError

FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a walk through folders; see `drive_walk`.

    `levels` are the folders being walked, from the top: of each level those whose id lies after the first and up to the
    second of the two ids. In the last level, everything before `folder` is listed, and of `folder` what comes before
    `token`; without a token all of it.
    """

    levels: tuple[tuple[str, str], ...]
    folder: str
    token: str = ""


@dataclass(frozen=True, slots=True)
class DriveCursor:
    """Where a pass stands.

    Attributes:
        folder: the folder as it is configured; a cursor of another one means nothing.
        rules: fingerprint of what is taken; with other rules, files may be missing that did not change.
        token: of the changes that come next.
        listed_at: when the last listing of everything began, in seconds since 1970.
        waiting: folders to walk before the changes are looked at: their ids after a mark of `drive_pass`.
        place: where the walk through the first of them stands; None before it begins.
        followed: folders outside the tree that are listed as well: the shortcut, and what it stands for.
        is_caught_up: no changes are known that come after `waiting`.
        is_doubtful: something went of which Drive did not say whether it was a folder.
    """

    folder: str
    rules: str
    token: str
    listed_at: int
    waiting: tuple[str, ...] = ()
    place: Place | None = None
    followed: tuple[tuple[str, str], ...] = field(default=())
    is_caught_up: bool = False
    is_doubtful: bool = False

    def text(self) -> str:
        """As a string of ASCII characters, a few hundred where folders are not very deep."""
        return json.dumps({"format": FORMAT, **asdict(self)}, separators=(",", ":"))

    @classmethod
    def parse(cls, text: str, folder: str, rules: str) -> DriveCursor:
        """The reverse of `text`, for a source of this folder and with these rules.

        Raises:
            CursorExpiredError: it is no such string, or one of another folder or other rules.
        """
        try:
            data = json.loads(text)
            if (data.pop("format"), data["folder"], data["rules"]) != (FORMAT, folder, rules):
                raise ValueError(text)
            place = data.pop("place")
            return cls(
                **{
                    **data,
                    "waiting": tuple(data["waiting"]),
                    "followed": tuple((str(a), str(b)) for a, b in data["followed"]),
                },
                place=place
                and Place(
                    tuple((str(a), str(b)) for a, b in place["levels"]),
                    str(place["folder"]),
                    str(place["token"]),
                ),
            )
        except (ValueError, TypeError, KeyError, AttributeError):
            raise CursorExpiredError(
                "Google Drive: the place in the listing is of another folder or configuration; everything is listed again."
            ) from None
