"""A cluster on one machine: PostgreSQL, Redis, S3 and AION's servers over loopback, a Dagster daemon, Celery workers."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import dagster as dg
import sqlalchemy as sa
import yaml
from postgres_server import PostgresServer, free_port
from s3_server import ENVIRONMENT

ROOT = Path(__file__).resolve().parents[1]


class RedisServer:
    """A broker that keeps what it was given."""

    def __init__(self, folder: Path) -> None:
        found = shutil.which("redis-server")
        if found is None:
            raise RuntimeError("redis-server is not installed: apt-get install redis-server")
        self._command = [found, "--port", str(port := free_port()), "--bind", "127.0.0.1"]
        self._command += ["--dir", str(folder), "--appendonly", "yes", "--save", ""]
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"redis://127.0.0.1:{port}/0"

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            self._process = None


class Cluster:
    """Everything that `deploy/dagster.yaml` speaks of, with shorter waits."""

    def __init__(self, folder: Path, s3_endpoint: str, bucket: str, workers: int) -> None:
        self.folder = folder
        self._workers: list[subprocess.Popen[bytes]] = []
        self._daemon: subprocess.Popen[bytes] | None = None
        self._count = workers
        for name in ("postgres", "redis", "home", "logs"):
            (folder / name).mkdir()
        self.postgres = PostgresServer(folder / "postgres")
        self.redis = RedisServer(folder / "redis")
        url = sa.make_url(self.postgres.url)
        self.ledger_url = url.set(database="ledger").render_as_string(hide_password=False)
        instance_url = url.set(database="dagster").render_as_string(hide_password=False)
        self.environment = {
            **os.environ,
            **ENVIRONMENT,
            "AWS_ENDPOINT_URL": s3_endpoint,
            "DAGSTER_HOME": str(folder / "home"),
            "AION_STORE": f"s3://{bucket}/store",
            "AION_CONFIG": str(folder / "aion.yaml"),
            "AION_LEDGER_URL": self.ledger_url,
            "AION_DAGSTER_POSTGRES_URL": instance_url,
            "AION_LOGS_BUCKET": bucket,
            "AION_CELERY_BROKER": self.redis.url,
        }
        settings = yaml.safe_load((ROOT / "deploy" / "dagster.yaml").read_text())
        settings["run_launcher"]["config"]["silent_seconds"] = 15.0
        settings["concurrency"]["runs"]["max_concurrent_runs"] = workers
        settings["run_monitoring"] |= {"start_timeout_seconds": 60, "poll_interval_seconds": 3}
        (folder / "home" / "dagster.yaml").write_text(yaml.safe_dump(settings))
        shutil.copy(ROOT / "deploy" / "workspace.yaml", folder / "home" / "workspace.yaml")

    def configure(self, config: Mapping[str, Any]) -> None:
        """The library's configuration file."""
        (self.folder / "aion.yaml").write_text(yaml.safe_dump(dict(config)))

    def start(self) -> None:
        """Start everything."""
        self.postgres.start()
        engine = sa.create_engine(self.postgres.url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for name in ("ledger", "dagster"):
                connection.execute(sa.text(f"CREATE DATABASE {name}"))
        engine.dispose()
        self.redis.start()
        with self.instance():
            pass  # makes its tables, before daemon and workers all want to
        for number in range(self._count):
            self._start_worker(number)
        dagster = [sys.executable, "-m", "dagster._daemon", "run", "-w", "workspace.yaml"]
        self._daemon = self._started("daemon", dagster)

    def _start_worker(self, number: int) -> None:
        celery = [sys.executable, "-m", "celery", "-A", "aion_dagster.celery_worker", "worker"]
        celery += ["--concurrency", "1", "-n", f"worker{number}@%h", "--loglevel", "INFO"]
        celery += ["--without-gossip", "--without-mingle"]
        local = {"AION_LOCAL": str(self.folder / f"local{number}")}
        self._workers.append(self._started(f"worker{number}", celery, local))

    def _started(
        self, name: str, command: list[str], more: Mapping[str, str] = {}
    ) -> subprocess.Popen[bytes]:
        with (self.folder / "logs" / name).open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=self.folder / "home",
                env={**self.environment, **more},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill_worker(self) -> None:
        """SIGKILL for a worker and its children, and no other in its place."""
        os.killpg(self._workers.pop(0).pid, signal.SIGKILL)

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """The instance, as the daemon has it."""
        with (
            _environment(self.environment),
            dg.DagsterInstance.from_config(str(self.folder / "home")) as instance,
        ):
            yield instance

    def logs(self) -> str:
        """The end of what every process said."""
        parts = [
            f"== {p.name}\n{p.read_text(errors='replace')[-4000:]}"
            for p in sorted((self.folder / "logs").iterdir())
        ]
        return "\n".join(parts)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in [*self._workers, *([self._daemon] if self._daemon else [])]:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.redis.stop()
        self.postgres.stop()


@contextmanager
def cluster(s3_endpoint: str, bucket: str, workers: int) -> Iterator[Cluster]:
    """A cluster in a folder of its own, not yet started."""
    assert urlsplit(s3_endpoint).hostname == "127.0.0.1"
    folder = Path(tempfile.mkdtemp(prefix="aion-cluster-"))
    folder.chmod(0o755)
    try:
        with Cluster(folder, s3_endpoint, bucket, workers) as made:
            yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def until(condition: Any, seconds: float, what: str, pause: float = 1.0) -> None:
    """Wait for something; an AssertionError where it takes too long."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(pause)
