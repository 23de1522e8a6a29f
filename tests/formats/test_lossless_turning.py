"""JPEGs turned without loss: what comes out, what is refused, and that nothing hostile gets through."""

from __future__ import annotations

import io
import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from aion_dagster.formats import lossless_turning
from aion_dagster.formats.lossless_turning import (
    NOT_ALIGNED,
    NOT_INSTALLED,
    REFUSED,
    NotTurnedError,
    is_installed,
    turned_losslessly,
)

from .jpegs import BACK, BLOCKS, NEEDS_TURBOJPEG, jpeg, pixels_of, planes_of, seen_upright

EDGES = {2: "w", 3: "wh", 4: "h", 5: "", 6: "h", 7: "wh", 8: "w"}
"""The sides whose last block, if only partly used, would move inwards."""

SIDES = st.integers(1, 6).map(lambda n: 8 * n) | st.integers(1, 50)


def is_aligned(kind: str, size: tuple[int, int], orientation: int) -> bool:
    width, height = BLOCKS[kind]
    whole = {"w": size[0] % width == 0, "h": size[1] % height == 0}
    return all(whole[side] for side in EDGES[orientation])


@NEEDS_TURBOJPEG
@given(
    kind=st.sampled_from(sorted(BLOCKS)),
    width=SIDES,
    height=SIDES,
    orientation=st.integers(2, 8),
    progressive=st.booleans(),
    restarts=st.sampled_from((0, 1, 3)),
    quality=st.sampled_from((30, 75, 95)),
    seed=st.integers(0, 99),
)
def test_rule_22_a_picture_is_turned_exactly_where_its_blocks_align(
    kind, width, height, orientation, progressive, restarts, quality, seed
):
    more = {"progressive": progressive, "restart_marker_blocks": restarts, "quality": quality}
    own = jpeg(kind, (width, height), seed, **more)
    if not is_aligned(kind, (width, height), orientation):
        with pytest.raises(NotTurnedError, match=NOT_ALIGNED):
            turned_losslessly(own, orientation, (width, height))
        return
    made = turned_losslessly(own, orientation, (width, height), progressive=progressive)
    found = pixels_of(made)
    off = np.abs(planes_of(made) - seen_upright(planes_of(own), orientation))
    if kind in ("4:2:2", "4:2:0"):
        # Decoders smooth chroma in directions of their own, and do not in pictures of a few pixels.
        assert off[..., 1:].max() <= 3 or min(width, height) < 16
        off = off[..., 0]
    assert off.max() <= 1
    # The coefficients are the same: turned back it is the picture that it was, by whatever way it came there.
    size = (found.shape[1], found.shape[0])
    again = turned_losslessly(made, BACK[orientation], size)
    assert (pixels_of(again) == pixels_of(own)).all()
    flipped = turned_losslessly(own, 5, (width, height))
    assert again == turned_losslessly(flipped, 5, (height, width))


@NEEDS_TURBOJPEG
@pytest.mark.parametrize("progressive", [False, True])
def test_a_progressive_picture_stays_one(progressive):
    own = jpeg("4:2:0", (64, 48), progressive=progressive)
    made = turned_losslessly(own, 6, (64, 48), progressive=progressive)
    with Image.open(io.BytesIO(made)) as picture:
        assert ("progressive" in picture.info) == progressive
    assert len(made) < 1.2 * len(own)


@NEEDS_TURBOJPEG
def test_metadata_of_any_length_stays_and_the_same_file_gives_the_same_bytes():
    exif = Image.Exif()
    exif[0x010F] = "maker"
    profile = random.Random(0).randbytes(200_000)
    own = jpeg("4:2:0", (64, 48), exif=exif.tobytes(), icc_profile=profile, comment=b"a remark")
    made = {turned_losslessly(own, 6, (64, 48)) for _ in range(3)}
    assert len(made) == 1
    with Image.open(io.BytesIO(made.pop())) as picture:
        assert picture.info["icc_profile"] == profile
        assert picture.info["comment"] == b"a remark"
        assert picture.getexif()[0x010F] == "maker"


@NEEDS_TURBOJPEG
def test_many_threads_turn_at_once():
    files = [jpeg("4:2:0", (64, 48), seed) for seed in range(8)]
    alone = [turned_losslessly(own, 6, (64, 48)) for own in files]
    with ThreadPoolExecutor(8) as pool:
        together = pool.map(lambda own: turned_losslessly(own, 6, (64, 48)), files * 20)
        assert list(together) == alone * 20


@NEEDS_TURBOJPEG
@pytest.mark.parametrize("progressive", [False, True])
def test_a_file_that_ends_early_is_refused(progressive):
    own = jpeg("4:2:0", (64, 48), progressive=progressive)
    for length in range(0, len(own) - 2, 37):
        with pytest.raises(NotTurnedError, match=REFUSED):
            turned_losslessly(own[:length], 6, (64, 48))


@NEEDS_TURBOJPEG
@pytest.mark.parametrize("kind", sorted(BLOCKS))
def test_a_damaged_file_is_refused_or_turned_into_a_whole_picture(kind):
    own = jpeg(kind, (64, 48))
    chance = random.Random(kind)
    turned = 0
    for _ in range(150):
        data = bytearray(own)
        for _ in range(chance.choice((1, 1, 4, 30))):
            data[chance.randrange(2, len(data))] = chance.randrange(256)
        try:
            made = turned_losslessly(bytes(data), 6, (64, 48))
        except NotTurnedError as error:
            assert str(error) in (REFUSED, NOT_ALIGNED)  # noqa: PT017 - either is right
            continue
        with Image.open(io.BytesIO(made)) as picture:
            picture.load()
        turned += 1
    assert turned


@NEEDS_TURBOJPEG
def test_a_header_that_promises_too_many_pixels_is_refused_before_anything_is_read():
    own = bytearray(jpeg("grey", (64, 48)))
    frame = own.index(b"\xff\xc0")
    own[frame + 5 : frame + 9] = b"\xff\xf8\xff\xf8"
    with pytest.raises(NotTurnedError, match=REFUSED):
        turned_losslessly(bytes(own), 6, (0xFFF8, 0xFFF8))


@NEEDS_TURBOJPEG
def test_a_progressive_file_of_thousands_of_scans_is_refused():
    own = jpeg("grey", (64, 48), progressive=True)
    last = own.rindex(b"\xff\xda")
    scan = own[own.rindex(b"\xff\xc4") if own.rindex(b"\xff\xc4") > last else last : -2]
    with pytest.raises(NotTurnedError, match=REFUSED):
        turned_losslessly(own[:-2] + scan * 3000 + own[-2:], 6, (64, 48))


def test_without_the_library_the_reason_is_that(monkeypatch):
    monkeypatch.setattr(lossless_turning, "NAMES", ("libthere-is-none.so.0", "there-is-none"))
    assert not is_installed()
    with pytest.raises(NotTurnedError, match=NOT_INSTALLED):
        turned_losslessly(jpeg("grey", (8, 8)), 2, (8, 8))
