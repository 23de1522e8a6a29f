"""A process that dies while it notes answers: the server knows which of them it did not have."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from queue import Queue

import pytest
from raw_server import Line, certificate, raw_server, serving
from vision_server import GOOD, says

from aion_dagster.client.unread_stream import POSSIBLE

PICTURES = 4

_CHILD = """
import sys
sys.path[:0] = sys.argv[2:]
from test_endpoint import request_for
from aion_dagster.backends.calls import NoJournal
from aion_dagster.backends.endpoint import EndpointDescriber
from aion_dagster.engines import EndpointConfig

class Asking(NoJournal):
    def keep(self, results):
        print("keep", flush=True)
        sys.stdin.readline()

settings = EndpointConfig(base_url=sys.argv[1], model="m", parallel=4, attempts=1)
EndpointDescriber(settings, calls=Asking()).describe(request_for(4))
"""


@pytest.mark.skipif(not POSSIBLE, reason="this system gets ordinary connections")
@pytest.mark.parametrize("noted", [0, 3])
@pytest.mark.parametrize(
    ("tls", "headers"),
    [(False, ""), (False, "Connection: close\r\n"), (True, "")],
    ids=["http", "closing", "https"],
)
def test_of_answers_that_came_together_those_that_were_not_noted_are_undelivered(
    tmp_path: Path, noted: int, tls: bool, headers: str
) -> None:
    together = threading.Barrier(PICTURES + 1)
    endings: Queue[str] = Queue()

    def talk(line: Line) -> None:
        line.request()
        together.wait(60)
        line.reply(json.dumps(says(GOOD).body).encode(), headers=headers)
        together.wait(60)
        endings.put(line.ending())

    file = certificate(tmp_path)
    with raw_server(talk, context=serving(file) if tls else None) as server:
        places = [place for place in sys.path if "tests" in place]
        child = subprocess.Popen(
            [sys.executable, "-c", _CHILD, server.url, *places],
            env={**os.environ, "SSL_CERT_FILE": str(file)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            together.wait(60)
            together.wait(60)
            for _ in range(noted):
                assert child.stdout.readline() == "keep\n"
                child.stdin.write("\n")
                child.stdin.flush()
            assert child.stdout.readline() == "keep\n"
        finally:
            child.kill()
            with suppress(BrokenPipeError):
                child.communicate()
        found = sorted(endings.get(timeout=20) for _ in range(PICTURES))
    assert found == ["end"] * noted + ["reset"] * (PICTURES - noted)
