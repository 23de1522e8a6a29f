"""Which pictures are asked for, as a configuration says it: conditions that nest, and searches."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import Field, WithJsonSchema, field_validator, model_validator

from aion_dagster.engines import Strict
from aion_dagster.search.color_query import is_hex

TextField = Literal["name", "title", "description", "tags", "visible_text", "any"]


class ColorCondition(Strict):
    """A color that a picture has; a string is short for `{hex: …}`, or for the name of a color or family.

    Attributes:
        hex: `#rgb` or `#rrggbb`.
        name: a color's name, such as walnut.
        family: neutral, earth_tone, warm, cool, metallic, pastel or vibrant.
        delta_e: how far (CIEDE2000) a color may be from `hex`; 2 is the same to the eye, 15 a relative.
        min_percentage: share of the picture that the color has, 0 to 100.
    """

    hex: str | None = None
    name: str | None = None
    family: str | None = None
    delta_e: float = Field(default=15.0, gt=0)
    min_percentage: float = Field(default=5.0, ge=0, le=100)

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, data: Any) -> Any:
        if not isinstance(data, str):
            return data
        from aion_dagster.compute.color_names import FAMILIES

        if is_hex(data):
            return {"hex": data}
        return {"family" if data.lower() in FAMILIES else "name": data}

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.hex is None and self.name is None and self.family is None:
            raise ValueError("name a color: hex: '#c4a87c', name: walnut, or family: earth_tone")
        if self.hex is not None and not is_hex(self.hex):
            raise ValueError(f"{self.hex!r} is no color; '#c4a87c' and '#ca7' are")
        return self


class TextCondition(Strict):
    """What stands in a text of a picture, within words too, without regard to case; a string is short for `{contains: …}`.

    Attributes:
        contains: the text looked for, as a whole.
        field: name, title, description, tags, visible_text, or any of them.
    """

    contains: str = Field(min_length=1)
    field: TextField = "any"

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, data: Any) -> Any:
        return {"contains": data} if isinstance(data, str) else data


class SearchCondition(Strict):
    """The pictures that a search finds. The same library gives the same pictures; of equals the smaller id comes first.

    Exactly one of `words`, `meaning`, `text`, `color`, `like` and `picture` says what is looked for.

    Attributes:
        words: full text over name, title, description, tags and visible text.
        meaning: near in meaning by the text model (cosine); needs the extra `text`.
        text: words and meaning together, as `aion-dagster search` does it.
        color: nearest color; the score is 1 - ΔE / delta_e.
        like: the id of a picture of the library: what looks like it.
        picture: near a text by the joint model (`models.joint`).
        top: how many at most, the best; None for all that are found.
        min_score: results below it are left out; of `words` and `text` the score says nothing across searches.
    """

    words: str | None = Field(default=None, min_length=1)
    meaning: str | None = Field(default=None, min_length=1)
    text: str | None = Field(default=None, min_length=1)
    color: ColorCondition | None = None
    like: str | None = Field(default=None, min_length=1)
    picture: str | None = Field(default=None, min_length=1)
    top: int | None = Field(default=None, ge=1)
    min_score: float | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        kinds = ("words", "meaning", "text", "color", "like", "picture")
        given = [k for k in kinds if getattr(self, k) is not None]
        if len(given) != 1:
            raise ValueError(f"name exactly one of {', '.join(kinds)}; got {given or 'none'}")
        if self.min_score is not None and given[0] in ("words", "text"):
            raise ValueError(f"min_score: scores of {given[0]} order results only; use top")
        return self


# Dagster makes an example of every component from its schema, and never ends at one that holds itself.
_Block = Annotated[
    "SelectConfig",
    WithJsonSchema({"type": "object", "description": "a block like the one that holds it"}),
]


class SelectConfig(Strict):
    """What a picture must satisfy, all of it; what is not given does not count.

    A picture that lacks a value, such as a date, does not satisfy a condition on it.

    Attributes:
        sources: names of sources, one of which it comes from.
        names: patterns such as `2026/*` or `*_raw.jpg`, one of which its name or the last part of it fits.
        formats: `jpeg`, `png`, `image/webp` …, one of which it has.
        since: captured on this day or at this time, or later.
        until: captured on this day or before, or before this time.
        min_width: pixels of the upright picture; likewise `max_width`, `min_height`, `max_height`.
        min_bytes: size of its file; likewise `max_bytes`.
        tags: it has all of these, without regard to case.
        any_tags: it has one of these.
        described: whether it has a description.
        text: a text that stands in it or is written about it.
        color: a color that it has.
        search: it is among what a search finds.
        any_of: it satisfies one of these, each a block like this one.
        all_of: it satisfies all of these.
        none_of: it satisfies none of these.
    """

    sources: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    since: datetime | date | None = None
    until: datetime | date | None = None
    min_width: int | None = Field(default=None, ge=1)
    max_width: int | None = Field(default=None, ge=1)
    min_height: int | None = Field(default=None, ge=1)
    max_height: int | None = Field(default=None, ge=1)
    min_bytes: int | None = Field(default=None, ge=0)
    max_bytes: int | None = Field(default=None, ge=0)
    tags: tuple[str, ...] = ()
    any_tags: tuple[str, ...] = ()
    described: bool | None = None
    text: TextCondition | None = None
    color: ColorCondition | None = None
    search: SearchCondition | None = None
    any_of: tuple[_Block, ...] = ()
    all_of: tuple[_Block, ...] = ()
    none_of: tuple[_Block, ...] = ()

    @field_validator("since", "until", mode="before")
    @classmethod
    def _days(cls, value: Any) -> Any:
        """A date stays a date: pydantic would make midnight of it."""
        if isinstance(value, str) and len(value) == len("2026-01-31"):
            try:
                return date.fromisoformat(value)
            except ValueError:
                return value
        return value

    @field_validator("sources", "names", "formats", "tags", "any_tags", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("any_of", "all_of", "none_of", mode="before")
    @classmethod
    def _one_block(cls, value: Any) -> Any:
        return (value,) if isinstance(value, dict) else value

    def blocks(self) -> tuple[SelectConfig, ...]:
        """This block and all blocks inside it."""
        inner = (*self.any_of, *self.all_of, *self.none_of)
        return (self, *(b for block in inner for b in block.blocks()))

    def reads(self) -> frozenset[str]:
        """Tables that have to be read beside the library: descriptions, color_analyses, visual_features, embeddings,
        image_embeddings, search_index."""
        return frozenset(table for block in self.blocks() for table in _tables(block))


def _tables(block: SelectConfig) -> set[str]:
    found: set[str] = set()
    if block.tags or block.any_tags or block.described is not None or block.text is not None:
        found.add("descriptions")
    if block.color is not None:
        found.add("color_analyses")
    if (search := block.search) is not None:
        if search.words or search.text:
            found |= {"descriptions", "search_index"}
        if search.meaning or search.text:
            found |= {"descriptions", "embeddings"}
        if search.color is not None:
            found.add("color_analyses")
        if search.like:
            found.add("visual_features")
        if search.picture:
            found.add("image_embeddings")
    return found
