"""A library answers questions by words, meaning, colors and looks, filtered, with the reasons why."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pyarrow as pa
import pytest

from aion_dagster import schemas
from aion_dagster.cli import main
from aion_dagster.errors import SourceError, StorageError, UnavailableError
from aion_dagster.search.color_query import ColorQuery
from aion_dagster.search.filters import DocumentFilters, Filters
from aion_dagster.search.index_update import update_index
from aion_dagster.search.library import LibrarySearch, UnknownPictureError, index_path
from aion_dagster.storage.store import Store

MODEL = "letters-1"


def embed(texts):
    """Unit vectors of the words of texts: each word a direction of its own, `hound` that of `dog`."""
    vectors = np.zeros((len(texts), schemas.TEXT_VECTOR_DIMENSIONS), np.float32)
    for vector, text in zip(vectors, texts, strict=True):
        for word in text.lower().replace("hound", "dog").split():
            seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big")
            vector += np.random.default_rng(seed).standard_normal(len(vector), np.float32)
        vector /= max(float(np.linalg.norm(vector)), 1e-9)
    return vectors


def rows(schema, values):
    empty = dict.fromkeys(schema.names)
    return pa.Table.from_pylist([empty | v for v in values], schema=schema)


PICTURES = {
    "oak": ("oak_table.jpg", "a", (1200, 800), datetime(2024, 5, 1, 12), "#8a5a30", "Oak table"),
    "dog": ("dog.jpg", "a", (640, 480), datetime(2025, 5, 31, 23, 59), "#40a040", "Dog on grass"),
    "sea": ("sea.png", "b", (4000, 3000), None, "#2050c0", "Waves of the sea"),
    "gone": ("old.jpg", "b", (640, 480), None, "#8a5a30", "Oak table before"),
}
TAGS = {"oak": ["furniture", "Warm"], "dog": ["animal", "warm"], "sea": ["cool"], "gone": ["warm"]}


def color(code):
    return {f.name: None for f in schemas.DOMINANT_COLOR} | {
        "hex": code,
        "percentage": 60.0,
        "name": "walnut" if code == "#8a5a30" else "other",
        "family": "earth_tone" if code == "#8a5a30" else "cool",
    }


def descriptor(image):
    seed = 1 if image in ("oak", "gone") else len(image) + ord(image[0])
    return np.random.default_rng(seed).random(schemas.DESCRIPTOR_DIMENSIONS).tolist()


def fill(store):
    """Four pictures in two batches, one of them superseded, and a document."""
    library = [
        {
            "image_id": image,
            "name": name,
            "uri": f"file:///pictures/{name}",
            "source": "phone" if image == "dog" else "archive",
            "batch": batch,
            "width": width,
            "height": height,
            "captured_at": taken,
            "format": name.rsplit(".", 1)[1].replace("jpg", "jpeg"),
            "media_type": "image/jpeg" if name.endswith("jpg") else "image/png",
            "phash": f"{len(image) * 7919:016x}",
            "superseded_by": "oak" if image == "gone" else None,
        }
        for image, (name, batch, (width, height), taken, _, _) in PICTURES.items()
    ]
    table = rows(schemas.LIBRARY, library)
    store.tables.write("library", table)
    descriptions = {}
    for batch in ("a", "b"):
        here = {i: p for i, p in PICTURES.items() if p[1] == batch}
        descriptions[batch] = rows(
            schemas.DESCRIPTIONS,
            [{"image_id": i, "title": p[5], "tags": TAGS[i]} for i, p in here.items()],
        )
        store.tables.write("descriptions", descriptions[batch], batch=batch)
        for name, schema, values in (
            (
                "color_analyses",
                schemas.COLOR_ANALYSES,
                lambda i, p: {"dominant_colors": [color(p[4])]},
            ),
            (
                "visual_features",
                schemas.VISUAL_FEATURES,
                lambda i, p: {"descriptor": descriptor(i)},
            ),
            (
                "embeddings",
                schemas.EMBEDDINGS,
                lambda i, p: {"kind": "text", "model": MODEL, "vector": embed([p[5]])[0]},
            ),
        ):
            made = [{"image_id": i, **values(i, p)} for i, p in here.items()]
            store.tables.write(name, rows(schema, made), batch=batch)
    chunks = [
        {
            "document_id": "lease",
            "chunk_id": f"lease-{i}",
            "chunk_index": i,
            "content": text,
            "page_numbers": [i + 1],
            "heading_hierarchy": ["Lease", heading],
            "model": MODEL,
            "vector": embed([text])[0],
        }
        for i, (heading, text) in enumerate(
            [("Rent", "The tenant pays on the first day"), ("Pets", "No dog may live here")]
        )
    ]
    store.tables.write("document_chunks", rows(schemas.DOCUMENT_CHUNKS, chunks), batch="a")
    documents = [
        {
            "document_id": "lease",
            "name": name,
            "uri": f"file:///{name}",
            "source": "office",
            "modified_at": datetime(2026, month, 31, 23, 30, tzinfo=UTC),
            "size_bytes": 5000,
            "page_count": 2,
            "document_type": "pdf",
            "media_type": "application/pdf",
        }
        for name, month in (("contracts/Lease.pdf", 5), ("old/lease.pdf", 1))
    ]
    store.tables.write("documents", rows(schemas.DOCUMENTS, documents), batch="a")
    papers = pa.table(
        {
            "document_id": ["lease"],
            "name": ["contracts/Lease.pdf"],
            "uri": ["file:///contracts/Lease.pdf"],
            "batch": ["a"],
        }
    )
    update_index(
        index_path(store),
        library=table,
        batches={"a": "1", "b": "1"},
        read_descriptions=descriptions.__getitem__,
        documents=papers,
        document_batches={"a": "1"},
        read_chunks=lambda batch: store.tables.read("document_chunks", batch=batch),
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("library") / "store"
    with Store.open(folder) as store:
        fill(store)
    return folder


@pytest.fixture(scope="module")
def library(place):
    with LibrarySearch.open(place, embed=embed, text_model=MODEL) as opened:
        yield opened


def ids(found):
    return [one.image_id for one in found]


def test_words_and_meaning_are_joined_and_say_why(library):
    oak = library.text("oak table")[0]
    assert (oak.image_id, oak.name, oak.uri) == (
        "oak",
        "oak_table.jpg",
        "file:///pictures/oak_table.jpg",
    )
    words, name, meaning = oak.reasons
    assert (words.kind, words.field, words.words) == ("words", "title", ("Oak", "table"))
    assert words.snippet == "[Oak] [table]"
    assert name.field == "name"
    assert (meaning.kind, meaning.similarity) == ("meaning", pytest.approx(1, abs=1e-5))
    assert str(words) == "“Oak”, “table” in title: [Oak] [table]"


def test_meaning_finds_what_no_word_says_and_names_its_similarity(library):
    (hound,) = library.text("hound")
    (reason,) = hound.reasons
    assert (hound.image_id, reason.kind) == ("dog", "meaning")
    assert 0.3 < reason.similarity < 0.8


@pytest.mark.parametrize("query", ["xqzzv", "", "  ", "?!"])
def test_what_means_nothing_finds_nothing(library, query):
    assert library.text(query) == []


def test_superseded_pictures_are_not_found_by_anything(library):
    assert ids(library.text("oak table before")) == ["oak"]
    assert ids(library.color(hex="#8a5a30")) == ["oak"]
    assert "gone" not in ids(library.like("oak", limit=10))
    assert len(library) == 3


def test_without_a_text_model_words_alone_are_searched(place):
    with LibrarySearch.open(place) as library:
        assert [r.kind for r in library.text("waves")[0].reasons] == ["words"]
        assert library.text("hound") == []


def test_vectors_of_another_model_are_not_compared(place):
    with LibrarySearch.open(place, embed=embed, text_model="another") as library:
        assert library.text("hound") == []


def test_colors_are_found_by_hex_name_and_family_with_share_and_distance(library):
    (oak,) = library.color(hex="#8a5a30")
    (reason,) = oak.reasons
    assert oak.score == pytest.approx(1, abs=1e-4)
    assert (reason.kind, reason.hex, reason.name) == ("color", "#8a5a30", "walnut")
    assert (reason.percentage, reason.delta_e) == (60, pytest.approx(0, abs=1e-3))
    assert ids(library.color(name="Walnut")) == ["oak"]
    assert ids(library.color(family="cool")) == ["dog", "sea"]
    assert library.color(hex="#8a5a30", min_percentage=61) == []


def test_pictures_like_one_of_the_library_do_not_include_it(library):
    found = library.like("oak")
    assert set(ids(found)) == {"dog", "sea"}
    assert [r.kind for r in found[0].reasons] == ["looks"]
    with pytest.raises(UnknownPictureError, match="no picture of this library"):
        library.like("nowhere")


def test_a_file_that_is_no_picture_is_named(library, tmp_path):
    (tmp_path / "notes.txt").write_text("no picture")
    for path in (tmp_path / "notes.txt", tmp_path / "missing.jpg"):
        with pytest.raises(SourceError, match=path.name):
            library.like(path)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(tags=("warm",)), {"oak", "dog"}),
        (Filters(tags=("WARM", "animal")), {"dog"}),
        (Filters(since=date(2024, 5, 1)), {"oak", "dog"}),
        (Filters(until=date(2025, 5, 31)), {"oak", "dog"}),
        (Filters(until=date(2025, 5, 30)), {"oak"}),
        (Filters(until=datetime(2025, 5, 31, 23, 59)), {"oak"}),
        (Filters(since=datetime(2024, 5, 1, 12, 1)), {"dog"}),
        (Filters(min_width=1000), {"oak", "sea"}),
        (Filters(max_width=1000), {"dog"}),
        (Filters(min_height=500, max_height=1000), {"oak"}),
        (Filters(sources=("phone",)), {"dog"}),
        (Filters(formats=("JPEG",)), {"oak", "dog"}),
        (Filters(formats=("image/png", "gif")), {"sea"}),
        (Filters(names=("*.JPG",)), {"oak", "dog"}),
        (Filters(names=("s?a.*", "d*")), {"dog", "sea"}),
        (Filters(color=ColorQuery(name="walnut")), {"oak"}),
        (Filters(color=ColorQuery("#2050c0"), min_width=5000), set()),
    ],
)
def test_filters_hold_for_every_kind_of_search(library, filters, expected):
    by_any = {
        *ids(library.text("oak dog sea", filters=filters)),
        *ids(library.color(family="cool", filters=filters)),
        *ids(library.color(family="earth_tone", filters=filters)),
    }
    assert by_any == expected
    assert set(ids(library.text("dog", filters=filters))) == expected & {"dog"}


def test_a_filter_comes_before_the_limit(library):
    assert ids(library.text("oak dog sea", limit=1, filters=Filters(tags=("cool",)))) == ["sea"]
    assert ids(library.color(family="cool", limit=1, filters=Filters(formats=("png",)))) == ["sea"]


def test_pieces_of_documents_are_found_by_words_and_meaning(library):
    found = library.documents("tenant")[0]
    assert (found.name, found.page_numbers, found.heading) == (
        "contracts/Lease.pdf",
        (1,),
        ("Lease", "Rent"),
    )
    assert found.snippet == "The [tenant] pays on the first day"
    assert found.reasons[0].words == ("tenant",)
    (hound,) = library.documents("hound")
    assert (hound.page_numbers, [r.kind for r in hound.reasons]) == ((2,), ["meaning"])
    assert hound.snippet == "No dog may live here"
    assert library.documents("xqzzv") == []


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (DocumentFilters(since=date(2026, 5, 31)), True),
        (DocumentFilters(since=date(2026, 6, 1)), False),
        (DocumentFilters(until=date(2026, 5, 31)), True),
        (DocumentFilters(until=date(2026, 5, 30)), False),
        (DocumentFilters(since=datetime(2026, 6, 1, tzinfo=timezone(timedelta(hours=2)))), True),
        (DocumentFilters(min_bytes=5000, max_bytes=5000), True),
        (DocumentFilters(min_bytes=5001), False),
        (DocumentFilters(min_pages=2, max_pages=2), True),
        (DocumentFilters(max_pages=1), False),
        (DocumentFilters(sources=("office", "attic")), True),
        (DocumentFilters(sources=("attic",)), False),
        (DocumentFilters(formats=("PDF",)), True),
        (DocumentFilters(formats=("docx", "application/pdf")), True),
        (DocumentFilters(formats=("docx",)), False),
        (DocumentFilters(names=("contracts/*",)), True),
        (DocumentFilters(names=("*.md", "lease.*")), True),
        (DocumentFilters(names=("old/*",)), False),
    ],
)
def test_filters_hold_for_words_and_meaning_of_documents(library, filters, found):
    for query in ("tenant", "hound"):
        assert bool(library.documents(query, filters=filters)) == found


def test_a_filter_that_no_document_satisfies_finds_nothing_and_is_no_fault(place):
    with LibrarySearch.open(place) as library:
        assert library.documents("tenant", filters=DocumentFilters(names=("nowhere",))) == []


def test_a_library_without_documents_says_how_to_get_them(tmp_path):
    with Store.open(tmp_path) as store:
        store.tables.write("library", schemas.LIBRARY.empty_table())
        update_index(
            index_path(store),
            library=schemas.LIBRARY.empty_table(),
            batches={},
            read_descriptions=lambda _: schemas.DESCRIPTIONS.empty_table(),
        )
    with LibrarySearch.open(tmp_path) as library:
        assert library.text("dog") == []
        with pytest.raises(UnavailableError, match=r"documents: \[pdf"):
            library.documents("rent")


def test_pictures_by_text_need_a_joint_model(place, library):
    with pytest.raises(UnavailableError, match=r"models\.joint"):
        library.image_text("a dog")
    with (
        LibrarySearch.open(place, embed_for_pictures=embed) as other,
        pytest.raises(UnavailableError, match="no image vectors"),
    ):
        other.image_text("a dog")


def test_pictures_are_found_by_text_where_a_joint_model_made_their_vectors(tmp_path):
    with Store.open(tmp_path) as store:
        fill(store)
        vectors = [
            {"image_id": i, "kind": "image", "model": "m", "vector": embed([i])[0], "status": "ok"}
            for i in ("oak", "dog", "gone")
        ]
        vectors.append({"image_id": "sea", "kind": "image", "model": "m", "status": "failed"})
        store.tables.write("image_embeddings", rows(schemas.IMAGE_EMBEDDINGS, vectors), batch="a")
    with LibrarySearch.open(tmp_path, embed_for_pictures=embed, picture_model="m") as library:
        found = library.image_text("hound")
        assert ids(found) == ["dog", "oak"]
        assert found[0].reasons[0].kind == "picture_text"
        assert found[0].reasons[0].similarity == pytest.approx(1, abs=1e-5)


def test_a_store_without_pictures_or_index_says_what_to_run(tmp_path):
    with pytest.raises(StorageError, match="aion-dagster run"):
        LibrarySearch.open(tmp_path / "nowhere")
    Store.open(tmp_path / "store").close()
    with (
        LibrarySearch.open(tmp_path / "store") as library,
        pytest.raises(StorageError, match="aion-dagster run SOURCE"),
    ):
        library.text("dog")


def command(capsys, place, *arguments):
    status = main(["search", *arguments, "--store", str(place)])
    shown = capsys.readouterr()
    return status, shown.out, shown.err


def test_the_command_says_how_to_get_a_joint_model_and_which_one_is_missing(
    place, capsys, tmp_path
):
    status, _, err = command(capsys, place, "a dog", "--pictures")
    assert (status, "name one as models.joint" in err) == (1, True)
    (tmp_path / "aion.yaml").write_text("models:\n  joint: /nowhere/siglip\n")
    status, _, err = command(
        capsys, place, "a dog", "--pictures", "--config", str(tmp_path / "aion.yaml")
    )
    assert (status, "Image vectors need" in err) == (1, True)


def test_the_command_prints_each_result_with_its_reasons(place, capsys):
    status, out, _ = command(capsys, place, "waves")
    assert status == 0
    assert out.splitlines()[0].endswith("  sea.png")
    assert "       “Waves” in title: [Waves] of the sea" in out.splitlines()


def test_the_command_knows_all_filters(place, capsys):
    _, out, _ = command(
        capsys,
        place,
        "oak",
        "--tag",
        "warm",
        "--tag",
        "furniture",
        "--since",
        "2024-01-01",
        "--until",
        "2024-12-31",
        "--min-width",
        "1000",
        "--min-height",
        "700",
        "--source",
        "archive",
        "--format",
        "jpeg",
        "--color",
        "walnut",
        "--min-percentage",
        "50",
        "--json",
    )
    assert [r["image_id"] for r in json.loads(out)] == ["oak"]
    assert command(capsys, place, "oak", "--min-width", "2000")[1] == "Nothing found.\n"


def test_the_command_takes_a_color_as_code_name_or_family(place, capsys):
    for asked in ("#8a5a30", "8A5A30", "Walnut", "earth_tone"):
        _, out, _ = command(capsys, place, "--color", asked, "--json")
        (found,) = json.loads(out)
        assert (found["name"], found["reasons"][0]["hex"]) == ("oak_table.jpg", "#8a5a30")


def test_the_command_shows_page_and_heading_of_documents(place, capsys):
    _, out, _ = command(capsys, place, "tenant", "--documents")
    assert out.splitlines()[0].endswith("contracts/Lease.pdf, page 1 › Lease › Rent")
    assert "“tenant” in content: The [tenant] pays on the first day" in out


def test_the_command_filters_documents(place, capsys):
    fitting = ["--since", "2026-05-01", "--format", "pdf", "--name", "contracts/*"]
    fitting += ["--source", "office", "--min-bytes", "100", "--max-bytes", "10000"]
    _, out, _ = command(capsys, place, "tenant", "--documents", *fitting, "--json")
    assert [r["document_id"] for r in json.loads(out)] == ["lease"]
    _, out, _ = command(capsys, place, "tenant", "--documents", "--until", "2026-05-01")
    assert out == "Nothing found.\n"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["oak", "--min-bytes", "5"],
        ["oak", "--documents", "--min-width", "5"],
        ["oak", "--like", "x.jpg"],
        ["--color", "#12"],
        ["--color", "#fff", "--delta-e", "0"],
        ["oak", "--since", "yesterday"],
        ["--like", "missing.jpg"],
        ["--color", "#fff", "--documents"],
        ["oak", "--documents", "--tag", "warm"],
        ["--color", "#fff", "--pictures"],
    ],
)
def test_what_cannot_be_asked_is_a_usage_error(place, capsys, arguments):
    status, out, err = command(capsys, place, *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("aion-dagster search: ")
