"""Documents are read in a process of its own: what hangs, crashes or swells there is a row here."""

import os
import signal
import subprocess
import sys
import zlib
from threading import Thread

import psutil
import pytest
from document_files import PICTURE, PdfFile, pdf, prose

from aion_dagster.compute.documents.document import Limits
from aion_dagster.compute.documents.extract import extract
from aion_dagster.compute.documents.reader import DocumentReader


@pytest.fixture(scope="module")
def reader():
    with DocumentReader() as shared:
        yield shared


def bomb(size):
    """One page whose content unpacks to `size` bytes in two layers."""
    file = PdfFile()
    root, top, page = file.add(b""), file.add(b""), file.add(b"")
    packed = zlib.compress(zlib.compress(b"(a) Tj " * (size // 7), 9), 9)
    stream = b"<< /Length %d /Filter [/FlateDecode /FlateDecode] >>\nstream\n" % len(packed)
    content = file.add(stream + packed + b"\nendstream")
    file.objects[root] = b"<< /Type /Catalog /Pages %d 0 R >>" % top
    file.objects[top] = b"<< /Type /Pages /Kids [%d 0 R] /Count 1 >>" % page
    file.objects[page] = b"<< /Type /Page /Parent %d 0 R /Contents %d 0 R >>" % (top, content)
    return file.bytes(root)


def test_the_answer_is_the_same_as_in_this_process(reader):
    data = pdf([prose(1, 80), PICTURE], outline=[(1, "Part", 1)], title="Títle")
    assert reader.extract(data, document_type="pdf") == extract(data, document_type="pdf")


def test_one_process_reads_one_document_after_the_other(reader):
    first = reader.start()
    for n in range(5):
        found = reader.extract(pdf([[f"document {n}"]]), document_type="pdf")
        assert found.text == f"document {n}"
    assert reader.start() == first


def test_a_document_that_takes_too_long_is_unreadable_and_the_next_one_is_read():
    with DocumentReader(Limits(seconds=0.15, seconds_per_page=0)) as reader:
        reader.start()
        slow = reader.extract(pdf([prose(n, 400) for n in range(400)]), document_type="pdf")
        assert (slow.status, slow.transient) == ("unreadable", True)
        assert "time limit" in slow.reason
        assert reader.restarts == 1
    with DocumentReader() as reader:
        assert reader.extract(pdf([["words"]]), document_type="pdf").text == "words"


def test_a_document_that_needs_too_much_memory_is_a_row_and_memory_stays_bounded():
    with DocumentReader(Limits(memory_bytes=2**28)) as reader:
        found = reader.extract(bomb(2**28), document_type="pdf")
        assert found.status in ("unreadable", "no_text", "completed")
        assert reader.peak_bytes < 2**28
        assert reader.extract(pdf([["words"]]), document_type="pdf").text == "words"


def test_a_process_killed_between_two_documents_costs_neither_its_text(reader):
    pid = reader.start()
    os.kill(pid, signal.SIGKILL)
    assert reader.extract(pdf([["words"]]), document_type="pdf").text == "words"
    assert reader.start() != pid


def test_a_process_killed_within_a_document_costs_nothing_but_time():
    with DocumentReader() as reader:
        child = psutil.Process(reader.start())
        child.suspend()
        found = []
        data = pdf([["words"]])
        asking = Thread(
            target=lambda: found.append(reader.extract(data, document_type="pdf")), daemon=True
        )
        asking.start()
        child.kill()
        asking.join(20)
        assert found[0].text == "words"


def test_threads_share_a_reader(reader):
    texts = {}

    def ask(n):
        texts[n] = reader.extract(pdf([[f"number {n}"]]), document_type="pdf").text

    threads = [Thread(target=ask, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == {n: f"number {n}" for n in range(6)}


def test_scans_are_rendered_there_and_read_here(reader):
    pids = []

    def read_page(rgb):
        pids.append(os.getpid())
        return f"{rgb.shape[0]} rows"

    document = reader.extract(pdf([PICTURE, ["two"]]), document_type="pdf", ocr=read_page)
    assert document.text == "2000 rows\n\ntwo"
    assert pids == [os.getpid()]


def test_texts_need_no_process():
    with DocumentReader() as reader:
        assert reader.extract(b"# Words", document_type="md").title == "Words"
        assert reader.extract(b"", document_type="pdf").status == "empty"
        assert (reader.peak_bytes, reader.restarts) == (0, 0)


def test_the_process_sees_no_secrets_writes_no_files_and_knows_no_dagster(monkeypatch):
    monkeypatch.setenv("AION_API_KEY", "geheim")
    with DocumentReader() as reader:
        child = psutil.Process(reader.start())
        reader.extract(pdf([["words"]]), document_type="pdf")
        assert "AION_API_KEY" not in child.environ()
        assert child.rlimit(psutil.RLIMIT_FSIZE) == (0, 0)
        assert child.rlimit(psutil.RLIMIT_AS)[0] == 2**30
        libraries = {os.path.basename(m.path) for m in child.memory_maps()}
        assert any("pdfium" in name for name in libraries)
        assert not any("arrow" in name or "numpy" in name for name in libraries)
    code = (
        "import sys, aion_dagster.compute.documents.worker, aion_dagster.compute.documents.extract;"
        "print([m for m in ('dagster', 'numpy', 'pyarrow') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_the_process_dies_with_the_one_that_asked():
    code = (
        "import sys; from aion_dagster.compute.documents.reader import DocumentReader;"
        "r = DocumentReader(); print(r.start(), flush=True); sys.stdin.read()"
    )
    asking = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    child = psutil.Process(int(asking.stdout.readline()))
    asking.kill()
    asking.wait()
    asking.stdin.close()
    asking.stdout.close()
    child.wait(timeout=20)
