"""Pictures that look alike are found by descriptor and perceptual hash."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from aion_dagster import schemas
from aion_dagster.search.looks import similar

D = schemas.DESCRIPTOR_DIMENSIONS


def descriptor(seed, near=None, by=0.0):
    fresh = np.abs(np.random.default_rng(seed).normal(size=D)).astype(np.float32)
    return fresh if near is None else (near + by * fresh).astype(np.float32)


ASKED = descriptor(0)
HASH = "f0f0f0f00f0f0f0f"
ROWS = {
    "itself": (ASKED, HASH),
    "recompressed": (descriptor(1, ASKED, 0.02), "f0f0f0f00f0f0f0e"),
    "brighter": (ASKED * 3, "f0f0f0f00f0f0fff"),
    "other": (descriptor(2), "0f0f0f0ff0f0f0f0"),
    "not_described": (None, HASH),
}


def features(rows=ROWS):
    empty = dict.fromkeys(schemas.VISUAL_FEATURES.names)
    values = [
        empty | {"image_id": i, "descriptor": None if d is None else d.tolist()}
        for i, (d, _) in rows.items()
    ]
    half = len(values) // 2
    return pa.concat_tables(
        [
            pa.Table.from_pylist(v, schema=schemas.VISUAL_FEATURES)
            for v in (values[:half], values[half:])
        ]
    )


def hashes(rows=ROWS):
    return pa.table({"image_id": list(rows), "phash": [h for _, h in rows.values()]})


def test_the_picture_itself_comes_first_and_altered_copies_next():
    hits = similar(features(), hashes(), ASKED, HASH)
    assert [h.image_id for h in hits] == ["itself", "recompressed", "brighter", "other"]
    assert hits[0].score == pytest.approx(1, abs=1e-5)
    assert hits[-1].score < 0.6


def test_pictures_without_a_hash_are_judged_by_the_descriptor_alone():
    rows = ROWS | {"unhashed": (ASKED, None), "odd": (descriptor(3), "not a hash")}
    found = {h.image_id: h.score for h in similar(features(rows), hashes(rows), ASKED, HASH)}
    assert found["unhashed"] == pytest.approx(1, abs=1e-5)
    assert 0 < found["odd"] < 1


def test_without_a_hash_of_its_own_the_descriptor_decides():
    hits = similar(features(), hashes(), ASKED, None)
    assert {h.image_id for h in hits[:2]} == {"itself", "brighter"}


def test_a_picture_that_images_does_not_list_is_still_found():
    assert "brighter" in [
        h.image_id for h in similar(features(), hashes({"x": (None, None)}), ASKED, HASH)
    ]


def test_a_descriptor_of_zeros_is_like_nothing():
    rows = {"black": (np.zeros(D, np.float32), None)}
    (hit,) = similar(features(rows), hashes(rows), ASKED, HASH)
    assert hit.score == 0


def test_the_limit_holds_and_an_empty_library_has_nothing():
    assert len(similar(features(), hashes(), ASKED, HASH, 2)) == 2
    assert similar(schemas.VISUAL_FEATURES.empty_table(), hashes(), ASKED, HASH) == []


@pytest.mark.parametrize("phash", ["", "xyz", "0" * 15, "g" * 16])
def test_a_hash_that_is_none_is_refused(phash):
    with pytest.raises(ValueError, match="16 hex digits"):
        similar(features(), hashes(), ASKED, phash)


def test_a_descriptor_of_another_kind_is_refused():
    with pytest.raises(ValueError, match="descriptor has shape"):
        similar(features(), hashes(), ASKED[:10], HASH)
