"""The example that tells of failed runs: a run fails, and the message arrives over HTTP or SMTP."""

from __future__ import annotations

import importlib.util
import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import dagster as dg
import pytest

from aion_dagster import LibraryConfig, build_definitions

EXAMPLE = Path(__file__).parents[2] / "examples" / "run_failure_webhook.py"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("run_failure_webhook", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def webhook(status: int = 200) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The URL of a server on the loopback, and what it was sent."""
    received: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append({"path": self.path, **json.loads(body)})
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/services/SECRET", received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Mailbox(socketserver.StreamRequestHandler):
    """A mail server that says yes to everything."""

    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        while line := self.rfile.readline():
            word = line.split()[0].upper()
            if word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                while (line := self.rfile.readline()) not in (b".\r\n", b""):
                    self.server.received.append(line)  # type: ignore[attr-defined]
            self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 yes\r\n")
            if word == b"QUIT":
                return


@dg.op
def look_at_batch() -> None:
    raise ValueError("picture 7 has no pixels")


@dg.job
def batch() -> None:
    look_at_batch()


class Daemon:
    """The daemon's ticks of the sensor, one after the other; the first one only notes where the log ends."""

    def __init__(self, example: ModuleType, instance: dg.DagsterInstance) -> None:
        self._sensor, self._instance = example.run_failure_sensor, instance
        self._definitions = dg.Definitions(jobs=[batch], sensors=[self._sensor])
        self._cursor: str | None = None
        self.tick()

    def tick(self) -> None:
        context = dg.build_sensor_context(
            instance=self._instance,
            cursor=self._cursor,
            definitions=self._definitions,
            sensor_name=self._sensor.name,
        )
        done = self._sensor.evaluate_tick(context)
        self._cursor = done.cursor
        for reaction in done.dagster_run_reactions:
            if reaction.error is not None:
                raise RuntimeError(reaction.error.to_string())

    def fail_and_tick(self) -> None:
        assert not batch.execute_in_process(instance=self._instance, raise_on_error=False).success
        self.tick()


@pytest.fixture
def daemon(example: ModuleType, tmp_path: Path) -> Iterator[Daemon]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield Daemon(example, instance)


def test_a_failed_run_is_told_to_a_webhook(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    with webhook() as (url, received):
        monkeypatch.setenv("AION_ALERT_WEBHOOK", url)
        monkeypatch.setenv("AION_ALERT_UI", "https://dagster.example.com/")
        daemon.fail_and_tick()
        daemon.tick()
    (told,) = received  # once, however many ticks follow
    assert told["path"] == "/services/SECRET"
    assert "of batch failed" in told["text"]
    assert "Steps: look_at_batch" in told["text"]
    assert "picture 7 has no pixels" in told["text"]
    assert "https://dagster.example.com/runs/" in told["text"]


def test_a_webhook_that_refuses_fails_the_tick_without_its_secret(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    with webhook(status=403) as (url, _):
        monkeypatch.setenv("AION_ALERT_WEBHOOK", url)
        with pytest.raises(Exception, match="answered 403") as refused:
            daemon.fail_and_tick()
    assert "SECRET" not in str(refused.value)
    with pytest.raises(Exception, match="was not reached") as lost:
        daemon.fail_and_tick()
    assert "SECRET" not in str(lost.value)


def test_a_failed_run_is_told_by_mail(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Mailbox)
    server.received = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        monkeypatch.setenv("AION_ALERT_MAIL", f"smtp://127.0.0.1:{server.server_address[1]}")
        monkeypatch.setenv("AION_ALERT_FROM", "dagster@example.com")
        monkeypatch.setenv("AION_ALERT_TO", "team@example.com")
        daemon.fail_and_tick()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    mail = b"".join(server.received).decode()  # type: ignore[attr-defined]
    assert "Subject: Run " in mail
    assert "To: team@example.com" in mail
    assert "picture 7 has no pixels" in mail


def test_it_is_loaded_beside_a_library(example: ModuleType, tmp_path: Path) -> None:
    library = build_definitions(LibraryConfig(store=str(tmp_path / "store")))
    merged = dg.Definitions.merge(library, dg.Definitions(sensors=[example.run_failure_sensor]))
    dg.Definitions.validate_loadable(merged)
    assert merged.get_sensor_def("tell_of_failed_runs") is example.run_failure_sensor
