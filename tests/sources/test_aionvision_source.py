"""A connected cloud storage as a source: listed through the platform, imported once, read from the account's library."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

import httpx
import pytest
from aionvision_server.fixtures import Server, aionvision, aionvision_process

from aion_dagster.errors import (
    CredentialsError,
    CursorExpiredError,
    FileChangedError,
    FileTooLargeError,
    SourceError,
)
from aion_dagster.ingest import ingest
from aion_dagster.resources import connections
from aion_dagster.resources.sources import build_source
from aion_dagster.source_configs import AionvisionSourceConfig, parse_source
from aion_dagster.sources.source import Source
from aion_dagster.storage import Store

__all__ = ["aionvision", "aionvision_process"]

IMPORT = "POST /cloud-storage/import"


def file(name: str, content: bytes, **more: Any) -> dict[str, Any]:
    return {
        "id": f"id-{name.replace('/', '-')}",
        "name": name,
        "mimeType": "image/jpeg",
        "md5Checksum": hashlib.md5(content).hexdigest(),
        "size": str(len(content)),
        "modifiedTime": "2026-01-02T03:04:05.678Z",
        "content": base64.b64encode(content).decode(),
        **more,
    }


class Connected:
    """An account with a connected Drive."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.api = httpx.Client(
            base_url=server.url, headers={"Authorization": f"Bearer {server.key}"}, trust_env=False
        )
        begun = self.api.post(
            "/cloud-storage/auth/google_drive", json={"provider": "google_drive"}
        ).json()
        made = self.api.post(
            "/cloud-storage/auth/google_drive/callback",
            json={"code": "me", "state": begun["state"]},
        ).json()
        self.id: str = made["connection"]["id"]
        self.holds()

    def holds(self, *files: dict[str, Any]) -> None:
        self.server.settings(drive=list(files))

    def source(self, *, max_bytes: int = 1000, **more: Any) -> Source:
        account = {
            "base_url": self.server.url,
            "plan": "unlimited",
            "polling_interval": 0.02,
            "retry_delay": 0.01,
            "max_retries": 1,
        }
        config = {"connection_id": self.id, "name": "cloud", "account": account, **more}
        return build_source(AionvisionSourceConfig.model_validate(config), max_bytes=max_bytes)

    def imports(self) -> int:
        return len(self.server.log(IMPORT))


@pytest.fixture
def drive(aionvision: Server, monkeypatch: pytest.MonkeyPatch) -> Connected:
    monkeypatch.setenv("AIONVISION_API_KEY", aionvision.key)
    aionvision.plan("UNLIMITED")
    return Connected(aionvision)


def test_files_are_listed_with_what_tells_their_versions(
    drive: Connected, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_PAGE", 2)
    drive.holds(
        file("a.jpg", b"1"),
        file("x/y\n.jpg", b"2", modifiedTime="nonsense"),
        file("labels.json", b"{}"),
        file("folder", b"", mimeType="application/vnd.google-apps.folder"),
        file("doc", b"", mimeType="application/vnd.google-apps.document", md5Checksum=None),
        file("b.jpg", b"3"),
    )
    files = drive.source().scan().files
    assert [f.name for f in files] == ["a.jpg", "x／y�.jpg", "b.jpg"]
    assert files[0].uri == f"aionvision://{drive.id}/id-a.jpg"
    assert files[0].version == f"{hashlib.md5(b'1').hexdigest()}-1"
    assert files[0].modified_at.year == 2026
    assert drive.imports() == 0
    drive.server.assert_clean()


def test_a_listing_goes_on_where_it_stopped(
    drive: Connected, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(connections, "_PAGE", 3)
    drive.holds(*(file(f"{i}.jpg", b"%d" % i) for i in range(7)))
    source = drive.source()
    listed, cursor = [], None
    for _ in range(3):
        page = source.scan(cursor, deadline=0.0)
        listed += [f.name for f in page.files]
        cursor = page.cursor
    assert cursor is None
    assert listed == [f"{i}.jpg" for i in range(7)]
    with pytest.raises(CursorExpiredError):
        source.scan("no token of theirs")
    with Store.open(tmp_path / "store") as store:
        assert ingest(source, store).files == 7
        drive.holds(file("0.jpg", b"other"))
        done = ingest(source, store)
        assert (done.files, done.deleted) == (1, 6)


def test_only_files_of_the_folder_are_taken_where_one_is_named(drive: Connected) -> None:
    drive.holds(file("in.jpg", b"1", parents=["here"]), file("out.jpg", b"2", parents=["there"]))
    assert [f.name for f in drive.source(folder="here").scan().files] == ["in.jpg"]


def test_a_version_is_imported_once_and_read_as_often_as_needed(drive: Connected) -> None:
    drive.holds(file("a.jpg", b"first"), file("b.jpg", b"second"))
    source = drive.source()
    first, second = source.scan().files
    assert [source.read(first), source.read(first)] == [b"first"] * 2
    assert drive.source().read(first) == b"first"
    assert source.read(second) == b"second"
    assert drive.imports() == 2
    assert {
        t for f in drive.server.objects() for t in f["tags"] if not t.startswith("aion-")
    } == set()
    drive.holds(file("a.jpg", b"third"))
    (changed,) = source.scan().files
    assert source.read(changed) == b"third"
    assert source.read(first) == b"first"
    assert drive.imports() == 3
    drive.server.assert_clean()


def test_a_file_that_changed_before_it_was_imported_is_not_taken_for_the_one_listed(
    drive: Connected,
) -> None:
    drive.holds(file("a.jpg", b"first"))
    source = drive.source()
    (listed,) = source.scan().files
    drive.holds(file("a.jpg", b"later"))
    with pytest.raises(FileChangedError, match=r"a\.jpg"):
        source.read(listed)


def test_files_that_cannot_be_imported_or_are_too_large_are_refused(drive: Connected) -> None:
    drive.holds(file("a.jpg", b"first"), file("b.jpg", b"x" * 2000))
    source = drive.source()
    small, large = source.scan().files
    drive.server.fault("failing", IMPORT, about="a.jpg")
    with pytest.raises(SourceError, match=r"a\.jpg: cannot be imported"):
        source.read(small)
    with pytest.raises(FileTooLargeError):
        source.read(large)


def test_a_connection_or_a_key_that_is_of_no_use_is_told(
    drive: Connected, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = drive.source()
    source.check()
    with pytest.raises(CredentialsError, match=r"unknown: is not there; connect the account"):
        drive.source(connection_id="unknown").check()
    drive.api.delete(f"/cloud-storage/connections/{drive.id}")
    with pytest.raises(CredentialsError, match="is not active any more"):
        source.check()
    with pytest.raises(
        SourceError, match=r"Aionvision at http://127\.0\.0\.1.*(Conflict|Validation|NotFound)"
    ):
        source.scan()
    monkeypatch.setenv("AIONVISION_API_KEY", "aion_" + "x" * 30)
    with pytest.raises(CredentialsError, match="refuses the key") as caught:
        source.scan()
    assert "x" * 30 not in str(caught.value)
    monkeypatch.delenv("AIONVISION_API_KEY")
    with pytest.raises(CredentialsError, match="AIONVISION_API_KEY is not set"):
        source.scan()


def test_a_connection_is_named_by_an_address() -> None:
    source = parse_source("aionvision://abc-123")
    assert (source.type, source.place) == ("aionvision", "aionvision://abc-123")
    assert source.name.startswith("cloud-")
