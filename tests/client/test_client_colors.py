"""Colors and materials through the client, awaited and blocking."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from loopback_api import LoopbackApi, Reply, awaited_client, blocking_client, loopback_api

from aion_dagster.client import SyncAionVision, errors
from aion_dagster.client.resources.colors import ColorsResource, SyncColorsResource
from aion_dagster.client.resources.materials import MaterialsResource, SyncMaterialsResource

WALNUT = {
    "rank": 1,
    "percentage": 35.2,
    "hex": "#C4A87C",
    "name": "Walnut",
    "family": "earth_tone",
    "rgb": {"r": 196, "g": 168, "b": 124},
    "hsl": {"h": 37, "s": 38, "l": 63},
    "lab": {"l": 70.1, "a": 3.2, "b": 25.8},
}
ANALYSIS = {
    "version": "1.0",
    "dominant_colors": [WALNUT],
    "analytics": {
        "temperature": {"value": "warm", "score": 0.82},
        "brightness": {"average": 58, "category": "medium"},
        "saturation": {"average": 31, "category": "medium"},
    },
}
MOMENT = datetime(2025, 1, 15, 14, 22, tzinfo=UTC)


LOST = Reply(b"", promised=100)
"""The request came; nothing of the answer does."""


@pytest.fixture
def server() -> Iterator[LoopbackApi]:
    with loopback_api() as running:
        yield running


@pytest.fixture
def client(server: LoopbackApi) -> Iterator[SyncAionVision]:
    with blocking_client(server) as made:
        yield made


@pytest.fixture
def colors(client: SyncAionVision) -> SyncColorsResource:
    return SyncColorsResource(ColorsResource(client.transport))


@pytest.fixture
def materials(client: SyncAionVision) -> SyncMaterialsResource:
    return SyncMaterialsResource(MaterialsResource(client.transport))


def completed(**more: Any) -> dict[str, Any]:
    return {"image_id": "i1", "status": "completed", "color_analysis": ANALYSIS} | more


@pytest.mark.parametrize(
    "answer",
    [
        completed(extracted_at="2025-01-15T14:22:00Z"),
        completed(extracted_at="2025-01-15T14:22:00"),
        completed(color_analysis=ANALYSIS | {"extracted_at": "2025-01-15T14:22:00Z"}),
        completed(
            color_analysis=ANALYSIS | {"extracted_at": "2025-01-15T14:22:00"}, extracted_at=None
        ),
    ],
)
def test_the_moment_of_an_extraction_is_found_wherever_it_stands(
    server: LoopbackApi, colors: SyncColorsResource, answer: dict[str, Any]
) -> None:
    server.on("GET /colors/images/i1", answer)
    result = colors.get("i1")
    assert result.is_completed
    assert result.extracted_at == MOMENT
    assert result.color_analysis is not None
    assert result.color_analysis.extracted_at == MOMENT
    [walnut] = result.color_analysis.dominant_colors
    assert (walnut.hex, walnut.family, walnut.lab and walnut.lab.l) == (
        "#C4A87C",
        "earth_tone",
        70.1,
    )
    assert result.color_analysis.analytics is not None
    assert result.color_analysis.analytics.temperature is not None
    assert result.color_analysis.analytics.temperature.value == "warm"


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("pending", "is_pending"),
        ("queued", "is_pending"),
        ("processing", "is_pending"),
        ("thinking about it", "is_pending"),
        ("completed", "is_completed"),
        ("success", "is_completed"),
        ("failed", "is_failed"),
    ],
)
def test_every_word_for_a_state_is_understood(
    server: LoopbackApi, colors: SyncColorsResource, word: str, state: str
) -> None:
    server.on("GET /colors/images/i1", {"image_id": "i1", "status": word, "color_analysis": None})
    result = colors.get("i1")
    assert result.status == word
    states = {name: getattr(result, name) for name in ("is_pending", "is_completed", "is_failed")}
    assert [name for name, holds in states.items() if holds] == [state]
    assert result.color_analysis is None


def test_an_extraction_anew_says_how_many_colors(
    server: LoopbackApi, colors: SyncColorsResource
) -> None:
    server.on("POST /colors/images/i1/extract", {"image_id": "i1", "status": "queued"})
    assert colors.extract("i1", force=True, n_colors=8).is_pending
    assert server.requests[-1].query == {"force": ["true"], "n_colors": ["8"]}
    for wrong in (2, 17):
        with pytest.raises(errors.ValidationError, match="n_colors"):
            colors.extract("i1", n_colors=wrong)


def test_a_forced_extraction_whose_answer_is_lost_is_not_asked_for_again(
    server: LoopbackApi, colors: SyncColorsResource
) -> None:
    operation = "POST /colors/images/i1/extract"
    server.on(operation, [LOST, completed()])
    with pytest.raises(errors.AionvisionConnectionError):
        colors.extract("i1", force=True)
    assert len(server.asked(operation)) == 1
    server.on(operation, [LOST, completed()])
    assert colors.extract("i1").is_completed


def test_a_search_needs_a_color_and_keeps_to_the_limits(
    server: LoopbackApi, colors: SyncColorsResource
) -> None:
    for arguments, field in [
        ({}, "hex_code"),
        ({"color_name": "brass", "delta_e_threshold": 100.1}, "delta_e_threshold"),
        ({"color_name": "brass", "min_percentage": -1}, "min_percentage"),
        ({"color_name": "brass", "limit": 201}, "limit"),
        ({"color_name": "brass", "offset": -1}, "offset"),
    ]:
        with pytest.raises(errors.ValidationError) as caught:
            colors.search(**arguments)
        assert caught.value.details["field"] == field
    assert server.requests == []


def test_hits_come_with_the_colors_that_a_search_shows(
    server: LoopbackApi, colors: SyncColorsResource
) -> None:
    short = {k: WALNUT[k] for k in ("rank", "percentage", "hex", "name", "family")}
    hit = {
        "image_id": "i1",
        "color_analysis": {"dominant_colors": [short]},
        "match_score": 0.58,
        "matched_hex": "#C4A87C",
        "matched_percentage": 35.2,
    }
    server.on("POST /colors/search", {"results": [hit], "total_count": 2, "limit": 50, "offset": 0})
    found = colors.search(hex_code="#C4A87C")
    assert server.requests[-1].json == {
        "hex_code": "#C4A87C",
        "delta_e_threshold": 15.0,
        "min_percentage": 5.0,
        "limit": 50,
        "offset": 0,
    }
    assert found.has_more
    assert found.results[0].match_score == 0.58
    assert found.results[0].matched_percentage == 35.2


def test_all_hits_are_counted_and_not_taken_from_a_total(
    server: LoopbackApi, colors: SyncColorsResource
) -> None:
    pages = [[{"image_id": "a"}, {"image_id": "b"}], [{"image_id": "c"}], []]
    server.on("POST /colors/search", [{"results": page} for page in pages])
    found = list(colors.search_all(color_family="warm", page_size=2))
    assert [hit.image_id for hit in found] == ["a", "b", "c"]
    assert [asked.json["offset"] for asked in server.requests] == [0, 2, 3]


def test_families_and_batches(server: LoopbackApi, colors: SyncColorsResource) -> None:
    server.on(
        "GET /colors/families",
        Reply([{"name": "warm", "display_name": "Warm Colors", "example_colors": ["#FF6347"]}]),
    )
    [family] = colors.list_families()
    assert family.example_colors == ["#FF6347"]
    server.on("POST /colors/batch/extract", {"queued_count": 2, "message": "2 images queued"})
    assert colors.batch_extract(["a", "b", "a"], n_colors=3).queued_count == 2
    assert server.requests[-1].json == {"image_ids": ["a", "b"], "force": False, "n_colors": 3}
    nothing: list[str] = []
    for wrong in (nothing, "a", [""]):
        with pytest.raises(errors.ValidationError, match="image_ids"):
            colors.batch_extract(wrong)


def test_colors_are_awaited_too(server: LoopbackApi) -> None:
    server.on("POST /colors/search", [{"results": [{"image_id": "a"}]}, {"results": []}])

    async def ask() -> list[str]:
        async with awaited_client(server) as client:
            found = ColorsResource(client.transport).search_all(color_name="brass")
            return [hit.image_id async for hit in found]

    assert asyncio.run(ask()) == ["a"]


def test_materials_of_a_picture(server: LoopbackApi, materials: SyncMaterialsResource) -> None:
    found = {
        "image_id": "i1",
        "status": "completed",
        "material_classification": {"materials": [{"type": "wood"}]},
        "classified_at": "2025-01-15T14:22:00",
    }
    server.on("GET /materials/images/i1", found)
    result = materials.get("i1")
    assert result.is_completed
    assert result.classified_at == MOMENT
    assert result.material_classification == {"materials": [{"type": "wood"}]}
    operation = "POST /materials/images/i1/classify"
    server.on(operation, [Reply({"error": "busy"}, 503), found])
    assert materials.classify("i1", force=True).is_completed
    assert server.requests[-1].query == {"force": ["true"]}
    server.on(operation, [LOST, found])
    with pytest.raises(errors.AionvisionConnectionError):
        materials.classify("i1")
    assert len(server.asked(operation)) == 3


def test_pictures_by_material(server: LoopbackApi, materials: SyncMaterialsResource) -> None:
    server.on(
        "POST /materials/search",
        [
            {"results": [{"image_id": "a", "confidence_score": 0.7}], "total_count": 9},
            {"results": []},
        ],
    )
    [hit] = materials.search_all(material_type="wood", min_confidence=0.6)
    assert hit.confidence_score == 0.7
    assert server.requests[0].json == {
        "material_type": "wood",
        "min_confidence": 0.6,
        "limit": 50,
        "offset": 0,
    }
    with pytest.raises(errors.ValidationError, match="min_confidence"):
        materials.search(min_confidence=1.1)
    server.on("GET /materials/types", Reply([{"type": "wood", "common_finishes": None}]))
    assert materials.list_types()[0].common_finishes == []
    server.on("POST /materials/batch/classify", {"queued_count": 1, "message": None})
    assert materials.batch_classify(["a"]).queued_count == 1
    assert server.requests[-1].json == {"image_ids": ["a"], "force": False}
