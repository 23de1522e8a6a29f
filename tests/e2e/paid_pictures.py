"""Many small pictures, and the remote backends on a ledger of one's own: for tests that count what is paid."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import pyarrow as pa
from PIL import Image

from aion_dagster import schemas
from aion_dagster.backends.aionvision import AionvisionBackend
from aion_dagster.backends.calls import CallJournal
from aion_dagster.backends.endpoint import EndpointDescriber
from aion_dagster.backends.protocol import DescribeRequest, Original
from aion_dagster.engines import AionvisionConfig, EndpointConfig

UPLOAD = "POST /user-files/upload/stream-batch"
COMPLETION = "POST /v1/chat/completions"
KEY_VARIABLE = "AIONVISION_API_KEY"

Row = dict[str, Any]


@cache
def _pixels() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), (90, 120, 60)).save(buffer, "JPEG")
    return buffer.getvalue()


def picture(number: int) -> bytes:
    """A JPEG that holds its number as a comment: all differ, and cost nothing to make."""
    comment = f"picture {number}".encode()
    segment = b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment
    return _pixels()[:2] + segment + _pixels()[2:]


def originals(numbers: Sequence[int]) -> list[Original]:
    """Pictures to upload."""
    found = []
    for number in numbers:
        data = picture(number)
        sha256 = hashlib.sha256(data).hexdigest()
        name = f"{number:04}.jpg"
        found.append(
            Original(f"image-{number}", sha256, name, "image/jpeg", len(data), lambda d=data: d)
        )
    return found


def to_describe(numbers: Sequence[int]) -> DescribeRequest:
    """The same pictures, to be described."""
    rows = [
        {"image_id": o.image_id, "sha256": o.sha256, "status": schemas.STATUS_OK, "error": None}
        for o in originals(numbers)
    ]
    pictures = {f"image-{n}": picture(n) for n in numbers}

    def variants(ids: Sequence[str]) -> Mapping[str, bytes]:
        return {i: pictures[i] for i in ids}

    images = pa.Table.from_pylist(rows, schema=schemas.IMAGES)
    empty = schemas.COLOR_ANALYSES.empty_table(), schemas.VISUAL_FEATURES.empty_table()
    return DescribeRequest(images, *empty, None, None, variants=variants)


def uploading(url: str, calls: CallJournal, **more: Any) -> AionvisionBackend:
    """The backend of the platform, with its key from the environment."""
    settings = {
        "base_url": url,
        "plan": "unlimited",
        "polling_interval": 0.02,
        "retry_delay": 0.01,
        **more,
    }
    backend = AionvisionBackend(AionvisionConfig.model_validate(settings))
    backend.note_in(calls)
    return backend


def asking(url: str, calls: CallJournal, **more: Any) -> EndpointDescriber:
    """An endpoint that describes pictures, with its key from the environment."""
    settings = {"base_url": url, "model": "tiny-vl", "api_key_env": KEY_VARIABLE, **more}
    return EndpointDescriber(EndpointConfig.model_validate(settings), calls)
