"""Which models and endpoints answer: the part of the configuration that backends are made of."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

MOST_TAGS: Final = 40
LONGEST_TAG: Final = 50
"""Characters of a tag, at most."""

AIONVISION_URL: Final = "https://api.aionvision.tech/api/v2"
AIONVISION_URL_ENV: Final = "AIONVISION_BASE_URL"
"""The environment variable that says where the platform is, where the configuration does not."""


class Strict(BaseModel):
    """Settings that are checked once and never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelConfig(Strict):
    """A model: a folder in the layout of `save_pretrained`, or a hub id with the revision to take.

    A string `org/name@revision` or `/folder` says the same.
    """

    model: str = Field(min_length=1)
    revision: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, data: Any) -> Any:
        if not isinstance(data, str):
            return data
        model, at, revision = data.rpartition("@")
        if not at or is_folder(data):
            return {"model": data}
        return {"model": model, "revision": revision}

    @model_validator(mode="after")
    def _pinned(self) -> ModelConfig:
        if not is_folder(self.model) and not self.revision:
            raise ValueError(
                f"{self.model!r} is a hub id and needs a revision (a commit), as in "
                f"'{self.model}@<commit>'; or name a folder by its path"
            )
        return self


def is_folder(model: str) -> bool:
    """Whether a model is named by a path: absolute, below ~ or ., or there."""
    return model.startswith(("/", "~", "./", "../")) or Path(model).is_dir()


class ModelsConfig(Strict):
    """Models of the extra `models` (transformers); what is not named is not there, and nothing is guessed.

    `captions` writes descriptions (image to text, Florence-2 and its like), `ocr` reads text in place of rapidocr,
    `objects` finds boxes, `joint` (SigLIP 2, CLIP) makes image vectors that texts can be compared with, and tags pictures
    with those of `tags` whose score reaches `min_tag_score`.
    """

    captions: ModelConfig | None = None
    ocr: ModelConfig | None = None
    objects: ModelConfig | None = None
    joint: ModelConfig | None = None
    tags: tuple[str, ...] = ()
    min_tag_score: float = Field(default=0.3, ge=0, le=1)
    min_object_score: float = Field(default=0.3, ge=0, le=1)
    device: str = "auto"
    batch_size: int = Field(default=32, ge=1, le=1024)


class EndpointConfig(Strict):
    """An OpenAI-compatible vision endpoint (vLLM, Ollama, llama.cpp, …) that describes pictures.

    `api_key_env` names the environment variable that holds the key; the key itself stands in no file.
    """

    base_url: str = Field(pattern=r"^https?://")
    model: str = Field(min_length=1)
    api_key_env: str = ""
    longest_side: int = Field(default=1024, ge=64, le=4096)
    parallel: int = Field(default=4, ge=1, le=256)
    requests_per_minute: int | None = Field(default=None, ge=1)
    timeout_seconds: float = Field(default=120.0, gt=0)
    attempts: int = Field(default=5, ge=1, le=20)
    max_output_tokens: int = Field(default=1024, ge=64)


class CustomStorageConfig(Strict):
    """A bucket of one's own, for uploads with `storage_target: custom`.

    The credentials are in the environment variables that are named here: they go to the platform, which keeps them for
    the account, and stand in no file.
    """

    bucket: str = Field(min_length=3, max_length=63)
    region: str = Field(min_length=1, max_length=64)
    access_key_id_env: str = "AIONVISION_S3_ACCESS_KEY_ID"
    secret_access_key_env: str = "AIONVISION_S3_SECRET_ACCESS_KEY"  # noqa: S105 - its name


class RemoteLibraryConfig(Strict):
    """Which files of the remote library the asset `remote_library` looks at: those that fulfil every condition.

    At most `most_files` are read, a hundred in a request, the oldest first; `daily` has that done once a day where
    sensors run.
    """

    media_types: tuple[Literal["image", "document", "video", "link"], ...] = ()
    tags: tuple[str, ...] = ()
    search: str | None = None
    folder_id: str | None = None
    has_description: bool | None = None
    most_files: int = Field(default=100_000, ge=1)
    daily: bool = False


class AionvisionConfig(Strict):
    """The Aionvision platform as the backend `aionvision` uses it.

    `api_key_env` names the environment variable that holds the key; the key itself stands in no file. `plan` says how
    fast to ask until the server names its own limit. Without `base_url`, the environment variable `AIONVISION_BASE_URL`
    says where the platform is, and without that it is the vendor's. What belongs to an upload (`tags`, `intent`,
    `verification_level`, `storage_target`) is sent with new files only: changing it makes no call. `prompt` and
    `providers` describe stored pictures anew, by the deprecated `/batch/describe`, where the server has it.

    `documents` are read by the platform unless that is false, `colors` measured there where it is true. `variants`: how
    the platform's sizes of a picture stand is looked up (observe) and those that failed are asked for again (repair).
    `write_back` brings tags (`tags`, those of the description, and categories of annotations) and the files' names as
    titles into the remote library; `title: name` gives documents the name of their file at once. `links` are saved and
    crawled. `usage` has the account's use read once a day.
    """

    base_url: str | None = None
    api_key_env: str = "AIONVISION_API_KEY"
    tenant_id: str | None = None
    plan: Literal["free", "starter", "professional", "enterprise", "unlimited"] = "free"
    auto_describe: bool = True
    storage_target: Literal["default", "custom"] = "default"
    tags: tuple[str, ...] = ()
    title: Literal["name", "none"] = "name"
    intent: str | None = None
    verification_level: str | None = None
    prompt: str | None = Field(default=None, min_length=1, max_length=2000)
    providers: tuple[str, ...] = ()
    documents: bool = True
    colors: bool = False
    variants: Literal["ignore", "observe", "repair"] = "observe"
    write_back: tuple[Literal["tags", "title"], ...] = ()
    links: tuple[str, ...] = ()
    usage: bool = False
    remote_library: RemoteLibraryConfig = RemoteLibraryConfig()
    custom_storage: CustomStorageConfig | None = None
    upload_batch: int | None = Field(default=None, ge=1, le=200)
    parallel: int = Field(default=4, ge=1, le=64)
    timeout_seconds: float = Field(default=300.0, gt=0)
    polling_interval: float = Field(default=2.0, gt=0)
    polling_timeout: float = Field(default=360.0, gt=0)
    max_retries: int = Field(default=3, ge=0, le=20)
    retry_delay: float = Field(default=1.0, ge=0)

    @field_validator("tags")
    @classmethod
    def _allowed_tags(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """The platform takes 40 tags of 50 characters; a comma separates them in an upload."""
        kept = tuple(dict.fromkeys(value))
        if len(kept) > MOST_TAGS:
            raise ValueError(f"{len(kept)} tags, {MOST_TAGS} are allowed")
        for tag in kept:
            if not 1 <= len(tag) <= LONGEST_TAG or "," in tag:
                raise ValueError(
                    f"{tag!r} is no tag: 1 to {LONGEST_TAG} characters without a comma are allowed"
                )
        return kept

    @field_validator("links", "write_back")
    @classmethod
    def _once(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(dict.fromkeys(value))

    @model_validator(mode="after")
    def _title_to_write(self) -> AionvisionConfig:
        if "title" in self.write_back and self.title == "none":
            raise ValueError("write_back: there is no title to write with 'title: none'")
        return self

    @property
    def address(self) -> str:
        """Where the platform is: as configured, else as the environment says, else the vendor's; read when it is needed."""
        return self.base_url or os.environ.get(AIONVISION_URL_ENV, "").strip() or AIONVISION_URL

    @property
    def requests_per_minute(self) -> int | None:
        """What the plan allows, as the vendor's documents say; None for no limit of ours."""
        return {"free": 10, "starter": 30, "professional": 100, "enterprise": 500}.get(self.plan)


class Budget(Strict):
    """The most that may be spent; None where it does not matter."""

    calls: int | None = Field(default=None, ge=0)
    credits: float | None = Field(default=None, ge=0)


class BudgetsConfig(Strict):
    """Caps of paid calls and credits, held by all processes of a library together.

    `run` is one `aion-dagster run`, or one Dagster run elsewhere; days and months are those of UTC.
    """

    run: Budget = Budget()
    day: Budget = Budget()
    month: Budget = Budget()
    library: Budget = Budget()
