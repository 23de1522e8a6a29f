"""The documents of a batch: a row per file, each content read once, earlier results copied."""

import hashlib
import re
from datetime import UTC, datetime

import numpy as np
import pyarrow.compute as pc
import pytest
from document_files import encrypted, pdf, prose
from PIL import Image, ImageDraw

from aion_dagster import schemas
from aion_dagster.backends.documents import (
    DocumentSettings,
    compute_documents,
    document_parameters,
)
from aion_dagster.backends.local import LocalBackend
from aion_dagster.compute.text_model import wheel_folder
from aion_dagster.errors import ConfigError, FileVanishedError
from aion_dagster.storage.store import Store
from aion_dagster.values import FileRef

WORDS_ONLY = LocalBackend(text_model="none")


class Shelf:
    """Files in memory and a store; counts what is read and can say what the batch came to."""

    def __init__(self, store):
        self.store = store
        self.files = {}
        self.read_names = []

    def put(self, name, data):
        self.files[name] = data
        return FileRef(
            "shelf", f"/shelf/{name}", name, "1", len(data or b""), datetime(2026, 1, 1, tzinfo=UTC)
        )

    def read(self, ref):
        self.read_names.append(ref.name)
        if self.files[ref.name] is None:
            raise FileVanishedError(f"{ref.uri}: the file is gone")
        return self.files[ref.name]

    def compute(self, batch, files, settings=None, backend=WORDS_ONLY):
        settings = settings or DocumentSettings()
        done = []
        made = compute_documents(
            batch, files, self.read, self.store, settings, backend, done.append
        )
        assert sum(done) == len(files)
        made.chunks.commit()
        self.store.tables.write("documents", made.documents, batch=batch)
        self.store.ledger.record_results(
            settings.operation(), document_parameters(settings, backend), batch, made.finished
        )
        return made

    def chunks(self, batch):
        return self.store.tables.read("document_chunks", batch=batch)


@pytest.fixture
def shelf(tmp_path):
    with Store.open(tmp_path / "store") as store:
        yield Shelf(store)


def test_every_file_has_a_row_whatever_became_of_it(shelf):
    good = pdf([prose(1, 300), prose(2, 300)], title="Good")
    files = [
        shelf.put("good.pdf", good),
        shelf.put("copy/of good.pdf", good),
        shelf.put("locked.pdf", encrypted(good, "geheim")),
        shelf.put("broken.pdf", good[:100]),
        shelf.put("nothing.md", b""),
        shelf.put("gone.txt", None),
        shelf.put("picture.pdf", b"\xff\xd8\xff\xe0" + bytes(50)),
        shelf.put("notes.md", b"# Notes\n\nwords"),
    ]
    made = shelf.compute("one", files)
    assert made.documents.schema.equals(schemas.DOCUMENTS)
    rows = made.documents.to_pylist()
    assert [r["name"] for r in rows] == [f.name for f in files]
    assert [r["text_extraction_status"] for r in rows] == [
        *("completed", "completed", "encrypted", "unreadable"),
        *("empty", "unreadable", "unsupported", "completed"),
    ]
    assert all(r["error"] for r in rows if r["text_extraction_status"] != "completed")
    assert made.failed == 5
    assert rows[0]["document_id"] == rows[1]["document_id"]
    assert (rows[0]["title"], rows[0]["page_count"], rows[0]["document_type"]) == ("Good", 2, "pdf")
    assert rows[5]["document_id"] is None
    chunks = shelf.chunks("one")
    assert chunks.schema.equals(schemas.DOCUMENT_CHUNKS)
    of_good = chunks.filter(pc.equal(chunks["document_id"], rows[0]["document_id"]))
    assert of_good.num_rows == rows[0]["chunk_count"] == rows[1]["chunk_count"]
    assert of_good["chunk_index"].to_pylist() == list(range(of_good.num_rows))
    assert len(set(chunks["chunk_id"].to_pylist())) == chunks.num_rows
    assert chunks["vector"].null_count == chunks.num_rows
    assert max(chunks["token_count"].to_pylist()) <= 200


def test_contents_of_earlier_batches_are_copied(shelf):
    data = pdf([prose(1, 400)])
    first = shelf.compute("one", [shelf.put("a.pdf", data), shelf.put("b.txt", b"text")])
    again = [shelf.put("c/a again.pdf", data), shelf.put("new.md", b"new")]
    second = shelf.compute("two", again)
    assert second.reused == 1
    assert second.finished == sorted(hashlib.sha256(d).hexdigest() for d in (data, b"new"))
    row, old = second.documents.to_pylist()[0], first.documents.to_pylist()[0]
    assert (row["name"], row["uri"]) == ("c/a again.pdf", "/shelf/c/a again.pdf")
    facts = ("document_id", "chunk_count", "engine", "text_extraction_status", "sha256")
    assert [row[f] for f in facts] == [old[f] for f in facts]
    before, after = shelf.chunks("one"), shelf.chunks("two")
    mine = pc.equal(before["document_id"], old["document_id"])
    theirs = pc.equal(after["document_id"], old["document_id"])
    assert before.filter(mine).equals(after.filter(theirs))


def test_a_batch_does_not_reuse_itself_and_gives_the_same_tables_again(shelf):
    files = [shelf.put("a.pdf", pdf([prose(1, 400)])), shelf.put("b.md", b"# B\n\nwords")]
    first = shelf.compute("one", files)
    before = shelf.chunks("one")
    second = shelf.compute("one", files)
    assert second.reused == 0
    assert second.documents.equals(first.documents)
    assert shelf.chunks("one").equals(before)


def test_other_settings_are_computed_anew(shelf):
    file = shelf.put("a.pdf", pdf([prose(1, 400)]))
    shelf.compute("one", [file])
    made = shelf.compute("two", [file], DocumentSettings(max_tokens=64, overlap=8))
    assert made.reused == 0
    assert max(shelf.chunks("two")["token_count"].to_pylist()) <= 64
    ids = [set(shelf.chunks(b)["chunk_id"].to_pylist()) for b in ("one", "two")]
    assert not ids[0] & ids[1]


def test_failures_that_follow_from_the_bytes_are_remembered_too(shelf):
    data = encrypted(pdf([["words"]]), "geheim")
    shelf.compute("one", [shelf.put("a.pdf", data)])
    made = shelf.compute("two", [shelf.put("b.pdf", data)])
    assert made.reused == 1
    assert made.documents["text_extraction_status"].to_pylist() == ["encrypted"]


def test_a_file_over_the_limit_is_not_read(shelf):
    made = shelf.compute("one", [shelf.put("a.txt", b"x" * 100)], DocumentSettings(max_bytes=99))
    assert shelf.read_names == []
    assert made.documents["text_extraction_status"].to_pylist() == ["too_large"]


def test_nothing_is_left_behind_when_a_batch_fails(shelf, tmp_path):
    class Stop(Exception):
        pass

    def read(_ref):
        raise Stop

    with pytest.raises(Stop):
        compute_documents(
            "one",
            [shelf.put("a.pdf", b"x")],
            read,
            shelf.store,
            DocumentSettings(),
            WORDS_ONLY,
            print,
        )
    assert not [p for p in tmp_path.rglob("*document_chunks*") if p.is_file()]


def test_pieces_fit_the_text_model_and_have_its_vectors(shelf):
    backend = LocalBackend()
    if backend.unavailable("embed_text"):
        pytest.skip(backend.unavailable("embed_text"))
    text = "Antidisestablishmentarianism: naïve façades, 図書館 и библиотеки; see §4.2.1(b). " * 30
    shelf.compute("one", [shelf.put("a.txt", text.encode())], backend=backend)
    chunks = shelf.chunks("one")
    encoder = backend.text_encoder()
    for content, tokens in zip(
        chunks["content"].to_pylist(), chunks["token_count"].to_pylist(), strict=True
    ):
        assert len(encoder.token_offsets(content)) == tokens <= 200
    vectors = np.array(chunks["vector"].to_pylist())
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.allclose(vectors[0], backend.embed_text([chunks["content"][0].as_py()])[0], atol=1e-6)
    assert set(chunks["model"].to_pylist()) == {backend.identity("embed_text")}


def test_the_vector_of_a_piece_sees_all_of_it_with_a_model_that_heeds_fewer_tokens(shelf, tmp_path):
    original = LocalBackend()
    if original.unavailable("embed_text"):
        pytest.skip(original.unavailable("embed_text"))
    folder = tmp_path / "short-sighted"
    folder.mkdir()
    for file in wheel_folder().iterdir():
        (folder / file.name).symlink_to(file)
    settings = folder / "sentence_bert_config.json"
    settings.unlink(missing_ok=True)
    settings.write_text('{"max_seq_length": 48}')
    backend = LocalBackend(text_model=str(folder))
    text = (
        f"{prose(3, 400)}\n\nLlanfairpwllgwyngyll{'uvw' * 30} {'x' * 400} 図書館 и библиотеки. " * 2
    )
    shelf.compute("one", [shelf.put("a.txt", text.encode())], backend=backend)
    pieces = shelf.chunks("one")["content"].to_pylist()
    encoder = backend.text_encoder()
    assert encoder.longest == 46
    counts = [len(encoder.tokenize(piece).ids) for piece in pieces]
    assert 30 < max(counts) <= encoder.longest
    words = set(text.split())
    assert words - {"x" * 400} <= {w for piece in pieces for w in piece.split()}


def scan(text):
    """A PDF of one picture of a line of text."""
    from io import BytesIO

    picture = Image.new("RGB", (900, 300), "white")
    ImageDraw.Draw(picture).text((60, 100), text, fill="black", font_size=72)
    out = BytesIO()
    picture.save(out, "PDF")
    return out.getvalue()


def test_scans_are_read_by_text_detection_where_that_is_switched_on(shelf):
    file = shelf.put("scan.pdf", scan("Hello 4711"))
    made = shelf.compute("one", [file])
    row = made.documents.to_pylist()[0]
    assert row["text_extraction_status"] == "no_text"
    assert "detect" in row["error"]
    if WORDS_ONLY.unavailable("text"):
        pytest.skip(WORDS_ONLY.unavailable("text"))
    made = shelf.compute("two", [file], DocumentSettings(ocr=True))
    row = made.documents.to_pylist()[0]
    assert row["text_extraction_status"] == "completed"
    assert re.sub(r"\s", "", shelf.chunks("two")["content"][0].as_py()) == "Hello4711"


def test_settings_out_of_range_are_refused():
    for wrong in ({"max_tokens": 300}, {"overlap": 150}, {"max_pages": 0}):
        with pytest.raises(ConfigError):
            DocumentSettings(**wrong)
