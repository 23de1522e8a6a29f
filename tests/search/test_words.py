"""Words are found whatever somebody types, and a reader never sees half an index."""

from __future__ import annotations

import secrets
import sqlite3
import threading

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aion_dagster.errors import StorageError
from aion_dagster.search.index import WordIndex
from aion_dagster.search.index_update import update_index
from aion_dagster.search.word_ranking import MOST_RANKED

SCHEMA = pa.schema(
    [
        ("image_id", pa.string()),
        ("name", pa.string()),
        ("title", pa.string()),
        ("description", pa.string()),
        ("tags", pa.list_(pa.string())),
        ("visible_text", pa.string()),
    ]
)


def row(image_id, **columns):
    return dict.fromkeys(SCHEMA.names) | {"image_id": image_id} | columns


ROWS = [
    row("oak", name="kitchen/oak_table-01.jpg", title="Oak table", tags=["furniture", "wood"]),
    row("dog", description="A dog runs over the grass beside a table", tags=["dog", "lawn"]),
    row("menu", visible_text="Crème brûlée 7,50\nCafé noir", title="Menu in a window"),
    row("moscow", title="Красная площадь", description="Вечер в Москве"),
    row("doghouse", title="Doghouse", description="A small hut in a garden"),
    row("silent"),
]


def build_index(target, rows):
    """An index of these rows alone; how many they are."""
    table = pa.concat_tables(
        [SCHEMA.empty_table(), *map(pa.Table.from_batches, ([r] for r in rows))]
    )
    nothing = pa.nulls(table.num_rows)
    library = table.select(["image_id", "name"])
    for column, values in {
        "batch": pa.array(["all"] * table.num_rows, pa.string()),
        "locations": nothing,
        "superseded_by": nothing,
        "deleted_at": nothing,
    }.items():
        library = library.append_column(column, values)
    return update_index(
        target,
        library=library,
        batches={"all": secrets.token_hex()},
        read_descriptions=lambda _: table,
    ).rows


def batches(rows, size=2):
    for start in range(0, len(rows), size):
        yield pa.RecordBatch.from_pylist(rows[start : start + size], schema=SCHEMA)


def ids(hits):
    return [hit.image_id for hit in hits]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    target = tmp_path_factory.mktemp("store") / "search" / "words.sqlite"
    assert build_index(target, batches(ROWS)) == len(ROWS)
    return target


@pytest.fixture(scope="module")
def index(path):
    with WordIndex.open(path) as opened:
        yield opened


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("oak", ["oak"]),
        ("OAK Table", ["oak"]),
        ("furniture", ["oak"]),
        ("kitchen", ["oak"]),
        ("creme brulee", ["menu"]),
        ("CAFÉ", ["menu"]),
        ("площадь", ["moscow"]),
        ("furnit", ["oak"]),
        ("7,50", ["menu"]),
        ("", []),
        ("   ", []),
        ("-- * ( ) ^ :", []),
        ("zebra", []),
    ],
)
def test_queries_find_what_they_say(index, query, found):
    assert ids(index.search(query)) == found


def test_a_word_itself_ranks_before_one_that_only_begins_with_it(index):
    assert ids(index.search("dog")) == ["dog", "doghouse"]


def test_all_words_are_wanted_and_any_where_no_picture_has_all(index):
    assert ids(index.search("table grass")) == ["dog"]
    assert set(ids(index.search("площадь grass"))) == {"moscow", "dog"}


def test_a_phrase_in_quotes_is_wanted_in_its_order(index):
    assert ids(index.search('"runs over"')) == ["dog"]
    assert ids(index.search('"over runs"')) == []
    assert ids(index.search('grass "runs over')) == ["dog"]


def test_a_title_counts_more_than_a_long_description(index):
    assert ids(index.search("table")) == ["oak", "dog"]


def test_scores_fall_and_the_limit_holds(index):
    hits = index.search("table")
    assert hits[0].score > hits[1].score > 0
    assert ids(index.search("table", limit=1)) == ids(hits[:1])
    assert index.search("table", limit=0) == []


def test_a_snippet_shows_the_match_in_its_text(index):
    (match,) = index.matches("brulee", ["menu"])["menu"]
    assert (match.field, match.words) == ("visible_text", ("brûlée",))
    assert match.snippet == "Crème [brûlée] 7,50 Café noir"


def test_each_field_that_has_a_word_is_named_the_weightiest_first(index):
    matches = index.matches("table wood oak", ["oak", "dog", "silent"])
    assert [(m.field, m.words) for m in matches["oak"]] == [
        ("title", ("Oak", "table")),
        ("tags", ("wood",)),
        ("name", ("oak", "table")),
    ]
    assert [m.field for m in matches["dog"]] == ["description"]
    assert "silent" not in matches


def test_only_pictures_that_are_allowed_are_found(index):
    assert ids(index.search("table", among=["dog", "menu"])) == ["dog"]
    assert index.search("table", among=[]) == []
    assert ids(index.search("table", limit=1, among={"dog", "never seen"})) == ["dog"]


def test_tags_are_compared_as_a_whole_without_case(index):
    assert index.tagged(["Furniture"]) == {"oak"}
    assert index.tagged(["furniture", "WOOD "]) == {"oak"}
    assert index.tagged(["furniture", "dog"]) == set()
    assert index.tagged(["furn"]) == set()


def test_a_word_that_very_many_pictures_have_is_ranked_among_some_of_them(tmp_path):
    rows = [row(f"{i:05d}", description="a lamp") for i in range(MOST_RANKED + 500)]
    rows[-1] |= {"title": "Lamp"}
    target = tmp_path / "words.sqlite"
    build_index(target, batches(rows, 1000))
    with WordIndex.open(target) as many:
        hits = many.search("lamp", limit=5)
        assert len(hits) == 5
        assert hits[0].image_id == rows[-1]["image_id"]


def test_words_that_most_pictures_have_find_nothing_beside_a_word_that_tells_something(tmp_path):
    rows = [row(f"{i:05d}", description="a picture of the lamp") for i in range(40)]
    rows[30] |= {"description": "a picture of the zebra"}
    target = tmp_path / "words.sqlite"
    build_index(target, batches(rows, 100))
    with WordIndex.open(target) as many:
        assert ids(many.search("the zebra on a lawn")) == ["00030"]
        assert ids(many.search("the zebra", among=["00001", "00002"])) == ["00001", "00002"]
        assert len(many.search("the lamp", limit=100)) == 39
        assert len(many.search("the dromedary", limit=100)) == 40
        assert len(many.search("picture", limit=100)) == 40


def test_in_a_small_library_every_word_finds_its_pictures(tmp_path):
    rows = [row("one", title="lamp"), row("two", title="lamp"), row("three", title="zebra")]
    target = tmp_path / "words.sqlite"
    build_index(target, batches(rows))
    with WordIndex.open(target) as few:
        assert ids(few.search("zebra lamp")) == ["three", "one", "two"]


def test_a_rare_word_is_found_wherever_it_stands_among_very_many(tmp_path):
    count, things = 4 * MOST_RANKED, ("lamp", "chair", "table")
    rows = [row(f"{i:05d}", description=things[i % 3]) for i in range(count)]
    # The last number of all, under which the words come last.
    rows[-1] |= {"name": "zzz", "description": "lamp with a zebra"}
    target = tmp_path / "words.sqlite"
    build_index(target, batches(rows, 1000))
    with WordIndex.open(target) as many:
        for query in ("dark zebra lamp", "zebra lamp chair", "sofa chair lamp zebra"):
            hits = many.search(query, limit=5)
            assert (hits[0].image_id, len(hits)) == (rows[-1]["image_id"], 5), query


def test_text_without_spaces_is_shown_around_its_match_and_shortened(tmp_path):
    text = "犬" * 300 + " needle" + "猫" * 300
    target = tmp_path / "words.sqlite"
    build_index(target, batches([row("one", description=text), row("two", title="犬" * 900)]))
    with WordIndex.open(target) as index:
        (match,) = index.matches("needle", ["one"])["one"]
        assert "[needle猫" in match.snippet
        (long,) = index.matches("犬犬", ["two"])["two"]
        for snippet in (match.snippet, long.snippet):
            assert len(snippet) <= 250
            assert snippet.endswith("]…")
            assert snippet.count("[") == snippet.count("]") == 1


@given(st.text(max_size=80))
@example('"')
@example('"" "a')
@example("NEAR(oak table, 2) AND NOT title:dog OR *")
@example("oak*\0'; DROP TABLE words; --")
@example("\udcff oak")
@example("a" * 5000)
@example("x " * 5000)
@example("{title} : ^oak + -table")
@example("́")
def test_any_text_is_a_safe_query(index, query):
    index.search(query)
    assert ids(index.search("oak")) == ["oak"]


OPERATORS = ["AND", "OR", "NOT", "NEAR", "title:oak", "^oak", "oak*", "(oak)", "+oak", "oak'"]


@pytest.mark.parametrize("word", OPERATORS)
def test_operators_of_the_query_language_are_only_words(path, index, tmp_path, word):
    target = tmp_path / "words.sqlite"
    build_index(target, batches([row("hit", title=f"before {word} after"), row("other")]))
    with WordIndex.open(target) as opened:
        assert ids(opened.search(word)) == ["hit"]


def test_a_new_index_replaces_the_old_one_and_open_readers_keep_theirs(tmp_path):
    target = tmp_path / "words.sqlite"
    build_index(target, batches([row("old", title="lamp")]))
    with WordIndex.open(target) as before:
        build_index(target, batches([row("new", title="lamp")]))
        assert ids(before.search("lamp")) == ["old"]
        with WordIndex.open(target) as after:
            assert ids(after.search("lamp")) == ["new"]
    assert [p.name for p in tmp_path.iterdir()] == ["words.sqlite"]


def test_a_build_that_fails_leaves_the_old_index_and_no_remains(tmp_path):
    target = tmp_path / "words.sqlite"
    build_index(target, batches([row("old", title="lamp")]))

    def broken():
        yield from batches([row("new", title="lamp")])
        raise ConnectionResetError("the store went away")

    with pytest.raises(ConnectionResetError):
        build_index(target, broken())
    with WordIndex.open(target) as index:
        assert ids(index.search("lamp")) == ["old"]
    assert [p.name for p in tmp_path.iterdir()] == ["words.sqlite"]


def test_rows_that_lack_a_column_are_refused(tmp_path):
    library = pa.table({"image_id": ["a"]})
    with pytest.raises(KeyError, match="superseded_by"):
        update_index(
            tmp_path / "words.sqlite",
            library=library,
            batches={},
            read_descriptions=lambda _: library,
        )
    assert list(tmp_path.iterdir()) == []


def test_an_index_of_nothing_finds_nothing(tmp_path):
    target = tmp_path / "with space & #%3f?.sqlite"
    assert build_index(target, []) == 0
    with WordIndex.open(target) as index:
        assert index.search("oak") == []


def test_what_is_no_index_is_refused(tmp_path):
    with pytest.raises(StorageError, match="no search index"):
        WordIndex.open(tmp_path / "missing.sqlite")
    (tmp_path / "text").write_text("this is not a database, and long enough to be read as one" * 20)
    with pytest.raises(StorageError, match="builds it anew"):
        WordIndex.open(tmp_path / "text")
    sqlite3.connect(tmp_path / "other").execute("CREATE TABLE t (x)").connection.close()
    with pytest.raises(StorageError, match="builds it anew"):
        WordIndex.open(tmp_path / "other")


def test_several_threads_may_search_at_once(index):
    found = []

    def ask():
        found.extend(tuple(ids(index.search("dog"))) for _ in range(50))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [("dog", "doghouse")] * 200
