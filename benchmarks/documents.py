"""What 100 pages of a PDF cost, from bytes to pieces with exact pages, before vectors.

    python benchmarks/documents.py [--rounds 15] [--pages 100] [--json FILE]

CPU time, medians over interleaved rounds, as multiples of u: one full simplejpeg decode of a 640 × 480 picture, measured in
every round. Ours runs as in the product: the PDF is read in a process of its own, whose time counts, and the pieces are
measured by the tokenizer of all-MiniLM-L6-v2 where its weights are installed, else by the built-in one. The peer is pypdf
reading the text alone, without pieces; PDFium reading the text alone shows the floor.

The text is Python's own documentation (module `pydoc_data`), about 500 tokens to a page; every page carries its number, and
every piece's page numbers are checked against the numbers in its text.
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import re
import statistics
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import simplejpeg
from pictures import originals, picture

from aion_dagster.compute.documents.chunks import Chunk, ChunkSettings, chunk
from aion_dagster.compute.documents.document import ExtractedDocument
from aion_dagster.compute.documents.reader import DocumentReader
from aion_dagster.compute.documents.tokens import WORDS, TokenOffsets, word_offsets
from aion_dagster.errors import UnavailableError

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "documents"))
from document_files import pdf

LINES, COLUMNS = 40, 58
"""Lines of a page and characters of a line: about 500 tokens."""
BAR = 200
"""u that 100 pages may cost."""


def manual(pages: int) -> bytes:
    """A PDF of prose whose lines all begin with their page's number."""
    from pydoc_data.topics import topics

    prose = re.sub(r"[*`\\|=+^~-]{2,}|\*", " ", " ".join(topics.values()))
    flow = textwrap.wrap(" ".join(prose.split()), COLUMNS)
    texts = []
    for number in range(1, pages + 1):
        start = (number * LINES) % (len(flow) - LINES)
        texts.append([f"P{number}P", *flow[start : start + LINES - 1]])
    outline = [(1, f"P{n}P", n) for n in range(1, pages + 1, 10)]
    return pdf(texts, outline=outline, fanout=10)


def tokenizer() -> tuple[TokenOffsets, str]:
    """What measures pieces in the product, and its name."""
    from aion_dagster.compute.text_vectors import TextEncoder

    try:
        encoder = TextEncoder.load()
    except UnavailableError:
        return word_offsets, WORDS
    return encoder.token_offsets, encoder.model


def wrong_pages(document: ExtractedDocument, pieces: list[Chunk]) -> int:
    """Pieces whose page numbers are not those of their characters, by the numbers that the pages carry."""
    begins = {int(m[1]): m.start() for m in re.finditer(r"P(\d+)P", document.text)}
    order = sorted(begins, key=begins.__getitem__)
    ends = dict(zip(order, [*(begins[n] for n in order[1:]), len(document.text)], strict=True))
    wrong = 0
    for piece in pieces:
        on = [n for n in order if begins[n] < piece.end and ends[n] > piece.start]
        # The white space between two pages belongs to neither.
        on = [
            n
            for n in on
            if document.text[max(begins[n], piece.start) : min(ends[n], piece.end)].strip()
        ]
        wrong += tuple(on) != piece.page_numbers
    return wrong


def by_pypdf(data: bytes) -> int:
    """The peer: text only."""
    from pypdf import PdfReader

    return sum(len(page.extract_text()) for page in PdfReader(io.BytesIO(data)).pages)


def by_pdfium(data: bytes) -> int:
    """The floor: text only, in this process."""
    from pypdfium2 import PdfDocument

    document = PdfDocument(data)
    characters = 0
    for page in document:
        text = page.get_textpage()
        characters += len(text.get_text_range())
        text.close()
        page.close()
    document.close()
    return characters


def cpu_of(pid: int) -> float:
    """Seconds that all threads of another process have computed."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((t / "schedstat").read_text().split()[0]) for t in tasks) / 1e9


def timed(action: Callable[[], object]) -> float:
    """CPU seconds of this process."""
    start = time.process_time()
    action()
    return time.process_time() - start


def measure(data: bytes, rounds: int) -> tuple[dict[str, float], dict[str, object]]:
    """Median seconds by name, and facts about the result."""
    offsets, name = tokenizer()
    buffer = io.BytesIO()
    picture(1, originals()).save(buffer, "JPEG", quality=90)
    samples: dict[str, list[float]] = {}
    with DocumentReader() as reader:
        pid = reader.start()
        document = reader.extract(data, document_type="pdf")
        pieces = list(chunk(document, offsets, ChunkSettings()))
        for _ in range(rounds):
            for _ in range(10):
                samples.setdefault("u", []).append(
                    timed(lambda: simplejpeg.decode_jpeg(buffer.getvalue()))
                )
            before = cpu_of(pid)
            here = timed(lambda: reader.extract(data, document_type="pdf"))
            samples.setdefault("text", []).append(here + cpu_of(pid) - before)
            cutting = timed(lambda: list(chunk(document, offsets, ChunkSettings())))
            samples.setdefault("pieces", []).append(cutting)
            samples.setdefault("ours", []).append(samples["text"][-1] + cutting)
            samples.setdefault("pypdf", []).append(timed(lambda: by_pypdf(data)))
            samples.setdefault("pdfium", []).append(timed(lambda: by_pdfium(data)))
        if reader.start() != pid:
            raise SystemExit("the reading process was replaced within the benchmark")
        facts: dict[str, object] = {
            "pages": document.page_count,
            "tokens": len(offsets(document.text)),
            "pieces": len(pieces),
            "wrong_page_numbers": wrong_pages(document, pieces),
            "tokenizer": name,
            "reader_peak_mib": reader.peak_bytes >> 20,
        }
    return {k: statistics.median(v) for k, v in samples.items()}, facts


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--pages", type=int, default=100)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    logging.getLogger("pypdf").setLevel(logging.ERROR)
    medians, facts = measure(manual(arguments.pages), arguments.rounds)
    u = medians["u"]
    names = {
        "ours": "bytes to pieces, exact pages",
        "text": "  of it: text, in its own process",
        "pieces": "  of it: tokens and pieces",
        "pypdf": "pypdf, text alone",
        "pdfium": "PDFium, text alone (floor)",
    }
    print(f"u = {u * 1e3:.2f} ms; {facts}\n")
    print(f"{'':36}{'ms':>8}{'u':>8}")
    for key, label in names.items():
        print(f"{label:36}{medians[key] * 1e3:8.1f}{medians[key] / u:8.1f}")
    ratio = medians["ours"] / u * 100 / arguments.pages
    print(f"\n100 pages cost {ratio:.0f} u; the bar is {BAR}")
    if arguments.json:
        ratios = {k: round(v / u, 1) for k, v in medians.items()}
        seconds = {k: round(v, 6) for k, v in medians.items()}
        arguments.json.write_text(json.dumps({"seconds": seconds, "u": ratios, **facts}, indent=2))
    return 0 if ratio <= BAR and not facts["wrong_page_numbers"] else 1


if __name__ == "__main__":
    sys.exit(main())
