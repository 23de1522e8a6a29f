"""How one source of labels is configured."""

from __future__ import annotations

import os
from typing import Annotated, Any, Final, Literal
from urllib.parse import unquote_to_bytes, urlsplit

from pydantic import Discriminator, Field, Tag, field_validator

from aion_dagster.engines import Strict
from aion_dagster.formats.labels import LabelFormat
from aion_dagster.source_configs import absolute_path

LabelMatch = Literal["auto", "path", "name", "hash"]


class LabelsConfig(Strict):
    """Labels at a place, and what is made of them; a string `PATH` says the same as `path: PATH`.

    `path` is a file, a folder, an archive of one of these, or `s3://bucket/…`; `format` is found out unless it is given.
    `classes` renames classes, makes several one (`{automobile: car, Car: car}`), and leaves out those that are set to null;
    others stay what they are. `match` is how pictures are found: by their path as far as the two can agree (`auto`), by the
    whole path that the labels give (`path`), by the file name whatever the folder (`name`), or by SHA-256, which the labels
    give or which is the file's name (`hash`). `prefix` is a folder put in front of every file name in the labels.
    """

    path: str = Field(min_length=1)
    format: LabelFormat = "auto"
    classes: dict[str, str | None] = Field(default_factory=dict)
    match: LabelMatch = "auto"
    prefix: str = ""

    @field_validator("path")
    @classmethod
    def _path(cls, value: str) -> str:
        return label_path(value)

    @field_validator("classes")
    @classmethod
    def _classes(cls, value: dict[str, str | None]) -> dict[str, str | None]:
        if any(new is not None and not new.strip() for new in value.values()):
            raise ValueError("a class needs a name, or null to leave it out")
        return value

    @field_validator("prefix")
    @classmethod
    def _prefix(cls, value: str) -> str:
        if ".." in value.replace("\\", "/").split("/"):
            raise ValueError("a folder below the source, without '..'")
        return value.strip("/")


def _written(data: Any) -> str:
    return "path" if isinstance(data, str) else "mapping"


LABEL_FORMS: Final = frozenset({"path", "mapping"})
"""How an entry may be written; pydantic puts this into the path of an error."""
Labels = Annotated[
    Annotated[str, Tag("path")] | Annotated[LabelsConfig, Tag("mapping")], Discriminator(_written)
]


def label_path(value: str) -> str:
    """The place of labels: an absolute path, or an `s3://` URI as it is.

    Raises:
        ValueError: another kind of URI.
    """
    scheme, separator, _ = value.partition("://")
    if not separator:
        return absolute_path(value)
    parts = urlsplit(value, allow_fragments=False)
    if scheme.lower() == "file" and parts.netloc in ("", "localhost"):
        return os.path.normpath(os.fsdecode(unquote_to_bytes(parts.path)))
    if scheme.lower() != "s3":
        raise ValueError(f"{value!r}: labels are read from folders and from s3://bucket/…")
    return value


def label_sources(labels: tuple[str | LabelsConfig, ...]) -> tuple[LabelsConfig, ...]:
    """Every entry in its long form."""
    return tuple(LabelsConfig(path=e) if isinstance(e, str) else e for e in labels)


def normalized(labels: tuple[Any, ...]) -> tuple[Any, ...]:
    """Entries with absolute paths, each once."""
    found: list[Any] = []
    for entry in labels:
        plain = label_path(entry) if isinstance(entry, str) else entry
        if plain not in found:
            found.append(plain)
    return tuple(found)
