"""The models that the installed `rapidocr` carries, opened by ONNX Runtime; nothing is downloaded."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aion_dagster.compute.text_weights import without_subnormals
from aion_dagster.errors import UnavailableError

_EXTRA: Final = (
    "reading text in pictures needs the extra `ocr`: pip install 'aion_dagster[ocr]' "
    "(rapidocr and onnxruntime)"
)
_ROLES: Final = ("det", "rec")


@dataclass(frozen=True, slots=True)
class TextSessions:
    """What finds lines, what reads them, and the letters it knows.

    Attributes:
        find: `InferenceSession`, (1, 3, h, w) → (1, 1, h, w), sides multiples of 32.
        read: `InferenceSession`, (n, 3, 48, w) → (n, about w / 8, 1 + letters + 1).
        letters: the reader's classes without the first, which is blank, and the last, which is a space.
        names: library, version and models, e.g. `rapidocr-3.10.0/PP-OCRv6_det_small+PP-OCRv6_rec_small`.
    """

    find: Any
    read: Any
    letters: tuple[str, ...]
    names: str


def open_sessions() -> TextSessions:
    """Open the models; each call of them runs on the thread that makes it.

    Raises:
        UnavailableError: the extra `ocr` is not installed, or its models are missing.
    """
    files = _model_files()
    find, read = (_session(files[role]) for role in _ROLES)
    letters = read.get_modelmeta().custom_metadata_map.get("character")
    if letters is None:
        raise UnavailableError(
            f"{files['rec']} does not name the letters it reads (metadata `character`); "
            "reinstall rapidocr 3.10 or newer"
        )
    version = importlib.metadata.version("rapidocr")
    names = "+".join(files[role].stem for role in _ROLES)
    return TextSessions(find, read, tuple(letters.splitlines()), f"rapidocr-{version}/{names}")


def _session(file: Path) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise UnavailableError(f"{_EXTRA}; importing it failed: {error}") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # With pictures of many sizes the arena keeps the sum of what each of them needed.
    options.enable_cpu_mem_arena = False
    return onnxruntime.InferenceSession(
        without_subnormals(file.read_bytes()), options, providers=["CPUExecutionProvider"]
    )


def _model_files() -> dict[str, Path]:
    """The ONNX files in the wheel by role."""
    spec = importlib.util.find_spec("rapidocr")
    if spec is None or not spec.submodule_search_locations:
        raise UnavailableError(_EXTRA)
    if importlib.util.find_spec("onnxruntime") is None:
        raise UnavailableError(_EXTRA)
    folder = Path(spec.submodule_search_locations[0]) / "models"
    found: dict[str, Path] = {}
    for role in _ROLES:
        candidates = sorted(folder.glob(f"*_{role}_*.onnx"))
        if not candidates:
            raise UnavailableError(
                f"{folder} has no {role} model (*_{role}_*.onnx); reinstall rapidocr 3.10 or newer"
            )
        found[role] = candidates[-1]
    return found
