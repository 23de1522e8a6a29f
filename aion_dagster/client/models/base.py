"""What every model of an answer shares: it takes what servers send, and loses nothing of it."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Self, TypeVar

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.functional_validators import AfterValidator

T = TypeVar("T")


class Model(BaseModel):
    """A frozen value made from JSON; unknown fields are kept (`model_extra`)."""

    model_config = ConfigDict(
        extra="allow",
        frozen=True,
        populate_by_name=True,
        protected_namespaces=(),
        defer_build=True,
        coerce_numbers_to_str=True,
    )


class OpenEnum(StrEnum):
    """An enumeration that takes words that nobody has told us of: they become members of the same type."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        for member in cls:
            if member.value == value.lower():
                return member
        unknown = str.__new__(cls, value)
        unknown._name_ = value.upper()
        unknown._value_ = value
        return unknown

    @property
    def is_known(self) -> bool:
        """Whether this client knows the word."""
        return self._name_ in type(self).__members__


def _utc(value: datetime) -> datetime:
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def _rows(value: Any) -> Any:
    return [] if value is None else value


def _mapping(value: Any) -> Any:
    return {} if value is None else value


UtcDatetime = Annotated[datetime, AfterValidator(_utc)]
"""A moment; one without a zone is in UTC."""

Rows = Annotated[list[T], BeforeValidator(_rows)]
"""A list; null is an empty one."""

JsonMapping = Annotated[dict[str, Any], BeforeValidator(_mapping)]
"""An object of any content; null is an empty one."""


def either(*names: str) -> AliasChoices:
    """`validation_alias` of a field that the sources name differently; the first that is there counts."""
    return AliasChoices(*names)


def rows(*names: str) -> Any:
    """A field that is a list, under any of these names, empty where none is there."""
    return Field(default_factory=list, validation_alias=AliasChoices(*names))
