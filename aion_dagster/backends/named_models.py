"""Models that a configuration names: whether they are there, and what their results are known by."""

from __future__ import annotations

from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from pydantic import ValidationError

from aion_dagster.config_words import words
from aion_dagster.engines import ModelConfig, is_folder
from aion_dagster.errors import ConfigError
from aion_dagster.identity import digest

MODELS_EXTRA = "needs the extra 'models': pip install 'aion_dagster[models]'"


def model_identity(model: ModelConfig | None) -> str:
    """What results of a model are known by, without reading its weights."""
    if model is None:
        return "unavailable"
    if not is_folder(model.model):
        return f"{model.model}@{model.revision}"
    folder = Path(model.model).expanduser()
    files = [
        file
        for kind in ("safetensors", "json", "jinja")
        for file in sorted(folder.glob(f"*.{kind}"))
    ]
    stamps = [f"{f.name}:{f.stat().st_size}:{f.stat().st_mtime_ns}" for f in files]
    return f"{folder.name}-{digest(stamps)[:12]}"


def named_text_model(text_model: str) -> ModelConfig:
    """The folder or hub id that `text_model` names.

    Raises:
        ConfigError: a hub id without a revision.
    """
    try:
        return ModelConfig.model_validate(text_model)
    except ValidationError as error:
        raise ConfigError(f"text_model: {words(error.errors()[0])}") from None


def models_missing(what: str, model: ModelConfig) -> str | None:
    """Why a model of the extra `models` cannot do `what` here; None where it can, or a hub is still to be asked."""
    if not installed("torch", "transformers"):
        return f"{what} {MODELS_EXTRA}"
    if is_folder(model.model) and not Path(model.model).expanduser().is_dir():
        return f"{what} needs the folder {model.model}, which is missing"
    return None


def installed(*modules: str) -> bool:
    """Whether all of these can be imported."""
    return all(find_spec(m) is not None for m in modules)


def version(distribution: str) -> str:
    """The version of a distribution, `missing` where it is not installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "missing"
