"""The nearest vectors are found, all of them, straight from Parquet."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aion_dagster.search.vectors import FLAT_ROWS, VectorIndex


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def random_unit(rows, columns, seed):
    return unit(np.random.default_rng(seed).standard_normal((rows, columns), np.float32))


def table(vectors, ids=None):
    names = [f"{i:06d}" for i in range(len(vectors))] if ids is None else ids
    flat = pa.array(np.ascontiguousarray(vectors, np.float32).reshape(-1))
    lists = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
    return pa.table({"image_id": pa.array(names, pa.string()), "vector": lists})


def ids(hits):
    return [hit.image_id for hit in hits]


@given(st.integers(0, 60), st.integers(1, 70), st.integers(0, 2**32 - 1))
def test_hits_are_the_best_of_all_in_order(rows, limit, seed):
    vectors, query = random_unit(rows, 8, seed), random_unit(1, 8, seed ^ 1)[0]
    hits = VectorIndex.from_table(table(vectors)).nearest(query, limit)
    names = [f"{i:06d}" for i in range(rows)]
    expected = sorted(zip(-(vectors @ query), names, strict=True))[:limit]
    assert ids(hits) == [name for _, name in expected]


def test_a_picture_is_nearest_to_itself_with_score_one():
    vectors = random_unit(20, 384, 3)
    hit = VectorIndex.from_table(table(vectors)).nearest(vectors[7], 1)[0]
    assert (hit.image_id, hit.score) == ("000007", pytest.approx(1, abs=1e-5))


def test_equal_scores_come_by_id_wherever_they_stand():
    vectors = np.tile(random_unit(1, 4, 1), (6, 1))
    index = VectorIndex.from_table(table(vectors, list("fbeadc")))
    assert ids(index.nearest(vectors[0], 3)) == ["a", "b", "c"]


def test_vectors_that_are_no_numbers_are_not_found_and_zeros_are_far_from_all():
    vectors = np.array([[np.nan, 1], [0, 1], [0, 0], [np.inf, 0]], np.float32)
    index = VectorIndex.from_table(table(vectors, list("abcd")))
    assert ids(index.nearest(np.array([0.1, 0.9], np.float32))) == ["b", "c"]


def test_rows_without_a_vector_or_seen_before_do_not_count():
    rows = pa.table(
        {
            "image_id": ["a", "b", "a", None],
            "vector": pa.array([[1.0, 0.0], None, [0.0, 1.0], [1.0, 0.0]], pa.list_(pa.float32())),
        }
    )
    index = VectorIndex.from_table(rows)
    assert [(h.image_id, h.score) for h in index.nearest(np.array([1, 0], np.float32))] == [
        ("a", 1.0)
    ]


def test_only_rows_that_are_allowed_are_found_and_fill_the_limit():
    vectors = random_unit(100, 16, 5)
    index = VectorIndex.from_table(table(vectors))
    among = np.arange(100) % 3 == 1
    hits = index.nearest(vectors[1], 20, among=among)
    expected = np.argsort(-(vectors[among] @ vectors[1]))[:20]
    assert ids(hits) == [f"{i:06d}" for i in np.flatnonzero(among)[expected]]
    assert index.nearest(vectors[1], 20, among=np.zeros(100, bool)) == []


def test_what_is_below_the_floor_is_not_found():
    vectors = random_unit(200, 8, 6)
    scores = np.sort(vectors @ vectors[0])[::-1]
    hits = VectorIndex.from_table(table(vectors)).nearest(vectors[0], 200, floor=0.5)
    assert [h.score for h in hits] == pytest.approx(scores[scores >= 0.5].tolist(), abs=1e-6)


def test_a_table_of_fixed_size_lists_is_not_copied():
    vectors = random_unit(2_000, 384, 2)
    rows = table(vectors)
    tracemalloc.start()
    index = VectorIndex.from_table(rows)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(index) == 2_000
    assert most < vectors.nbytes / 4


@pytest.mark.parametrize("query", [np.ones(3, np.float32), np.ones((1, 4), np.float32)])
def test_shapes_that_do_not_fit_are_refused(query):
    with pytest.raises(ValueError, match="do not fit"):
        VectorIndex.from_table(table(np.ones((1, 4), np.float32))).nearest(query)


def test_vectors_of_different_lengths_are_refused():
    rows = pa.table(
        {"image_id": ["a", "b"], "vector": pa.array([[1.0], [1.0, 2.0]], pa.list_(pa.float32()))}
    )
    with pytest.raises(ValueError, match="lengths"):
        VectorIndex.from_table(rows)


def test_files_are_read_in_order_and_other_models_left_out(tmp_path):
    vectors = random_unit(30, 8, 9)
    for part in range(3):
        rows = table(vectors[part * 10 : part * 10 + 10], [f"{part}{i}" for i in range(10)])
        models = pa.array(["old" if part == 1 and i < 5 else "new" for i in range(10)])
        pq.write_table(rows.append_column("model", models), tmp_path / f"{part}.parquet")
    paths = [tmp_path / f"{part}.parquet" for part in range(3)]
    assert len(VectorIndex.from_parquet(paths)) == 30
    index = VectorIndex.from_parquet(paths, model="new")
    assert len(index) == 25
    assert ids(index.nearest(vectors[17], 1)) == ["17"]
    assert "13" not in ids(index.nearest(vectors[13], 25))
    assert VectorIndex.from_parquet([]).nearest(vectors[0]) == []


@given(
    rows=st.integers(0, 400),
    length=st.sampled_from([1, 2, 7, 64]),
    missing=st.sampled_from([None, "lists", "numbers"]),
    fixed=st.booleans(),
    compression=st.sampled_from(["none", "zstd", "snappy", "gzip", "lz4", "brotli"]),
    version=st.sampled_from(["1.0", "2.0"]),
    dictionary=st.booleans(),
    group=st.sampled_from([10, 100, 1000]),
    page=st.sampled_from([64, 1000, 1_000_000]),
    encoding=st.sampled_from([None, "BYTE_STREAM_SPLIT"]),
    seed=st.integers(0, 1000),
)
def test_vectors_are_read_however_they_were_written(
    tmp_path_factory,
    rows,
    length,
    missing,
    fixed,
    compression,
    version,
    dictionary,
    group,
    page,
    encoding,
    seed,
):
    random = np.random.default_rng(seed)
    lists = [list(map(float, v)) for v in random.integers(-9, 9, (rows, length))]
    for i in np.flatnonzero(random.random(rows) < 0.1).tolist() if missing else ():
        lists[i] = None if missing == "lists" else [None, *lists[i][1:]]
    kind = pa.list_(pa.float32(), length) if fixed else pa.list_(pa.float32())
    written = pa.table(
        {
            "image_id": pa.array([f"{i:03d}" for i in range(rows)], pa.string()),
            "vector": pa.array(lists, kind),
        }
    )
    path = tmp_path_factory.mktemp("parquet") / "part.parquet"
    split = None if dictionary or encoding is None else {"vector.list.element": encoding}
    pq.write_table(
        written,
        path,
        compression=compression,
        data_page_version=version,
        use_dictionary=dictionary,
        row_group_size=group,
        data_page_size=page,
        column_encoding=split,
        write_batch_size=50,
        write_page_checksum=bool(seed % 2),
        write_statistics=bool(seed % 3),
    )
    one = np.ones(length, np.float32)
    expected = VectorIndex.from_table(written).nearest(one, 1000) if rows else []
    assert VectorIndex.from_parquet([path]).nearest(one, 1000) == expected


def test_a_damaged_file_is_no_vector(tmp_path):
    path = tmp_path / "part.parquet"
    pq.write_table(table(random_unit(500, 16, 1)), path, compression="none", use_dictionary=False)
    data = bytearray(path.read_bytes())
    place = pq.read_metadata(path).row_group(0).column(1).data_page_offset
    data[place : place + 40] = b"\xff" * 40
    path.write_bytes(data)
    with pytest.raises((OSError, ValueError)):
        VectorIndex.from_parquet([path])


def clustered(rows, columns, seed, spread):
    random = np.random.default_rng(seed)
    centers = random.standard_normal((40, columns))
    return unit(
        centers[random.integers(0, 40, rows)] + spread * random.standard_normal((rows, columns))
    )


LARGE = {
    "random": lambda: random_unit(FLAT_ROWS + 5_000, 128, 1),
    "clusters": lambda: clustered(FLAT_ROWS + 5_000, 128, 2, 0.5),
    "near_duplicates": lambda: clustered(FLAT_ROWS + 5_000, 128, 3, 0.01),
    "one_direction": lambda: unit(
        random_unit(FLAT_ROWS + 5_000, 128, 4) * np.r_[30, np.ones(127)].astype(np.float32)
    ),
}


@pytest.mark.parametrize("kind", LARGE)
def test_codes_of_many_vectors_miss_none_of_the_nearest(kind):
    pytest.importorskip("faiss")
    vectors = LARGE[kind]()
    index = VectorIndex.from_table(table(vectors))
    index.prepare()
    queries = np.concatenate([vectors[:20], random_unit(20, 128, 7)])
    for query in queries:
        hits = index.nearest(query, 10)
        tenth = np.sort(vectors @ query)[-10]
        assert len(hits) == 10
        assert min(h.score for h in hits) >= tenth - 1e-6


def test_codes_are_a_matter_of_speed_only():
    pytest.importorskip("faiss")
    vectors = random_unit(FLAT_ROWS + 2_000, 64, 8)
    vectors[5], vectors[6] = np.nan, 0
    among = np.random.default_rng(0).random(len(vectors)) < 0.95
    plain, coded = (VectorIndex.from_table(table(vectors)) for _ in range(2))
    coded.prepare()
    for query in random_unit(10, 64, 9):
        for arguments in ({}, {"among": among}, {"floor": 0.4}):
            first = VectorIndex.from_table(table(vectors)) if arguments else plain
            expected = first.nearest(query, 25, **arguments)
            found = coded.nearest(query, 25, **arguments)
            assert ids(found) == ids(expected)
