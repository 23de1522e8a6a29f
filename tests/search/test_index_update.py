"""The index follows the tables: changed in place or built anew, it answers the same."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aion_dagster import schemas
from aion_dagster.errors import StorageError
from aion_dagster.search.index import WordIndex
from aion_dagster.search.index_update import read_again, update_index
from aion_dagster.search.word_ranking import MOST_RANKED

WORDS = ["oak", "table", "dog", "lamp", "red", "Café"]
COLUMNS = ("image_id", "name", "batch", "locations", "superseded_by", "deleted_at")
LIBRARY = pa.schema([schemas.LIBRARY.field(c) for c in COLUMNS])
DOCUMENTS = pa.schema(
    [
        ("document_id", pa.string()),
        ("name", pa.string()),
        ("uri", pa.string()),
        ("batch", pa.string()),
    ]
)


def library(rows):
    """`rows`: image id → (batch, name, False where it is in use, True where superseded, a time where deleted)."""
    return pa.Table.from_pylist(
        [
            {
                "image_id": image,
                "name": name,
                "batch": batch,
                "locations": [],
                "superseded_by": "other" if superseded is True else None,
                "deleted_at": superseded if isinstance(superseded, datetime) else None,
            }
            for image, (batch, name, superseded) in rows.items()
        ],
        schema=LIBRARY,
    )


def described(rows):
    """`rows`: image id → (title, tags)."""
    empty = dict.fromkeys(schemas.DESCRIPTIONS.names)
    return pa.Table.from_pylist(
        [empty | {"image_id": i, "title": t, "tags": tags} for i, (t, tags) in rows.items()],
        schema=schemas.DESCRIPTIONS,
    )


class Tables:
    """Descriptions by batch, and which batches were read."""

    def __init__(self, batches):
        self.batches = batches
        self.read = []

    @property
    def fingerprints(self):
        return {batch: repr(sorted(rows.items())) for batch, rows in self.batches.items()}

    def __call__(self, batch):
        self.read.append(batch)
        return described(self.batches[batch])


def update(target, pictures, tables, **arguments):
    return update_index(
        target,
        library=library(pictures),
        batches=tables.fingerprints,
        read_descriptions=tables,
        **arguments,
    )


def answers(target):
    """Everything that can be seen of an index, but for the numbers of its rows."""
    with WordIndex.open(target) as index:
        searches = {
            word: [(h.image_id, round(h.score, 9)) for h in index.search(word, 100)]
            for word in (*WORDS, "oak table", '"red lamp"', "ta", "jpg")
        }
        tags = {word: index.tagged([word]) for word in WORDS}
    with sqlite3.connect(target) as connection:
        rows = connection.execute(
            "SELECT image_id, batch, w.* FROM pictures JOIN words w ON w.rowid = picture ORDER BY 1"
        ).fetchall()
        counts = [
            connection.execute(f"SELECT count(*) FROM {t}").fetchone() for t in ("words", "tags")
        ]
        batches = connection.execute("SELECT * FROM batches ORDER BY 1, 2").fetchall()
        connection.execute("INSERT INTO words(words, rank) VALUES ('integrity-check', 1)")
    connection.close()
    return searches, tags, rows, counts, batches


texts = st.lists(st.sampled_from(WORDS), max_size=4).map(" ".join)
tag_lists = st.one_of(st.none(), st.lists(st.sampled_from(WORDS), max_size=3))
images = st.sampled_from([f"image-{i}" for i in range(6)])
batch_names = st.sampled_from(["a", "b", "c"])
states = st.tuples(
    st.dictionaries(
        images,
        st.tuples(batch_names, st.sampled_from(["one.jpg", "oak.jpg"]), st.booleans()),
        max_size=6,
    ),
    st.dictionaries(batch_names, st.dictionaries(images, st.tuples(texts, tag_lists)), max_size=3),
)


@given(st.lists(states, min_size=1, max_size=5))
def test_an_index_that_followed_changes_equals_one_built_anew(tmp_path_factory, steps):
    folder = tmp_path_factory.mktemp("index")
    before = set()
    for pictures, batches in steps:
        result = update(folder / "followed", pictures, Tables(batches))
        live = {image for image, (_, _, superseded) in pictures.items() if not superseded}
        assert (result.rows, result.added, result.removed) == (
            len(live),
            len(live - before),
            len(before - live),
        )
        before = live
    pictures, batches = steps[-1]
    update(folder / "anew", pictures, Tables(batches))
    assert answers(folder / "followed") == answers(folder / "anew")
    assert sorted(os.listdir(folder)) == ["anew", "followed"]


PICTURES = {f"p{i}": ("a" if i < 3 else "b", f"{i}.jpg", False) for i in range(6)}
BATCHES = {
    "a": {f"p{i}": ("oak table", ["oak"]) for i in range(3)},
    "b": {f"p{i}": ("red lamp", None) for i in range(3, 6)},
}


def test_only_what_changed_is_read_and_written(tmp_path):
    target = tmp_path / "words.sqlite"
    tables = Tables(BATCHES)
    assert update(target, PICTURES, tables).added == 6
    assert sorted(tables.read) == ["a", "b"]

    again = Tables(BATCHES)
    result = update(target, PICTURES, again)
    assert (result.added, result.changed, result.removed, again.read) == (0, 0, 0, [])

    changed = Tables({**BATCHES, "b": {**BATCHES["b"], "p4": ("dog", ["dog"])}})
    result = update(target, PICTURES, changed)
    assert (result.changed, changed.read) == (1, ["b"])
    with WordIndex.open(target) as index:
        assert [h.image_id for h in index.search("dog")] == ["p4"]
        assert len(index.search("lamp")) == 2


def test_batches_are_read_again_on_request_and_only_those(tmp_path):
    target = tmp_path / "words.sqlite"
    pictures = {"a1": ("a", "1.jpg", False), "b1": ("b", "2.jpg", False)}
    tables = Tables({"a": {"a1": ("Oak", [])}, "b": {"b1": ("Lamp", [])}})
    update(target, pictures, tables)
    tables.read.clear()
    update(target, pictures, tables)
    assert tables.read == []
    read_again(target, ["b"])
    update(target, pictures, tables)
    assert tables.read == ["b"]
    read_again(tmp_path / "missing.sqlite", ["b"])
    assert [p.name for p in tmp_path.iterdir()] == ["words.sqlite"]


@pytest.mark.parametrize("fate", [True, datetime(2026, 1, 1, tzinfo=UTC)])
def test_a_picture_that_is_replaced_or_deleted_is_found_no_more(tmp_path, fate):
    target = tmp_path / "words.sqlite"
    tables = Tables(BATCHES)
    update(target, PICTURES, tables)
    result = update(target, {**PICTURES, "p0": ("a", "0.jpg", fate)}, tables)
    assert (result.rows, result.removed) == (5, 1)
    with WordIndex.open(target) as index:
        assert [h.image_id for h in index.search("oak")] == ["p1", "p2"]
        assert index.tagged(["oak"]) == {"p1", "p2"}


def test_a_picture_whose_batch_is_not_described_takes_the_words_of_another_of_its_places(tmp_path):
    target = tmp_path / "words.sqlite"
    place = {"source": "s", "uri": "u", "name": "n", "version": "v", "size_bytes": 1}
    rows = library({"p0": ("new", "0.jpg", False), "p9": ("new", "9.jpg", False)}).to_pylist()
    rows[0]["locations"] = [{**place, "batch": "new"}, {**place, "batch": "a"}]
    tables = Tables(BATCHES)
    update_index(
        target,
        library=pa.Table.from_pylist(rows, schema=LIBRARY),
        batches=tables.fingerprints,
        read_descriptions=tables,
    )
    with WordIndex.open(target) as index:
        assert [h.image_id for h in index.search("oak")] == ["p0"]
        assert [h.image_id for h in index.search("9")] == ["p9"]


def chunk(document, number, content, pages=(), heading=()):
    return dict.fromkeys(schemas.DOCUMENT_CHUNKS.names) | {
        "document_id": document,
        "chunk_id": f"{document}-{number}",
        "chunk_index": number,
        "content": content,
        "page_numbers": list(pages),
        "heading_hierarchy": list(heading),
    }


def papers(rows):
    return pa.Table.from_pylist(
        [
            {"document_id": d, "name": f"{d}.pdf", "uri": f"file:///{d}.pdf", "batch": b}
            for d, b in rows
        ],
        schema=DOCUMENTS,
    )


def test_documents_come_and_go_with_all_their_pieces(tmp_path):
    target = tmp_path / "words.sqlite"
    chunks = {
        "a": [chunk("lease", 0, "The tenant pays the rent.", [1, 2], ["Lease", "Rent"])],
        "b": [chunk("manual", i, f"Step {i}: turn the lamp.", [i + 1]) for i in range(3)],
    }
    read = []

    def read_chunks(batch):
        read.append(batch)
        return pa.Table.from_pylist(chunks[batch], schema=schemas.DOCUMENT_CHUNKS)

    def follow(documents, prints):
        return update(
            target,
            PICTURES,
            Tables(BATCHES),
            documents=papers(documents),
            document_batches=prints,
            read_chunks=read_chunks,
        )

    result = follow([("lease", "a"), ("manual", "b")], {"a": "1", "b": "1"})
    assert (result.documents, result.chunks) == (2, 4)
    with WordIndex.open(target) as index:
        (hit,) = index.search_chunks("rent")
        found = index.chunks([hit.image_id])[hit.image_id]
        assert (found.name, found.page_numbers, found.heading) == (
            "lease.pdf",
            (1, 2),
            ("Lease", "Rent"),
        )
        assert {m.field for m in index.chunk_matches("rent", [hit.image_id])[hit.image_id]} == {
            "heading",
            "content",
        }
    read.clear()
    follow([("lease", "a"), ("manual", "b")], {"a": "1", "b": "1"})
    assert read == []
    chunks["b"] = chunks["b"][:1]
    result = follow([("manual", "b")], {"a": "1", "b": "2"})
    assert (result.documents, result.chunks, read) == (1, 1, ["b"])
    with WordIndex.open(target) as index:
        assert index.search_chunks("rent") == []
        assert len(index.search_chunks("lamp")) == 1


def ranked(target):
    with WordIndex.open(target) as index:
        return (
            index.search("lamp", MOST_RANKED),
            index.search_chunks("lamp", MOST_RANKED),
            [h.image_id for h in index.search("lamp", 5, among=[f"image-{i}" for i in range(40)])],
        )


def test_a_word_of_very_many_rows_has_the_same_answers_whatever_the_index_went_through(tmp_path):
    count = MOST_RANKED + 300
    texts = {f"image-{i}": (None, ["a"] * (i % 7)) for i in range(count)}
    halves = [dict(list(texts.items())[:700]), dict(list(texts.items())[700:])]
    pictures = {i: ("a" if i in halves[0] else "b", "lamp.jpg", False) for i in texts}
    chunks = [
        [chunk(d, i, f"A lamp, {'very ' * (i % 5)}bright") for i in range(count // 2)]
        for d in ("lease", "manual")
    ]

    def follow(target, batches):
        tables = Tables({b: halves["ab".index(b)] for b in batches})
        update(
            target,
            {i: place for i, place in pictures.items() if place[0] in batches},
            tables,
            documents=papers([(("lease", "manual")["ab".index(b)], b) for b in batches]),
            document_batches=dict.fromkeys(batches, "1"),
            read_chunks=lambda b: pa.Table.from_pylist(
                chunks["ab".index(b)], schema=schemas.DOCUMENT_CHUNKS
            ),
        )

    follow(tmp_path / "anew", "ab")
    for step in ("a", "b", "ab"):
        follow(tmp_path / "followed", step)
    once, followed = ranked(tmp_path / "anew"), ranked(tmp_path / "followed")
    assert len(once[0]) == len(once[1]) == MOST_RANKED
    assert once == followed


@pytest.mark.parametrize("content", [b"", b"no database at all" * 100, None])
def test_what_is_no_index_is_built_anew(tmp_path, content):
    target = tmp_path / "words.sqlite"
    if content is None:
        with sqlite3.connect(target) as connection:
            connection.execute("CREATE TABLE words(image_id)")
            connection.execute("PRAGMA user_version = 1")
        connection.close()
    else:
        target.write_bytes(content)
    assert update(target, PICTURES, Tables(BATCHES)).added == 6
    with WordIndex.open(target) as index:
        assert len(index.search("oak")) == 3


def test_an_update_that_fails_leaves_the_old_index_and_no_remains(tmp_path):
    target = tmp_path / "words.sqlite"
    update(target, PICTURES, Tables(BATCHES))
    before = answers(target)

    def broken(batch):
        raise StorageError(f"{batch} is damaged")

    with pytest.raises(StorageError, match="damaged"):
        update_index(
            target,
            library=library({}),
            batches={},
            read_descriptions=broken,
            documents=papers([("d", "a")]),
            document_batches={"a": "1"},
            read_chunks=broken,
        )
    assert answers(target) == before
    assert os.listdir(tmp_path) == ["words.sqlite"]


KILLED = """
    import os, signal, sys
    from pathlib import Path
    sys.path.insert(0, sys.argv[2])
    from test_index_update import BATCHES, PICTURES, Tables, update

    class Deadly(Tables):
        def __call__(self, batch):
            if batch == "b":
                os.kill(os.getpid(), signal.SIGKILL)
            return super().__call__(batch)

    rows = {b: {i: ("dog", None) for i in images} for b, images in BATCHES.items()}
    update(Path(sys.argv[1]), PICTURES, Deadly(rows))
"""


def test_a_killed_update_leaves_the_old_index_whole(tmp_path):
    target = tmp_path / "words.sqlite"
    update(target, PICTURES, Tables(BATCHES))
    before = answers(target)
    here = os.path.dirname(__file__)
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(KILLED), str(target), here])
    assert killed.returncode == -signal.SIGKILL
    assert answers(target) == before
    update(target, PICTURES, Tables(BATCHES))
    assert answers(target) == before


def test_a_reader_keeps_the_index_that_it_opened(tmp_path):
    target = tmp_path / "words.sqlite"
    update(target, PICTURES, Tables(BATCHES))
    with WordIndex.open(target) as index:
        update(target, {}, Tables({}))
        assert len(index.search("oak")) == 3
    with WordIndex.open(target) as index:
        assert index.search("oak") == []
