"""Google Drive in the configuration: named by id or address, with credentials that stand elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from drive_server.fixtures import drive, names
from drive_server.server import DriveServer

from aion_dagster.config import LibraryConfig
from aion_dagster.errors import ConfigError
from aion_dagster.resources.sources import SourceReader, build_source
from aion_dagster.source_configs import DriveSourceConfig

__all__ = ["drive"]


def configured(source: object) -> DriveSourceConfig:
    (found,) = LibraryConfig.parse({"sources": [source]}).sources
    assert isinstance(found, DriveSourceConfig)
    return found


@pytest.mark.parametrize(
    "written",
    [
        "drive://1AbC_d-E",
        {"type": "drive", "folder": "1AbC_d-E"},
        {
            "type": "drive",
            "folder": "https://drive.google.com/drive/u/0/folders/1AbC_d-E?usp=sharing",
        },
    ],
)
def test_a_folder_is_named_by_its_id_or_its_address(written: object) -> None:
    source = configured(written)
    assert (source.folder, source.place) == ("1AbC_d-E", "drive://1AbC_d-E")
    assert source.name == configured("drive://1AbC_d-E").name
    assert source.name.startswith("drive-")
    assert configured("drive://").folder == "root"
    assert configured({"type": "drive", "impersonate": "a@b.c"}).name != configured("drive://").name


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"folder": "a/b'c"}, "folder"),
        ({"credentials_file": "a", "credentials_env": "B"}, "not both"),
        ({"api_endpoint": "http://example.org/drive/v3/"}, "api_endpoint"),
        ({"settle_seconds": 5}, "settle_seconds"),
        ({"private_key": "sesame"}, "private_key"),
    ],
)
def test_what_cannot_be_is_refused(more: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        configured({"type": "drive", **more})
    assert "sesame" not in str(caught.value)


def test_a_configuration_keeps_where_the_credentials_are_and_no_word_of_them(
    drive: DriveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = {"type": "drive", "credentials_file": "key.json", "api_endpoint": drive.api_endpoint}
    config = LibraryConfig.parse({"sources": [source], "store": str(tmp_path / "store")})
    config.remember()
    assert str(tmp_path / "key.json") in config.remembered_path.read_text()
    assert "PRIVATE KEY" not in config.remembered_path.read_text()
    monkeypatch.setenv("DRIVE_KEY", (tmp_path / "key.json").read_text())
    by_variable = {"type": "drive", "credentials_env": "DRIVE_KEY"}
    assert "PRIVATE KEY" not in repr(LibraryConfig.parse({"sources": [by_variable]}))


def test_a_configured_source_lists_and_is_read_by_its_references(drive: DriveServer) -> None:
    drive.account.file("a.jpg", content=b"pixels")
    drive.account.document("Plan")
    config = configured(
        {
            "type": "drive",
            "credentials_file": drive.key,
            "api_endpoint": drive.api_endpoint,
            "exclude": ["b*"],
            "relist_hours": 1,
        }
    )
    source = build_source(config, max_bytes=100, documents=("docx",))
    assert names(source) == ["Plan.docx", "a.jpg"]  # type: ignore[arg-type]
    assert source.relist_seconds == 3600
    reader = SourceReader([config], max_bytes=100)
    assert sorted(reader.read(ref) for ref in source.scan().files) == [b"PK docx Plan", b"pixels"]
