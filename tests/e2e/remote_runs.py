"""Runs with the backend `aionvision`: a configuration file, rows of tables, what was asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from aionvision_server.fixtures import Server

from aion_dagster.storage.store import Store


def ready(server: Server, monkeypatch: Any) -> str:
    """A server without limits that has everything done at the first look; its key, which stands in the environment."""
    monkeypatch.setenv("AIONVISION_API_KEY", server.key)
    server.plan("UNLIMITED")
    server.described_at_once()
    return server.key


def configured(path: Path, server: Server, **more: Any) -> Path:
    """A configuration file; `more` goes into `aionvision`, but for `library`, which goes beside it."""
    beside = more.pop("library", {})
    remote = {
        "base_url": server.url,
        "plan": "unlimited",
        "polling_interval": 0.02,
        "retry_delay": 0.01,
        **more,
    }
    data = {"backend": "aionvision", "aionvision": remote, "text_model": "none", **beside}
    path.write_text(yaml.safe_dump({"datasets": [{"exports": ["csv"]}], **data}))
    return path


def rows(store: Path, table: str) -> list[dict[str, Any]]:
    """All rows of a table, batch after batch."""
    tables = Store.open(store, create=False).tables
    if not tables.is_partitioned(table):
        return list(tables.read(table).to_pylist())
    return [r for b in tables.batches(table) for r in tables.read(table, batch=b).to_pylist()]


def asked(server: Server) -> int:
    """How many requests the server has had."""
    return sum(server.counters()["requests"].values())
