"""The configuration that a command works with: its flags over the file over the environment."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from pydantic import ValidationError

from aion_dagster.backends.protocol import Operation
from aion_dagster.config import DatasetConfig, LibraryConfig
from aion_dagster.config_words import words
from aion_dagster.errors import ConfigError, SourceError
from aion_dagster.label_places import label_place_exists
from aion_dagster.planning import configured_backend, has_remote_documents, remote_assets
from aion_dagster.resources.sources import build_source
from aion_dagster.source_configs import SourceConfig, parse_source

NO_EXPORTS = "none"


def store_config(args: Namespace) -> LibraryConfig:
    """Configuration of a command that only needs to know the store."""
    return LibraryConfig.from_env(
        flags={"store": args.store, "name": getattr(args, "library", None)},
        file=getattr(args, "config", None),
    )


def run_config(args: Namespace) -> LibraryConfig:
    """Configuration of `run`: sources are added to those of the file, other flags replace its values.

    Raises:
        ConfigError: a value is wrong, there is no source, or a source, file or extra that is named is not there.
    """
    base = store_config(args)
    changes: dict[str, Any] = {}
    given = tuple(map(parse_source, args.sources))
    names = {s.name for s in given}
    if given:
        changes["sources"] = [*(s for s in base.sources if s.name not in names), *given]
    if args.labels:
        changes["labels"] = args.labels
    if args.backend:
        changes["backend"] = args.backend
    if args.detect is not None:
        changes["detect"] = _words(args.detect)
    if args.documents is not None:
        changes["documents"] = _words(args.documents)
    if args.batch_size:
        changes["batch_files"] = args.batch_size
    if args.dataset or args.export is not None:
        changes["datasets"] = _datasets(base, args)
    data = base.model_dump(mode="json") | _plain(changes)
    config = LibraryConfig.parse(data, origin="command line")
    _check_sources(config, given)
    check_reachable(config)
    return config


def _check_sources(config: LibraryConfig, given: Sequence[SourceConfig]) -> None:
    """Refuse a run that has neither a source nor links, and sources given on the command line that are not there."""
    if not config.sources and not remote_assets(config):
        raise ConfigError(
            f"no source is given, and {config.store} remembers none: name a folder or address of pictures, as in"
            " 'aion-dagster run FOLDER', or 'sources' in the file that --config names; 'aion-dagster retry' works on"
            " what was taken in before"
        )
    for source in given:
        try:
            build_source(source, max_bytes=config.max_file_bytes).check()
        except SourceError as error:
            raise ConfigError(str(error)) from None


def _plain(changes: dict[str, Any]) -> dict[str, Any]:
    """Models as plain data, so that everything is validated once more together."""
    return {
        key: [v.model_dump(mode="json") if hasattr(v, "model_dump") else v for v in value]
        if isinstance(value, list | tuple)
        else value
        for key, value in changes.items()
    }


def _words(text: str) -> list[str]:
    return [] if text == NO_EXPORTS else [w.strip() for w in text.split(",") if w.strip()]


def _datasets(base: LibraryConfig, args: Namespace) -> list[DatasetConfig]:
    """The datasets with `--dataset` among them and `--export` applied to it."""
    name = args.dataset or chosen_dataset(base, None).name
    known = {d.name: d for d in base.datasets}
    untouched = len(known) == 1 and base.datasets[0] == DatasetConfig()
    kept = {} if untouched and name not in known else known
    dataset: dict[str, Any] = kept[name].model_dump() if name in kept else {"name": name}
    if args.export is not None:
        dataset["exports"] = _words(args.export)
    try:
        kept[name] = DatasetConfig.model_validate(dataset)
    except ValidationError as error:
        reasons = "; ".join(f"{e['input']!r}: {words(e)}" for e in error.errors())
        raise ConfigError(f"--dataset/--export: {reasons}") from None
    return list(kept.values())


def chosen_dataset(config: LibraryConfig, name: str | None) -> DatasetConfig:
    """The dataset that a command is about: the one named, else the first."""
    if not config.datasets:
        raise ConfigError("datasets: at least one is needed")
    return next((d for d in config.datasets if d.name == name), config.datasets[0])


def check_reachable(config: LibraryConfig) -> None:
    """Refuse early what would fail late.

    Raises:
        ConfigError: a source or label path does not exist, or a key, an extra or a model that is named is not there.
    """
    for labels in config.label_sources:
        if not label_place_exists(labels.path):
            raise ConfigError(f"--labels {labels.path}: does not exist")
    backend = configured_backend(config)
    if config.backend == "aionvision" and (reason := backend.unavailable("describe")):
        raise ConfigError(f"backend aionvision: {reason}")
    key = config.endpoint.api_key_env if config.endpoint and config.backend == "local" else ""
    if key and not os.environ.get(key):
        raise ConfigError(f"endpoint.api_key_env: the environment variable {key} is not set")
    for kind in config.detect:
        reason = backend.unavailable(kind)
        if reason:
            raise ConfigError(f"--detect {kind}: {reason}")
    named: dict[str, tuple[Operation, bool]] = {
        "text_model": ("embed_text", config.text_model not in ("auto", "none")),
        "models.captions": ("describe", config.models.captions is not None),
        "models.joint": ("embed_images", config.models.joint is not None),
    }
    for field, (operation, is_named) in named.items():
        reason = backend.unavailable(operation) if is_named else None
        if reason:
            raise ConfigError(f"{field}: {reason}")
    reads = config.documents and not has_remote_documents(config)
    if reads and not all(map(find_spec, ("pypdfium2", "pypdf", "docx"))):
        raise ConfigError(
            "--documents needs the extra 'documents': pip install 'aion_dagster[documents]'"
        )
