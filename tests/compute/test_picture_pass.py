"""The pass: a row for every file whatever it is, each content once, in order, within bounded memory."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import picture_files as files
import pyarrow as pa
import pytest

from aion_dagster import identity, schemas
from aion_dagster.compute.measure import measure, measure_all
from aion_dagster.compute.picture_pass import (
    PARTS,
    PassChunk,
    PassSettings,
    PictureInput,
    run_pass,
)
from aion_dagster.compute.sniff import UndecodableError
from aion_dagster.errors import (
    ConfigError,
    FileChangedError,
    FileTooLargeError,
    FileVanishedError,
    SourceError,
)
from aion_dagster.schemas import COLOR_ANALYSES, IMAGES, VARIANT_ROWS, VISUAL_FEATURES

SMALL = {"width": 64, "height": 48}


def images(inputs: Sequence[PictureInput], settings: PassSettings | None = None) -> list[dict]:
    chunks = list(run_pass(inputs, settings or PassSettings(threads=2)))
    return pa.concat_tables(c.images for c in chunks).to_pylist()


def column(chunks: Sequence[PassChunk], table: str, name: str = "image_id") -> list:
    return [value for c in chunks for value in getattr(c, table)[name].to_pylist()]


def test_one_picture_gives_one_row_in_every_table() -> None:
    data = files.jpeg(exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x00")
    (chunk,) = run_pass([files.picture("a/b.jpg", data)], PassSettings())
    for table, schema in (
        (chunk.images, IMAGES),
        (chunk.variants, VARIANT_ROWS),
        (chunk.color_analyses, COLOR_ANALYSES),
        (chunk.visual_features, VISUAL_FEATURES),
    ):
        assert table.schema == schema
        table.validate(full=True)
        assert table.num_rows == 1
    row = chunk.images.to_pylist()[0]
    assert row["image_id"] == identity.image_id(row["sha256"]) == column([chunk], "variants")[0]
    assert row["modified_at"] == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert {k: row[k] for k in ("source", "uri", "name", "version", "size_bytes", "status")} == {
        "source": "test",
        "uri": "file:///a/b.jpg",
        "name": "a/b.jpg",
        "version": "1",
        "size_bytes": len(data),
        "status": "ok",
    }
    assert (row["width"], row["height"], row["orientation"], row["frame_count"]) == (320, 240, 1, 1)
    assert (row["gps"], row["captured_at"], row["error"]) == (None, None, None)
    assert len(row["blur_hash"]) == 28
    assert len(row["phash"]) == 16
    assert (chunk.reused, chunk.done) == ((), 1)
    colors = chunk.color_analyses["dominant_colors"].to_pylist()[0]
    assert [c["rank"] for c in colors] == list(range(1, len(colors) + 1))
    assert sum(c["percentage"] for c in colors) == pytest.approx(100, abs=1e-3)
    assert all(c["hex"] == f"#{c['r']:02x}{c['g']:02x}{c['b']:02x}" for c in colors)


@pytest.mark.needs_shared
def test_place_and_time_of_a_photo_stand_in_its_row(shared_data: Path) -> None:
    names = ("photos/gps/DSCN0010.jpg", "photos/giraffe.jpg")
    first, second = images([files.from_disk(shared_data / n) for n in names])
    assert first["gps"]["latitude"] == pytest.approx(43.46745, abs=1e-4)
    assert first["gps"]["altitude"] is None
    assert first["captured_at"] == datetime(2008, 10, 22, 16, 28, 39)
    assert (second["gps"], second["captured_at"]) == (None, None)


@pytest.mark.needs_shared
def test_the_eight_orientations_are_one_size_and_nearly_one_hash(shared_data: Path) -> None:
    paths = [shared_data / f"orientation/landscape_{n}.jpg" for n in range(1, 9)]
    rows = images([files.from_disk(p) for p in paths])
    assert {(r["width"], r["height"]) for r in rows} == {(600, 450)}
    assert [r["orientation"] for r in rows] == list(range(1, 9))
    hashes = [int(r["phash"], 16) for r in rows]
    assert max((hashes[0] ^ h).bit_count() for h in hashes) <= 6


BAD = {
    "empty.jpg": (b"", "unreadable", None),
    "notes.jpg": (b"no picture at all, only words\n" * 9, "unsupported", None),
    "cut.jpg": (files.jpeg()[:2000], "unreadable", "jpeg"),
    "cut.png": (files.saved(files.scene(), "PNG")[:900], "unreadable", "png"),
    "bomb.png": (files.png_claiming(50_000, 50_000), "too_large", "png"),
    "bomb.jpg": (files.jpeg_claiming(50_000, 50_000), "too_large", "jpeg"),
    "bomb.gif": (files.gif_claiming(50_000, 50_000), "too_large", "gif"),
    "bomb.webp": (files.webp_claiming(50_000, 50_000), "too_large", "webp"),
}


def test_bad_files_are_rows_between_good_ones() -> None:
    inputs = [files.picture("first.jpg", files.jpeg(1))]
    inputs += [files.picture(name, data) for name, (data, _, _) in BAD.items()]
    inputs += [files.picture("last.jpg", files.saved(files.scene(), "PNG"))]
    rows = images(inputs)
    assert [r["name"] for r in rows] == [i.ref.name for i in inputs]
    for row in rows[1:-1]:
        data, status, kind = BAD[row["name"]]
        assert (row["status"], row["format"]) == (status, kind)
        assert row["error"]
        assert row["image_id"] == identity.image_id(row["sha256"])
        assert row["size_bytes"] == len(data)
        assert row["width"] is None
    assert (rows[-1]["format"], rows[-1]["media_type"]) == ("png", "image/png")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (FileVanishedError("a.jpg is not there any more"), "unreadable"),
        (FileChangedError("a.jpg changed after it was listed"), "unreadable"),
        (FileTooLargeError("a.jpg has 9 GB"), "too_large"),
        (SourceError("a.jpg: connection reset"), "unreadable"),
        (PermissionError(13, "Permission denied", "a.jpg"), "unreadable"),
    ],
)
def test_a_file_that_cannot_be_read_is_a_row_without_content(error: Exception, status: str) -> None:
    bad, good = images([files.picture("a.jpg", error, 77), files.picture("b.jpg", files.jpeg())])
    assert (bad["status"], bad["sha256"], bad["image_id"]) == (status, None, None)
    assert bad["size_bytes"] == 77
    assert "a.jpg" in bad["error"]
    assert good["status"] == "ok"


def test_a_file_beyond_max_bytes_is_not_even_read() -> None:
    settings = PassSettings(max_bytes=3000)
    unread = files.picture("big.jpg", AssertionError("was read"), 3001)
    row, grown = images([unread, files.picture("grown.jpg", bytes(5000), 10)], settings)
    assert (row["status"], row["sha256"]) == ("too_large", None)
    assert "3001" in row["error"]
    assert (grown["status"], grown["size_bytes"]) == ("too_large", 5000)


def test_rows_come_in_the_order_of_the_files_with_any_number_of_threads() -> None:
    inputs = [files.picture(f"{i}.jpg", files.jpeg(i, **SMALL)) for i in range(25)]
    results = []
    for settings in (PassSettings(threads=1, in_flight=1), PassSettings(threads=4, in_flight=10)):
        chunks = list(run_pass(inputs, settings))
        assert column(chunks, "images", "name") == [i.ref.name for i in inputs]
        assert column(chunks, "color_analyses") == column(chunks, "images")
        assert sum(c.done for c in chunks) == 25
        assert all(c.images.num_rows <= settings.in_flight for c in chunks)
        tables = ("images", "variants", "color_analyses", "visual_features")
        results.append([pa.concat_tables(getattr(c, t) for c in chunks) for t in tables])
    assert results[0] == results[1]


def test_equal_bytes_are_computed_once_within_and_across_chunks() -> None:
    one, two = files.jpeg(1, **SMALL), files.jpeg(2, **SMALL)
    broken = files.jpeg(3)[:1500]
    names = {"a": one, "b": one, "c": two, "d": broken, "e": one, "f": broken, "g": two}
    inputs = [files.picture(n, d) for n, d in names.items()]
    chunks = list(run_pass(inputs, PassSettings(in_flight=4)))
    assert len(chunks) > 1
    rows = [r for c in chunks for r in c.images.to_pylist()]
    assert [r["name"] for r in rows] == list(names)
    assert [r["status"] for r in rows] == ["ok", "ok", "ok", "unreadable", "ok", "unreadable", "ok"]
    assert rows[0] | {"name": "", "uri": ""} == rows[4] | {"name": "", "uri": ""}
    distinct = [rows[0]["image_id"], rows[2]["image_id"]]
    for table in ("variants", "color_analyses", "visual_features"):
        assert column(chunks, table) == distinct


def test_contents_known_elsewhere_are_left_to_the_caller() -> None:
    data = [files.jpeg(i, **SMALL) for i in range(4)]
    inputs = [files.picture(f"{i}.jpg", data[i % 4]) for i in range(8)]
    fresh = images(inputs)
    asked: list[str] = []

    def known(shas: Sequence[str]) -> Collection[str]:
        asked.extend(shas)
        return {fresh[1]["sha256"], "something else"}

    chunks = list(run_pass(inputs, PassSettings(), known=known))
    reused = [r for c in chunks for r in c.reused]
    assert [r.ref.name for r in reused] == ["1.jpg", "5.jpg"]
    assert {(r.sha256, r.size_bytes) for r in reused} == {(fresh[1]["sha256"], len(data[1]))}
    assert column(chunks, "images", "name") == [f"{i}.jpg" for i in (0, 2, 3, 4, 6, 7)]
    assert fresh[1]["image_id"] not in column(chunks, "variants")
    assert asked == [r["sha256"] for r in fresh[:4]]
    assert sum(c.done for c in chunks) == 8


@pytest.mark.parametrize("part", sorted(PARTS - {"images"}))
def test_a_part_alone_is_what_it_is_among_all(part: str) -> None:
    inputs = [files.picture("a.jpg", files.jpeg())]
    (whole,) = run_pass(inputs, PassSettings())
    (alone,) = run_pass(inputs, PassSettings(parts=frozenset({part})))
    assert alone.images == whole.images
    assert getattr(alone, part) == getattr(whole, part)
    for other in PARTS - {"images", part}:
        assert getattr(alone, other) == schemas.TABLES[other].empty_table()


def test_a_picture_is_measured_alike_alone_and_between_others() -> None:
    wanted = {"parts": PARTS, "n_colors": 8, "jpeg_quality": 90, "max_pixels": 10**6}
    pictures = [files.jpeg(1), b"no picture", files.saved(files.scene(), "PNG"), files.jpeg(2)]
    together = measure_all(pictures, **wanted)
    assert isinstance(together[1], UndecodableError)
    for data, found in zip(pictures, together, strict=True):
        if isinstance(found, UndecodableError):
            with pytest.raises(UndecodableError, match=str(found)[:20]):
                measure(data, **wanted)
        else:
            alone = measure(data, **wanted)
            assert (alone.facts, alone.variants) == (found.facts, found.variants)
            np.testing.assert_array_equal(alone.colors.lab, found.colors.lab)
            np.testing.assert_array_equal(alone.features.descriptor, found.features.descriptor)


def test_a_content_that_is_still_being_computed_is_not_computed_again() -> None:
    data = [files.jpeg(i, **SMALL) for i in range(3)]
    inputs = [files.picture(f"{i}.jpg", data[i % 3]) for i in range(12)]
    asked: list[str] = []

    def known(shas: Sequence[str]) -> Collection[str]:
        asked.extend(shas)
        return ()

    chunks = list(run_pass(inputs, PassSettings(in_flight=4, threads=2), known=known))
    assert [c.done for c in chunks] == [2] * 6
    assert len(asked) == len(set(asked)) == 3
    assert len(column(chunks, "color_analyses")) == 3
    assert column(chunks, "images", "name") == [i.ref.name for i in inputs]


def test_nothing_in_nothing_out() -> None:
    assert list(run_pass([], PassSettings())) == []


def test_a_consumer_may_stop_early_and_no_thread_stays() -> None:
    inputs = (files.picture(f"{i}.jpg", files.jpeg(i, **SMALL)) for i in range(100))
    running = run_pass(inputs, PassSettings(in_flight=4))
    next(running)
    running.close()
    assert next(inputs).ref.name in {f"{i}.jpg" for i in range(4, 8)}
    assert not [t for t in threading.enumerate() if t.name.startswith("picture-pass")]


def test_memory_is_bounded_by_what_is_in_flight_and_not_by_the_batch() -> None:
    settings = PassSettings(in_flight=16, threads=2)

    # Large enough for pixels to outweigh the row that is kept of each file (0.9 KB).
    base = files.jpeg(width=480, height=360)

    def peak(count: int) -> int:
        # Bytes after a picture's end make another content of it.
        inputs = (files.picture(f"{i}.jpg", base + b"%d" % i) for i in range(count))
        tracemalloc.start()
        before = pa.total_allocated_bytes()
        arrow = 0
        for _ in run_pass(inputs, settings):
            arrow = max(arrow, pa.total_allocated_bytes() - before)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used + arrow

    peak(16)
    assert peak(256) < 1.5 * peak(64)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n_colors", 2),
        ("n_colors", 17),
        ("jpeg_quality", 101),
        ("in_flight", 0),
        ("threads", 0),
        ("max_pixels", 0),
    ],
)
def test_settings_outside_their_range_are_refused_by_name(field: str, value: int) -> None:
    with pytest.raises(ConfigError, match=field):
        PassSettings(**{field: value})


def test_an_unknown_part_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="thumbnails"):
        PassSettings(parts=frozenset({"thumbnails"}))


def test_results_are_found_again_by_what_they_depend_on() -> None:
    plain = PassSettings()
    assert plain.operation() == "picture_pass"
    assert plain.parameters() == PassSettings(threads=3, in_flight=7).parameters()
    others = [
        PassSettings(n_colors=8),
        PassSettings(jpeg_quality=80),
        PassSettings(max_pixels=10**6),
        PassSettings(parts=frozenset({"images", "variants"})),
    ]
    assert len({s.parameters() for s in (plain, *others)}) == 5
