"""How each kind of source is configured: one class per `type`, and the union of them all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args
from urllib.parse import urlsplit

from pydantic import Discriminator, Field, Tag, TypeAdapter, ValidationError, model_validator

from aion_dagster.config_words import words
from aion_dagster.engines import AionvisionConfig, Strict
from aion_dagster.errors import ConfigError
from aion_dagster.identity import digest, slug

SCHEMES: Final = {"s3": "s3", "drive": "drive", "aionvision": "aionvision"}
"""Scheme of a source that is written as a string → its type; any other string is a folder."""


class SourceSettings(Strict):
    """What sources of every kind have in common.

    `include` and `exclude` are patterns of names (see `sources.selection.Selection`). A file counts as written once it
    has not changed for `settle_seconds`; sensors and schedules leave it for later until then, `aion-dagster run` takes
    what is there. A source that suddenly lists nothing at all is taken for broken (an unmounted folder), and none of its
    files for deleted, unless `may_be_empty`. Unnamed sources get a name made from their place.
    """

    name: str = ""
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    settle_seconds: float = Field(default=0.0, ge=0, le=86_400)
    may_be_empty: bool = False


class FolderSourceConfig(SourceSettings):
    """Files below a local folder."""

    type: Literal["folder"] = "folder"
    path: str
    recursive: bool = True
    include_hidden: bool = False
    settle_seconds: float = Field(default=5.0, ge=0, le=86_400)

    @model_validator(mode="before")
    @classmethod
    def _named(cls, data: Any) -> Any:
        """Make the path absolute and give an unnamed source a name made from it."""
        if isinstance(data, str):
            data = {"path": data}
        if isinstance(data, Mapping) and data.get("path"):
            path = absolute_path(str(data["path"]))
            name = data.get("name") or source_name(Path(path).name, path)
            data = {**data, "path": path, "name": name}
        return data

    @property
    def place(self) -> str:
        """Where the files are, for people."""
        return self.path


class S3SourceConfig(SourceSettings):
    """Objects of a bucket, on AWS or any service that speaks S3; a string `s3://bucket/prefix` says the same.

    Credentials come from the usual chain (environment, `profile`, instance), never from here. With `endpoint_url`, the
    bucket is addressed in the path unless `path_style` says otherwise. `version_ids` tells versions of a versioned bucket
    by their ids instead of their ETags: superseded versions stay readable, and listing passes over all of them.

    With `queue_url`, the SQS queue that the bucket's notifications arrive in, only what they name is looked at, and the
    bucket is listed every `reconcile_seconds`. `anonymous` reads a public bucket without credentials.
    """

    type: Literal["s3"]
    bucket: str = Field(min_length=3, max_length=2048)
    prefix: str = Field(default="", max_length=1024)
    endpoint_url: str | None = Field(default=None, pattern=r"^https?://")
    region: str | None = None
    profile: str | None = None
    path_style: bool | None = None
    requester_pays: bool = False
    anonymous: bool = False
    version_ids: bool = False
    include_hidden: bool = False
    queue_url: str | None = Field(default=None, pattern=r"^https?://")
    reconcile_seconds: int = Field(default=86_400, ge=60)

    @model_validator(mode="before")
    @classmethod
    def _named(cls, data: Any) -> Any:
        """Take `s3://bucket/prefix` apart, and give an unnamed source a name made from its place."""
        if isinstance(data, str):
            bucket, _, prefix = data.removeprefix("s3://").partition("/")
            data = {"bucket": bucket, "prefix": prefix}
        if isinstance(data, Mapping) and data.get("bucket"):
            place = [data.get("endpoint_url") or "", data["bucket"], data.get("prefix") or ""]
            last = str(place[2]).rstrip("/").rpartition("/")[2] or str(place[1]).rpartition(":")[2]
            name = data.get("name") or source_name(last, place)
            data = {"type": "s3", **data, "name": name}
        return data

    @property
    def place(self) -> str:
        """Where the files are, for people."""
        return f"s3://{self.bucket}/{self.prefix}"


class DriveSourceConfig(SourceSettings):
    """A folder or shared drive of Google Drive, by its id or address; a string `drive://<id>` says the same.

    `root` is the account's own drive. Credentials are in `credentials_file`, or in the environment variable that
    `credentials_env` names (the path of such a file, or its contents): the key of a service account, or a person's
    consent. Without either, Google's usual chain is followed. After `relist_hours` everything is listed again, where
    otherwise only changes are asked for. Google's own documents come as `export` says, where `documents` takes that.
    """

    type: Literal["drive"]
    folder: str = Field(default="root", pattern=r"^[A-Za-z0-9_-]+$")
    credentials_file: str | None = None
    credentials_env: str | None = None
    impersonate: str | None = None
    recursive: bool = True
    include_hidden: bool = False
    export: Literal["auto", "pdf", "docx", "none"] = "auto"
    connections: int = Field(default=8, ge=1, le=32)
    relist_hours: float = Field(default=24.0, ge=0.25)
    api_endpoint: str | None = Field(
        default=None, pattern=r"^(https://|http://(127\.0\.0\.1|localhost|\[::1\])[:/])"
    )
    settle_seconds: float = Field(
        default=0.0, ge=0, le=0, description="Files are in Drive once they are uploaded as a whole."
    )

    @model_validator(mode="before")
    @classmethod
    def _named(cls, data: Any) -> Any:
        """Take an address apart, and give an unnamed source a name made from its folder."""
        if isinstance(data, str):
            data = {"folder": data.partition("://")[2].strip("/") or "root"}
        if isinstance(data, Mapping):
            folder = str(data.get("folder") or "root")
            if "://" in folder:
                folder = urlsplit(folder).path.rstrip("/").rpartition("/")[2]
            file = data.get("credentials_file")
            name = data.get("name") or source_name("drive", [folder, data.get("impersonate")])
            data = {"type": "drive", **data, "folder": folder, "name": name}
            if file:
                data["credentials_file"] = absolute_path(str(file))
        return data

    @model_validator(mode="after")
    def _one_of_both(self) -> DriveSourceConfig:
        if self.credentials_file and self.credentials_env:
            raise ValueError("give credentials_file or credentials_env, not both")
        return self

    @property
    def place(self) -> str:
        """Where the files are, for people."""
        return f"drive://{self.folder}"


class AionvisionSourceConfig(SourceSettings):
    """Files of a cloud storage that is connected to an Aionvision account, by the platform's own import.

    Connecting needs a person with a browser; `connection_id` is what the platform calls the connection then. Only files
    directly in the Drive folder `folder` are taken where that is given. Every version of a file is imported once, which
    counts as an upload of the account. A string `aionvision://<connection>` says the same.
    """

    type: Literal["aionvision"]
    connection_id: str = Field(pattern=r"^[A-Za-z0-9_-]{1,100}$")
    folder: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_-]{1,200}$")
    account: AionvisionConfig = AionvisionConfig()

    @model_validator(mode="before")
    @classmethod
    def _named(cls, data: Any) -> Any:
        """Take an address apart, and give an unnamed source a name made from its place."""
        if isinstance(data, str):
            data = {"connection_id": data.partition("://")[2].strip("/")}
        if isinstance(data, Mapping) and data.get("connection_id"):
            place = [data["connection_id"], data.get("folder")]
            data = {
                "type": "aionvision",
                **data,
                "name": data.get("name") or source_name("cloud", place),
            }
        return data

    @property
    def place(self) -> str:
        """Where the files are, for people."""
        return f"aionvision://{self.connection_id}"


def source_name(text: str, place: Any) -> str:
    """A name that depends on the place alone, so that sources given in another order keep theirs."""
    return f"{slug(text, limit=24)}-{digest(place)[:6]}"


def absolute_path(path: str) -> str:
    """A path that means the same in every folder; links on the way stay."""
    return os.path.normpath(Path(path).expanduser().absolute())


def _type_of(data: Any) -> str:
    """The type of a source as it is written: a string by its scheme, a mapping by `type`, which may be left out."""
    if isinstance(data, str):
        scheme, separator, _ = data.partition("://")
        return SCHEMES.get(scheme.lower(), "folder") if separator else "folder"
    if isinstance(data, Mapping):
        return str(data.get("type") or "folder")
    return str(getattr(data, "type", ""))


# A further kind of source: its class above, a line here, one in SCHEMES where a string may name it, and its builder in
# `resources.sources`.
AnySource = (
    Annotated[FolderSourceConfig, Tag("folder")]
    | Annotated[S3SourceConfig, Tag("s3")]
    | Annotated[DriveSourceConfig, Tag("drive")]
    | Annotated[AionvisionSourceConfig, Tag("aionvision")]
)  # fmt: skip

SOURCE_TYPES: Final = tuple(
    tag.tag for kind in get_args(AnySource) for tag in get_args(kind) if isinstance(tag, Tag)
)

UNKNOWN_TYPE: Final = "source_type"
"""The type of the validation error for a source of an unknown type."""

SourceConfig = Annotated[
    AnySource,
    Discriminator(
        _type_of,
        custom_error_type=UNKNOWN_TYPE,
        custom_error_message=f"must be one of {', '.join(SOURCE_TYPES)}",
    ),
]
"""A source of any kind."""


def parse_source(text: str) -> AnySource:
    """The source that a string names.

    Raises:
        ConfigError: it names none.
    """
    try:
        return _SOURCE.validate_python(text)
    except ValidationError as error:
        reasons = "; ".join(map(words, error.errors()))
        raise ConfigError(f"source {text}: {reasons}") from None


_SOURCE: Final[TypeAdapter[AnySource]] = TypeAdapter(SourceConfig)
