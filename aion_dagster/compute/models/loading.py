"""A model and its processor from a folder: safetensors, no code of its own, on the device that is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aion_dagster.compute.model_files import ModelFiles
from aion_dagster.errors import ConfigError, UnavailableError

EXTRA = (
    "models need the extra `models`: pip install 'aion_dagster[models]' (transformers and torch)"
)


@dataclass(frozen=True)
class Loaded:
    """Model and processor, where they compute and in which numbers; `identity` names all that results depend on."""

    model: Any
    processor: Any
    device: str
    dtype: Any
    identity: str


def load(files: ModelFiles, kind: str, *, device: str = "auto") -> Loaded:
    """Load the model of a folder as transformers' class `kind`, such as `AutoModel`.

    Args:
        files: as `resolve_model` gives them.
        kind: a class of transformers.
        device: auto (cuda, else mps, else cpu), or one of torch's names.

    Raises:
        UnavailableError: the extra `models` is not installed.
        ConfigError: the folder holds no such model, or there is no such device.
    """
    try:
        import torch
        import transformers
    except ImportError as error:
        raise UnavailableError(f"{EXTRA}; importing failed: {error}") from error
    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call, unused-ignore]  # typed in some versions
    transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call, unused-ignore]  # typed in some versions
    place = _device(device, torch)
    dtype = _dtype(place, torch)
    local = {"local_files_only": True, "trust_remote_code": False}
    try:
        model = getattr(transformers, kind).from_pretrained(
            files.folder, use_safetensors=True, dtype=dtype, **local
        )
        processor = transformers.AutoProcessor.from_pretrained(files.folder, **local)
        model = model.to(place).eval()
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise ConfigError(f"{files.folder} cannot be loaded as {kind}: {error}") from error
    number = str(dtype).removeprefix("torch.")
    return Loaded(model, processor, place, dtype, f"{files.identity}/{number}")


def _device(wanted: str, torch: Any) -> str:
    if wanted != "auto":
        try:
            torch.empty(1, device=wanted)
        except (RuntimeError, AssertionError) as error:
            raise ConfigError(f"models.device: {wanted!r} is not there ({error})") from error
        return wanted
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _dtype(device: str, torch: Any) -> Any:
    """bfloat16 where the device computes in it, float16 on other graphics cards, else float32."""
    if device.startswith("cuda"):
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return torch.float16 if device.startswith("mps") else torch.float32


def on_device(loaded: Loaded, inputs: Any) -> dict[str, Any]:
    """A processor's tensors where the model is, floating ones in its numbers."""
    return {
        name: value.to(loaded.device, loaded.dtype)
        if value.is_floating_point()
        else value.to(loaded.device)
        for name, value in inputs.items()
        if hasattr(value, "is_floating_point")
    }
