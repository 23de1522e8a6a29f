"""Colors and materials."""

from __future__ import annotations

from typing import Final

from .case import Case, Given, after, given
from .made import Made


def _seen(made: Made) -> str:
    image = made.image()
    made.client.colors.get(image)
    made.client.colors.get(image)
    return image


def _like(made: Made) -> Given:
    analysis = made.client.colors.get(_seen(made)).color_analysis
    assert analysis is not None
    return given(
        hex_code=analysis.dominant_colors[0].hex,
        delta_e_threshold=20.0,
        min_percentage=1.0,
        limit=5,
        offset=0,
    )


def _classified(made: Made) -> str:
    image = made.image()
    made.client.materials.classify(image)
    made.client.materials.get(image)
    return image


CASES: Final = (
    Case("GET /colors/images/{image_id}", "colors.get", lambda m: given(_seen(m))),
    Case(
        "POST /colors/images/{image_id}/extract",
        "colors.extract",
        lambda m: given(_seen(m), force=True, n_colors=8),
    ),
    Case("POST /colors/search", "colors.search", _like),
    Case(
        "POST /colors/search",
        "colors.search_all",
        lambda m: after(_seen(m), color_family="cool", page_size=1),
    ),
    Case(
        "POST /colors/search",
        "colors.search",
        lambda m: after(_seen(m), color_name="blue"),
    ),
    Case("GET /colors/families", "colors.list_families"),
    Case(
        "POST /colors/batch/extract",
        "colors.batch_extract",
        lambda m: given(m.images(2), force=True, n_colors=8),
    ),
    Case(
        "POST /materials/images/{image_id}/classify",
        "materials.classify",
        lambda m: given(m.image(), force=True),
    ),
    Case("GET /materials/images/{image_id}", "materials.get", lambda m: given(_classified(m))),
    Case(
        "POST /materials/search",
        "materials.search",
        lambda m: after(
            _classified(m),
            material_type="metal",
            surface_finish="matte",
            texture="smooth",
            pattern="plain",
            min_confidence=0.1,
            limit=5,
            offset=0,
        ),
    ),
    Case(
        "POST /materials/search",
        "materials.search_all",
        lambda m: after(_classified(m), material_type="metal", min_confidence=0.0, page_size=1),
    ),
    Case("GET /materials/types", "materials.list_types"),
    Case(
        "POST /materials/batch/classify",
        "materials.batch_classify",
        lambda m: given(m.images(2), force=True),
    ),
)
