"""`aion-dagster run` on a folder of Google Drive: pictures and documents become rows, and so do files with a reason."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import docx
import pyarrow.dataset as ds
from drive_server.fixtures import drive
from drive_server.items import DOCX
from drive_server.server import DriveServer
from PIL import Image

__all__ = ["drive"]


def picture(color: str) -> bytes:
    held = io.BytesIO()
    Image.new("RGB", (48, 32), color).save(held, "JPEG")
    return held.getvalue()


def contract() -> bytes:
    document, held = docx.Document(), io.BytesIO()
    document.add_paragraph("The rent is due in May.")
    document.save(held)
    return held.getvalue()


def run(config: Path) -> tuple[int, dict[str, Any], str]:
    done = subprocess.run(
        [sys.executable, "-m", "aion_dagster", "run", "--config", str(config), "--json"],
        capture_output=True,
        text=True,
        env={k: v for k, v in os.environ.items() if k != "DAGSTER_HOME"},
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout.strip().rpartition("\n")[2]), done.stderr


def rows(store: Path, table: str) -> dict[str, Any]:
    found = ds.dataset(store / "tables" / table, partitioning="hive").to_table().to_pylist()
    return {row["name"]: row for row in found}


def test_a_drive_folder_is_run_and_credentials_that_are_revoked_are_said(
    drive: DriveServer, tmp_path: Path
) -> None:
    account = drive.account
    folder = account.folder("photos")
    red = account.file("red.jpg", account.folder("deep", folder), picture("red"))
    account.shortcut("link.jpg", red, folder)
    account.abuse(account.file("bad.jpg", folder, picture("gray")))
    account.document("Contract", folder, exports={DOCX: contract()})
    store = tmp_path / "store"
    config = tmp_path / "aion.yaml"
    source = {
        "type": "drive",
        "folder": folder,
        "credentials_file": drive.key,
        "api_endpoint": drive.api_endpoint,
    }
    settings = {
        "store": str(store),
        "sources": [source],
        "documents": ["docx"],
        "datasets": [{"exports": []}],
    }
    config.write_text(json.dumps(settings))
    status, report, _ = run(config)
    assert (status, report["files"], report["ok"], report["failed"]) == (0, 4, 3, 1)
    images = rows(store, "images")
    assert {n: r["status"] for n, r in images.items()} == {
        "deep/red.jpg": "ok",
        "link.jpg": "ok",
        "bad.jpg": "unreadable",
    }
    assert images["link.jpg"]["image_id"] == images["deep/red.jpg"]["image_id"]
    assert "malware or spam" in images["bad.jpg"]["error"]
    assert (
        "rent"
        in ds.dataset(store / "tables" / "document_chunks", partitioning="hive")
        .to_table()["content"][0]
        .as_py()
    )
    drive.grants.revoke()
    status, report, said = run(config)
    assert (status, report["files"]) == (1, 0)
    assert "Google refuses the credentials of reader@aion-test" in said
