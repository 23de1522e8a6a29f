"""Batches of descriptions, what was described, datasets."""

from __future__ import annotations

import base64
from typing import Final

from aion_dagster.client.models.batch import BatchImageInput

from .case import Case, Given, after, given
from .made import Made, picture

_DATASETS: Final = {"datasets": "present"}
_BATCH: Final = "GET /batch/{batch_id}"
_RESULTS: Final = "GET /batch/{batch_id}/results"
_HISTORY: Final = "GET /data/descriptions"
_EXPORT: Final = "GET /data/export/{export_id}"


def _images(made: Made) -> Given:
    encoded = base64.b64encode(picture(3)).decode()
    return given(
        [
            BatchImageInput(image_url="https://example.org/a.png", metadata={"a": 1}),
            BatchImageInput(image_base64=encoded),
            BatchImageInput(object_key=made.client.files.get(made.image()).object_key),
        ],
        prompt="What is damaged?",
        providers=["provider_a"],
        consensus_threshold=0.5,
        max_parallel=2,
        timeout_per_item=60,
        webhook_url="https://example.org/hook",
    )


def _described(made: Made) -> Given:
    made.images(2)
    return given(
        start_date="2000-01-01",
        end_date="2100-01-01",
        min_confidence=0.0,
        max_confidence=1.0,
        search=["picture"],
        source_types=["single"],
        offset=0,
        limit=5,
    )


def _exported(made: Made) -> Given:
    made.image()
    return given(
        "csv",
        data_type="descriptions",
        start_date="2000-01-01",
        end_date="2100-01-01",
        min_confidence=0.0,
        max_confidence=1.0,
        search_terms=["picture"],
        source_types=["single"],
        include_metadata=True,
        include_failed=True,
        fields=["id"],
        limit=5,
    )


CASES: Final = (
    Case("POST /batch/describe", "batch.submit_describe", _images),
    Case(_BATCH, "batch.get_status", lambda m: given(m.description_batch())),
    Case(_BATCH, "batch.wait_for_completion", lambda m: given(m.description_batch())),
    Case("DELETE /batch/{batch_id}", "batch.cancel", lambda m: given(m.description_batch())),
    Case(
        _RESULTS,
        "batch.get_results",
        lambda m: given(m.finished_batch(), include_failed=True, offset=0, limit=5),
    ),
    Case(_RESULTS, "batch.get_all_results", lambda m: given(m.finished_batch(), page_size=1)),
    Case(_HISTORY, "data.get_descriptions", _described),
    Case(
        _HISTORY,
        "data.iter_descriptions",
        lambda m: after(m.images(2), page_size=1),
    ),
    Case("POST /data/export", "data.export", _exported),
    Case(_EXPORT, "data.get_export", lambda m: given(m.export())),
    Case(_EXPORT, "data.wait_for_export", lambda m: given(m.export())),
    Case(_EXPORT, "data.download_export", lambda m: given(m.export(finished=True))),
    Case(
        _EXPORT,
        "data.download_export_to",
        lambda m: given(m.export(finished=True), m.folder_for_files / "export"),
    ),
    Case(
        "GET /data/images/{verification_id}",
        "data.get_image",
        lambda m: given(m.image(), thumbnail=True, size="medium"),
    ),
    Case(
        "GET /data/batch-images/{item_id}",
        "data.get_batch_image",
        lambda m: given(m.batch_item(), thumbnail=True, size="medium"),
    ),
    Case(
        "GET /data/images/{verification_id}/variants",
        "data.list_image_variants",
        lambda m: given(m.image()),
    ),
    Case(
        "GET /data/images/{verification_id}/variant/{variant_type}",
        "data.get_image_variant",
        lambda m: given(m.image(), "tiny_64"),
    ),
    Case(
        "GET /data/batch-images/{batch_item_id}/thumbnail",
        "data.get_batch_thumbnail",
        lambda m: given(m.batch_item(), size="tiny"),
    ),
    Case(
        "GET /data/images/{verification_id}/thumbnail",
        "data.get_image_thumbnail",
        lambda m: given(m.image(), size="tiny"),
    ),
    Case(
        "POST /datasets",
        "datasets.create",
        lambda m: given(m.finished_batch(), "Poles", description="damaged", format_config={"a": 1}),
        _DATASETS,
    ),
    Case(
        "GET /datasets",
        "datasets.list",
        lambda m: after(m.dataset(), status="ready", limit=5, offset=0),
        _DATASETS,
    ),
    Case(
        "GET /datasets",
        "datasets.list_all",
        lambda m: after(m.dataset(), page_size=1),
        _DATASETS,
    ),
    Case("GET /datasets/{dataset_id}", "datasets.get", lambda m: given(m.dataset()), _DATASETS),
    Case(
        "POST /datasets/{dataset_id}/export",
        "datasets.export",
        lambda m: given(m.dataset(), "csv", options={"delimiter": ";"}, include_failed_items=True),
        _DATASETS,
    ),
    Case(
        "GET /datasets/statistics/summary",
        "datasets.statistics",
        lambda m: after(m.dataset(), days=7),
        _DATASETS,
    ),
)
