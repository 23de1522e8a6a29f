"""Where a model's files come from: a folder, or a snapshot of a model hub pinned by its revision; never pickles or code."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aion_dagster.engines import is_folder
from aion_dagster.errors import ConfigError, UnavailableError

WANTED: Final = ("*.safetensors", "*.json", "*.jinja", "*.txt", "*.model", "*.spm")
"""What is fetched from a hub: weights, settings, vocabularies, and the templates by which models are talked to
(`chat_template.jinja`, `additional_chat_templates/`), which transformers renders in a sandbox. No pickled weights and no
Python files."""
UNWANTED: Final = ("*/*.safetensors",)
"""Weights below the top are the same model in another form (exports, training states)."""
SHARD_INDEX: Final = "model.safetensors.index.json"

_PICKLED: Final = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.pickle", "*.ckpt")
_PROCESSING: Final = (
    "processor_config.json",
    "preprocessor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
)
"""One of these at least says how a model's input is made."""
_ATTEMPTS: Final = 2
"""Connections to a hub that are tried before it is taken to be out of reach."""
_REVISION: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9_-])?")
_MAX_HEADER: Final = 100_000_000
"""Bytes of a safetensors header at most, as the format's reader has it."""
_EXTRA: Final = "pip install 'aion_dagster[models]' (or 'aion_dagster[text]')"


@dataclass(frozen=True)
class ModelFiles:
    """A model that is on this machine.

    Attributes:
        folder: holds `config.json`, one or more `*.safetensors` and what the model's tokenizer and processor need. It may
            hold Python files that `config.json` names in `auto_map`: load with `trust_remote_code=False` and
            `use_safetensors=True`.
        identity: name and 12 hex digits of a SHA-256 over the weights and settings, e.g. `florence-2-base@0f1e2d3c4b5a`;
            the same files give the same digits wherever they lie.
    """

    folder: Path
    identity: str


def resolve_model(model: str, revision: str | None = None) -> ModelFiles:
    """The files of a model, fetched where they are not on this machine yet.

    Args:
        model: a folder (absolute, below ~ or ., or there), a hub id `organisation/name`, or `organisation/name@revision`.
        revision: of a hub id: a commit, or a tag. Not heeded for a folder. What the local cache (`HF_HOME`,
            `HF_HUB_CACHE`) holds for a revision is taken without asking the hub again.

    Raises:
        ConfigError: a hub id without a revision, an id or revision that cannot be one, or a file that is not safetensors.
        UnavailableError: the model is neither here nor to be had, or it has only pickled weights.
    """
    folder = resolve_snapshot(model, revision)
    name = folder.name if is_folder(model) else model.partition("@")[0]
    return ModelFiles(folder, f"{name}@{_digest(folder, _weights(folder))}")


def resolve_snapshot(model: str, revision: str | None = None) -> Path:
    """The folder alone, its weights unread and unchecked; arguments and errors as of `resolve_model`."""
    if not is_folder(model):
        name, _, said = model.partition("@")
        return _snapshot(name, revision or said)
    folder = Path(model).expanduser().resolve()
    if not folder.is_dir():
        raise UnavailableError(f"{folder} is missing; name a folder that holds a model")
    return folder


def refuse_pickled(folder: Path) -> None:
    """Raise where a folder has pickled weights, for those who found no others in it.

    Raises:
        UnavailableError: it has.
    """
    pickled = sorted(file.name for pattern in _PICKLED for file in folder.glob(pattern))
    if pickled:
        raise UnavailableError(
            f"{folder / pickled[0]} is pickled: loading it may run code, so it is refused. Save the model as "
            "safetensors (`model.save_pretrained(folder)`), or take a revision that has them"
        )


def weights_digest(file: Path) -> str:
    """SHA-256 (hex) of a file."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _snapshot(name: str, revision: str) -> Path:
    """The folder of a hub's model at a revision: from the cache, else fetched."""
    if not revision:
        raise ConfigError(
            f"{name!r} is a hub id and needs a revision (a commit), as in '{name}@<commit>': what a hub serves under a "
            "name may change; or name a folder by its path"
        )
    if not _REVISION.fullmatch(revision) or ".." in revision:
        raise ConfigError(f"{revision!r} cannot be a revision of {name}; take a commit, or a tag")
    cached = _from_hub(name, revision, cached_only=True)
    if cached is not None and _complete(cached):
        return cached
    unreachable = _unreachable(name, revision)
    fetched = None if unreachable else _from_hub(name, revision, cached_only=False)
    if fetched is None:
        why = unreachable or "the hub cannot be asked"
        raise _not_here(name, revision, f"it is not in the local cache, and {why}")
    return fetched


def _unreachable(name: str, revision: str) -> str | None:
    """Why the hub cannot be reached; None where it answers, whatever it says.

    Asked beforehand, as the hub's library goes on for half a minute where nobody listens, and without end where nobody
    answers: it waits for a connection without a limit. `HF_HUB_ETAG_TIMEOUT` (10 seconds) is how long an answer may take.
    """
    try:
        from huggingface_hub import HfApi, constants, errors
        from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # of its client
    except ImportError as error:
        raise UnavailableError(f"huggingface-hub is not installed: {_EXTRA}") from error
    reason = ""
    for attempt in range(_ATTEMPTS):
        time.sleep(attempt)
        try:
            patience = float(constants.HF_HUB_ETAG_TIMEOUT)
            HfApi().model_info(name, revision=revision, expand=["sha"], timeout=patience)
        except (errors.HfHubHTTPError, errors.HFValidationError):
            return None
        except (HTTPError, OSError) as error:
            reason = f"{constants.ENDPOINT} cannot be reached ({type(error).__name__})"
            if isinstance(error, errors.OfflineModeIsEnabled):
                return "HF_HUB_OFFLINE forbids to ask the hub"
        else:
            return None
    return reason


def _from_hub(name: str, revision: str, *, cached_only: bool) -> Path | None:
    """One call of the hub's library; None where it has no such snapshot and could not ask for one.

    The library's errors quote what a server or proxy said, so they are answered in our own words, without a chain.
    """
    try:
        from huggingface_hub import errors, snapshot_download
        from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # of its client
    except ImportError as error:
        raise UnavailableError(f"huggingface-hub is not installed: {_EXTRA}") from error
    reason: str
    try:
        return Path(
            snapshot_download(
                name,
                revision=revision,
                allow_patterns=list(WANTED),
                ignore_patterns=list(UNWANTED),
                local_files_only=cached_only,
            )
        )
    except errors.HFValidationError:
        raise ConfigError(
            f"{name!r} is neither a folder nor a hub id (organisation/name)"
        ) from None
    except errors.LocalEntryNotFoundError:
        return None
    except errors.GatedRepoError:
        reason = "its licence must be accepted on the hub first, and HF_TOKEN set"
    except errors.RevisionNotFoundError:
        raise ConfigError(f"{name} has no revision {revision}; take a commit it has") from None
    except errors.RepositoryNotFoundError:
        reason = "the hub knows no such model, or HF_TOKEN must be set to see it"
    except errors.HfHubHTTPError as error:
        reason = f"the hub answered with status {error.response.status_code}"
    except (HTTPError, OSError) as error:
        more = getattr(error, "strerror", None) or "no more is known"
        reason = f"it cannot be fetched ({type(error).__name__}, {more})"
    raise _not_here(name, revision, reason) from None


def _not_here(name: str, revision: str, reason: str) -> UnavailableError:
    return UnavailableError(
        f"the model {name} at revision {revision} is not here: {reason}. Fetch it where there is a network with "
        f"`hf download {name} --revision {revision}`, copy the cache and set HF_HOME to it; or name a folder with its files"
    )


def _complete(folder: Path) -> bool:
    """Whether a cached snapshot has settings and all weights; other programs fetch single files into the same cache."""
    index = _shards(folder)
    weights = [folder / shard for shard in index] or list(folder.glob("*.safetensors"))
    processing = any((folder / name).is_file() for name in _PROCESSING)
    settings = processing and (folder / "config.json").is_file()
    return bool(weights) and settings and all(file.is_file() for file in weights)


def _shards(folder: Path) -> list[str]:
    """The files that weights in several files are divided into, empty where they are in one."""
    file = folder / SHARD_INDEX
    if not file.is_file():
        return []
    try:
        parsed: Any = json.loads(file.read_text("utf-8"))
        shards = sorted({str(shard) for shard in parsed["weight_map"].values()})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{file} is not an index of weights; fetch the model again") from error
    outside = [shard for shard in shards if Path(shard).name != shard]
    if outside:
        raise ConfigError(f"{file} names {outside[0]!r}, which is outside of its folder")
    return shards


def _weights(folder: Path) -> list[Path]:
    """The files with weights, all there and all safetensors."""
    weights = sorted(folder.glob("*.safetensors"))
    missing = [shard for shard in _shards(folder) if not (folder / shard).is_file()]
    if missing:
        raise UnavailableError(f"{folder / missing[0]} is missing; fetch the model again")
    if not weights:
        refuse_pickled(folder)
        raise UnavailableError(
            f"{folder} has no weights (*.safetensors), pickled ones are not taken; name another folder or revision"
        )
    for file in weights:
        _check_header(file)
    return weights


def _check_header(file: Path) -> None:
    """Refuse what only bears the name: a safetensors file begins with the length of a JSON object and that object."""
    size = file.stat().st_size
    with file.open("rb") as opened:
        start = opened.read(9)
    length = int.from_bytes(start[:8], "little")
    if len(start) < 9 or start[8:] != b"{" or length > min(size - 8, _MAX_HEADER):
        raise ConfigError(f"{file} is not a safetensors file; fetch it again")


def _digest(folder: Path, weights: Sequence[Path]) -> str:
    """12 hex digits over what decides the results: weights, and the settings of model, processor, tokenizer and talk."""
    settings = sorted([*folder.glob("*config.json"), *folder.glob("*.jinja")])
    total = hashlib.sha256()
    for file in (*weights, *settings):
        total.update(f"{file.name}\0{weights_digest(file)}\n".encode())
    return total.hexdigest()[:12]
