"""`LibraryConfig`: the one configuration model, whoever fills it (Python, YAML, environment, command line)."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote_to_bytes, urlsplit
from zoneinfo import available_timezones

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import InitErrorDetails

from aion_dagster.config_places import line_of, said
from aion_dagster.crawling.settings import LinksConfig
from aion_dagster.dataset_config import DatasetConfig
from aion_dagster.engines import (
    AionvisionConfig,
    BudgetsConfig,
    EndpointConfig,
    ModelsConfig,
    Strict,
)
from aion_dagster.errors import ConfigError
from aion_dagster.label_config import Labels, LabelsConfig, label_sources, normalized
from aion_dagster.pipelines.specification import PipelineConfig, check_for_backend
from aion_dagster.pipelines.targets import check_targets
from aion_dagster.source_configs import (
    FolderSourceConfig,
    S3SourceConfig,
    SourceConfig,
    absolute_path,
)
from aion_dagster.storage.places import Place, place_of, write_bytes
from aion_dagster.storage.store import RESERVED

__all__ = [
    "DatasetConfig",
    "FolderSourceConfig",
    "LabelsConfig",
    "LibraryConfig",
    "PipelineConfig",
    "S3SourceConfig",
    "SourceConfig",
]

Detection = Literal["text", "codes", "objects"]
DocumentFormat = Literal["pdf", "docx", "txt", "md"]

ENVIRONMENT = {
    "AION_STORE": "store",
    "AION_LIBRARY": "name",
    "AION_SOURCES": "sources",
    "AION_LABELS": "labels",
    "AION_DETECT": "detect",
    "AION_DOCUMENTS": "documents",
    "AION_BACKEND": "backend",
}
"""Environment variable → field. Lists of paths are separated like PATH, other lists by commas."""

REMEMBERED = "aion.yaml"
"""File in the store that holds the configuration of the latest run, but for store and name, which its place tells."""


class LibraryConfig(Strict):
    """Everything that a visual library is configured by."""

    name: str = Field(default="default", pattern=r"^[a-z][a-z0-9_]{0,29}$")
    store: str = "aion-store"
    sources: tuple[SourceConfig, ...] = ()
    backend: Literal["local", "aionvision"] = "local"
    detect: tuple[Detection, ...] = ()
    labels: tuple[Labels, ...] = ()
    batch_files: int = Field(default=500, ge=1, le=100_000)
    batch_bytes: int = Field(default=512 * 2**20, ge=1)
    max_file_bytes: int = Field(default=2 * 2**30, ge=1)
    max_pixels: int = Field(default=250_000_000, ge=1)
    colors: int = Field(default=16, ge=3, le=16)
    text_model: str = "auto"
    models: ModelsConfig = ModelsConfig()
    links: LinksConfig = LinksConfig()
    endpoint: EndpointConfig | None = None
    aionvision: AionvisionConfig = AionvisionConfig()
    budgets: BudgetsConfig = BudgetsConfig()
    documents: tuple[DocumentFormat, ...] = ()
    near_duplicate_distance: int = Field(default=4, ge=0, le=8)
    max_unreadable_share: float = Field(default=1.0, ge=0, le=1)
    max_undescribed_share: float = Field(default=1.0, ge=0, le=1)
    datasets: tuple[DatasetConfig, ...] = (DatasetConfig(),)
    keep_originals: Literal["none", "referenced", "all"] = "none"
    pipelines: tuple[PipelineConfig, ...] = ()
    ingest: Literal["sensor", "schedule"] = "sensor"
    ingest_cron: str = "0 2 * * *"
    ingest_timezone: str = "UTC"
    scan_seconds: int = Field(default=30, ge=1)
    max_scan_age_hours: float = Field(default=36.0, gt=0)
    max_batches_per_tick: int = Field(default=50, ge=1)
    max_unfinished_batches: int = Field(default=200, ge=1)

    @field_validator("name")
    @classmethod
    def _free(cls, value: str) -> str:
        # A library's assets are keyed `<name>/…`, those of the default library's datasets `dataset/…`.
        taken = RESERVED - {"default"} | {"dataset", "pipeline"}
        if value in taken:
            raise ValueError(f"{value!r} is taken; choose none of {', '.join(sorted(taken))}")
        return value

    @field_validator("store")
    @classmethod
    def _store(cls, value: str) -> str:
        return _store_place(value)

    @field_validator("ingest_timezone")
    @classmethod
    def _timezone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError("must be the name of a time zone, such as Europe/Berlin")
        return value

    @field_validator("labels")
    @classmethod
    def _labels(cls, value: tuple[str | LabelsConfig, ...]) -> tuple[str | LabelsConfig, ...]:
        return normalized(value)

    @field_validator("sources", mode="after")
    @classmethod
    def _distinct(cls, value: tuple[SourceConfig, ...]) -> tuple[SourceConfig, ...]:
        _differ("source", [s.name for s in value], "set 'name' on each")
        return value

    @field_validator("datasets")
    @classmethod
    def _dataset_names(cls, value: tuple[DatasetConfig, ...]) -> tuple[DatasetConfig, ...]:
        _differ("dataset", [d.name for d in value])
        return value

    @field_validator("pipelines")
    @classmethod
    def _pipeline_names(cls, value: tuple[PipelineConfig, ...]) -> tuple[PipelineConfig, ...]:
        _differ("pipeline", [p.name for p in value])
        return value

    @model_validator(mode="after")
    def _links(self) -> LibraryConfig:
        if self.links.urls and self.aionvision.links:
            raise ValueError(
                "links are either crawled here ('links.urls') or saved in the remote library ('aionvision.links'), not both"
            )
        return self

    @model_validator(mode="after")
    def _pipelines(self) -> LibraryConfig:
        check_for_backend(self.pipelines, self.backend)
        taken = {f"the source {s.name!r} at": s.place for s in self.sources}
        check_targets(self.pipelines, {**taken, "the store": self.store})
        return self

    @classmethod
    def parse(
        cls, data: Mapping[str, Any], *, origin: str = "configuration", text: str = ""
    ) -> LibraryConfig:
        """Validate `data`; `text` is the YAML that it comes from, whose lines messages name.

        Raises:
            ConfigError: names `origin` and each field that is wrong, in one message.
        """
        try:
            return cls.model_validate(dict(data))
        except ValidationError as error:
            lines = "; ".join(said(cls, e, line_of(text, e["loc"])) for e in error.errors())
            raise ConfigError(f"{origin}: {lines}") from None

    @classmethod
    def from_env(
        cls,
        environment: Mapping[str, str] | None = None,
        *,
        flags: Mapping[str, Any] | None = None,
        file: str | Path | None = None,
    ) -> LibraryConfig:
        """The configuration in force: flags over the file over the environment over the defaults.

        The file is `file`, else `AION_CONFIG`, else the one that the latest run left in the store. Where none of them
        names `sources`, those hold that the latest run left in the store.

        Raises:
            ConfigError: a file cannot be read, or a value is wrong.
        """
        env = os.environ if environment is None else environment
        given = {k: v for k, v in (flags or {}).items() if v is not None}
        values = _from_environment(env)
        store = str(given.get("store") or values.get("store") or cls.model_fields["store"].default)
        chosen = file or env.get("AION_CONFIG")
        path = place_of(str(chosen)) if chosen else _remembered(store, given, values)
        if chosen or path.is_file():
            values.update(read_config_file(path))
        values.update(given)
        if chosen and "sources" not in values:
            values.update(_remembered_sources(str(values.get("store") or store), values))
        text = path.read_bytes().decode() if chosen else ""
        return cls.parse(values, origin=str(path) if chosen else "configuration", text=text)

    @property
    def label_sources(self) -> tuple[LabelsConfig, ...]:
        """The labels in their long form."""
        return label_sources(self.labels)

    @property
    def remembered_path(self) -> Place:
        """Where the store keeps this configuration between runs."""
        return _remembered(self.store, {"name": self.name}, {})

    def remember(self) -> None:
        """Write the configuration into the store, so that `dev`, `status` and later runs find it."""
        data = self.model_dump(mode="json", exclude_defaults=True, exclude={"store", "name"})
        text = yaml.safe_dump(data, sort_keys=True, allow_unicode=True)
        if (
            yaml.safe_load(text) != data
        ):  # line breaks beyond ASCII (U+0085) are folded when left as they are
            text = yaml.safe_dump(data, sort_keys=True)
        write_bytes(self.remembered_path, text.encode())


def _differ(kind: str, names: Sequence[str], remedy: str = "") -> None:
    """Refuse the second of two alike, at its name."""
    for place, name in enumerate(names):
        if name in names[:place]:
            hint = f"; {remedy}" if remedy else ""
            reason = ValueError(f"{kind} names must differ, got {list(names)}{hint}")
            details = InitErrorDetails(
                type="value_error", loc=(place, "name"), input=name, ctx={"error": reason}
            )
            raise ValidationError.from_exception_data("LibraryConfig", [details])


def _remembered(store: str, given: Mapping[str, Any], values: Mapping[str, Any]) -> Place:
    """The remembered file of a library: in the store's root, or in the library's own folder."""
    name = str(given.get("name") or values.get("name") or "default")
    home = place_of(_store_place(store))
    return (home if name == "default" else home / name) / REMEMBERED


def _remembered_sources(store: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """`sources` of the file that the latest run left in the store, where it has any."""
    path = _remembered(store, values, {})
    left = read_config_file(path) if path.is_file() else {}
    return {"sources": left["sources"]} if "sources" in left else {}


def _store_place(store: str) -> str:
    """The folder that a store's path or `file://` URI names; other URIs as they are."""
    parts = urlsplit(store, allow_fragments=False)
    if parts.scheme.lower() == "file" and parts.netloc in ("", "localhost"):
        return os.path.normpath(os.fsdecode(unquote_to_bytes(parts.path)))
    return store if "://" in store else absolute_path(store)


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """Fields that environment variables set."""
    values: dict[str, Any] = {}
    for variable, field in ENVIRONMENT.items():
        text = environment.get(variable)
        if not text:
            continue
        if field in ("sources", "labels"):
            # The colon of s3:// separates nothing.
            values[field] = [p for p in re.split(f"{re.escape(os.pathsep)}(?!//)", text) if p]
        elif field in ("detect", "documents"):
            values[field] = [part.strip() for part in text.split(",") if part.strip()]
        else:
            values[field] = text
    return values


def read_config_file(path: Place) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        ConfigError: the file is missing, not YAML, or not a mapping.
    """
    try:
        data = yaml.safe_load(path.read_bytes().decode())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not YAML: {error}") from None
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ConfigError(
            f"{path}: must hold a mapping such as 'store: …', not {type(data).__name__}"
        )
    return data
